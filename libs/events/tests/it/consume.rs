//! Effects, once, whatever happens between.

use counterfoil_test_support::eventually;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::effects::{Database, Effects, count};
use crate::gateway::Gateway;

#[tokio::test]
async fn effects_are_written_once_and_in_order_over_cut_streams_and_repeats() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    for number in 1..=20 {
        gateway.append(number % 2, &format!("evt_{number:02}"), "a.b");
    }
    gateway.with(|log| (log.cut_after, log.repeats) = (Some(7), 2));
    let consumer = db.consume(&gateway, Effects::default());
    let acked = || (gateway.acked(0), gateway.acked(1));
    eventually("all acks", async || (acked() == (10, 10)).then_some(())).await;
    assert!(count(&consumer.stats.repeated) > 0);
    assert_eq!(count(&consumer.stats.applied), 20);
    consumer.stop().await;

    let effects = db.effects().await;
    assert_eq!(effects.len(), 20);
    for partition in 0..2 {
        let own = effects
            .iter()
            .filter(|id| id[4..].parse::<i32>().unwrap() % 2 == partition);
        assert!(own.is_sorted());
    }
    assert_eq!(db.checkpoint(0).await, (10, "evt_20".into(), 1));
}

#[tokio::test]
async fn an_event_without_effect_moves_the_checkpoint_too_and_its_credit_comes_back() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.append(3, "evt_1", "nothing.to_do");
    let consumer = db.consume(&gateway, Effects::default());
    eventually("the ack", async || (gateway.acked(3) == 1).then_some(())).await;
    eventually("the credit", async || {
        (gateway.with(|log| log.credit) == 1_001).then_some(())
    })
    .await;
    assert_eq!(
        (count(&consumer.stats.delivered), count(&consumer.stats.passed)),
        (1, 1)
    );
    assert_eq!(db.checkpoint(3).await, (1, "evt_1".into(), 1));
    consumer.stop().await;
}

#[tokio::test]
async fn a_consumer_that_dies_within_a_transaction_leaves_nothing_and_the_next_one_does_it_all() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.append(0, "evt_1", "a.b");
    gateway.append(0, "evt_2", "a.b");
    let stuck = Effects {
        gate: Semaphore::new(0).into(),
        ..Effects::default()
    };
    let consumer = db.consume(&gateway, stuck);
    db.transaction_waits().await;
    consumer.task.abort();
    assert!(consumer.task.await.unwrap_err().is_cancelled());
    assert_eq!(db.effects().await.len(), 0);

    let consumer = db.consume(&gateway, Effects::default());
    assert_eq!(db.effects_reach(2).await, ["evt_1", "evt_2"]);
    consumer.stop().await;
}

#[tokio::test]
async fn two_consumers_of_one_name_apply_each_event_once() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    let consumers = [(); 2].map(|()| db.consume(&gateway, Effects::default()));
    for number in 0..100 {
        gateway.append(number % 4, &format!("evt_{number}"), "a.b");
    }
    let settled = |stats: &counterfoil_events::Stats| count(&stats.applied) + count(&stats.repeated);
    eventually("both to be done", async || {
        consumers
            .iter()
            .all(|consumer| settled(&consumer.stats) == 100)
            .then_some(())
    })
    .await;
    assert_eq!(
        consumers
            .iter()
            .map(|consumer| count(&consumer.stats.applied))
            .sum::<u64>(),
        100
    );
    assert_eq!(db.effects().await.len(), 100);
    for consumer in consumers {
        consumer.stop().await;
    }
}

#[tokio::test]
async fn a_hole_in_the_stream_stops_the_consumer_before_it() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.append(0, "evt_1", "a.b");
    gateway.append_at(0, 3, "evt_3", "a.b");
    db.consume(&gateway, Effects::default()).stopped().await;
    assert!(!db.effects().await.contains(&"evt_3".to_owned()));
}

#[tokio::test]
async fn a_checkpoint_that_was_set_back_stops_the_consumer() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.append(0, "evt_1", "a.b");
    gateway.append(0, "evt_2", "a.b");
    let consumer = db.consume(&gateway, Effects::default());
    db.effects_reach(2).await;
    // As after a backup of the consumer's database was restored under it.
    db.sql()
        .await
        .execute("update checkpoint set log_offset = 1 where partition = 0", &[])
        .await
        .unwrap();
    gateway.append(0, "evt_3", "a.b");
    consumer.stopped().await;
    assert_eq!(db.effects().await, ["evt_1", "evt_2"]);
}

#[tokio::test]
async fn a_log_of_another_epoch_stops_the_consumer() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.append(0, "evt_1", "a.b");
    let consumer = db.consume(&gateway, Effects::default());
    db.effects_reach(1).await;
    consumer.stop().await;
    gateway.with(|log| log.epoch = 2);
    gateway.append(0, "evt_2", "a.b");
    db.consume(&gateway, Effects::default()).stopped().await;
    assert_eq!(db.effects().await, ["evt_1"]);
}

#[tokio::test]
async fn a_log_that_refuses_the_position_stops_the_consumer_and_one_that_is_away_does_not() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.append(0, "evt_1", "a.b");
    gateway.with(|log| log.refusal = Some(Status::unavailable("restarting")));
    let consumer = db.consume(&gateway, Effects::default());
    eventually("several attempts", async || {
        (gateway.with(|log| log.streams) > 2).then_some(())
    })
    .await;
    gateway.with(|log| log.refusal = None);
    db.effects_reach(1).await;
    consumer.stop().await;

    gateway.with(|log| log.refusal = Some(Status::failed_precondition("the log ends before it")));
    db.consume(&gateway, Effects::default()).stopped().await;
}

#[tokio::test]
async fn a_log_that_lacks_an_offset_stops_the_consumer() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    gateway.with(|log| log.refusal = Some(Status::data_loss("the log lacks offset 3")));
    db.consume(&gateway, Effects::default()).stopped().await;
    assert_eq!(gateway.with(|log| log.streams), 1);
}
