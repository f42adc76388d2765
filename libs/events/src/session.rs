//! A session: one stream for all partitions, from its opening to its end.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::subscribe_request::Message as Say;
use counterfoil_proto::event::v1::subscribe_response::Message as Heard;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::checkpoint::{self, Checkpoint};
use crate::consume::{Client, Consumer, Ended, PARTITIONS, refused};
use crate::lane::{Lane, Work};
use crate::run::{Backoff, Item, check_epoch};
use crate::{Event, Projection};

/// What may be under way between gateway and consumer.
const CREDIT: pb::Credit = pb::Credit {
    events: 1_000,
    bytes: 16 * 1024 * 1024,
};

/// Work that came to an end, and how many of its items are done.
struct Finished {
    partition: i32,
    work: Work,
    done: Result<usize, Ended>,
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

impl<P: Projection> Consumer<P> {
    /// One stream from its opening to its end. `Ok` where the gateway ended it in order or we are shutting down.
    /// `backoff` is reset once something was committed.
    pub(crate) async fn session(&self, client: &mut Client, backoff: &mut Backoff) -> Result<(), Ended> {
        let (ready, waiting) = self.checkpoints(client).await?;
        let (say, said) = mpsc::channel(256);
        let say = Line(say);
        say.send(Say::Start(self.start(&ready))).await;
        say.send(Say::Credit(CREDIT)).await;
        let mut heard = refused(client.subscribe(ReceiverStream::new(said)).await)?.into_inner();
        let epoch = self.welcome(&mut heard).await?;
        for at in ready.iter().chain(&waiting) {
            check_epoch(at, epoch)?;
        }
        self.has_streamed.store(true, Ordering::Relaxed);
        tracing::info!(consumer = self.name, epoch, "streaming events");

        let over = CancellationToken::new();
        let mut works = FuturesUnordered::new();
        let work = |(partition, work)| self.work(partition, work, client.clone(), epoch, &over);
        let mut lanes: HashMap<i32, Lane> = ready.iter().map(|at| (at.partition, Lane::new(at))).collect();
        lanes.extend(waiting.into_iter().map(|at| (at.partition, Lane::waiting(at))));
        works.extend(lanes.iter_mut().filter_map(begin).map(work));
        let mut ended = loop {
            let partition = tokio::select! {
                () = self.shutdown.cancelled() => break Ok(()),
                next = heard.message() => match self.hear(refused(next), &mut lanes, &say).await {
                    Ok(Some(partition)) => partition,
                    Ok(None) => continue,
                    Err(Leave::InOrder) => break Ok(()),
                    Err(Leave::With(ended)) => break Err(ended),
                },
                Some(finished) = works.next() => {
                    let partition = finished.partition;
                    match finish(finished, &mut lanes, epoch, &say).await {
                        Ok(done) if done > 0 => backoff.reset(),
                        Ok(_) => {}
                        Err(ended) => break Err(ended),
                    }
                    partition
                }
            };
            works.extend(
                lanes
                    .get_mut(&partition)
                    .and_then(|lane| begin((&partition, lane)))
                    .map(work),
            );
        };
        // What is being written is written to its end. Where only the stream is gone, what it had brought is worked off
        // too, or the next one brings it again and again; but nothing that fails is waited for.
        over.cancel();
        let stopping =
            self.shutdown.is_cancelled() || matches!(ended, Err(Ended::Contradiction(_) | Ended::OtherFilter(_)));
        while let Some(finished) = works.next().await {
            let partition = finished.partition;
            match finish(finished, &mut lanes, epoch, &say).await {
                Ok(done) => {
                    if done > 0 {
                        backoff.reset();
                    }
                    let lane = lanes.get_mut(&partition).filter(|lane| !stopping && !lane.is_failing());
                    works.extend(lane.and_then(|lane| begin((&partition, lane))).map(work));
                }
                Err(contradiction @ Ended::Contradiction(_)) => ended = Err(contradiction),
                Err(other) => ended = ended.and(Err(other)),
            }
        }
        ended
    }

