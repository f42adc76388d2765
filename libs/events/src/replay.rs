//! A changed filter: what it newly admits is replayed from the beginning of the log.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;

use counterfoil_proto::event::v1 as pb;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{self, Checkpoint};
use crate::consume::{Client, Consumer, Ended, refused};
use crate::filter::{admits, covers};
use crate::run::{Backoff, Contradiction, Failure};
use crate::{Event, Projection};

impl<P: Projection> Consumer<P> {
    /// Applies the events up to `at` that our filter admits and the filter of `at` did not, then notes our filter there.
    ///
    /// It moves no offset. When it is cut off it begins again, which writes nothing twice: late events are what
    /// projections are made for. Another process of this consumer may move the row meanwhile, under the old filter: our
    /// filter is noted only where nothing was passed over that has not been replayed.
    pub(crate) async fn change_filter(&self, client: &mut Client, at: &mut Checkpoint) -> Result<(), Ended> {
        let mut replayed = 0;
        loop {
            let partition = at.partition;
            // Who comes first with a filter of its own is the newer release; who has streamed and finds that others
            // want more is the older. It must not take from the newer what that has asked for.
            if self.has_streamed.load(Ordering::Relaxed) && !covers(&self.filter, &at.filter) {
                return Err(Contradiction::Superseded { partition }.into());
            }
            if !covers(&at.filter, &self.filter) && at.log_offset > replayed {
                tracing::info!(
                    consumer = self.name,
                    partition,
                    "replaying newly wanted types of events"
                );
                self.replay(client, at, replayed).await?;
            }
            let row = self.note_filter(at).await?;
            let noted = row.filter == self.filter && row.log_offset == at.log_offset;
            replayed = if row.filter == at.filter { at.log_offset } else { 0 };
            *at = row;
            if noted {
                return Ok(());
            }
        }
    }

    /// Notes our filter if the row is still `at`, and returns the row as it is then.
    async fn note_filter(&self, at: &Checkpoint) -> Result<Checkpoint, counterfoil_store::Error> {
        self.db
            .transaction(async |conn| {
                let mut row = checkpoint::lock(conn, self.name, at.partition).await?;
                if (row.log_offset, &row.filter) == (at.log_offset, &at.filter) {
                    row.filter.clone_from(&self.filter);
                    checkpoint::write(conn, self.name, &row, 0, 0).await?;
                }
                Ok(row)
            })
            .await
    }

    /// As `change_filter`, after a wait, until it succeeds: then 1, and 0 where the session is over before.
    pub(crate) async fn retry_filter(
        &self,
        client: &mut Client,
        at: &mut Checkpoint,
        backoff: &mut Backoff,
        session: &CancellationToken,
    ) -> Result<usize, Ended> {
        let change = async {
            loop {
                tokio::time::sleep(backoff.next()).await;
                match self.change_filter(client, at).await {
                    Ok(()) => return Ok(1),
                    Err(ended @ Ended::Contradiction(_)) => return Err(ended),
                    Err(ended) => self.replay_failed(at.partition, &ended.to_string()),
                }
            }
        };
        tokio::select! {
            () = session.cancelled() => Ok(0),
            changed = change => changed,
        }
    }

    pub(crate) fn replay_failed(&self, partition: i32, error: &str) {
        self.stats.retried.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            consumer = self.name,
            partition,
            error,
            "newly wanted events could not be replayed and will be tried again; the partition waits for them"
        );
    }

    async fn replay(&self, client: &mut Client, at: &Checkpoint, after_offset: i64) -> Result<(), Ended> {
        let mut page_token = String::new();
        loop {
            let request = pb::ListEventsRequest {
                partition: at.partition,
                after_offset,
                page_size: 100,
                page_token,
                ..Default::default()
            };
            let page = refused(client.list_events(request).await)?.into_inner();
            for event in page.events {
                let event = Event::try_from(event).map_err(|error| Ended::Protocol(error.to_string()))?;
                if event.offset > at.log_offset {
                    return Ok(());
                }
                if admits(&self.filter, &event.event_type) && !admits(&at.filter, &event.event_type) {
                    let reapplied = AssertUnwindSafe(self.reapply(&event)).catch_unwind().await;
                    match reapplied.unwrap_or(Err(Failure::Panic)) {
                        Ok(_) => {}
                        Err(Failure::Store(error)) => return Err(error.into()),
                        Err(failure) => return Err(Ended::Replay(format!("offset {}: {failure}", event.offset))),
                    }
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    /// Holds the checkpoint's lock, so that replay and stream exclude each other, and does not move it.
    async fn reapply(&self, event: &Event) -> Result<bool, Failure<P::Error>> {
        let prepared = self
            .projection
            .prepare(&self.db, event)
            .await
            .map_err(Failure::Projection)?;
        self.db
            .transaction(async |conn| {
                checkpoint::lock(conn, self.name, event.partition).await?;
                self.projection
                    .apply(conn, event, prepared)
                    .await
                    .map_err(Failure::Projection)
            })
            .await
    }
}
