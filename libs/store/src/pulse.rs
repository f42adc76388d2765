//! Whether the database lives.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use crate::Error;
use crate::db::open;

/// One connection outside the pool, opened when first needed and again whenever it is lost: an answer about the database
/// that waits for no caller's connection. A clone has a connection of its own.
pub struct Pulse {
    connection: Arc<tokio_postgres::Config>,
    timeout: Duration,
    conn: Option<AsyncPgConnection>,
}

impl Pulse {
    pub(crate) fn new(connection: Arc<tokio_postgres::Config>, timeout: Duration) -> Pulse {
        Pulse {
            connection,
            timeout,
            conn: None,
        }
    }

    /// Asks the database for a sign of life, for as long as a caller may wait for a connection. A connection that gave none,
    /// or whose question was dropped before its answer, is closed.
    ///
    /// # Errors
    /// When there is none.
    pub async fn beat(&mut self) -> Result<(), Error> {
        let kept = self.conn.take();
        let asked = async {
            let mut conn = match kept {
                Some(conn) => conn,
                None => {
                    let opened = open(&self.connection).await;
                    opened.map_err(|error| Error::Unavailable(error.to_string()))?
                }
            };
            conn.batch_execute("select 1").await?;
            Ok::<_, Error>(conn)
        };
        // A server that is frozen rather than gone answers nothing at all.
        let answered = tokio::time::timeout(self.timeout, asked).await;
        self.conn = Some(answered.map_err(|_| Error::Unavailable("no sign of life in time".into()))??);
        Ok(())
    }
}

impl Clone for Pulse {
    fn clone(&self) -> Pulse {
        Pulse::new(self.connection.clone(), self.timeout)
    }
}
