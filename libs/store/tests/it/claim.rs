//! Claims: who owns the work, and who gets its answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use counterfoil_store::claim::{Begun, Claim, Claims, Config, Error, Operation};
use counterfoil_store::{Db, MIGRATIONS};
use counterfoil_test_support::{TestDb, eventually};
use diesel_async::SimpleAsyncConnection;
use uuid::Uuid;

const METHOD: &str = "counterfoil.test.v1.TestService/Do";
const KEY: Uuid = Uuid::from_u128(7);
pub(crate) const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(10);

pub(crate) fn claims(db: &Db) -> Claims {
    Claims::new(db.clone(), &Config::default())
}

fn operation(caller: &str, method: &str, request: &str) -> Operation {
    Operation {
        caller: caller.into(),
        method: method.into(),
        key: KEY,
        request: request.to_owned().into(),
    }
}

pub(crate) async fn begin(claims: &Claims, request: &str, wait: Duration) -> Result<Begun<String>, Error> {
    claims.begin(&operation("caller", METHOD, request), wait).await
}

pub(crate) async fn own(claims: &Claims, request: &str) -> Claim {
    match begin(claims, request, NOW).await.unwrap() {
        Begun::Owned(claim) => claim,
        Begun::Finished(answer) => panic!("already answered {answer}"),
    }
}

pub(crate) async fn finish(db: &Db, claim: &Claim, answer: &str) -> Result<(), Error> {
    db.transaction(async |conn| claim.finish(conn, &answer).await).await
}

/// As if the owner had been silent for the length of its lease.
pub(crate) async fn lapse(db: &Db) {
    let mut conn = db.conn().await.unwrap();
    conn.batch_execute("update claim set lease_until = clock_timestamp()")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_repeat_gets_the_answer_and_another_request_is_refused() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let claim = own(&claims, "request").await;
    finish(&db, &claim, "answer").await.unwrap();
    for _ in 0..2 {
        match begin(&claims, "request", NOW).await.unwrap() {
            Begun::Finished(answer) => assert_eq!(answer, "answer"),
            Begun::Owned(_) => panic!("done twice"),
        }
    }
    assert!(matches!(begin(&claims, "another", NOW).await, Err(Error::Mismatch)));
}

#[tokio::test]
async fn of_fifty_callers_at_once_one_does_the_work_and_all_get_its_answer() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let done = AtomicUsize::new(0);
    let call = async || match begin(&claims, "request", LONG).await.unwrap() {
        Begun::Owned(claim) => {
            let answer = format!("answer {}", done.fetch_add(1, Ordering::SeqCst));
            finish(&db, &claim, &answer).await.unwrap();
            answer
        }
        Begun::Finished(answer) => answer,
    };
    let answers = futures::future::join_all((0..50).map(|_| call())).await;
    assert_eq!(done.load(Ordering::SeqCst), 1);
    assert!(answers.iter().all(|answer| answer == "answer 0"), "{answers:?}");
}

#[tokio::test]
async fn a_repeat_finds_a_living_owner_busy_and_waits_for_it() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let claim = own(&claims, "request").await;
    assert!(matches!(begin(&claims, "request", NOW).await, Err(Error::Busy)));
    assert!(matches!(begin(&claims, "another", LONG).await, Err(Error::Mismatch)));
    let (waited, finished) = tokio::join!(begin(&claims, "request", LONG), finish(&db, &claim, "answer"));
    finished.unwrap();
    assert!(matches!(waited.unwrap(), Begun::Finished(answer) if answer == "answer"));
}

#[tokio::test]
async fn a_dead_owners_claim_is_taken_over_and_the_dead_one_can_record_nothing() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let frozen = own(&claims, "request").await;
    lapse(&db).await;
    let heir = own(&claims, "request").await;
    assert_eq!(frozen.op_key("create"), heir.op_key("create"));
    assert!(
        matches!(begin(&claims, "request", NOW).await, Err(Error::Busy)),
        "one heir only"
    );
    let late = finish(&db, &frozen, "late").await.unwrap_err();
    assert!(matches!(late, Error::Busy), "{late}");
    finish(&db, &heir, "answer").await.unwrap();
    assert!(finish(&db, &heir, "again").await.is_err());
    assert!(matches!(begin(&claims, "request", NOW).await.unwrap(), Begun::Finished(answer) if answer == "answer"));
}

#[tokio::test]
async fn a_released_claim_is_free_at_once_but_keeps_its_request() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    own(&claims, "request").await.release(&db).await.unwrap();
    assert!(matches!(begin(&claims, "another", NOW).await, Err(Error::Mismatch)));
    let again = own(&claims, "request").await;
    finish(&db, &again, "answer").await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_rolled_back_was_never_given() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, claims) = (test.db(), claims(&test.db()));
    let claim = own(&claims, "request").await;
    let rolled_back: Result<(), Error> = db
        .transaction(async |conn| {
            claim.finish(conn, &"lost").await?;
            Err(diesel::result::Error::RollbackTransaction.into())
        })
        .await;
    rolled_back.unwrap_err();
    assert!(matches!(begin(&claims, "request", NOW).await, Err(Error::Busy)));
    finish(&db, &claim, "answer").await.unwrap();
}

#[tokio::test]
async fn a_living_owner_renews_its_lease_until_it_is_dropped() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let claims = Claims::new(db.clone(), &Config { lease_ms: 300 });
    let claim = own(&claims, "request").await;
    let past = "select count(*) as n from claim where lease_until > created_at + interval '900 milliseconds'";
    eventually("three renewals", async || {
        (crate::count(&mut db.conn().await.unwrap(), past).await == 1).then_some(())
    })
    .await;
    drop(claim);
    eventually("the lease to lapse", async || begin(&claims, "request", NOW).await.ok()).await;
}

#[tokio::test]
async fn callers_and_methods_have_keys_of_their_own() {
    let test = TestDb::new(&MIGRATIONS).await;
    let claims = claims(&test.db());
    let _one = own(&claims, "request").await;
    for other in [
        operation("other", METHOD, "another"),
        operation("caller", "x.Y/Z", "another"),
    ] {
        let begun = claims.begin::<String>(&other, NOW).await.unwrap();
        assert!(matches!(begun, Begun::Owned(_)), "{other:?}");
    }
}
