//! The consumer: one stream for all partitions, opened again for as long as the process lives.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_chassis::client::Channel;
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::event_service_client::EventServiceClient;
use counterfoil_proto::event::v1::subscribe_request::Message as Say;
use counterfoil_proto::event::v1::subscribe_response::Message as Heard;
use counterfoil_store::Db;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::checkpoint::{self, Checkpoint};
use crate::run::{Backoff, Contradiction, Item, check_epoch};
use crate::{Config, Event, Projection, Stats};

/// The number of the log's partitions, fixed at its first start.
pub const PARTITIONS: i32 = 64;
/// What may be under way between gateway and consumer.
const CREDIT: pb::Credit = pb::Credit {
    events: 1_000,
    bytes: 16 * 1024 * 1024,
};
/// The most items of one transaction.
const LONGEST_RUN: usize = 100;
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
    pub(crate) attempts: Semaphore,
    instance: String,
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
}

/// Streams all partitions into `projection` as `consumer`, until `shutdown`; then what is being written is finished.
///
/// Connections, the gateway and the database may come and go: it tries again for ever, with growing waits. It returns
/// early only where log and checkpoint contradict each other (events missing between them, another epoch, a log that
/// was rewound): then nothing more is applied, an error is logged and `stats.stopped` is 1.
///
/// An event that cannot be applied is tried again for ever, and holds up its partition.
pub async fn consume<P: Projection>(
    config: Config,
    consumer: &'static str,
    db: Db,
    projection: P,
    stats: Arc<Stats>,
    shutdown: CancellationToken,
) {
    let channel = match counterfoil_chassis::client::channel(&config.gateway_url) {
        Ok(channel) => channel,
        Err(error) => {
            tracing::error!(consumer, error = %error, "the gateway's address cannot be used; no events will come");
            stats.stopped.store(1, Ordering::Relaxed);
            return;
        }
    };
    let mut client = EventServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let consumer = Consumer {
        name: consumer,
        db,
        projection,
        stats,
        attempts: Semaphore::new(ATTEMPTS_AT_ONCE),
        instance: config.instance,
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
                    "log and checkpoint contradict each other; the consumer stops until an operator has looked"
                );
                return;
            }
            Err(ended) => tracing::warn!(consumer = consumer.name, error = %ended, "no events come; trying again"),
        }
        let _ = tokio::time::timeout(backoff.next(), consumer.shutdown.cancelled()).await;
    }
}

/// A partition within a session.
struct Lane {
    /// The offset up to which items have arrived.
    arrived: i64,
    queue: VecDeque<Item>,
    /// Whether a run of it is under way.
    busy: bool,
}

/// What came out of a run.
struct Finished {
    partition: i32,
    items: Vec<Item>,
    done: Result<usize, Contradiction>,
}

impl<P: Projection> Consumer<P> {
    /// One stream from its opening to its end. `Ok` where the gateway ended it in order or we are shutting down.
    async fn session(&self, client: &mut Client, backoff: &mut Backoff) -> Result<(), Ended> {
        let checkpoints = self.checkpoints(client).await?;
        let (say, said) = mpsc::channel(256);
        let _ = say.send(message(Say::Start(self.start(&checkpoints)))).await;
        let _ = say.send(message(Say::Credit(CREDIT))).await;
        let mut heard = refused(client.subscribe(ReceiverStream::new(said)).await)?.into_inner();
        let epoch = self.welcome(&mut heard).await?;
        for at in &checkpoints {
            check_epoch(at, epoch)?;
        }
        backoff.reset();
        tracing::info!(consumer = self.name, epoch, "streaming events");

        let lanes = checkpoints.iter().map(|at| {
            let lane = Lane {
                arrived: at.log_offset,
                queue: VecDeque::new(),
                busy: false,
            };
            (at.partition, lane)
        });
        let over = CancellationToken::new();
        let mut lanes: HashMap<i32, Lane> = lanes.collect();
        let mut runs = FuturesUnordered::new();
        let mut ended = loop {
            let partition = tokio::select! {
                () = self.shutdown.cancelled() => break Ok(()),
                next = heard.message() => match self.hear(refused(next), &mut lanes, &say).await {
                    Ok(Some(partition)) => partition,
                    Ok(None) => continue,
                    Err(Leave::InOrder) => break Ok(()),
                    Err(Leave::With(ended)) => break Err(ended),
                },
                Some(finished) = runs.next() => match self.finish(finished, &say).await {
                    Ok(Some(partition)) => {
                        lanes.entry(partition).and_modify(|lane| lane.busy = false);
                        partition
                    }
                    Ok(None) => continue,
                    Err(contradiction) => break Err(contradiction.into()),
                },
            };
            runs.extend(self.begin(partition, &mut lanes, epoch, &over));
        };
        // What is being written is written to its end. Where only the stream is gone, what it had brought is worked off
        // too, or the next one brings it again and again; but nothing that fails is waited for.
        over.cancel();
        let stopping = self.shutdown.is_cancelled() || matches!(ended, Err(Ended::Contradiction(_)));
        while let Some(finished) = runs.next().await {
            match self.finish(finished, &say).await {
                Ok(Some(partition)) if !stopping => {
                    lanes.entry(partition).and_modify(|lane| lane.busy = false);
                    runs.extend(self.begin(partition, &mut lanes, epoch, &over));
                }
                Ok(_) => {}
                Err(contradiction) => ended = Err(contradiction.into()),
            }
        }
        ended
    }

