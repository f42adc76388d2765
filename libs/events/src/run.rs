//! A run: what has arrived of one partition and goes into one transaction with the checkpoint.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::checkpoint::{self, Checkpoint};
use crate::consume::{Consumer, Ended};
use crate::{Event, Projection};

/// What the stream says of a partition.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Box<Event>),
    /// The filter passed over `count` events, the last of them at `through`.
    Passed {
        through: i64,
        count: i64,
    },
}

impl Item {
    /// The last offset it covers.
    pub(crate) fn last(&self) -> i64 {
        match self {
            Item::Event(event) => event.offset,
            Item::Passed { through, .. } => *through,
        }
    }

    /// The event at `last`; empty where a filter passed it over.
    pub(crate) fn event_id(&self) -> &str {
        match self {
            Item::Event(event) => &event.event_id,
            Item::Passed { .. } => "",
        }
    }

    fn traceparent(&self) -> Option<&str> {
        match self {
            Item::Event(event) => Some(&event.traceparent),
            Item::Passed { .. } => None,
        }
    }

    /// The offset before the first it covers: where a consumer must stand to take it.
    pub(crate) fn before(&self) -> i64 {
        match self {
            Item::Event(event) => event.offset.saturating_sub(1),
            Item::Passed { through, count } => through.saturating_sub(*count),
        }
    }
}

/// Log and checkpoint cannot both be right. Nobody but an operator can tell which is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error("partition {partition}: after offset {checkpoint} comes {next}: events are missing between them")]
    Gap { partition: i32, checkpoint: i64, next: i64 },
    #[error("partition {partition}: the checkpoint is of epoch {checkpoint}, the log of epoch {log}")]
    Epoch { partition: i32, checkpoint: i64, log: i64 },
    #[error("the log refuses the checkpoint: {0}")]
    Refused(String),
    #[error("partition {partition}: a newer release of this consumer asks for other types of events")]
    Superseded { partition: i32 },
}

/// Why a transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure<E> {
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("{0}")]
    Projection(E),
    #[error("the projection panicked")]
    Panic,
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    #[error("another process has changed which types of events are asked for")]
    OtherFilter,
}

/// What a transaction did, in events.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Done {
    applied: u64,
    passed: u64,
    repeated: u64,
}

/// The first wait after a failed attempt; doubled each time up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Waits that grow.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Backoff(FIRST_WAIT)
    }

    pub(crate) fn reset(&mut self) {
        self.0 = FIRST_WAIT;
    }

    /// The wait that comes next.
    pub(crate) fn ahead(&self) -> Duration {
        self.0
    }

    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = wait.saturating_mul(2).min(LONGEST_WAIT);
        wait
    }
}

