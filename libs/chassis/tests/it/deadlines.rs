//! Callers with hardly any time, against a service whose calls write in transactions.

use std::collections::HashSet;
use std::time::Duration;

use counterfoil_chassis::server;
use counterfoil_proto::connect::v1 as pb;
use counterfoil_test_support::eventually;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

use crate::seller::{count, open, schema};

const CALLS: u32 = 20_000;
const AT_ONCE: usize = 48;

#[derive(diesel::QueryableByName)]
struct Written {
    #[diesel(sql_type = Text)]
    consumer: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_cut_by_their_deadlines_leave_no_transaction_behind_and_every_ok_is_visible() {
    let test = schema().await;
    let small = counterfoil_store::Config {
        max_connections: 3,
        ..test.config()
    };
    let shop = open(small, server::Config::default()).await;
    let db = test.db();
    let idle = format!(
        "select count(*) as n from pg_stat_activity where application_name = 'counterfoil {}'
            and state like 'idle in transaction%' and state_change < clock_timestamp() - interval '2 s'",
        test.config().schema
    );
    let done = CancellationToken::new();
    let watch = tokio::spawn({
        let (db, idle, done) = (db.clone(), idle.clone(), done.clone());
        async move {
            while !done.is_cancelled() {
                assert_eq!(count(&db, &idle).await, 0, "idle in a transaction for 2 s");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    });
    let mut luck = StdRng::seed_from_u64(9);
    let calls = (0..CALLS).map(|call| (call, luck.random_range(1..=50)));
    let answers: Vec<(String, Code)> = futures::stream::iter(calls)
        .map(|(call, milliseconds)| {
            let mut client = shop.client.clone();
            let account_id = format!("acct_{call}");
            let mut request = Request::new(pb::GetConnectedAccountRequest {
                account_id: account_id.clone(),
            });
            request.set_timeout(Duration::from_millis(milliseconds));
            async move {
                let answer = client.get_connected_account(request).await;
                (account_id, answer.map_or_else(|status| status.code(), |_| Code::Ok))
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    eventually("all transactions to end", async || {
        let open = format!(
            "select count(*) as n from pg_stat_activity
            where application_name = 'counterfoil {}' and pid <> pg_backend_pid() and xact_start is not null",
            test.config().schema
        );
        (count(&db, &open).await == 0).then_some(())
    })
    .await;
    done.cancel();
    watch.await.unwrap();

    let both = "select consumer from checkpoint group by consumer having count(*) = 2";
    let written: Vec<Written> = diesel::sql_query(both)
        .load(&mut db.conn().await.unwrap())
        .await
        .unwrap();
    let written: HashSet<String> = written.into_iter().map(|row| row.consumer).collect();
    let halves = "select count(*) as n from (select from checkpoint group by consumer having count(*) <> 2) as half";
    assert_eq!(count(&db, halves).await, 0);
    let ok: Vec<_> = answers.iter().filter(|(_, code)| *code == Code::Ok).collect();
    assert!(
        ok.iter().all(|(id, _)| written.contains(id)),
        "an answered call vanished"
    );
    // Tonic's client gives up by itself at that time, and says so in its own way.
    let is_late = |code: &Code| matches!(code, Code::DeadlineExceeded | Code::Cancelled);
    let late = answers.iter().filter(|(_, code)| is_late(code)).count();
    assert!(late > 0 && !ok.is_empty(), "{late} late, {} in time", ok.len());
}
