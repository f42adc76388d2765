//! The pool and the transaction.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolError, Timeouts};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncConnection, AsyncPgConnection, TransactionManager};
use tokio_postgres::NoTls;

use crate::session::Sessions;
use crate::{Config, Error, Pulse, budget};

type Transactions = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// A service's database. Cheap to clone; clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool<Sessions>,
    pulse: Pulse,
}

/// One connection out of the pool. It goes back when it is dropped, unless a transaction is still open on it: then it
/// is closed, and the server rolls back.
pub struct Conn(Option<Object<Sessions>>);

/// An async closure over one argument whose future is `Send`. Implemented for every such closure, never by hand; it
/// exists because `AsyncFnOnce` cannot say `Send` of its future.
pub trait Work<A, R>: AsyncFnOnce(A) -> R + FnOnce(A) -> <Self as Work<A, R>>::Fut {
    /// What the closure returns.
    type Fut: Future<Output = R>;
}

impl<F, A, Fut, R> Work<A, R> for F
where
    F: AsyncFnOnce(A) -> R + FnOnce(A) -> Fut,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

impl Db {
    /// Opens the pool, which connects only when a connection is first asked for.
    ///
    /// # Errors
    /// When the configuration cannot work. A database that is down is not an error here.
    pub async fn connect(config: &Config) -> Result<Db, Error> {
        let connection = Arc::new(config.app()?);
        let pulse = Pulse::new(connection.clone(), config.acquire_timeout());
        let sessions = Sessions {
            connection,
            statement_timeout: config.statement_timeout(),
        };
        let wait = Some(config.acquire_timeout());
        let pool = Pool::builder(sessions)
            .max_size(config.max_connections.max(1))
            .timeouts(Timeouts {
                wait,
                create: wait,
                recycle: wait,
            })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(Error::bug)?;
        Ok(Db { pool, pulse })
    }

    /// A connection of its own beside the pool, with which to ask whether the database lives while all others are busy.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// A connection for statements of their own. What must happen together belongs into [`Db::transaction`]. Both the wait
    /// for it and each of its statements last no longer than what is left of the work's [budget].
    ///
    /// # Errors
    /// When none is to be had in time.
    pub async fn conn(&self) -> Result<Conn, Error> {
        let mut timeouts = self.pool.timeouts();
        if let Some(left) = budget::remaining() {
            if left.is_zero() {
                return Err(Error::Timeout);
            }
            timeouts.wait = timeouts.wait.map(|wait| wait.min(left));
        }
        let mut object = match self.pool.timeout_get(&timeouts).await {
            Ok(object) => object,
            Err(PoolError::Timeout(_)) => return Err(Error::Timeout),
            Err(PoolError::Backend(error)) => return Err(Error::Unavailable(error.to_string())),
            Err(other) => return Err(Error::bug(other)),
        };
        let usual = self.pool.manager().statement_timeout;
        object.bound(budget::remaining(), usual).await?;
        Ok(Conn(Some(object)))
    }

    /// Does `work` in one transaction (read committed): committed when it returns `Ok`, rolled back when it returns
    /// `Err` or is dropped before its end. Nothing is retried.
    ///
    /// ```
    /// # use counterfoil_store::{Db, Error};
    /// # use diesel_async::RunQueryDsl;
    /// # async fn example(db: &Db) -> Result<(), Error> {
    /// let deleted: usize = db
    ///     .transaction(async |conn| {
    ///         let claims = diesel::sql_query("delete from claim").execute(conn).await?;
    ///         Ok::<_, Error>(claims)
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `work` returned, or ours. After an error of the commit itself it may have happened.
    #[expect(clippy::manual_async_fn, reason = "the signature says that the future is `Send`")]
    pub fn transaction<'a, T, E, F>(&'a self, work: F) -> impl Future<Output = Result<T, E>> + Send + 'a
    where
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, E>
            + Work<&'c mut AsyncPgConnection, Result<T, E>, Fut: Send>
            + Send
            + 'a,
        T: Send + 'a,
        E: From<Error> + From<diesel::result::Error> + Send + 'a,
    {
        async move {
            let mut conn = self.conn().await?;
            Transactions::begin_transaction(&mut *conn).await?;
            match work(&mut conn).await {
                Ok(value) => {
                    Transactions::commit_transaction(&mut *conn).await?;
                    Ok(value)
                }
                Err(error) => {
                    roll_back(&mut conn).await;
                    Err(error)
                }
            }
        }
    }

    /// Does `work` in one transaction that is rolled back whatever it returns: what a call that only wants to know whether
    /// it would succeed (`validate_only`) comes to. Sequences that `work` draws from do not go back.
    ///
    /// # Errors
    /// What `work` returned, or ours.
    #[expect(clippy::manual_async_fn, reason = "the signature says that the future is `Send`")]
    pub fn rehearse<'a, T, E, F>(&'a self, work: F) -> impl Future<Output = Result<T, E>> + Send + 'a
    where
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, E>
            + Work<&'c mut AsyncPgConnection, Result<T, E>, Fut: Send>
            + Send
            + 'a,
        T: Send + 'a,
        E: From<Error> + From<diesel::result::Error> + Send + 'a,
    {
        async move {
            let mut conn = self.conn().await?;
            Transactions::begin_transaction(&mut *conn).await?;
            let done = work(&mut conn).await;
            roll_back(&mut conn).await;
            done
        }
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ping(&self) -> Result<(), Error> {
        use diesel_async::SimpleAsyncConnection;
        let mut conn = self.conn().await?;
        Ok(conn.batch_execute("select 1").await?)
    }
}

/// Where even this fails, dropping the connection rolls back, and what the work returned says more.
async fn roll_back(conn: &mut Conn) {
    if let Err(error) = Transactions::rollback_transaction(&mut **conn).await {
        tracing::warn!(%error, "a transaction could not be rolled back; its connection is closed");
    }
}

/// A new connection, outside the pool.
pub(crate) async fn open(connection: &tokio_postgres::Config) -> diesel::ConnectionResult<AsyncPgConnection> {
    let connected = connection.connect(NoTls).await;
    let (client, driver) = connected.map_err(|error| diesel::ConnectionError::BadConnection(describe(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, driver).await
}

/// The server's reason, or the system's. Neither holds a password.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl Deref for Conn {
    type Target = AsyncPgConnection;

    #[expect(clippy::expect_used, reason = "it is there until `drop` takes it")]
    fn deref(&self) -> &AsyncPgConnection {
        &self.0.as_ref().expect("a connection until it is dropped").conn
    }
}

impl DerefMut for Conn {
    #[expect(clippy::expect_used, reason = "it is there until `drop` takes it")]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.0.as_mut().expect("a connection until it is dropped").conn
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(mut object) = self.0.take()
            && (object.conn.is_broken() || std::thread::panicking())
        {
            // Not handed back: the pool would look at it only when it is next asked for a connection, and until then
            // the server would keep the transaction and its locks.
            drop(Object::take(object));
        }
    }
}
