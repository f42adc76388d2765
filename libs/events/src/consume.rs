//! The consumer: one stream for all partitions, opened again for as long as the process lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use counterfoil_chassis::client::Channel;
use counterfoil_proto::event::v1::event_service_client::EventServiceClient;
use counterfoil_store::Db;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::run::{Backoff, Contradiction};
use crate::{Projection, Stats};

/// The number of the log's partitions, fixed at its first start.
pub const PARTITIONS: i32 = 64;
/// How many partitions are worked on at once, waits after failures aside. Half of a default pool.
const ATTEMPTS_AT_ONCE: usize = 4;
/// Above a webhook's limit of 1 MiB and its envelope, and above a page of `ListEvents`.
const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

pub(crate) type Client = EventServiceClient<Channel>;

pub(crate) struct Consumer<P> {
    pub(crate) name: &'static str,
    pub(crate) db: Db,
    pub(crate) projection: P,
    pub(crate) stats: Arc<Stats>,
    /// The types of events that are asked for, in order.
    pub(crate) filter: Vec<String>,
    /// Whether it has streamed with its filter: whoever changes that now is another release.
    pub(crate) has_streamed: AtomicBool,
    pub(crate) attempts: Semaphore,
    pub(crate) instance: String,
    pub(crate) shutdown: CancellationToken,
}

/// Why a session ended, where the consumer did not want it to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    #[error("the stream: {} {}", .0.code(), .0.message())]
    Stream(#[from] Status),
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("the gateway broke the protocol: {0}")]
    Protocol(String),
    #[error("a replayed event: {0}")]
    Replay(String),
    #[error("another process has changed which types of events partition {0} is asked for")]
    OtherFilter(i32),
}

/// Streams all partitions from `gateway` into `projection` as `consumer`, of which `instance` is one process, until `shutdown`;
/// then what is being written is finished.
///
/// Connections, the gateway and the database may come and go: it tries again for ever, with growing waits. An event that
/// cannot be applied is tried again for ever too, and holds up its partition and no other.
///
/// Where log and checkpoint contradict each other (events missing between them, another epoch, a log that was rewound or
/// lacks an offset), or a newer release of the same consumer has taken over with a wider filter, nothing more is applied:
/// it is logged, `stats.stopped` is 1, and only `shutdown` is waited for. So it never returns early, and what its
/// service answers from stored rows goes on.
pub async fn consume<P: Projection>(
    gateway: Channel,
    instance: String,
    consumer: &'static str,
    db: Db,
    projection: P,
    stats: Arc<Stats>,
    shutdown: CancellationToken,
) {
    let mut client = EventServiceClient::new(gateway).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut filter: Vec<String> = projection.event_types().iter().map(ToString::to_string).collect();
    filter.sort_unstable();
    let consumer = Consumer {
        name: consumer,
        db,
        projection,
        stats,
        filter,
        has_streamed: AtomicBool::new(false),
        attempts: Semaphore::new(ATTEMPTS_AT_ONCE),
        instance,
        shutdown,
    };
    let mut backoff = Backoff::new();
    while !consumer.shutdown.is_cancelled() {
        match consumer.session(&mut client, &mut backoff).await {
            Ok(()) => {}
            Err(Ended::Contradiction(contradiction)) => {
                consumer.stats.stopped.store(1, Ordering::Relaxed);
                tracing::error!(
                    consumer = consumer.name,
                    error = %contradiction,
                    "the consumer applies nothing more until an operator has looked and it is started again"
                );
                return consumer.shutdown.cancelled().await;
            }
            Err(ended) => tracing::warn!(consumer = consumer.name, error = %ended, "no events come; trying again"),
        }
        let _ = tokio::time::timeout(backoff.next(), consumer.shutdown.cancelled()).await;
    }
}

/// The log knows better than to stream from a position that is not one of its own, and says when it lacks an offset.
pub(crate) fn refused<T>(answer: Result<T, Status>) -> Result<T, Ended> {
    answer.map_err(|status| match status.code() {
        Code::FailedPrecondition | Code::DataLoss => {
            Ended::Contradiction(Contradiction::Refused(status.message().to_owned()))
        }
        _ => Ended::Stream(status),
    })
}
