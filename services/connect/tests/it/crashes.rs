//! A service that dies between any two commits, and callers with less patience than Stripe takes.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_proto::connect::v1 as pb;
use counterfoil_test_support::eventually;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures::future::join_all;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::connected_account::{create, request};
use crate::world::World;

/// What is committed, here or at Stripe, when the service dies.
#[derive(Clone, Copy, Debug)]
enum After {
    Claim,
    LedgerRow,
    Effect,
    LedgerAnswer,
    Record,
}

const BOUNDARIES: [After; 5] = [
    After::Claim,
    After::LedgerRow,
    After::Effect,
    After::LedgerAnswer,
    After::Record,
];

#[derive(Clone, Copy, Debug)]
enum ResumedBy {
    Repeat,
    Worker,
}

/// An instance that is called and dies as a process does: nothing of it goes on.
struct Victim(Runtime);

impl Victim {
    fn called(world: &Arc<World>, stripe: counterfoil_stripe::Config) -> Victim {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let world = world.clone();
        runtime.spawn(async move { create(&mut world.serve_with(stripe).await).await });
        Victim(runtime)
    }

    fn kill(self) {
        self.0.shutdown_background();
    }
}

async fn count(world: &World, sql: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let mut conn = world.db().conn().await.unwrap();
    diesel::sql_query(sql).get_result::<Row>(&mut conn).await.unwrap().n
}

async fn see(world: &World, what: &str, from: &str) {
    let sql = format!("select count(*) as n from {from}");
    eventually(what, async || (count(world, &sql).await == 1).then_some(())).await;
}

/// Kills the service while it waits for `table`, which is locked; what it was about to write is not written.
async fn die_before_writing(world: &Arc<World>, table: &str, what: &str, from: &str) {
    let mut lock = world.db().conn().await.unwrap();
    let sql = format!("begin; lock table {table} in exclusive mode");
    lock.batch_execute(&sql).await.unwrap();
    let victim = Victim::called(world, world.stripe.config());
    see(world, what, from).await;
    let waiting = "pg_stat_activity where wait_event_type = 'Lock'
        and application_name = current_setting('application_name')";
    see(world, "the service to wait", waiting).await;
    victim.kill();
    // The server would not notice its death before it gets the lock.
    let end = format!("select count(pg_terminate_backend(pid)) as n from {waiting}");
    eventually("its connection to end", async || {
        (count(world, &end).await == 0).then_some(())
    })
    .await;
    lock.batch_execute("rollback").await.unwrap();
}

async fn die(world: &Arc<World>, after: After) {
    let stripe = &world.stripe;
    match after {
        After::Claim => die_before_writing(world, "stripe_request", "the claim", "claim").await,
        After::LedgerRow => {
            // It accepts and says nothing.
            let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base_url = format!("http://{}/", nobody.local_addr().unwrap());
            let victim = Victim::called(
                world,
                counterfoil_stripe::Config {
                    base_url,
                    ..stripe.config()
                },
            );
            see(world, "the ledger's row", "stripe_request").await;
            victim.kill();
        }
        After::Effect => {
            stripe.spoil("/v1/accounts", 1, json!({"kind": "hang"})).await;
            let victim = Victim::called(world, stripe.config());
            let made = async || (!world.accounts().await.is_empty()).then_some(());
            eventually("the account", made).await;
            victim.kill();
        }
        After::LedgerAnswer => {
            let answered = "stripe_request where state = 'done'";
            die_before_writing(world, "connected_account", "the answer", answered).await;
        }
        After::Record => {
            stripe.spoil("/v1/account_links", 1, json!({"kind": "hang"})).await;
            let victim = Victim::called(world, stripe.config());
            see(world, "the record", "claim where state = 'finished'").await;
            victim.kill();
        }
    }
}

/// As if the dead had been silent for the length of their leases. A repeat has an hour before the worker comes.
async fn lapse(world: &World, by: ResumedBy) {
    let next_try = match by {
        ResumedBy::Repeat => "clock_timestamp() + interval '1 hour'",
        ResumedBy::Worker => "clock_timestamp()",
    };
    let sql = format!(
        "update claim set lease_until = clock_timestamp(), next_try_at = {next_try};
        update stripe_request set lease_until = clock_timestamp()"
    );
    world.db().conn().await.unwrap().batch_execute(&sql).await.unwrap();
}

async fn survive(after: After, by: ResumedBy) {
    let world = Arc::new(World::new().await);
    die(&world, after).await;
    lapse(&world, by).await;
    let mut client = world.serve().await;
    if let ResumedBy::Worker = by {
        see(&world, "the worker", "claim where state = 'finished'").await;
        assert_eq!(world.accounts().await.len(), 1, "{after:?}");
    }
    let (account, _) = create(&mut client)
        .await
        .unwrap_or_else(|status| panic!("{after:?} {by:?}: {status}"));
    assert_eq!(
        world.accounts().await,
        std::slice::from_ref(&account.account_id),
        "{after:?} {by:?}"
    );
    assert_eq!(create(&mut client).await.unwrap().0, account, "{after:?} {by:?}");
}

#[tokio::test]
async fn whatever_was_committed_when_the_service_died_a_repeat_ends_it_with_one_effect() {
    join_all(BOUNDARIES.map(|after| survive(after, ResumedBy::Repeat))).await;
}

#[tokio::test]
async fn whatever_was_committed_when_the_service_died_the_worker_ends_it_with_one_effect() {
    join_all(BOUNDARIES.map(|after| survive(after, ResumedBy::Worker))).await;
}

/// Stripe's answer is there after two seconds: the first try gets none, and the second the same one.
#[tokio::test]
async fn callers_who_wait_less_than_stripe_takes_find_the_result_by_repeating() {
    const CALLS: u128 = 8;
    let world = World::new().await;
    let hang = json!({"kind": "hang"});
    world.stripe.spoil("/v1/accounts", 8, hang).await;
    let client = world
        .serve_with(counterfoil_stripe::Config {
            timeout_ms: 2_000,
            ..world.stripe.config()
        })
        .await;
    let calls = (1..=CALLS).map(|call| {
        let mut client = client.clone();
        let request = pb::CreateConnectedAccountRequest {
            idempotency_key: Uuid::from_u128(call).to_string(),
            ..request()
        };
        async move {
            let mut impatient = Request::new(request.clone());
            impatient.set_timeout(Duration::from_millis(200));
            let late = client.create_connected_account(impatient).await.unwrap_err();
            // Tonic's client gives up by itself at that time, and says so in its own way.
            assert!(
                matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
                "{late}"
            );
            let answer = client.create_connected_account(request).await.unwrap().into_inner();
            answer.connected_account.unwrap().account_id
        }
    });
    let mut told = join_all(calls).await;
    let mut made = world.accounts().await;
    told.sort_unstable();
    made.sort_unstable();
    assert_eq!(told, made, "one effect each");
    assert_eq!(told.len(), 8);
}
