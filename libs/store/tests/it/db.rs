//! Connections and transactions.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use counterfoil_store::{Config, Db, Error, MIGRATIONS};
use counterfoil_test_support::{TestDb, eventually};
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::count;

async fn insert(conn: &mut AsyncPgConnection, consumer: &str) -> diesel::QueryResult<usize> {
    diesel::sql_query("insert into checkpoint values ($1, 0, 0, '', 0, '{}')")
        .bind::<Text, _>(consumer)
        .execute(conn)
        .await
}

async fn rows(db: &Db) -> i64 {
    count(&mut db.conn().await.unwrap(), "select count(*) as n from checkpoint").await
}

/// As a service would: a borrowing function whose future must be `Send`.
async fn insert_both(db: &Db, first: &str, second: String) -> Result<usize, Error> {
    let second = &second;
    db.transaction(async |conn| {
        let first = insert(conn, first).await?;
        Ok(first + insert(conn, second).await?)
    })
    .await
}

#[tokio::test]
async fn a_transaction_is_committed_whole_from_a_spawned_task() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let task = tokio::spawn(async move { insert_both(&db, "a", "b".to_owned()).await });
    assert_eq!(task.await.unwrap().unwrap(), 2);
    assert_eq!(rows(&test.db()).await, 2);
}

#[tokio::test]
async fn an_error_rolls_everything_back_and_the_connection_is_used_again() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = Db::connect(&Config {
        max_connections: 1,
        ..test.config()
    })
    .await
    .unwrap();
    let error = insert_both(&db, "a", "a".to_owned()).await.unwrap_err();
    assert!(
        matches!(error, Error::Query(diesel::result::Error::DatabaseError(..))),
        "{error}"
    );
    assert!(!error.is_transient());
    assert_eq!(rows(&db).await, 0);
    assert_eq!(insert_both(&db, "a", "b".to_owned()).await.unwrap(), 2);
}

#[tokio::test]
async fn a_rehearsal_tells_what_would_come_and_leaves_nothing() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let rehearsed = db.rehearse(async |conn| {
        insert(conn, "a").await?;
        Ok::<_, Error>(insert(conn, "b").await?)
    });
    assert_eq!(rehearsed.await.unwrap(), 1);
    assert_eq!(rows(&db).await, 0);

    let refused = db.rehearse(async |conn| {
        insert(conn, "a").await?;
        Ok::<_, Error>(insert(conn, "a").await?)
    });
    assert!(matches!(refused.await, Err(Error::Query(_))));
    assert_eq!(rows(&db).await, 0);
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_before_anyone_asks_for_a_connection() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let (inserted, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        db.transaction(async move |conn| {
            insert(conn, "a").await?;
            let _ = inserted.send(());
            std::future::pending::<Result<(), Error>>().await
        })
        .await
    });
    told.await.unwrap();
    task.abort();
    let watcher = test.db();
    let name = format!("counterfoil {}", test.config().schema);
    let open = format!(
        "select count(*) as n from pg_stat_activity where application_name = '{name}' and state like 'idle in transaction%'"
    );
    eventually("the server to roll back", async || {
        (count(&mut watcher.conn().await.unwrap(), &open).await == 0).then_some(())
    })
    .await;
    assert_eq!(rows(&test.db()).await, 0);
}

