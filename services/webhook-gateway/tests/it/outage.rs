//! A database that is locked, gone, or refuses a row.

use std::sync::Arc;

use counterfoil_proto::event::v1 as pb;
use counterfoil_test_support::{TestDb, eventually};
use futures::future::join_all;
use tonic::Code;

use crate::gateway::{Gateway, OWN, event};

#[tokio::test]
async fn a_delivery_that_cannot_be_stored_is_answered_with_503_and_stored_when_it_comes_again() {
    let gateway = Gateway::start().await;
    let mut sql = gateway.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.execute("select from log_head for update", &[]).await.unwrap();
    let body = event("evt_1", "invoice.paid", "cus_1");
    assert_eq!(gateway.deliver(body.clone()).await, 503);
    lock.rollback().await.unwrap();
    assert_eq!(gateway.count("event_log").await, 0);
    assert_eq!(gateway.deliver(body).await, 200);
    // What failed has used up no offset.
    gateway.deliver_many("evt_next", "cus_1", 2).await;
    assert_eq!(gateway.offsets().await, [1, 2, 3]);
}

#[tokio::test]
async fn an_append_that_is_rolled_back_leaves_no_gap() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_a", "cus_1", 1).await;
    let mut sql = gateway.sql().await;
    let rolled_back = sql.transaction().await.unwrap();
    let append = "select log_offset from append_events(
        '{\"\"}', '{evt_gone}', '{34}', '{invoice.paid}', '{\"\"}', '{in_1}', '{/cus_1}', array[now()], '{webhook}',
        '{platform}', '{new}', '{\"\"}', '{\"\"}', array[''::bytea], array[''::bytea])";
    let row = rolled_back.query_one(append, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    rolled_back.rollback().await.unwrap();
    gateway.deliver_many("evt_b", "cus_1", 2).await;
    assert_eq!(gateway.offsets().await, [1, 2, 3]);
}

#[tokio::test]
async fn without_a_database_a_gateway_starts_and_answers_503() {
    let db = Arc::new(TestDb::new(&OWN).await);
    let mut nowhere = db.config();
    // Bound and never listened on: nobody else gets the port, and nobody answers.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    nowhere.url = format!("postgres://u:p@{}/x", socket.local_addr().unwrap()).into();
    let gateway = Gateway::with(&db, nowhere).await;
    assert_eq!(gateway.deliver(event("evt_1", "invoice.paid", "cus_1")).await, 503);
    assert_eq!(gateway.deliver("no event").await, 503);
    let status = gateway
        .client
        .clone()
        .get_ingest_status(pb::GetIngestStatusRequest {})
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn connections_that_the_server_ends_are_made_anew() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_a", "cus_1", 1).await;
    let schema = gateway.db.config().schema;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1";
    gateway
        .sql()
        .await
        .query_one(end, &[&format!("counterfoil {schema}")])
        .await
        .unwrap();
    eventually("a delivery to be stored again", async || {
        (gateway.deliver(event("evt_b", "invoice.paid", "cus_1")).await == 200).then_some(())
    })
    .await;
    assert_eq!(gateway.count("event_log").await, 2);
}

#[tokio::test]
async fn a_row_that_the_database_refuses_is_quarantined_alone() {
    let gateway = Gateway::start().await;
    let mut sql = gateway.sql().await;
    sql.batch_execute(
        "create function refuse() returns trigger language plpgsql as $$
         begin
             if new.event_id = 'evt_bad' then raise data_exception; end if;
             return new;
         end $$;
         create trigger refuse before insert on event_dedupe for each row execute function refuse();
         -- However long it takes until the deliveries below have gathered.
         alter function append_events set lock_timeout = '60s'",
    )
    .await
    .unwrap();
    // While the head is locked, the deliveries gather to one batch.
    let lock = sql.transaction().await.unwrap();
    lock.execute("select from log_head for update", &[]).await.unwrap();
    let ids = ["evt_0", "evt_1", "evt_2", "evt_bad", "evt_3", "evt_4"];
    let deliveries = join_all(ids.map(|id| gateway.deliver(event(id, "invoice.paid", "cus_1"))));
    let (answers, ()) = tokio::join!(deliveries, async {
        let waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1";
        let name = format!("counterfoil {}", gateway.db.config().schema);
        let watcher = gateway.sql().await;
        eventually("the committer to wait for the lock", async || {
            watcher.query_opt(waits, &[&name]).await.unwrap().map(|_| ())
        })
        .await;
        lock.rollback().await.unwrap();
    });
    assert!(answers.iter().all(|answer| *answer == 200), "{answers:?}");
    assert_eq!(gateway.offsets().await, [1, 2, 3, 4, 5]);
    let held = gateway
        .sql()
        .await
        .query_one("select reason from quarantine", &[])
        .await
        .unwrap();
    assert_eq!(held.get::<_, &str>(0), "row_at_fault");
}