    /// Where the consumer stands: the partitions that may be streamed, as everything up to there has been asked for with
    /// the present filter, and those where an event of the replay this takes fails.
    async fn checkpoints(&self, client: &mut Client) -> Result<(Vec<Checkpoint>, Vec<Checkpoint>), Ended> {
        let all = {
            let mut conn = self.db.conn().await?;
            checkpoint::ensure(&mut conn, self.name, PARTITIONS, &self.filter).await?;
            checkpoint::all(&mut conn, self.name).await?
        };
        let (mut ready, mut waiting, mut failed) = (Vec::new(), Vec::new(), None);
        for mut at in all {
            if at.filter == self.filter {
                ready.push(at);
                continue;
            }
            let changed = tokio::select! {
                () = self.shutdown.cancelled() => return Err(Status::cancelled("shutting down").into()),
                changed = self.change_filter(client, &mut at) => changed,
            };
            match changed {
                Ok(()) => ready.push(at),
                Err(Ended::Replay(error)) => {
                    self.replay_failed(at.partition, &error);
                    failed = Some(Ended::Replay(error));
                    waiting.push(at);
                }
                Err(ended) => return Err(ended),
            }
        }
        match failed {
            // A stream has at least one partition.
            Some(failed) if ready.is_empty() => Err(failed),
            _ => Ok((ready, waiting)),
        }
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
            event_types: self.filter.clone(),
            offsets: Some(pb::start::Offsets::OwnOffsets(pb::OwnOffsets {
                partitions: checkpoints.iter().map(position).collect(),
            })),
        }
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
        say: &Line,
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
                say.send(Say::Pong(pb::Pong { nonce: ping.nonce })).await;
                return Ok(None);
            }
            Some(Heard::Drain(_)) => return Err(Leave::InOrder),
            // A later gateway may say more than this release understands.
            Some(Heard::Welcome(_) | Heard::Assigned(_)) | None => return Ok(None),
        };
        let lane = lanes
            .get_mut(&partition)
            .ok_or_else(|| Ended::Protocol(format!("partition {partition} was not asked for")))?;
        match lane.take(item).map_err(Ended::from)? {
            None => Ok(Some(partition)),
            Some(unwanted) => {
                say.give_back([&unwanted]).await;
                Ok(None)
            }
        }
    }

    async fn work(
        &self,
        partition: i32,
        mut work: Work,
        mut client: Client,
        epoch: i64,
        over: &CancellationToken,
    ) -> Finished {
        let done = match &mut work {
            Work::Run { items, failing } => self.work_off(partition, items, epoch, failing, over).await,
            Work::ChangeFilter { at, backoff } => self.retry_filter(&mut client, at, backoff, over).await,
        };
        Finished { partition, work, done }
    }
}

fn begin((partition, lane): (&i32, &mut Lane)) -> Option<(i32, Work)> {
    Some((*partition, lane.begin()?))
}

/// Acknowledges what is committed and gives back its credit, and returns how many items that were.
///
/// A partition where something failed is left out of the stream, so that what waits there holds no credit, until all of
/// the run is done.
async fn finish(finished: Finished, lanes: &mut HashMap<i32, Lane>, epoch: i64, say: &Line) -> Result<usize, Ended> {
    let Finished { partition, work, done } = finished;
    let done = done?;
    let Some(lane) = lanes.get_mut(&partition) else {
        return Ok(done);
    };
    match work {
        Work::ChangeFilter { at, .. } if done > 0 => {
            lane.done();
            lane.stand_at(at.log_offset, &at.event_id);
            say.take_in(lane, epoch).await;
        }
        Work::ChangeFilter { .. } => lane.again(work),
        Work::Run { mut items, failing } => {
            let rest = items.split_off(done.min(items.len()));
            if lane.is_streamed() {
                if let Some(last) = items.last() {
                    say.ack(partition, last).await;
                }
                say.give_back(&items).await;
                if let Some(last) = rest.last() {
                    say.send(Say::Rebalance(pb::Rebalance {
                        add: vec![],
                        drop: vec![partition],
                    }))
                    .await;
                    say.give_back(rest.iter().chain(&lane.leave_out(last))).await;
                }
            }
            if !rest.is_empty() {
                lane.again(Work::Run { items: rest, failing });
                return Ok(done);
            }
            lane.done();
            if !lane.is_streamed() {
                say.take_in(lane, epoch).await;
                if let Some(last) = items.last() {
                    say.ack(partition, last).await;
                }
            }
        }
    }
    Ok(done)
}

/// The line to the gateway. Where the stream is gone, nobody hears, and the checkpoint alone says it.
struct Line(mpsc::Sender<pb::SubscribeRequest>);

impl Line {
    async fn send(&self, message: Say) {
        let _ = self.0.send(pb::SubscribeRequest { message: Some(message) }).await;
    }

    async fn ack(&self, partition: i32, last: &Item) {
        let ack = pb::Ack {
            partition,
            offset: last.last(),
            generation: 0,
        };
        self.send(Say::Ack(ack)).await;
    }

    async fn take_in(&self, lane: &mut Lane, epoch: i64) {
        let add = vec![lane.take_in(epoch)];
        self.send(Say::Rebalance(pb::Rebalance { add, drop: vec![] })).await;
    }

    /// Gives back what `items` took of the credit.
    async fn give_back<'a>(&self, items: impl IntoIterator<Item = &'a Item>) {
        let (mut events, mut bytes) = (0_i64, 0_i64);
        for item in items {
            if let Item::Event(event) = item {
                events = events.saturating_add(1);
                bytes = bytes.saturating_add(i64::try_from(event.body.len()).unwrap_or(i64::MAX));
            }
        }
        if events > 0 {
            let bytes = bytes.max(1);
            self.send(Say::Credit(pb::Credit { events, bytes })).await;
        }
    }
}
