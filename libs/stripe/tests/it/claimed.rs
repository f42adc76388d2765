//! Operations under a claim: once, and every repeat is told what happened.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use counterfoil_store::claim::{self, Claim, Claims, Operation};
use counterfoil_store::{Db, MIGRATIONS};
use counterfoil_stripe::claimed::{Answer, Cause, Failure, Outcome, once};
use counterfoil_stripe::customer::CreateCustomer;
use counterfoil_stripe::{Client, Error};
use counterfoil_test_support::TestDb;
use diesel_async::SimpleAsyncConnection;
use uuid::Uuid;

use crate::fake::{Answer as Reply, Fake, error, impatient};

/// What a service's error is like.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Claim(#[from] claim::Error),
    #[error(transparent)]
    Stripe(#[from] Error),
}

impl Failure for Failed {
    fn cause(&self) -> Cause<'_> {
        match self {
            Failed::Claim(error) => Cause::Claim(error),
            Failed::Stripe(error) => Cause::Stripe(error),
        }
    }
}

const NOW: Duration = Duration::ZERO;

fn operation() -> Operation {
    Operation {
        caller: "caller".into(),
        method: "counterfoil.test.v1.TestService/Do".into(),
        key: Uuid::from_u128(7),
        request: "request".into(),
    }
}

/// Makes a customer under the claim; its JSON.
async fn make(db: &Db, client: &Client, claim: &Claim) -> Result<String, Failed> {
    let request = CreateCustomer::new();
    let reply = client.step(db, &claim.op_key("create"), &request, None).await?;
    let json = String::from_utf8(reply.raw.to_vec()).unwrap();
    let answer = Answer::Done(&json);
    db.transaction(async |conn| claim.finish(conn, &answer).await).await?;
    Ok(json)
}

async fn call(db: &Db, client: &Client) -> Result<Outcome<String, String>, Failed> {
    let claims = Claims::new(db.clone(), &claim::Config::default());
    let work = async |claim: &Claim| make(db, client, claim).await;
    once(&claims, db, &operation(), NOW, work).await
}

async fn execute(db: &Db, sql: &str) {
    db.conn().await.unwrap().batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn the_first_call_does_it_and_a_repeat_is_told_what_was_recorded() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([]).await);
    let Outcome::Fresh(made) = call(&db, &fake.client()).await.unwrap() else {
        panic!("nobody did it before");
    };
    let Outcome::Stored(told) = call(&db, &fake.client()).await.unwrap() else {
        panic!("done twice");
    };
    assert_eq!(made, told);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_told_to_every_repeat_without_asking_again() {
    let test = TestDb::new(&MIGRATIONS).await;
    let declined = error(402, &[], "card_error", "card_declined");
    let (db, fake) = (test.db(), Fake::start([declined]).await);
    for _ in 0..2 {
        let refused = call(&db, &fake.client()).await.unwrap_err();
        assert!(matches!(refused, Failed::Stripe(Error::Refused(_))), "{refused}");
    }
    assert_eq!(fake.seen().len(), 1);
    execute(&db, "delete from stripe_request").await;
    call(&db, &fake.client()).await.unwrap_err();
    assert_eq!(fake.seen().len(), 1, "the claim keeps it, not only the ledger");
}

#[tokio::test]
async fn whoever_loses_its_claim_is_told_what_its_heir_recorded() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([]).await);
    let (client, begun) = (fake.client(), AtomicU32::new(0));
    let claims = Claims::new(db.clone(), &claim::Config::default());
    let slow = async |claim: &Claim| {
        begun.fetch_add(1, Ordering::SeqCst);
        execute(&db, "update claim set lease_until = clock_timestamp()").await;
        call(&db, &client).await?;
        make(&db, &client, claim).await
    };
    let told = once::<String, _, Failed, _>(&claims, &db, &operation(), NOW, slow).await;
    assert!(matches!(told.unwrap(), Outcome::Stored(_)));
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn repeats_are_told_that_the_outcome_is_unknown_also_while_another_tries_to_learn_it() {
    let test = TestDb::new(&MIGRATIONS).await;
    let (db, fake) = (test.db(), Fake::start([Reply::Silence, Reply::Silence]).await);
    let step = format!("{}:create", operation().claim_id());
    let unknown = |told: Result<_, Failed>| match told.unwrap_err() {
        Failed::Stripe(Error::OutcomeUnknown { op_key, .. }) => assert_eq!(op_key, step),
        other => panic!("{other}"),
    };
    unknown(call(&db, &impatient(&fake)).await.map(drop));
    // Another owns the claim, first before it asks Stripe and then while it does.
    let owned = "update claim set released_at = null, lease_until = clock_timestamp() + interval '1 minute'";
    execute(&db, owned).await;
    unknown(call(&db, &fake.client()).await.map(drop));
    execute(
        &db,
        "update stripe_request set state = 'sent', generation = generation + 1",
    )
    .await;
    unknown(call(&db, &fake.client()).await.map(drop));
    // A first try, by contrast, is only at work.
    execute(&db, "update stripe_request set generation = 1").await;
    let busy = call(&db, &fake.client()).await.unwrap_err();
    assert!(matches!(busy, Failed::Claim(claim::Error::Busy)), "{busy}");
    assert_eq!(fake.seen().len(), 2);
}