impl<P: Projection> Consumer<P> {
    /// Applies `items` and returns how many are done: those at the front. They are of one partition, in order, and no two
    /// events have one key: what `prepare` saw of an object is then still so when `apply` writes it.
    ///
    /// It stops at the first failure and leaves in `failing` how long the next attempt has to wait, which is given back
    /// with the rest. That wait, not an attempt, ends with `session`.
    pub(crate) async fn work_off(
        &self,
        partition: i32,
        items: &[Item],
        epoch: i64,
        failing: &mut Option<Backoff>,
        session: &CancellationToken,
    ) -> Result<usize, Ended> {
        let mut size = items.len().max(1);
        if let Some(backoff) = failing {
            if tokio::time::timeout(backoff.next(), session.cancelled()).await.is_ok() {
                return Ok(0);
            }
            // One by one, so that a bad event holds up only those behind it.
            size = 1;
        }
        let mut done: usize = 0;
        for part in items.chunks(size) {
            if self.shutdown.is_cancelled() {
                break;
            }
            match self.attempt(partition, part, epoch).await {
                Ok(counts) => {
                    self.count(counts);
                    done = done.saturating_add(part.len());
                    failing.iter_mut().for_each(Backoff::reset);
                }
                Err(Failure::Contradiction(contradiction)) => return Err(contradiction.into()),
                Err(Failure::OtherFilter) => return Err(Ended::OtherFilter(partition)),
                Err(failure) => {
                    self.stats.retried.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        consumer = self.name,
                        partition,
                        offset = part.first().map(Item::last),
                        items = part.len(),
                        error = %failure,
                        wait_ms = %failing.get_or_insert_with(Backoff::new).ahead().as_millis(),
                        "events could not be applied and will be tried again"
                    );
                    break;
                }
            }
        }
        Ok(done)
    }

    async fn attempt(&self, partition: i32, items: &[Item], epoch: i64) -> Result<Done, Failure<P::Error>> {
        let span = tracing::info_span!("process", consumer = self.name, partition, items = items.len());
        let causes: Vec<&str> = items.iter().filter_map(Item::traceparent).collect();
        // One cause is a parent, several are links.
        match causes.as_slice() {
            [only] => counterfoil_telemetry::set_parent(&span, only),
            several => several
                .iter()
                .for_each(|cause| counterfoil_telemetry::link(&span, cause)),
        }
        // Closing the semaphore is nobody's habit here; without a permit there is only more concurrency.
        let _permit = self.attempts.acquire().await;
        let attempt = self.settle(partition, items, epoch).instrument(span);
        AssertUnwindSafe(attempt)
            .catch_unwind()
            .await
            .unwrap_or(Err(Failure::Panic))
    }

    /// Fetches what is needed, then writes effects and checkpoint in one transaction.
    async fn settle(&self, partition: i32, items: &[Item], epoch: i64) -> Result<Done, Failure<P::Error>> {
        let mut prepared = Vec::with_capacity(items.len());
        for item in items {
            prepared.push(match item {
                Item::Event(event) => Some(
                    self.projection
                        .prepare(&self.db, event)
                        .await
                        .map_err(Failure::Projection)?,
                ),
                Item::Passed { .. } => None,
            });
        }
        self.db
            .transaction(async |conn| {
                let mut at = checkpoint::lock(conn, self.name, partition).await?;
                let mut done = Done::default();
                check_epoch(&at, epoch)?;
                // Under another filter other events were passed over: what we have in hand may lack some, or more.
                if at.filter != self.filter {
                    return Err(Failure::OtherFilter);
                }
                for (item, prepared) in items.iter().zip(prepared) {
                    match (place(&at, item)?, item, prepared) {
                        (Place::Behind, Item::Event(_), _) => done.repeated = done.repeated.saturating_add(1),
                        (Place::Next, Item::Event(event), Some(prepared)) => {
                            let wrote = self.projection.apply(conn, event, prepared).await;
                            let count = if wrote.map_err(Failure::Projection)? {
                                &mut done.applied
                            } else {
                                &mut done.passed
                            };
                            *count = count.saturating_add(1);
                            at.log_offset = event.offset;
                            at.event_id.clone_from(&event.event_id);
                        }
                        (Place::Next, Item::Passed { through, .. }, _) => {
                            at.log_offset = *through;
                            at.event_id.clear();
                        }
                        _ => {}
                    }
                }
                at.epoch = epoch;
                let applied = i64::try_from(done.applied).unwrap_or_default();
                let passed = i64::try_from(done.passed).unwrap_or_default();
                checkpoint::write(conn, self.name, &at, applied.saturating_add(passed), applied).await?;
                Ok(done)
            })
            .await
    }

    fn count(&self, done: Done) {
        let add = |counter: &AtomicU64, by: u64| counter.fetch_add(by, Ordering::Relaxed);
        add(&self.stats.applied, done.applied);
        add(&self.stats.passed, done.passed);
        add(&self.stats.repeated, done.repeated);
    }
}

/// Where an item lies, seen from a checkpoint.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Done before, perhaps by another process.
    Behind,
    /// It continues where the checkpoint stands.
    Next,
}

fn place(at: &Checkpoint, item: &Item) -> Result<Place, Contradiction> {
    if item.last() <= at.log_offset {
        Ok(Place::Behind)
    } else if item.before() <= at.log_offset {
        Ok(Place::Next)
    } else {
        Err(Contradiction::Gap {
            partition: at.partition,
            checkpoint: at.log_offset,
            next: item.before().saturating_add(1),
        })
    }
}

pub(crate) fn check_epoch(at: &Checkpoint, log: i64) -> Result<(), Contradiction> {
    if at.epoch == 0 || at.epoch == log {
        return Ok(());
    }
    Err(Contradiction::Epoch {
        partition: at.partition,
        checkpoint: at.epoch,
        log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(log_offset: i64, epoch: i64) -> Checkpoint {
        Checkpoint {
            partition: 3,
            log_offset,
            event_id: String::new(),
            epoch,
            filter: Vec::new(),
        }
    }

    #[test]
    fn an_item_is_behind_next_or_beyond_a_gap() {
        let passed = |through, count| Item::Passed { through, count };
        assert_eq!(place(&at(5, 1), &passed(5, 2)).unwrap(), Place::Behind);
        assert_eq!(place(&at(5, 1), &passed(6, 1)).unwrap(), Place::Next);
        // Another process has done a part of it.
        assert_eq!(place(&at(5, 1), &passed(8, 4)).unwrap(), Place::Next);
        let gap = place(&at(5, 1), &passed(8, 2)).unwrap_err().to_string();
        assert_eq!(
            gap,
            "partition 3: after offset 5 comes 7: events are missing between them"
        );
    }

    #[test]
    fn a_checkpoint_of_another_epoch_is_a_contradiction_and_a_fresh_one_is_not() {
        assert!(check_epoch(&at(0, 0), 7).is_ok());
        assert!(check_epoch(&at(5, 7), 7).is_ok());
        assert!(check_epoch(&at(5, 6), 7).is_err());
    }

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..12).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(
            waits,
            [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]
        );
        backoff.reset();
        assert_eq!(backoff.next(), FIRST_WAIT);
    }
}
