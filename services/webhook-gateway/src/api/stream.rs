//! `Subscribe`: a task for each stream, between what the consumer says and what the log has.

use std::collections::VecDeque;
use std::time::Duration;

use counterfoil_chassis::convert::timestamp;
use counterfoil_chassis::{Clock, Streamed, Violations, status};
use counterfoil_proto::common::v1 as common;
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::ErrorReason;
use counterfoil_proto::event::v1::subscribe_request::Message as Heard;
use counterfoil_proto::event::v1::subscribe_response::Message as Say;
use counterfoil_store::Db;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::subscription::{Broken, LIMITS, Missing, READ_ROWS, Read, Subscription};
use super::{Events, positions, unavailable};
use crate::counters::Counters;
use crate::log::head::Head;
use crate::log::read::{self, Filter, Range};
use crate::tailer;

/// How long a consumer may take to say Start.
const START_TIME: Duration = Duration::from_secs(10);
/// How often a consumer is asked whether it is there. After two Pings without a Pong the stream ends.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a consumer gets at the end to say its last Acks.
const DRAIN: Duration = Duration::from_secs(2);
/// Messages between this task and the transport.
const OUTBOX: usize = 16;

type Out = mpsc::Sender<Result<pb::SubscribeResponse, Status>>;
type In = Streaming<pb::SubscribeRequest>;

/// Opens a stream. Everything else happens in a task of its own, as a call's deadline must not end it.
pub(super) fn open(
    events: &Events,
    rules: Streamed,
    heard: In,
) -> Result<ReceiverStream<Result<pb::SubscribeResponse, Status>>, Status> {
    let permit = events.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| status::rate_limited(Duration::from_secs(5)))?;
    let (out, outbox) = mpsc::channel(OUTBOX);
    let (db, shutdown) = (events.db.clone(), events.shutdown.clone());
    let heads = events.heads.subscribe();
    let counters = events.counters.clone();
    events.tasks.spawn(async move {
        let told = out.clone();
        let gone = out.clone();
        let ended = tokio::select! {
            ended = run(db, rules, heads, heard, out, &counters, shutdown) => ended,
            () = gone.closed() => Ok(()),
        };
        if let Err(status) = ended {
            // The consumer may be slow to read, but what it has not read is bounded; or it is gone.
            let _ = timeout(DRAIN, told.send(Err(status))).await;
        }
        drop(permit);
    });
    Ok(ReceiverStream::new(outbox))
}

async fn run(
    db: Db,
    rules: Streamed,
    heads: watch::Receiver<Head>,
    mut heard: In,
    out: Out,
    counters: &Counters,
    shutdown: CancellationToken,
) -> Result<(), Status> {
    let first = tokio::select! {
        () = shutdown.cancelled() => return Err(leaving()),
        first = timeout(START_TIME, heard.message()) => first.map_err(|_| broken(Broken("start", "must come first".into())))?,
    };
    let Some(first) = first? else { return Ok(()) };
    rules.check(&first)?;
    let Some(Heard::Start(start)) = first.message else {
        return Err(broken(Broken("start", "must come first".into())));
    };
    let (filter, own) = accept(&start)?;
    counters.handled.asks(&start.consumer, &filter);
    let head = tailer::read(&db).await.map_err(|error| unavailable(&error))?;
    let mut stream = Stream {
        subscription: Subscription::default(),
        say: VecDeque::new(),
        pings: Pings::default(),
        rules,
        filter,
        db,
        head,
    };
    stream.add("start.own_offsets.partitions", &own.partitions).await?;
    stream.say.push_back(Say::Welcome(pb::Welcome {
        epoch: stream.head.epoch,
        heads: stream.head.last.clone(),
        limits: Some(LIMITS),
    }));
    tracing::info!(
        consumer = start.consumer,
        instance = start.instance,
        partitions = own.partitions.len(),
        "a consumer streams"
    );
    stream.run(heads, heard, out, shutdown).await
}

