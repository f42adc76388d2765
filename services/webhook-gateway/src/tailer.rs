//! The tailer: the one task of a gateway that looks at the head of the log, for all streams.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_store::{Db, Error};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::log::head::{Head, head};

/// How often the head is looked at where nobody says that it moved: another gateway may have moved it.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Keeps `heads` up to date until `shutdown`. While nobody watches it rests.
pub(crate) async fn tail(db: Db, appended: Arc<Notify>, heads: Arc<watch::Sender<Head>>, shutdown: CancellationToken) {
    let follow = async {
        let mut failing = false;
        loop {
            if heads.is_closed() {
                // Whoever comes next reads the head by itself first.
                let _ = tokio::time::timeout(INTERVAL, appended.notified()).await;
                continue;
            }
            let wait = match read(&db).await {
                Ok(head) => {
                    failing = false;
                    heads.send_if_modified(|known| {
                        let moved = *known != head;
                        *known = head;
                        moved
                    });
                    INTERVAL
                }
                Err(error) => {
                    // Once an outage, not twice a second.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(error = %error, "the head of the log cannot be read; streams rest");
                    }
                    AFTER_FAILURE
                }
            };
            let _ = tokio::time::timeout(wait, appended.notified()).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow => {}
    }
}

/// The head as it is committed.
pub(crate) async fn read(db: &Db) -> Result<Head, Error> {
    let mut conn = db.conn().await?;
    Ok(head(&mut conn).await?)
}
