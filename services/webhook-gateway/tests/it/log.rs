//! The log's promises: dense offsets, nothing missed, tables ahead of time; and its migrations, back and forth.

use std::collections::BTreeMap;

use counterfoil_store::{migrate, revert};
use counterfoil_test_support::TestDb;
use futures::future::join_all;

use crate::gateway::{Gateway, OWN, event, sql};

#[tokio::test]
async fn three_gateways_appending_at_once_leave_no_gap_and_lose_nothing() {
    let first = Gateway::start().await;
    let gateways = [&first, &Gateway::on(&first.db).await, &Gateway::on(&first.db).await];
    // Every event goes to two of the three.
    let deliveries = (0..600_usize).flat_map(|number| {
        let body = event(
            &format!("evt_{number}"),
            "invoice.paid",
            &format!("cus_{}", number % 50),
        );
        [number % 3, (number + 1) % 3].map(|gateway| gateways[gateway].deliver(body.clone()))
    });
    let answers = join_all(deliveries).await;
    assert!(answers.iter().all(|answer| *answer == 200));

    let sql = first.sql().await;
    let rows = sql
        .query(
            "select partition, log_offset, event_id from event_log order by 1, 2",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 600);
    let mut last = BTreeMap::new();
    for row in rows {
        let (partition, offset): (i32, i64) = (row.get(0), row.get(1));
        let before = last.insert(partition, offset).unwrap_or(0);
        assert_eq!(offset, before + 1, "partition {partition}");
    }
    let head: Vec<i64> = sql
        .query_one("select next_offset from log_head", &[])
        .await
        .unwrap()
        .get(0);
    for (partition, next) in (0..).zip(head) {
        assert_eq!(
            last.get(&partition).copied().unwrap_or(0) + 1,
            next,
            "partition {partition}"
        );
    }
    let backwards = "select count(*) from event_log a join event_log b
        on b.partition = a.partition and b.log_offset = a.log_offset + 1 and b.received_at < a.received_at";
    assert_eq!(sql.query_one(backwards, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn the_tables_of_four_months_are_there_before_the_first_delivery_and_made_once() {
    let gateway = Gateway::start().await;
    let count = "select count(*) from pg_inherits where inhparent = 'event_log'::regclass";
    let sql = gateway.sql().await;
    assert_eq!(sql.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 4);
    let again = join_all((0..4).map(|_| async {
        let mut conn = gateway.db.db().conn().await.unwrap();
        use diesel_async::SimpleAsyncConnection;
        conn.batch_execute("select make_partitions()").await
    }));
    assert!(again.await.iter().all(Result::is_ok));
    assert_eq!(sql.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 4);
}

#[tokio::test]
async fn a_month_without_a_table_gets_one_when_its_first_event_comes() {
    let first = Gateway::start().await;
    let gateways = [&first, &Gateway::on(&first.db).await, &Gateway::on(&first.db).await];
    let sql = first.sql().await;
    // The log's own time is the last microsecond of a month far beyond what is made ahead.
    sql.execute("update log_head set last_at = '2031-05-31 23:59:59.999999+00'", &[])
        .await
        .unwrap();
    let deliveries = (0..60_usize).map(|number| {
        let body = event(&format!("evt_{number}"), "invoice.paid", &format!("cus_{number}"));
        gateways[number % 3].deliver(body)
    });
    assert!(join_all(deliveries).await.iter().all(|answer| *answer == 200));
    for (table, expected) in [("event_log", 60), ("event_log_2031_06", 60), ("event_dedupe", 60)] {
        assert_eq!(first.count(table).await, expected, "{table}");
    }
}

#[tokio::test]
async fn the_time_of_receipt_rises_with_every_append_also_where_the_clock_stands() {
    let gateway = Gateway::start().await;
    let sql = gateway.sql().await;
    // As after a clock that was set back.
    sql.execute(
        "update log_head set last_at = clock_timestamp() + interval '1 hour'",
        &[],
    )
    .await
    .unwrap();
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let times = "select count(distinct received_at) from event_log";
    assert_eq!(sql.query_one(times, &[]).await.unwrap().get::<_, i64>(0), 3);
}

#[tokio::test]
async fn bodies_are_compressed_with_lz4_in_every_months_table() {
    let db = TestDb::new(&OWN).await;
    let client = sql(&db).await;
    client.batch_execute("select make_partitions(6)").await.unwrap();
    let tables = "select count(*), count(*) filter (where a.attcompression = 'l') from pg_attribute a
        where a.attname = 'body' and (a.attrelid = 'event_log'::regclass
            or a.attrelid in (select inhrelid from pg_inherits where inhparent = 'event_log'::regclass))";
    let row = client.query_one(tables, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (8, 8));
}

#[tokio::test]
async fn the_app_role_can_neither_make_tables_nor_take_the_function_for_its_own_names() {
    use diesel_async::SimpleAsyncConnection;
    let db = TestDb::new(&OWN).await;
    let mut conn = db.db().conn().await.unwrap();
    assert!(conn.batch_execute("create table mine (id int)").await.is_err());
    assert!(conn.batch_execute("drop table event_log").await.is_err());
    // With a table of its own first on the path the function still finds the log's.
    let shadowed =
        conn.batch_execute("create temp table log_head (id int, last_at timestamptz); select make_partitions()");
    assert!(shadowed.await.is_ok());
    let count = "select count(*) from pg_inherits where inhparent = 'event_log'::regclass";
    assert_eq!(sql(&db).await.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 4);
}

#[tokio::test]
async fn the_migrations_go_up_and_down_and_up() {
    let db = TestDb::new(&OWN).await;
    revert(&db.config(), &OWN).await.unwrap();
    let left = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relkind in ('r', 'p') and c.relname not like '\\_\\_diesel%'";
    assert_eq!(sql(&db).await.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert!(!migrate(&db.config(), &OWN).await.unwrap().is_empty());
}
