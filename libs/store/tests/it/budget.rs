//! What is left of a call's time bounds what is asked of the database.

use std::time::Duration;

use counterfoil_store::{Config, Db, Error, MIGRATIONS, budget};
use counterfoil_test_support::{TestDb, eventually};
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

/// A pool of one connection.
async fn one(test: &TestDb) -> Db {
    let config = Config {
        max_connections: 1,
        ..test.config()
    };
    let db = Db::connect(&config).await.unwrap();
    // Connecting takes longer than a call here has.
    eventually("a connection", async || db.ping().await.ok()).await;
    db
}

async fn sleep(db: &Db) -> Result<usize, Error> {
    db.transaction(async |conn| Ok(diesel::sql_query("select pg_sleep(60)").execute(conn).await?))
        .await
}

async fn statement_timeout(db: &Db) -> String {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        timeout: String,
    }
    let query = diesel::sql_query("select current_setting('statement_timeout') as timeout");
    let row: Row = query.get_result(&mut db.conn().await.unwrap()).await.unwrap();
    row.timeout
}

#[tokio::test]
async fn a_statement_ends_with_its_callers_time_and_the_next_one_has_all_of_its_own() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = one(&test).await;
    for _ in 0..2 {
        let cut = budget::scope(Instant::now() + SHORT, LONG, sleep(&db)).await;
        assert!(matches!(cut, Err(Error::Timeout)), "{cut:?}");
        assert_eq!(statement_timeout(&db).await, "10s");
    }
    let with_time = budget::scope(Instant::now() + LONG, LONG, statement_timeout(&db)).await;
    assert_eq!(with_time, "10s");
    let with_less = budget::scope(Instant::now() + Duration::from_secs(2), LONG, statement_timeout(&db)).await;
    assert!(with_less.ends_with("ms") || with_less == "2s", "{with_less}");
}

#[tokio::test]
async fn a_caller_without_time_waits_for_no_connection_and_asks_nothing() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = one(&test).await;
    let held = db.conn().await.unwrap();
    let waited = budget::scope(Instant::now() + SHORT, LONG, db.ping()).await;
    assert!(matches!(waited, Err(Error::Timeout)), "{waited:?}");
    drop(held);
    let late = budget::scope(Instant::now(), LONG, db.ping()).await;
    assert!(matches!(late, Err(Error::Timeout)), "{late:?}");
    let extended = async {
        budget::extend();
        db.ping().await
    };
    budget::scope(Instant::now(), LONG, extended).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_was_too_slow_for_anyone_is_not_taken_for_a_caller_without_time() {
    let test = TestDb::new(&MIGRATIONS).await;
    let config = Config {
        statement_timeout_ms: 20,
        ..test.config()
    };
    let db = Db::connect(&config).await.unwrap();
    let cut = budget::scope(Instant::now() + LONG, LONG, sleep(&db)).await;
    assert!(matches!(cut, Err(Error::Query(_))), "{cut:?}");
}
