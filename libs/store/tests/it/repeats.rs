//! Many repeats of many calls, on three replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use counterfoil_store::claim::{Begun, Claims, Config, Operation};
use counterfoil_store::{Db, MIGRATIONS};
use counterfoil_test_support::TestDb;
use futures::StreamExt;
use uuid::Uuid;

const REPLICAS: usize = 3;
const KEYS: u128 = 500;
const REPEATS: usize = 100;
/// Keys whose repeats are all on their way at one time.
const AT_ONCE: usize = 8;

struct Replica {
    db: Db,
    claims: Claims,
}

impl Replica {
    /// The operation, whose effect is to count up: the number it got.
    async fn call(&self, key: u128, effects: &AtomicUsize) -> usize {
        let operation = Operation {
            caller: "caller".into(),
            method: "counterfoil.test.v1.TestService/Do".into(),
            key: Uuid::from_u128(key),
            request: "request".into(),
        };
        match self.claims.begin(&operation, Duration::from_secs(10)).await.unwrap() {
            Begun::Finished(answer) => answer,
            Begun::Owned(claim) => {
                let answer = effects.fetch_add(1, Ordering::SeqCst);
                let finished = self.db.transaction(async |conn| claim.finish(conn, &answer).await);
                finished.await.unwrap();
                answer
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_repeats_at_once_of_five_hundred_calls_on_three_replicas_have_five_hundred_effects() {
    let test = TestDb::new(&MIGRATIONS).await;
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        let db = Db::connect(&test.config()).await.unwrap();
        let claims = Claims::new(db.clone(), &Config::default());
        replicas.push(Arc::new(Replica { db, claims }));
    }
    let effects = Arc::new(AtomicUsize::new(0));
    let mut answers: Vec<usize> = futures::stream::iter(0..KEYS)
        .map(|key| {
            let (replicas, effects) = (replicas.clone(), effects.clone());
            async move {
                let calls = (0..REPEATS).map(|repeat| {
                    let (replica, effects) = (replicas[repeat % REPLICAS].clone(), effects.clone());
                    tokio::spawn(async move { replica.call(key, &effects).await })
                });
                let answers = futures::future::try_join_all(calls).await.unwrap();
                assert!(answers.iter().all(|answer| *answer == answers[0]), "{key}: {answers:?}");
                answers[0]
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    answers.sort_unstable();
    assert!(answers.into_iter().eq(0..500), "one effect each");
    assert_eq!(effects.load(Ordering::SeqCst), 500);
}
