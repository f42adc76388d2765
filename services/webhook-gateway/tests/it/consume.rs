//! Gateway and `counterfoil-events` together: webhooks in, effects out, once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_chassis::client::channel;
use counterfoil_events::{Event, Projection, Stats, consume};
use counterfoil_store::{AsyncPgConnection, Db};
use counterfoil_test_support::{TestDb, eventually};
use diesel::sql_types::Text;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures::future::join_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::gateway::{Gateway, event, sql};

/// A table `effect`, a row for each time an event was applied.
pub(crate) static EFFECTS: EmbeddedMigrations = embed_migrations!("tests/it/migrations");

struct Effects;

impl Projection for Effects {
    type Prepared = ();
    type Error = diesel::result::Error;

    fn event_types(&self) -> &'static [&'static str] {
        &["invoice.*"]
    }

    async fn prepare(&self, _: &Db, _: &Event) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn apply(&self, conn: &mut AsyncPgConnection, event: &Event, (): ()) -> Result<bool, Self::Error> {
        let insert = diesel::sql_query("insert into effect (event_id, object, traceparent) values ($1, $2, $3)");
        let object = event
            .object()
            .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?;
        let insert = insert
            .bind::<Text, _>(&event.event_id)
            .bind::<Text, _>(object)
            .bind::<Text, _>(counterfoil_telemetry::traceparent().unwrap_or_default());
        diesel_async::RunQueryDsl::execute(insert, conn).await?;
        Ok(true)
    }
}

pub(crate) fn start(gateway: &Gateway, db: &TestDb) -> (Arc<Stats>, CancellationToken, JoinHandle<()>) {
    let stats = Arc::new(Stats::default());
    let shutdown = CancellationToken::new();
    let (channel, instance) = (channel(&gateway.grpc_url).unwrap(), "test".to_owned());
    let consumer = consume(
        channel,
        instance,
        "test",
        db.db(),
        Effects,
        stats.clone(),
        shutdown.clone(),
    );
    (stats, shutdown, tokio::spawn(consumer))
}

async fn effects(db: &TestDb) -> Vec<String> {
    let rows = sql(db)
        .await
        .query("select event_id from effect order by id", &[])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn every_event_has_its_effect_once_across_restarts_of_both_sides() {
    let gateway = Gateway::start().await;
    let db = TestDb::new(&EFFECTS).await;
    gateway.deliver_many("evt_a", "cus_1", 5).await;
    gateway.deliver(event("evt_x", "price.created", "cus_1")).await;

    let (stats, shutdown, consumer) = start(&gateway, &db);
    eventually("five effects", async || (effects(&db).await.len() == 5).then_some(())).await;
    shutdown.cancel();
    consumer.await.unwrap();
    assert_eq!(stats.applied.load(Ordering::Relaxed), 5);

    // The gateway is replaced while nobody listens, everything is delivered again, and more comes.
    let next = Gateway::on(&gateway.db).await;
    gateway.shutdown.cancel();
    gateway.running.stopped().await.unwrap();
    next.deliver_many("evt_a", "cus_1", 5).await;
    next.deliver_many("evt_b", "cus_1", 3).await;
    let (stats, shutdown, consumer) = start(&next, &db);
    eventually("eight effects", async || (effects(&db).await.len() == 8).then_some(())).await;
    assert_eq!(stats.applied.load(Ordering::Relaxed), 3);

    // And the gateway goes while the consumer streams.
    next.shutdown.cancel();
    next.running.stopped().await.unwrap();
    shutdown.cancel();
    consumer.await.unwrap();
    let expected = [
        "evt_a1", "evt_a2", "evt_a3", "evt_a4", "evt_a5", "evt_b1", "evt_b2", "evt_b3",
    ];
    assert_eq!(effects(&db).await, expected);
    let sql = sql(&db).await;
    let at = "select log_offset, event_id, epoch from checkpoint where log_offset > 0";
    let at = sql.query_one(at, &[]).await.unwrap();
    assert_eq!(
        (at.get::<_, i64>(0), at.get::<_, &str>(1), at.get::<_, i64>(2)),
        (9, "evt_b3", 1)
    );
}

#[tokio::test]
async fn a_consumer_whose_log_was_set_back_stops_and_applies_nothing_more() {
    let gateway = Gateway::start().await;
    let db = TestDb::new(&EFFECTS).await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let (_, shutdown, consumer) = start(&gateway, &db);
    eventually("three effects", async || (effects(&db).await.len() == 3).then_some(())).await;
    shutdown.cancel();
    consumer.await.unwrap();

    // As after a backup was restored: other events at known offsets.
    let rename = "update event_log set event_id = 'evt_other' where log_offset = 3";
    gateway.sql().await.execute(rename, &[]).await.unwrap();
    let (stats, shutdown, consumer) = start(&gateway, &db);
    eventually("the consumer to stop", async || {
        (stats.stopped.load(Ordering::Relaxed) == 1).then_some(())
    })
    .await;
    assert_eq!(effects(&db).await.len(), 3);
    shutdown.cancel();
    consumer.await.unwrap();
}

#[tokio::test]
async fn an_event_that_fails_with_a_thousand_behind_it_holds_up_its_partition_and_no_other() {
    let gateway = Gateway::start().await;
    let db = TestDb::new(&EFFECTS).await;
    gateway.deliver_many("evt_bad", "cus_1", 1).await;
    let followers: Vec<usize> = (1..=1_100).collect();
    for some in followers.chunks(100) {
        let bodies = some
            .iter()
            .map(|number| event(&format!("evt_{number}"), "invoice.paid", "cus_1"));
        let answers = join_all(bodies.map(|body| gateway.deliver(body))).await;
        assert!(answers.iter().all(|answer| *answer == 200));
    }
    let refuse = "alter table effect add constraint refuse check (event_id <> 'evt_bad1')";
    sql(&db).await.batch_execute(refuse).await.unwrap();
    let (stats, shutdown, consumer) = start(&gateway, &db);
    eventually("several attempts", async || {
        (stats.retried.load(Ordering::Relaxed) > 2).then_some(())
    })
    .await;
    gateway.deliver_many("evt_x", "cus_2", 1).await;
    eventually("the other's effect", async || {
        (effects(&db).await == ["evt_x1"]).then_some(())
    })
    .await;

    sql(&db)
        .await
        .batch_execute("alter table effect drop constraint refuse")
        .await
        .unwrap();
    eventually("all effects", async || {
        (effects(&db).await.len() == 1_102).then_some(())
    })
    .await;
    shutdown.cancel();
    consumer.await.unwrap();
    let in_order = "select array_agg(e.event_id order by l.log_offset) from event_log l
        join unnest($1::text[]) e (event_id) on e.event_id = l.event_id where l.partition = 34";
    let effects = effects(&db).await.split_off(1);
    let row = sql(&gateway.db).await.query_one(in_order, &[&effects]).await.unwrap();
    assert!(row.get::<_, Vec<String>>(0) == effects);
}