    /// The next run of a partition, unless there is one under way or nothing to do.
    fn begin<'a>(
        &'a self,
        partition: i32,
        lanes: &mut HashMap<i32, Lane>,
        epoch: i64,
        over: &'a CancellationToken,
    ) -> Option<impl Future<Output = Finished> + Send + use<'a, P>> {
        let lane = lanes
            .get_mut(&partition)
            .filter(|lane| !lane.busy && !lane.queue.is_empty())?;
        lane.busy = true;
        let items = next_run(&mut lane.queue);
        Some(async move {
            let done = self.work_off(partition, &items, epoch, over).await;
            Finished { partition, items, done }
        })
    }

    fn start(&self, checkpoints: &[Checkpoint]) -> pb::Start {
        let position = |at: &Checkpoint| pb::PartitionPosition {
            partition: at.partition,
            after_offset: at.log_offset,
            after_event_id: at.event_id.clone(),
            epoch: at.epoch,
        };
        pb::Start {
            consumer: self.name.to_owned(),
            instance: self.instance.clone(),
            event_types: self.projection.event_types().iter().map(ToString::to_string).collect(),
            offsets: Some(pb::start::Offsets::OwnOffsets(pb::OwnOffsets {
                partitions: checkpoints.iter().map(position).collect(),
            })),
        }
    }

    /// Where the consumer stands, once everything up to there has been asked for with the present filter.
    async fn checkpoints(&self, client: &mut Client) -> Result<Vec<Checkpoint>, Ended> {
        let mut filter = self.projection.event_types().to_vec();
        filter.sort_unstable();
        let mut checkpoints = {
            let mut conn = self.db.conn().await?;
            checkpoint::ensure(&mut conn, self.name, PARTITIONS, &filter).await?;
            checkpoint::all(&mut conn, self.name).await?
        };
        for at in &mut checkpoints {
            if at.filter != filter {
                self.change_filter(client, at, &filter).await?;
            }
        }
        Ok(checkpoints)
    }

    async fn welcome(&self, heard: &mut Streaming<pb::SubscribeResponse>) -> Result<i64, Ended> {
        let first = tokio::select! {
            () = self.shutdown.cancelled() => return Err(Status::cancelled("shutting down").into()),
            first = heard.message() => refused(first)?,
        };
        match first.and_then(|response| response.message) {
            Some(Heard::Welcome(welcome)) => Ok(welcome.epoch),
            _ => Err(Ended::Protocol("no welcome".into())),
        }
    }

    /// Takes what the gateway said into its lane, and says which one.
    async fn hear(
        &self,
        heard: Result<Option<pb::SubscribeResponse>, Ended>,
        lanes: &mut HashMap<i32, Lane>,
        say: &mpsc::Sender<pb::SubscribeRequest>,
    ) -> Result<Option<i32>, Leave> {
        let response = heard?.ok_or(Leave::InOrder)?;
        let (partition, item) = match response.message {
            Some(Heard::Event(event)) => {
                self.stats.delivered.fetch_add(1, Ordering::Relaxed);
                let event = Event::try_from(event).map_err(|error| Ended::Protocol(error.to_string()))?;
                (event.partition, Item::Event(Box::new(event)))
            }
            Some(Heard::Progress(passed)) => {
                let (through, count) = (passed.through_offset, passed.count);
                (passed.partition, Item::Passed { through, count })
            }
            Some(Heard::Ping(ping)) => {
                let _ = say.send(message(Say::Pong(pb::Pong { nonce: ping.nonce }))).await;
                return Ok(None);
            }
            Some(Heard::Drain(_)) => return Err(Leave::InOrder),
            // A later gateway may say more than this release understands.
            Some(Heard::Welcome(_) | Heard::Assigned(_)) | None => return Ok(None),
        };
        let lane = lanes
            .get_mut(&partition)
            .ok_or_else(|| Ended::Protocol(format!("partition {partition} was not asked for")))?;
        // What came before may come again; nothing may be left out.
        if item.before() > lane.arrived {
            return Err(Leave::With(Ended::Contradiction(Contradiction::Gap {
                partition,
                checkpoint: lane.arrived,
                next: item.before().saturating_add(1),
            })));
        }
        lane.arrived = lane.arrived.max(item.last());
        lane.queue.push_back(item);
        Ok(Some(partition))
    }

    /// Acknowledges what is committed and gives back its credit. Says the partition if all of the run was done.
    async fn finish(
        &self,
        finished: Finished,
        say: &mpsc::Sender<pb::SubscribeRequest>,
    ) -> Result<Option<i32>, Contradiction> {
        let Finished { partition, items, done } = finished;
        let done = items.get(..done?).unwrap_or_default();
        if let Some(last) = done.last() {
            let ack = pb::Ack {
                partition,
                offset: last.last(),
                generation: 0,
            };
            // Where the stream is gone, the checkpoint alone says it.
            let _ = say.send(message(Say::Ack(ack))).await;
        }
        let bodies = || {
            done.iter().filter_map(|item| match item {
                Item::Event(event) => Some(event.body.len()),
                Item::Passed { .. } => None,
            })
        };
        let events = i64::try_from(bodies().count()).unwrap_or(i64::MAX);
        let bytes = i64::try_from(bodies().sum::<usize>()).unwrap_or(i64::MAX);
        if events > 0 {
            let credit = pb::Credit {
                events,
                bytes: bytes.max(1),
            };
            let _ = say.send(message(Say::Credit(credit))).await;
        }
        Ok((done.len() == items.len()).then_some(partition))
    }
}

