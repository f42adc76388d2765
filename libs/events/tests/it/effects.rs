//! A projection that writes a row each time an event is applied, and fails when it is told to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use counterfoil_chassis::client::channel;
use counterfoil_events::{Event, Projection, Stats, consume};
use counterfoil_store::{AsyncPgConnection, Db};
use counterfoil_test_support::{TestDb, eventually};
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;

static MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/it/migrations");

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
    #[error("told to fail")]
    Told,
}

#[derive(Clone)]
pub(crate) struct Effects {
    pub(crate) types: &'static [&'static str],
    /// How often an event still fails, after it has written.
    pub(crate) failures: Arc<Mutex<HashMap<&'static str, u32>>>,
    /// As `failures`, but with a panic.
    pub(crate) panics: Arc<Mutex<HashMap<&'static str, u32>>>,
    /// What an event must get before its transaction may end.
    pub(crate) gate: Arc<Semaphore>,
}

impl Default for Effects {
    fn default() -> Self {
        Effects {
            types: &[],
            failures: Arc::default(),
            panics: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }
}

impl Projection for Effects {
    type Prepared = ();
    type Error = Error;

    fn event_types(&self) -> &'static [&'static str] {
        self.types
    }

    async fn prepare(&self, _: &Db, _: &Event) -> Result<(), Error> {
        Ok(())
    }

    async fn apply(&self, conn: &mut AsyncPgConnection, event: &Event, (): ()) -> Result<bool, Error> {
        if event.event_type == "nothing.to_do" {
            return Ok(false);
        }
        let insert = diesel::sql_query("insert into effect (event_id) values ($1)");
        insert.bind::<Text, _>(&event.event_id).execute(conn).await?;
        self.gate.acquire().await.unwrap().forget();
        if told(&self.failures, &event.event_id) {
            return Err(Error::Told);
        }
        assert!(!told(&self.panics, &event.event_id), "told to panic");
        Ok(true)
    }
}

fn told(faults: &Mutex<HashMap<&'static str, u32>>, event_id: &str) -> bool {
    let mut faults = faults.lock().unwrap();
    match faults.get_mut(event_id) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

/// A database for effects.
pub(crate) struct Database(TestDb);

/// A consumer that runs.
pub(crate) struct Running {
    pub(crate) stats: Arc<Stats>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Database {
    pub(crate) async fn new() -> Database {
        Database(TestDb::new(&MIGRATIONS).await)
    }

    pub(crate) fn consume(&self, gateway: &Gateway, effects: Effects) -> Running {
        let stats = Arc::new(Stats::default());
        let shutdown = CancellationToken::new();
        let channel = channel(&gateway.url).unwrap();
        let (db, instance) = (self.0.db(), "test".to_owned());
        let consumer = consume(channel, instance, "test", db, effects, stats.clone(), shutdown.clone());
        Running {
            stats,
            shutdown,
            task: tokio::spawn(consumer),
        }
    }

    /// A connection as administrator that sees the schema.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        let mut config: tokio_postgres::Config = TestDb::admin_url().parse().unwrap();
        config.options(format!("-c search_path={}", self.0.config().schema));
        let (client, driver) = config.connect(NoTls).await.unwrap();
        tokio::spawn(driver);
        client
    }

    /// What PostgreSQL calls the consumers' connections.
    pub(crate) fn application(&self) -> String {
        format!("counterfoil {}", self.0.config().schema)
    }

    /// Waits until the consumer has a transaction open that waits for us, and returns its server process.
    pub(crate) async fn transaction_waits(&self) -> i32 {
        let sql = self.sql().await;
        let name = self.application();
        let waiting = "select pid from pg_stat_activity where application_name = $1 and state = 'idle in transaction'";
        eventually("a transaction that waits", async || {
            sql.query_opt(waiting, &[&name]).await.unwrap().map(|row| row.get(0))
        })
        .await
    }

    pub(crate) async fn effects(&self) -> Vec<String> {
        let rows = self
            .sql()
            .await
            .query("select event_id from effect order by id", &[])
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until there are `count` effects, and returns them.
    pub(crate) async fn effects_reach(&self, count: usize) -> Vec<String> {
        eventually("the effects", async || {
            Some(self.effects().await).filter(|effects| effects.len() >= count)
        })
        .await
    }

    /// Offset, event id and epoch of a partition's checkpoint.
    pub(crate) async fn checkpoint(&self, partition: i32) -> (i64, String, i64) {
        let sql = "select log_offset, event_id, epoch from checkpoint where partition = $1";
        let row = self.sql().await.query_one(sql, &[&partition]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// Waits until it applies nothing more, and shows that it stays, for what its service does otherwise.
    pub(crate) async fn stopped(self) {
        eventually("the consumer to stop", async || {
            (count(&self.stats.stopped) == 1).then_some(())
        })
        .await;
        assert!(!self.task.is_finished());
        self.stop().await;
    }
}

pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