/// A stream that was begun.
struct Stream {
    subscription: Subscription,
    /// What the consumer is to be told, oldest first: at most what one read gives.
    say: VecDeque<Say>,
    pings: Pings,
    rules: Streamed,
    filter: Filter,
    db: Db,
    head: Head,
}

#[derive(Default)]
struct Pings {
    last: i64,
    unanswered: u32,
}

impl Stream {
    async fn run(
        mut self,
        mut heads: watch::Receiver<Head>,
        mut heard: In,
        out: Out,
        shutdown: CancellationToken,
    ) -> Result<(), Status> {
        let first_ping = Instant::now().checked_add(PING_EVERY).unwrap_or_else(Instant::now);
        let mut ping = interval_at(first_ping, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.say.is_empty()
                && let Some(read) = self.subscription.next(&self.head)
            {
                self.read(&read).await?;
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                said = heard.message() => match said? {
                    Some(said) => self.hear(said).await?,
                    None => return Ok(()),
                },
                place = out.reserve(), if !self.say.is_empty() => match (place, self.say.pop_front()) {
                    (Ok(place), Some(say)) => {
                        self.subscription.sent(&say);
                        place.send(Ok(response(say)));
                    }
                    _ => return Ok(()),
                },
                moved = heads.changed(), if self.say.is_empty() => {
                    if moved.is_err() {
                        return Err(leaving());
                    }
                    let head = heads.borrow_and_update().clone();
                    self.follow(head).await?;
                }
                _ = ping.tick() => self.ping()?,
            }
        }
        self.drain(heard, out).await
    }

    /// Takes what the tailer saw. It may have looked before this stream did, so a step back is looked at again.
    async fn follow(&mut self, head: Head) -> Result<(), Status> {
        let odd = head.epoch != self.head.epoch || self.subscription.rewound(&head).is_some();
        let head = if odd {
            tailer::read(&self.db).await.map_err(|error| unavailable(&error))?
        } else {
            head
        };
        if head.epoch != self.head.epoch {
            return Err(positions::epoch_changed(self.head.epoch, head.epoch));
        }
        if let Some((partition, offset)) = self.subscription.rewound(&head) {
            return Err(positions::rewound(
                partition,
                offset,
                "the log went back while it was streamed",
            ));
        }
        self.head = head;
        Ok(())
    }

    async fn read(&mut self, read: &Read) -> Result<(), Status> {
        let range = Range {
            partition: read.partition,
            after: read.after,
            rows: READ_ROWS,
            bytes: read.bytes,
            bodies: true,
            filter: &self.filter,
        };
        let rows = async {
            let mut conn = self.db.conn().await?;
            Ok(read::range(&mut conn, range).await?)
        };
        let rows = rows
            .await
            .map_err(|error: counterfoil_store::Error| unavailable(&error))?;
        self.subscription
            .take(read, rows, &mut self.say)
            .map_err(|Missing { partition, offset }| {
                tracing::error!(partition, offset, "the log lacks an offset below its head");
                let metadata = [
                    ("partition".to_owned(), partition.to_string()),
                    ("offset".to_owned(), offset.to_string()),
                ];
                let message = format!("partition {partition}: the log lacks offset {offset}");
                status::other(Code::DataLoss, &ErrorReason::OffsetMissing, &message, metadata)
            })
    }