#[tokio::test]
async fn a_busy_pool_times_out_and_works_again_when_a_connection_is_free() {
    let test = TestDb::new(&MIGRATIONS).await;
    let config = Config {
        max_connections: 1,
        acquire_timeout_ms: 500,
        ..test.config()
    };
    // On a busy machine connecting may take longer than a caller of this pool waits.
    let db = Db::connect(&config).await.unwrap();
    let held = eventually("a connection", async || db.conn().await.ok()).await;
    let error = db.ping().await.unwrap_err();
    assert!(matches!(error, Error::Timeout) && error.is_transient(), "{error}");
    drop(held);
    db.ping().await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_down_is_unavailable_and_no_secret_is_told() {
    let test = TestDb::new(&MIGRATIONS).await;
    let url = "postgres://app:hunter2@127.0.0.1:1/postgres";
    let db = Db::connect(&Config {
        url: url.into(),
        ..test.config()
    })
    .await
    .unwrap();
    let error = db.ping().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_killed_connection_is_replaced() {
    let test = TestDb::new(&MIGRATIONS).await;
    let config = Config {
        max_connections: 1,
        ..test.config()
    };
    let db = Db::connect(&config).await.unwrap();
    let kill = "select count(pg_terminate_backend(pg_backend_pid())) as n";
    let mut conn = db.conn().await.unwrap();
    let error: Error = diesel::sql_query(kill).execute(&mut conn).await.unwrap_err().into();
    assert!(error.is_transient(), "{error}");
    drop(conn);
    eventually("the pool to notice", async || db.ping().await.ok()).await;
}

#[tokio::test]
async fn a_slow_statement_is_ended_by_the_server() {
    let test = TestDb::new(&MIGRATIONS).await;
    let config = Config {
        statement_timeout_ms: 20,
        ..test.config()
    };
    let db = Db::connect(&config).await.unwrap();
    let mut conn = db.conn().await.unwrap();
    let slow = diesel::sql_query("select pg_sleep(60)");
    let error: Error = slow.execute(&mut conn).await.unwrap_err().into();
    assert!(error.to_string().contains("statement timeout"), "{error}");
    assert!(!error.is_transient());
}

/// The client leaves at every point of a transaction, including the middle of its begin and its commit.
#[tokio::test]
async fn transactions_dropped_anywhere_are_whole_or_nothing_and_leave_no_connection_behind() {
    let test = TestDb::new(&MIGRATIONS).await;
    for round in 0..120 {
        let db = test.db();
        let (first, second) = (format!("{round} first"), format!("{round} second"));
        let mut transaction = pin!(insert_both(&db, &first, second));
        let mut polls = round % 30;
        poll_fn(|cx| {
            if polls == 0 {
                return Poll::Ready(());
            }
            polls -= 1;
            transaction.as_mut().poll(cx).map(|done| assert_eq!(done.unwrap(), 2))
        })
        .await;
    }
    let mut conn = test.db().conn().await.unwrap();
    let name = format!("counterfoil {}", test.config().schema);
    let open = format!(
        "select count(*) as n from pg_stat_activity
         where application_name = '{name}' and pid <> pg_backend_pid() and xact_start is not null"
    );
    eventually("all transactions to end", async || {
        (count(&mut conn, &open).await == 0).then_some(())
    })
    .await;
    let halves = "select count(*) as n from
        (select split_part(consumer, ' ', 1) from checkpoint group by 1 having count(*) <> 2) as half";
    assert_eq!(count(&mut conn, halves).await, 0);
    let rows = count(&mut conn, "select count(*) as n from checkpoint").await;
    assert!(rows > 0 && rows < 240, "some were committed and some were not: {rows}");
}

#[tokio::test]
async fn the_pulse_is_felt_while_every_connection_of_the_pool_is_busy() {
    let test = TestDb::new(&MIGRATIONS).await;
    let config = Config {
        max_connections: 1,
        ..test.config()
    };
    let db = Db::connect(&config).await.unwrap();
    let _held = db.conn().await.unwrap();
    let mut pulse = db.pulse();
    pulse.beat().await.unwrap();
    pulse.beat().await.unwrap();
    let name = format!("counterfoil {}", config.schema);
    let open = format!(
        "select count(*) as n from pg_stat_activity where application_name = '{name}' and usename = current_user"
    );
    let mut watcher = test.db().conn().await.unwrap();
    // The pool's one, the watcher's own, and one that both beats had.
    assert_eq!(count(&mut watcher, &open).await, 3);
}

#[tokio::test]
async fn a_pulse_whose_connection_was_killed_is_felt_again() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let mut pulse = db.pulse();
    pulse.beat().await.unwrap();
    let name = format!("counterfoil {}", test.config().schema);
    let kill = format!(
        "select count(pg_terminate_backend(pid)) as n from pg_stat_activity
         where application_name = '{name}' and usename = current_user and pid <> pg_backend_pid()"
    );
    assert_eq!(count(&mut db.conn().await.unwrap(), &kill).await, 1);
    let lost = pulse.beat().await.unwrap_err();
    assert!(lost.is_transient(), "{lost}");
    pulse.beat().await.unwrap();
}

#[tokio::test]
async fn a_database_that_answers_nothing_has_no_pulse() {
    let test = TestDb::new(&MIGRATIONS).await;
    // It takes connections and says nothing, as a server that was stopped does.
    let frozen = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = frozen.local_addr().unwrap().port();
    let db = Db::connect(&Config {
        url: format!("postgres://app@127.0.0.1:{port}/postgres").into(),
        acquire_timeout_ms: 50,
        ..test.config()
    })
    .await
    .unwrap();
    let error = db.pulse().beat().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
}
