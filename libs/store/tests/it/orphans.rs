//! Claims that nobody owns: completed by the worker, or past their time.

use counterfoil_store::claim::{Begun, expire, orphans};
use counterfoil_store::{Db, MIGRATIONS};
use counterfoil_test_support::TestDb;
use diesel_async::SimpleAsyncConnection;

use crate::claim::{NOW, begin, claims, finish, lapse, own};
use crate::count;

const TRIES: u32 = 2;

async fn execute(db: &Db, sql: &str) {
    db.conn().await.unwrap().batch_execute(sql).await.unwrap();
}

/// The tries of what is taken up.
async fn taken_up(db: &Db) -> Vec<u32> {
    let orphans = orphans(db, TRIES, 10).await.unwrap();
    orphans.iter().map(|orphan| orphan.tries).collect()
}

/// A step of the only claim, in the ledger.
async fn step(db: &Db, claim: &counterfoil_store::claim::Claim, state: &str) {
    let op_key = claim.op_key("step");
    let sent = if state == "pending" {
        "null"
    } else {
        "clock_timestamp()"
    };
    let sql = format!(
        "insert into stripe_request (op_key, http_method, path, form_bytes, stripe_version, state, lease_until, first_sent_at)
        values ('{op_key}', 'POST', '/', '', '', '{state}', clock_timestamp(), {sent})"
    );
    execute(db, &sql).await;
}

#[tokio::test]
async fn a_silent_owners_claim_is_taken_up_with_its_request_and_a_living_ones_is_not() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let claim = own(&claims, "request").await;
    assert!(orphans(&db, TRIES, 10).await.unwrap().is_empty());
    lapse(&db).await;
    let found = orphans(&db, TRIES, 10).await.unwrap();
    let [orphan] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(&orphan.operation.request[..], b"request");
    assert_eq!(claim.op_key("x"), format!("{}:x", orphan.operation.claim_id()));
    assert!(taken_up(&db).await.is_empty(), "once until its pause is over");
    finish(&db, &own(&claims, "request").await, "answer").await.unwrap();
    execute(&db, "update claim set next_try_at = clock_timestamp()").await;
    assert!(taken_up(&db).await.is_empty(), "it is answered");
}

#[tokio::test]
async fn pauses_double_and_after_the_last_try_a_claim_is_told_of_and_left_alone() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    drop(own(&claims, "request").await);
    lapse(&db).await;
    for tries in 1..=TRIES + 1 {
        assert_eq!(taken_up(&db).await, [tries]);
        let pause = 10 * (1 << (tries - 1));
        let soon = format!(
            "select count(*) as n from claim
            where next_try_at - clock_timestamp() between interval '{} s' and interval '{pause} s'",
            pause - 5
        );
        assert_eq!(count(&mut db.conn().await.unwrap(), &soon).await, 1, "{pause} s");
        execute(&db, "update claim set next_try_at = clock_timestamp()").await;
    }
    assert!(taken_up(&db).await.is_empty());
    own(&claims, "request").await;
}

#[tokio::test]
async fn many_workers_take_up_each_claim_once() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let sql = "insert into claim (caller, method, key, request_sha, request, state, lease_until)
        select 'caller', 'method', gen_random_uuid(), '', '', 'running', clock_timestamp() from generate_series(1, 100)";
    execute(&db, sql).await;
    let workers = (0..40).map(|_| orphans(&db, TRIES, 10));
    let mut found: Vec<_> = futures::future::join_all(workers)
        .await
        .into_iter()
        .flat_map(|found| found.unwrap())
        .map(|orphan| orphan.operation.key)
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 100);
    assert_eq!(
        count(
            &mut db.conn().await.unwrap(),
            "select count(*) as n from claim where tries = 1"
        )
        .await,
        100
    );
}

#[tokio::test]
async fn a_released_claim_is_its_callers_unless_something_may_have_happened() {
    for (state, orphaned) in [
        (None, false),
        (Some("pending"), false),
        (Some("sent"), true),
        (Some("unknown"), true),
    ] {
        let test = TestDb::new(&MIGRATIONS).await;
        let (db, claims) = (test.db(), claims(&test.db()));
        let claim = own(&claims, "request").await;
        if let Some(state) = state {
            step(&db, &claim, state).await;
        }
        claim.release(&db).await.unwrap();
        assert_eq!(!taken_up(&db).await.is_empty(), orphaned, "{state:?}");
        // Whose owner then dies is an orphan again.
        own(&claims, "request").await;
        execute(
            &db,
            "update claim set lease_until = clock_timestamp(), next_try_at = null",
        )
        .await;
        assert_eq!(taken_up(&db).await.len(), 1, "{state:?}");
    }
}

#[tokio::test]
async fn an_expired_answer_goes_with_its_steps_and_its_key_is_new_again() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let claim = own(&claims, "request").await;
    step(&db, &claim, "sent").await;
    execute(
        &db,
        "insert into stripe_request (op_key, http_method, path, form_bytes, stripe_version, state, lease_until, first_sent_at)
        values ('signup:ada:1', 'POST', '/', '', '', 'sent', clock_timestamp(), clock_timestamp())",
    )
    .await;
    finish(&db, &claim, "answer").await.unwrap();
    assert_eq!(expire(&db, 10).await.unwrap(), 0);
    assert!(matches!(begin(&claims, "request", NOW).await.unwrap(), Begun::Finished(answer) if answer == "answer"));

    execute(&db, "update claim set expires_at = clock_timestamp()").await;
    assert_eq!(expire(&db, 10).await.unwrap(), 1);
    let natural = "select count(*) as n from stripe_request where op_key = 'signup:ada:1'";
    assert_eq!(count(&mut db.conn().await.unwrap(), natural).await, 1);
    assert_eq!(
        count(
            &mut db.conn().await.unwrap(),
            "select count(*) as n from stripe_request"
        )
        .await,
        1
    );
    own(&claims, "another").await;
}

#[tokio::test]
async fn only_released_claims_expire_without_an_answer() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let claim = own(&claims, "request").await;
    let age = "lease_until = clock_timestamp() - interval '36 days'";
    execute(&db, &format!("update claim set {age}")).await;
    assert_eq!(expire(&db, 10).await.unwrap(), 0, "it is the worker's");
    claim.release(&db).await.unwrap();
    assert_eq!(expire(&db, 10).await.unwrap(), 0);
    let aged = format!("update claim set {age}, released_at = clock_timestamp() - interval '36 days'");
    execute(&db, &aged).await;
    assert_eq!(expire(&db, 10).await.unwrap(), 1);
}