/// Why a session is left.
enum Leave {
    InOrder,
    With(Ended),
}

impl From<Ended> for Leave {
    fn from(ended: Ended) -> Self {
        Leave::With(ended)
    }
}

/// Takes the items of the next transaction: none of them with the key of another.
fn next_run(queue: &mut VecDeque<Item>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut keys = HashSet::new();
    while items.len() < LONGEST_RUN
        && let Some(item) = queue.pop_front()
    {
        if let Item::Event(event) = &item
            && !keys.insert(event.key.clone())
        {
            queue.push_front(item);
            break;
        }
        items.push(item);
    }
    items
}

fn message(message: Say) -> pb::SubscribeRequest {
    pb::SubscribeRequest { message: Some(message) }
}

/// The log knows better than to stream from a position that is not one of its own.
pub(crate) fn refused<T>(answer: Result<T, Status>) -> Result<T, Ended> {
    answer.map_err(|status| match status.code() {
        Code::FailedPrecondition => Ended::Contradiction(Contradiction::Refused(status.message().to_owned())),
        _ => Ended::Stream(status),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;

    fn event(offset: i64, key: &str) -> Item {
        Item::Event(Box::new(Event {
            partition: 0,
            offset,
            event_id: format!("evt_{offset}"),
            event_type: "invoice.paid".into(),
            api_version: String::new(),
            account: String::new(),
            object_id: String::new(),
            key: key.into(),
            created: DateTime::UNIX_EPOCH,
            received: DateTime::UNIX_EPOCH,
            body: Bytes::new(),
            traceparent: String::new(),
        }))
    }

    #[test]
    fn a_run_ends_before_a_key_that_is_in_it() {
        let passed = Item::Passed { through: 3, count: 1 };
        let mut queue = VecDeque::from([event(1, "/a"), event(2, "/b"), passed, event(4, "/a"), event(5, "/c")]);
        let mut runs = Vec::new();
        while !queue.is_empty() {
            runs.push(next_run(&mut queue).iter().map(Item::last).collect::<Vec<_>>());
        }
        assert_eq!(runs, [vec![1, 2, 3], vec![4, 5]]);
    }

    #[test]
    fn a_run_is_never_longer_than_a_transaction_may_be() {
        let mut queue: VecDeque<Item> = (1..=250).map(|offset| event(offset, &offset.to_string())).collect();
        let mut lengths = Vec::new();
        while !queue.is_empty() {
            lengths.push(next_run(&mut queue).len());
        }
        assert_eq!(lengths, [100, 100, 50]);
    }
}
