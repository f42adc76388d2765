//! Steps: at most once, whatever happens in between.

use std::collections::HashMap;

use counterfoil_store::{Db, MIGRATIONS};
use counterfoil_stripe::customer::{CreateCustomer, DeleteCustomer};
use counterfoil_stripe::{Client, Error, Reply, objects};
use counterfoil_test_support::{TestDb, eventually};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::fake::{Answer, Fake, client, customer, error, impatient};

const STEP: &str = "claim:create";

fn request(user: &str) -> CreateCustomer {
    let metadata: HashMap<String, String> = (0..20).map(|n| (format!("key_{n}"), user.to_owned())).collect();
    CreateCustomer::new().email("ada@example.com").metadata(metadata)
}

async fn create(client: &Client, db: &Db, user: &str) -> Result<Reply<objects::Customer>, Error> {
    client.step(db, STEP, &request(user), None).await
}

#[derive(diesel::QueryableByName)]
struct State {
    #[diesel(sql_type = diesel::sql_types::Text)]
    state: String,
}

async fn state(db: &Db) -> String {
    let query = diesel::sql_query("select state from stripe_request");
    let row: State = query.get_result(&mut db.conn().await.unwrap()).await.unwrap();
    row.state
}

/// Changes the ledger as time would.
async fn alter(db: &Db, set: &str) {
    let sql = format!("update stripe_request set {set}");
    db.conn().await.unwrap().batch_execute(&sql).await.unwrap();
}

const LAPSE: &str = "lease_until = clock_timestamp()";

#[tokio::test]
async fn a_step_is_sent_once_and_answered_from_the_ledger_after_that() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([]).await);
    let first = create(&fake.client(), &db, "ada").await.unwrap();
    assert!(!first.replayed);
    let again = create(&fake.client(), &db, "ada").await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.object().unwrap().id, first.object().unwrap().id);
    assert_eq!((again.raw, again.stamp), (first.raw, first.stamp));
    assert_eq!(again.stripe_request_id.as_deref(), Some("req_1"));
    let seen = fake.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /v1/customers");
    assert_eq!(state(&db).await, "done");
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_is_asked_for_again_with_the_same_bytes_and_key() {
    let test = TestDb::new(&MIGRATIONS).await;
    let replay = customer("cus_1");
    let bad_gateway = Answer::Of(502, &[], "<html>".to_owned());
    let fake = Fake::start([Answer::Broken, bad_gateway, replay]).await;
    create(&fake.client(), &test.db(), "ada").await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter()
            .all(|one| one.body == seen[0].body && one.key() == seen[0].key())
    );
    assert!(
        seen[0]
            .body
            .starts_with("email=ada@example.com&metadata[key_0]=ada&metadata[key_10]="),
        "{}",
        seen[0].body
    );
}

#[tokio::test]
async fn a_limit_is_waited_for_and_one_that_stays_means_that_nothing_happened() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let limited = || error(429, &[("retry-after", "0")], "invalid_request_error", "rate_limit");
    let fake = Fake::start([limited(), limited(), limited(), limited(), customer("cus_1")]).await;
    let error = create(&fake.client(), &db, "ada").await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error}");
    assert_eq!(state(&db).await, "pending");
    let reply = create(&fake.client(), &db, "ada").await.unwrap();
    assert!(!reply.replayed);
    let seen = fake.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|one| one.key() == seen[0].key()));
}

#[tokio::test]
async fn a_limit_after_a_lost_answer_says_nothing_about_the_first_try() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let limited = error(
        429,
        &[("stripe-should-retry", "false")],
        "invalid_request_error",
        "rate_limit",
    );
    let fake = Fake::start([Answer::Broken, limited]).await;
    let error = create(&fake.client(), &db, "ada").await.unwrap_err();
    assert!(
        matches!(&error, Error::OutcomeUnknown { op_key, too_old: None } if op_key == STEP),
        "{error}"
    );
    assert_eq!(state(&db).await, "unknown");
    create(&fake.client(), &db, "ada").await.unwrap();
    assert_eq!(state(&db).await, "done");
}