    async fn hear(&mut self, said: pb::SubscribeRequest) -> Result<(), Status> {
        self.rules.check(&said)?;
        match said.message {
            Some(Heard::Credit(credit)) => self.subscription.credit(credit).map_err(broken),
            Some(Heard::Ack(ack)) => self.subscription.ack(&ack).map_err(broken),
            Some(Heard::Pong(pong)) => {
                if pong.nonce == self.pings.last {
                    self.pings.unanswered = 0;
                }
                Ok(())
            }
            Some(Heard::Rebalance(rebalance)) => {
                for partition in rebalance.drop {
                    self.subscription.drop(partition).map_err(broken)?;
                    let (dropped, kept) = self.say.drain(..).partition(|say| partition_of(say) == Some(partition));
                    self.say = kept;
                    self.subscription.give_back(&dropped);
                }
                self.add("rebalance.add", &rebalance.add).await
            }
            Some(Heard::Start(_)) => Err(broken(Broken("start", "must come once".into()))),
            Some(Heard::Nack(_)) => {
                let description = "is for kept offsets: a consumer that keeps its own decides itself when to try again";
                Err(broken(Broken("nack", description.into())))
            }
            // A later release may say more than this one understands.
            None => Ok(()),
        }
    }

    async fn add(&mut self, field: &str, added: &[pb::PartitionPosition]) -> Result<(), Status> {
        let after = positions::check(&self.db, &self.head, field, added).await?;
        for (partition, after) in after {
            if self.subscription.has(partition) {
                let description = format!("partition {partition} is in the stream already");
                return Err(broken(Broken("rebalance.add", description)));
            }
            self.subscription.add(partition, after);
        }
        Ok(())
    }

    fn ping(&mut self) -> Result<(), Status> {
        if self.pings.unanswered >= 2 {
            return Err(Status::unavailable("two pings were not answered"));
        }
        self.pings.unanswered = self.pings.unanswered.saturating_add(1);
        self.pings.last = self.pings.last.saturating_add(1);
        self.say.push_back(Say::Ping(pb::Ping { nonce: self.pings.last }));
        Ok(())
    }

    /// Says that the end is near, then only listens: until the consumer has said its last, or for a moment.
    async fn drain(self, mut heard: In, out: Out) -> Result<(), Status> {
        let deadline = Clock::system()
            .now()
            .checked_add_signed(chrono::TimeDelta::from_std(DRAIN).unwrap_or_default());
        let drain = Say::Drain(pb::Drain {
            deadline_time: deadline.map(timestamp),
        });
        let drained = timeout(DRAIN, async {
            let _ = out.send(Ok(response(drain))).await;
            while let Some(said) = heard.message().await? {
                if let Some(Heard::Ack(ack)) = said.message {
                    self.subscription.ack(&ack).map_err(broken)?;
                }
            }
            Ok::<(), Status>(())
        });
        match drained.await {
            Ok(ended) => ended,
            Err(_) => Err(leaving()),
        }
    }
}

/// The filter and the positions of a Start that keeps the rules of its proto.
fn accept(start: &pb::Start) -> Result<(Filter, &pb::OwnOffsets), Status> {
    match &start.offsets {
        Some(pb::start::Offsets::OwnOffsets(own)) => Ok((Filter::new(&start.event_types), own)),
        Some(pb::start::Offsets::KeptOffsets(_)) => {
            let message = "this release keeps no offsets for consumers: keep them yourself and send own_offsets";
            Err(status::other(
                Code::Unimplemented,
                &ErrorReason::KeptOffsetsNotServed,
                message,
                [],
            ))
        }
        None => Err(broken(Broken("start.offsets", "is required".into()))),
    }
}

fn partition_of(say: &Say) -> Option<i32> {
    match say {
        Say::Event(event) => Some(event.partition),
        Say::Progress(progress) => Some(progress.partition),
        _ => None,
    }
}

fn response(message: Say) -> pb::SubscribeResponse {
    pb::SubscribeResponse { message: Some(message) }
}

/// INVALID_ARGUMENT for a consumer that does not keep to the protocol.
fn broken(Broken(field, description): Broken) -> Status {
    let mut violations = Violations::default();
    violations.add(field, description);
    status::invalid_for(&ErrorReason::StreamProtocol, violations)
}

/// UNAVAILABLE, `SHUTTING_DOWN`: another gateway, or this one started again, goes on.
fn leaving() -> Status {
    status::unavailable(status::RETRY, &common::ErrorReason::ShuttingDown)
}
