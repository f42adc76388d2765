//! What the pool holds: a connection, and for how long it lets a statement run.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use diesel::ConnectionError;
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use crate::db::open;

/// Makes sessions, and looks whether one can be used again.
pub(crate) struct Sessions {
    pub(crate) connection: Arc<tokio_postgres::Config>,
    /// How long a statement may take where its work has no budget, or more of it. Zero is for ever.
    pub(crate) statement_timeout: Duration,
}

/// A connection.
pub(crate) struct Session {
    pub(crate) conn: AsyncPgConnection,
    /// What the server was told last; `None` while it is being told.
    told: Option<Duration>,
}

impl Manager for Sessions {
    type Type = Session;
    type Error = ConnectionError;

    async fn create(&self) -> Result<Session, ConnectionError> {
        Ok(Session {
            conn: open(&self.connection).await?,
            told: Some(self.statement_timeout),
        })
    }

    /// Closed connections and open transactions are seen without asking the server.
    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<ConnectionError> {
        if session.conn.is_broken() {
            return Err(RecycleError::message("the connection is closed"));
        }
        Ok(())
    }
}

impl Session {
    /// Lets no statement run longer than `left`, nor than `usual`. The server is told only what it does not know already,
    /// so with time enough there is no round trip.
    pub(crate) async fn bound(&mut self, left: Option<Duration>, usual: Duration) -> diesel::QueryResult<()> {
        let timeout = match left {
            // Zero would be for ever.
            Some(left) if left < usual || usual.is_zero() => left.max(Duration::from_millis(1)),
            _ => usual,
        };
        if self.told == Some(timeout) {
            return Ok(());
        }
        self.told = None;
        let sql = format!("set statement_timeout = {}", timeout.as_nanos().div_ceil(1_000_000));
        self.conn.batch_execute(&sql).await?;
        self.told = Some(timeout);
        Ok(())
    }
}