#[tokio::test]
async fn a_refusal_is_final_and_is_answered_again_without_a_call() {
    let test = TestDb::new(&MIGRATIONS).await;
    let fake = Fake::start([error(402, &[("request-id", "req_9")], "card_error", "card_declined")]).await;
    for _ in 0..2 {
        let error = create(&fake.client(), &test.db(), "ada").await.unwrap_err();
        let Error::Refused(refusal) = error else {
            panic!("{error}")
        };
        assert_eq!(refusal.code.as_deref(), Some("card_declined"));
        assert_eq!(refusal.stripe_request_id.as_deref(), Some("req_9"));
    }
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_keeps_failing_leaves_the_outcome_unknown_and_the_key_the_same() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let failed = || error(500, &[], "api_error", "");
    let fake = Fake::start([failed(), failed(), failed()]).await;
    let error = create(&fake.client(), &db, "ada").await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    create(&fake.client(), &db, "ada").await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|one| one.key() == seen[0].key()));
}

#[tokio::test]
async fn a_server_that_is_not_there_means_that_nothing_happened() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let error = create(&client("http://127.0.0.1:1"), &db, "ada").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable), "{error}");
    assert_eq!(state(&db).await, "pending");
}

#[tokio::test]
async fn a_database_that_is_not_there_means_that_nothing_is_sent() {
    let test = TestDb::new(&MIGRATIONS).await;
    let mut config = test.config();
    config.url = "postgres://app@127.0.0.1:1/postgres".into();
    let down = Db::connect(&config).await.unwrap();
    let fake = Fake::start([]).await;
    let error = create(&fake.client(), &down, "ada").await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert_eq!(fake.seen(), []);
}

#[tokio::test]
async fn of_twenty_callers_of_one_step_one_sends_and_all_get_its_answer() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([]).await);
    let clients: Vec<_> = (0..20).map(|_| fake.client()).collect();
    let calls = clients.iter().map(|client| create(client, &db, "ada"));
    let replies = futures::future::join_all(calls).await;
    assert!(
        replies
            .iter()
            .all(|reply| reply.as_ref().unwrap().object().unwrap().id == "cus_1")
    );
    assert_eq!(
        replies.iter().filter(|reply| !reply.as_ref().unwrap().replayed).count(),
        1
    );
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn after_a_crash_the_stored_bytes_go_out_under_the_stored_key_whatever_is_built_anew() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([Answer::Silence]).await);
    let process = {
        let (client, db) = (fake.client(), db.clone());
        tokio::spawn(async move { create(&client, &db, "ada").await })
    };
    eventually("the request to arrive", async || (fake.seen().len() == 1).then_some(())).await;
    process.abort();
    assert!(process.await.unwrap_err().is_cancelled());
    assert_eq!(state(&db).await, "sent");
    alter(&db, LAPSE).await;
    create(&fake.client(), &db, "grace").await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!((&seen[0].body, seen[0].key()), (&seen[1].body, seen[1].key()));
}

#[tokio::test]
async fn after_23_hours_nothing_is_resent() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([Answer::Silence, Answer::Silence]).await);
    let error = create(&impatient(&fake), &db, "ada").await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    alter(&db, "first_sent_at = '2026-10-01T00:00:00Z'").await;
    let error = create(&fake.client(), &db, "ada").await.unwrap_err();
    let Error::OutcomeUnknown {
        too_old: Some(first_sent),
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(first_sent.to_rfc3339(), "2026-10-01T00:00:00+00:00");
    alter(&db, "first_sent_at = clock_timestamp() - interval '23 hours'").await;
    let error = create(&fake.client(), &db, "ada").await.unwrap_err();
    assert!(
        matches!(error, Error::OutcomeUnknown { too_old: Some(_), .. }),
        "{error}"
    );
    assert_eq!(fake.seen().len(), 2);
    alter(&db, "first_sent_at = clock_timestamp() - interval '22 hours'").await;
    create(&fake.client(), &db, "ada").await.unwrap();
}

