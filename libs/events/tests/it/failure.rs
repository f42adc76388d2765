//! Events that fail, projections that panic, databases that go away.

use counterfoil_test_support::eventually;
use tokio::sync::Semaphore;

use crate::effects::{Database, Effects, count};
use crate::gateway::Gateway;

#[tokio::test]
async fn an_event_that_fails_is_tried_again_holds_up_its_partition_and_no_other() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    let effects = Effects::default();
    effects.failures.lock().unwrap().insert("evt_bad", u32::MAX);
    gateway.append(0, "evt_a", "a.b");
    gateway.append(0, "evt_bad", "a.b");
    gateway.append(0, "evt_c", "a.b");
    gateway.append(1, "evt_d", "a.b");
    let consumer = db.consume(&gateway, effects.clone());
    let mut written = db.effects_reach(2).await;
    written.sort();
    assert_eq!(written, ["evt_a", "evt_d"]);
    eventually("more attempts", async || {
        (count(&consumer.stats.retried) > 3).then_some(())
    })
    .await;
    assert_eq!(db.checkpoint(0).await.0, 1);

    effects.failures.lock().unwrap().clear();
    assert_eq!(db.effects_reach(4).await[2..], ["evt_bad", "evt_c"]);
    assert_eq!((count(&consumer.stats.applied), db.checkpoint(0).await.0), (4, 3));
    consumer.stop().await;
}

#[tokio::test]
async fn what_waits_behind_events_that_fail_takes_no_credit_from_other_partitions() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    let effects = Effects::default();
    for (partition, bad) in (0..).zip(["evt_bad0", "evt_bad1", "evt_bad2", "evt_bad3", "evt_bad4"]) {
        effects.failures.lock().unwrap().insert(bad, u32::MAX);
        gateway.append(partition, bad, "a.b");
        for number in 0..if partition == 0 { 1_100 } else { 100 } {
            gateway.append(partition, &format!("evt_{partition}_{number:04}"), "a.b");
        }
    }
    gateway.append(5, "evt_x", "a.b");
    let consumer = db.consume(&gateway, effects.clone());
    assert_eq!(db.effects_reach(1).await, ["evt_x"]);

    // Nor is anything lost of it.
    effects.failures.lock().unwrap().clear();
    let effects = db.effects_reach(1_506).await;
    assert_eq!(effects.len(), 1_506);
    let of_the_first = effects.iter().filter(|id| id.starts_with("evt_0_"));
    assert!(of_the_first.is_sorted());
    eventually("the acks", async || {
        (gateway.acked(0) == 1_101 && (1..5).all(|partition| gateway.acked(partition) == 101)).then_some(())
    })
    .await;
    // And all of it over one stream.
    assert_eq!(gateway.with(|log| log.streams), 1);
    consumer.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_failure_like_any_other() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    let effects = Effects::default();
    effects.panics.lock().unwrap().insert("evt_1", 2);
    gateway.append(0, "evt_1", "a.b");
    let consumer = db.consume(&gateway, effects);
    assert_eq!(db.effects_reach(1).await, ["evt_1"]);
    assert_eq!(count(&consumer.stats.retried), 2);
    consumer.stop().await;
}

#[tokio::test]
async fn connections_that_end_within_a_transaction_are_made_anew_and_nothing_is_written_twice() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    let effects = Effects {
        gate: Semaphore::new(0).into(),
        ..Effects::default()
    };
    let gate = effects.gate.clone();
    gateway.append(0, "evt_1", "a.b");
    let consumer = db.consume(&gateway, effects);
    let pid = db.transaction_waits().await;
    db.sql()
        .await
        .query_one("select pg_terminate_backend($1)", &[&pid])
        .await
        .unwrap();
    gate.add_permits(100);
    assert_eq!(db.effects_reach(1).await, ["evt_1"]);
    eventually("the ack", async || (gateway.acked(0) == 1).then_some(())).await;
    consumer.stop().await;
    assert_eq!(db.effects().await, ["evt_1"]);
}

#[tokio::test]
async fn what_is_being_written_at_the_end_is_written_to_its_end() {
    let (gateway, db) = (Gateway::start().await, Database::new().await);
    let effects = Effects {
        gate: Semaphore::new(0).into(),
        ..Effects::default()
    };
    let gate = effects.gate.clone();
    gateway.append(0, "evt_1", "a.b");
    let consumer = db.consume(&gateway, effects);
    db.transaction_waits().await;
    consumer.shutdown.cancel();
    gate.add_permits(1);
    consumer.task.await.unwrap();
    assert_eq!(db.effects().await, ["evt_1"]);
    assert_eq!(db.checkpoint(0).await.0, 1);
}
