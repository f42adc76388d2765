//! Filters: what they pass over, and what they newly let through.

use counterfoil_test_support::eventually;
use tokio::sync::Semaphore;

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

#[tokio::test]
async fn a_wider_filter_beside_the_old_one_misses_nothing_and_ends_the_old_one() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    for (id, event_type) in [("evt_a1", "a.a"), ("evt_b2", "b.b"), ("evt_a3", "a.a")] {
        gateway.append(0, id, event_type);
    }
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let old = db.consume(
        &gateway,
        Effects {
            gate: gate.clone(),
            ..only(&["a.a"])
        },
    );
    // The old release has the first event in a transaction and knows the other one to be passed over.
    db.transaction_waits().await;
    eventually("the rest to arrive", async || {
        (count(&old.stats.delivered) == 2).then_some(())
    })
    .await;
    // The new release has read the checkpoint as it was before, and wants to write its filter there.
    let new = db.consume(&gateway, only(&["a.a", "b.b"]));
    let sql = db.sql().await;
    let waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1";
    eventually("the new release to wait", async || {
        sql.query_opt(waits, &[&db.application()]).await.unwrap()
    })
    .await;
    gate.add_permits(100);
    let mut effects = db.effects_reach(3).await;
    effects.sort();
    assert_eq!(effects, ["evt_a1", "evt_a3", "evt_b2"]);

    eventually("the new filter", async || {
        let filters = "select 1 from checkpoint where partition = 0 and filter = '{a.a,b.b}'";
        sql.query_opt(filters, &[]).await.unwrap()
    })
    .await;
    gateway.append(0, "evt_b4", "b.b");
    gateway.append(0, "evt_a5", "a.a");
    old.stopped().await;
    gateway.append(0, "evt_b6", "b.b");
    let effects = db.effects_reach(6).await;
    assert_eq!(effects[3..], ["evt_b4", "evt_a5", "evt_b6"]);
    assert_eq!(db.checkpoint(0).await.0, 6);
    new.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_replayed_holds_up_its_partition_and_no_other() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.append(0, "evt_bad", "a.a");
    gateway.append(0, "evt_b2", "b.b");
    gateway.append(1, "evt_a1", "a.a");
    let consumer = db.consume(&gateway, only(&["b.b"]));
    eventually("the acks", async || {
        ((gateway.acked(0), gateway.acked(1)) == (2, 1)).then_some(())
    })
    .await;
    consumer.stop().await;

    let effects = only(&["a.a", "b.b"]);
    effects.failures.lock().unwrap().insert("evt_bad", u32::MAX);
    let consumer = db.consume(&gateway, effects.clone());
    gateway.append(0, "evt_a3", "a.a");
    gateway.append(1, "evt_a2", "a.a");
    assert_eq!(db.effects_reach(3).await, ["evt_b2", "evt_a1", "evt_a2"]);
    eventually("more attempts", async || {
        (count(&consumer.stats.retried) > 2).then_some(())
    })
    .await;

    effects.failures.lock().unwrap().clear();
    assert_eq!(db.effects_reach(5).await[3..], ["evt_bad", "evt_a3"]);
    eventually("the ack", async || (gateway.acked(0) == 3).then_some(())).await;
    consumer.stop().await;
}