#[tokio::test]
async fn a_sender_that_lost_its_lease_sends_no_more() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([Answer::Silence, customer("cus_1")]).await);
    let slow = {
        let (client, db) = (impatient(&fake), db.clone());
        tokio::spawn(async move { create(&client, &db, "ada").await })
    };
    eventually("the request to arrive", async || (fake.seen().len() == 1).then_some(())).await;
    alter(
        &db,
        "generation = generation + 1, lease_until = clock_timestamp() + interval '1 hour'",
    )
    .await;
    let error = slow.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert_eq!(fake.seen().len(), 1);
    assert_eq!(state(&db).await, "sent", "the heir's row is left alone");
}

#[tokio::test]
async fn a_success_that_tells_no_id_has_happened_and_is_kept() {
    for body in [r#"{"id": 1}"#, "{}", "[]", "<html>"] {
        let test = TestDb::new(&MIGRATIONS).await;
        let db = test.db();
        let fake = Fake::start([Answer::Of(200, &[], body.to_owned())]).await;
        for _ in 0..2 {
            let error = create(&fake.client(), &db, "ada").await.unwrap_err();
            assert!(matches!(error, Error::OutcomeUnknown { .. }), "{body}: {error}");
        }
        assert_eq!(fake.seen().len(), 1);
        assert_eq!(state(&db).await, "done");
    }
}

#[tokio::test]
async fn a_success_that_lacks_a_field_of_its_type_is_a_success_now_and_in_the_ledger() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, body) = (test.db(), r#"{"id": "cus_1", "object": "customer"}"#);
    let fake = Fake::start([Answer::Of(200, &[], body.to_owned())]).await;
    for replayed in [false, true] {
        let reply = create(&fake.client(), &db, "ada").await.unwrap();
        assert_eq!((&reply.raw[..], reply.replayed), (body.as_bytes(), replayed));
    }
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_deletion_has_no_key_so_not_found_after_a_lost_answer_is_no_answer() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let missing = || error(404, &[], "invalid_request_error", "resource_missing");
    let fake = Fake::start([Answer::Broken, missing(), missing()]).await;
    let delete = DeleteCustomer::new("cus_1");
    let error = fake.client().step(&db, "lost", &delete, None).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    let error = fake.client().step(&db, "told", &delete, None).await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
    assert!(fake.seen().iter().all(|seen| seen.header("idempotency-key").is_none()));
}

#[tokio::test]
async fn stripes_own_replay_is_marked() {
    let test = TestDb::new(&MIGRATIONS).await;
    let json = r#"{"id": "cus_1", "object": "customer", "created": 1, "livemode": false}"#;
    let fake = Fake::start([Answer::Of(200, &[("idempotent-replayed", "true")], json.to_owned())]).await;
    assert!(create(&fake.client(), &test.db(), "ada").await.unwrap().replayed);
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_is_unknown_and_asked_for_again() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([]).await);
    let mut admin = AsyncPgConnection::establish(&TestDb::admin_url()).await.unwrap();
    let table = format!("{}.stripe_request", test.config().schema);
    let app = "counterfoil_test_app";
    admin
        .batch_execute(&format!("revoke update on {table} from {app}"))
        .await
        .unwrap();
    let error = create(&fake.client(), &db, "ada").await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    admin
        .batch_execute(&format!("grant update on {table} to {app}"))
        .await
        .unwrap();
    assert_eq!(state(&db).await, "sent");
    alter(&db, LAPSE).await;
    create(&fake.client(), &db, "ada").await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!((&seen[0].body, seen[0].key()), (&seen[1].body, seen[1].key()));
}
