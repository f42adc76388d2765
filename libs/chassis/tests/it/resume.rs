//! The worker: operations whose owner died come to their end by themselves.

use std::sync::atomic::Ordering;
use std::time::Duration;

use counterfoil_chassis::server;
use counterfoil_proto::connect::v1 as pb;
use counterfoil_store::Db;
use counterfoil_store::claim::{Begun, Claim, Claims, Config, Operation};
use counterfoil_test_support::eventually;
use diesel_async::SimpleAsyncConnection;
use prost::Message;
use uuid::Uuid;

use crate::seller::{NOWHERE, count, open, schema};
use crate::service::CREATE;

fn request(key: u128, country_code: &str) -> pb::CreateConnectedAccountRequest {
    pb::CreateConnectedAccountRequest {
        idempotency_key: Uuid::from_u128(key).to_string(),
        country_code: country_code.to_owned(),
        refresh_url: "https://shop.example/again".to_owned(),
        return_url: "https://shop.example/".to_owned(),
        ..pb::CreateConnectedAccountRequest::default()
    }
}

/// A call that got as far as its claim.
async fn claimed(db: &Db, caller: &str, key: u128, country_code: &str) -> Claim {
    let operation = Operation {
        caller: caller.into(),
        method: CREATE.trim_start_matches('/').into(),
        key: Uuid::from_u128(key),
        request: request(key, country_code).encode_to_vec().into(),
    };
    let begun = Claims::new(db.clone(), &Config::default())
        .begin::<String>(&operation, Duration::ZERO)
        .await;
    match begun.unwrap() {
        Begun::Owned(claim) => claim,
        Begun::Finished(answer) => panic!("{answer}"),
    }
}

async fn execute(db: &Db, sql: &str) {
    db.conn().await.unwrap().batch_execute(sql).await.unwrap();
}

const LAPSE: &str = "update claim set lease_until = clock_timestamp(), next_try_at = clock_timestamp()";

fn busy_worker() -> server::Config {
    server::Config {
        resume_every_ms: 20,
        resume_tries: 2,
        ..server::Config::default()
    }
}

#[tokio::test]
async fn a_call_whose_owner_died_is_made_again_as_its_caller_and_the_caller_then_gets_the_answer() {
    let test = schema().await;
    let db = test.db();
    drop(claimed(&db, "dev", 1, "DE").await);
    // Whom the policy does not know any more.
    drop(claimed(&db, "spiffe://company/gone", 2, "DE").await);
    execute(&db, LAPSE).await;
    let mut shops = [
        open(test.config(), busy_worker()).await,
        open(test.config(), busy_worker()).await,
    ];
    eventually("the answers", async || {
        let finished =
            "select count(*) as n from claim where convert_from(response, 'utf8') = '\"acct_' || caller || '\"'";
        (count(&db, finished).await == 2).then_some(())
    })
    .await;
    let answer = shops[0]
        .client
        .create_connected_account(request(1, "DE"))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().connected_account.unwrap().account_id, "acct_dev");
    let begun: u32 = shops.iter().map(|shop| shop.begun.load(Ordering::SeqCst)).sum();
    assert_eq!(begun, 2, "each once, on two replicas");
    assert_eq!(
        count(&db, "select count(*) as n from claim").await,
        2,
        "under its own caller"
    );
}

#[tokio::test]
async fn living_and_released_claims_are_left_alone() {
    let test = schema().await;
    let db = test.db();
    let _living = claimed(&db, "dev", 1, "DE").await;
    claimed(&db, "dev", 2, "DE").await.release(&db).await.unwrap();
    let orphan = claimed(&db, "dev", 3, "DE").await;
    drop(orphan);
    execute(&db, &format!("{LAPSE} where key = '{}'", Uuid::from_u128(3))).await;
    let shop = open(test.config(), busy_worker()).await;
    eventually("the orphan's answer", async || {
        let finished = "select count(*) as n from claim where state = 'finished'";
        (count(&db, finished).await == 1).then_some(())
    })
    .await;
    assert_eq!(count(&db, "select count(*) as n from claim where tries > 0").await, 1);
    assert_eq!(shop.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_operation_that_keeps_failing_is_left_to_an_operator_after_its_tries() {
    let test = schema().await;
    let db = test.db();
    drop(claimed(&db, "dev", 1, NOWHERE).await);
    let shop = open(test.config(), busy_worker()).await;
    eventually("the worker to give up", async || {
        execute(&db, LAPSE).await;
        (count(&db, "select count(*) as n from claim where tries = 3").await == 1).then_some(())
    })
    .await;
    assert_eq!(shop.begun.load(Ordering::SeqCst), 2);
    assert_eq!(
        count(&db, "select count(*) as n from claim where state = 'running'").await,
        1
    );
}

#[tokio::test]
async fn claims_past_their_time_are_deleted() {
    let test = schema().await;
    let db = test.db();
    let sql = "insert into claim (caller, method, key, request_sha, request, state, lease_until, response, expires_at)
        select 'dev', 'method', gen_random_uuid(), '', '', 'finished', clock_timestamp(), '1',
            clock_timestamp() + (case when n <= 500 then -1 else 1 end) * interval '1 minute'
        from generate_series(1, 501) as n";
    execute(&db, sql).await;
    let _shop = open(test.config(), busy_worker()).await;
    eventually("the one that is left", async || {
        (count(&db, "select count(*) as n from claim").await == 1).then_some(())
    })
    .await;
}
