//! Filters: what they pass over, and what they newly let through.

use counterfoil_test_support::eventually;

use crate::effects::{Database, Effects, count};
use crate::gateway::Gateway;

fn only(types: &'static [&'static str]) -> Effects {
    Effects {
        types,
        ..Effects::default()
    }
}

#[tokio::test]
async fn what_a_filter_passes_over_moves_the_checkpoint() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    for (id, event_type) in [("evt_1", "a.a"), ("evt_2", "b.b"), ("evt_3", "a.a")] {
        gateway.append(0, id, event_type);
    }
    let consumer = db.consume(&gateway, only(&["b.b"]));
    eventually("the last ack", async || (gateway.acked(0) == 3).then_some(())).await;
    consumer.stop().await;
    assert_eq!(db.effects().await, ["evt_2"]);
    assert_eq!(db.checkpoint(0).await, (3, String::new(), 1));

    // The next stream begins behind it, without an event's id.
    let consumer = db.consume(&gateway, only(&["b.b"]));
    eventually("the next stream", async || {
        (gateway.with(|log| log.starts.len()) == 2).then_some(())
    })
    .await;
    consumer.stop().await;
    let start = gateway.with(|log| log.starts.pop()).unwrap();
    let Some(counterfoil_proto::event::v1::start::Offsets::OwnOffsets(own)) = start.offsets else {
        panic!()
    };
    let at = own.partitions.iter().find(|at| at.partition == 0).unwrap();
    assert_eq!((at.after_offset, at.after_event_id.as_str(), at.epoch), (3, "", 1));
}

#[tokio::test]
async fn a_wider_filter_replays_the_new_types_once_and_moves_no_checkpoint() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    for number in 1..=6 {
        gateway.append(0, &format!("evt_{number}"), if number % 2 == 0 { "b.b" } else { "a.a" });
    }
    let consumer = db.consume(&gateway, only(&["b.b"]));
    eventually("the last ack", async || (gateway.acked(0) == 6).then_some(())).await;
    consumer.stop().await;
    assert_eq!(db.effects().await, ["evt_2", "evt_4", "evt_6"]);

    let consumer = db.consume(&gateway, only(&["b.b", "a.a"]));
    gateway.append(0, "evt_7", "a.a");
    assert_eq!(db.effects_reach(7).await[3..], ["evt_1", "evt_3", "evt_5", "evt_7"]);
    // Only what the stream brought counts.
    eventually("the count", async || {
        (count(&consumer.stats.applied) == 1).then_some(())
    })
    .await;
    consumer.stop().await;

    // Once is enough, and a narrower filter asks for nothing.
    for types in [&["a.a", "b.b"][..], &["a.a"]] {
        let streams = gateway.with(|log| log.streams);
        let consumer = db.consume(&gateway, only(types));
        eventually("the stream", async || {
            (gateway.with(|log| log.streams) > streams).then_some(())
        })
        .await;
        consumer.stop().await;
    }
    assert_eq!(db.effects().await.len(), 7);
    assert_eq!(db.checkpoint(0).await.0, 7);
}
