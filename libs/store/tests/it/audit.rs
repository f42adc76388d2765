//! The audit.

use counterfoil_store::audit::{self, Entry};
use counterfoil_store::{Error, MIGRATIONS};
use counterfoil_test_support::TestDb;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::count;

fn released(partition: &str) -> Entry {
    Entry {
        caller: "operator".into(),
        method: "counterfoil.event.v1.EventService/ReleaseEvent".into(),
        idempotency_key: Some(Uuid::from_u128(7)),
        request_sha: [9; 32],
        subject_kind: "partition".into(),
        subject_id: partition.into(),
        outcome: "released".into(),
    }
}

#[tokio::test]
async fn what_is_recorded_is_read_back_newest_first_page_by_page() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    for partition in ["1", "2", "3"] {
        db.transaction::<_, Error, _>(async |conn| Ok(audit::record(conn, &released(partition)).await?))
            .await
            .unwrap();
    }
    let mut conn = db.conn().await.unwrap();
    let keyless = Entry {
        idempotency_key: None,
        ..released("4")
    };
    audit::record(&mut conn, &keyless).await.unwrap();

    let newest = audit::page(&mut conn, None, 3).await.unwrap();
    let ids: Vec<_> = newest.iter().map(|row| row.subject_id.as_str()).collect();
    assert_eq!(ids, ["4", "3", "2"]);
    assert_eq!(newest[0].idempotency_key, None);
    assert!(newest[0].at >= newest[1].at);
    let rest = audit::page(&mut conn, Some(newest[2].id), 3).await.unwrap();
    assert_eq!(rest.len(), 1);
    let (read, written) = (rest[0].clone(), released("1"));
    let read = Entry {
        caller: read.caller,
        method: read.method,
        idempotency_key: read.idempotency_key,
        request_sha: read.request_sha.try_into().unwrap(),
        subject_kind: read.subject_kind,
        subject_id: read.subject_id,
        outcome: read.outcome,
    };
    assert_eq!(read, written);
}

#[tokio::test]
async fn a_call_that_is_rolled_back_leaves_no_row() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let failed = db.transaction(async |conn| {
        audit::record(conn, &released("1")).await?;
        Err::<(), _>(Error::Bug("the effect failed".into()))
    });
    failed.await.unwrap_err();
    let mut conn = db.conn().await.unwrap();
    assert_eq!(count(&mut conn, "select count(*) as n from audit").await, 0);
}

#[tokio::test]
async fn the_app_role_adds_rows_and_changes_none() {
    let test = TestDb::new(&MIGRATIONS).await;
    // Again, as the grants are given anew by each migration.
    counterfoil_store::migrate(&test.config(), &MIGRATIONS).await.unwrap();
    let mut conn = test.db().conn().await.unwrap();
    audit::record(&mut conn, &released("1")).await.unwrap();
    for forbidden in [
        "update audit set outcome = 'refused'",
        "delete from audit",
        "truncate audit",
        "select * from audit for update",
    ] {
        let error = diesel::sql_query(forbidden).execute(&mut conn).await.unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{forbidden}: {error}");
    }
    assert_eq!(count(&mut conn, "select count(*) as n from audit").await, 1);
}
