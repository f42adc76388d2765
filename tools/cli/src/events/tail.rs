//! `counterfoil events tail`: a consumer that keeps its offsets in memory.

use std::time::Duration;

use clap::Args;
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::subscribe_request::Message as Say;
use counterfoil_proto::event::v1::subscribe_response::Message as Heard;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{as_json, row};
use crate::addresses::Service;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::services::Services;

/// What the gateway may send ahead.
const CREDIT: pb::Credit = pb::Credit {
    events: 256,
    bytes: 4 * 1024 * 1024,
};
/// The first wait before a lost stream is opened again; doubled each time up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only events of this type, "invoice.paid" or "invoice.*"; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Begins with the oldest event, rather than with the next one
    #[arg(long)]
    from_start: bool,
    /// Ends after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Where a stream ended.
enum End {
    /// All that was asked for was printed.
    Done,
    /// The gateway left, or the way to it was cut.
    Lost(Status),
}

/// How far it got.
struct Tail {
    types: Vec<String>,
    epoch: i64,
    /// The last offset of each partition that was printed or passed over.
    positions: Vec<i64>,
    left: Option<u64>,
    wait: Duration,
}

pub(super) async fn run(arguments: Arguments, services: &Services, output: &mut Output) -> Result<(), Failure> {
    let request = services.request(pb::GetIngestStatusRequest {});
    let answer = services.events()?.get_ingest_status(request).await;
    let log = services.answer(Service::Gateway, answer)?;
    let mut tail = Tail {
        types: arguments.types,
        epoch: log.epoch,
        positions: log.last_offsets,
        left: arguments.limit,
        wait: FIRST_WAIT,
    };
    if arguments.from_start {
        tail.positions.fill(0);
    }
    // To end by Ctrl-C is what was asked for: whoever runs this in a script is told that it went well.
    tokio::select! {
        ended = tail.follow(services, output) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

impl Tail {
    /// Streams, and opens the stream again where it was lost.
    async fn follow(&mut self, services: &Services, output: &mut Output) -> Result<(), Failure> {
        loop {
            match self.stream(services, output).await? {
                End::Done => return Ok(()),
                End::Lost(status) => {
                    let failure = services.failure(Service::Gateway, status);
                    eprintln!("{}", failure.text().unwrap_or_default());
                    eprintln!("trying again in {:?}", self.wait);
                    tokio::time::sleep(self.wait).await;
                    self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// One stream, from where the last one ended.
    async fn stream(&mut self, services: &Services, output: &mut Output) -> Result<End, Failure> {
        // The gateway always listens, also while it cannot speak, so that a full channel is soon empty again.
        let (say, said) = mpsc::channel(8);
        for message in [Say::Start(self.start()), Say::Credit(CREDIT)] {
            let _ = say.send(request(message)).await;
        }
        // Without a deadline: it goes on until somebody ends it.
        let opened = services.events()?.subscribe(ReceiverStream::new(said)).await;
        let mut heard = match opened {
            Ok(answer) => answer.into_inner(),
            Err(status) => return lost(services, status),
        };
        loop {
            let message = match heard.message().await {
                Ok(Some(message)) => message.message,
                Ok(None) => return lost(services, Status::unavailable("the stream ended")),
                Err(status) => return lost(services, status),
            };
            let answer = match message {
                Some(Heard::Event(event)) => {
                    print(&event, output)?;
                    self.passed(event.partition, event.offset);
                    self.left = self.left.map(|left| left.saturating_sub(1));
                    if self.left == Some(0) {
                        return Ok(End::Done);
                    }
                    let bytes = i64::try_from(event.body.len()).unwrap_or(i64::MAX).max(1);
                    Some(Say::Credit(pb::Credit { events: 1, bytes }))
                }
                Some(Heard::Progress(progress)) => {
                    self.passed(progress.partition, progress.through_offset);
                    None
                }
                Some(Heard::Ping(ping)) => Some(Say::Pong(pb::Pong { nonce: ping.nonce })),
                Some(Heard::Welcome(_)) => {
                    self.wait = FIRST_WAIT;
                    None
                }
                // It will end the stream; what a later release says besides is nothing to us.
                Some(Heard::Drain(_) | Heard::Assigned(_)) | None => None,
            };
            if let Some(answer) = answer {
                // When the other end is gone, the stream says so next.
                let _ = say.send(request(answer)).await;
            }
        }
    }

    fn start(&self) -> pb::Start {
        let partitions = (0..)
            .zip(&self.positions)
            .map(|(partition, after_offset)| pb::PartitionPosition {
                partition,
                after_offset: *after_offset,
                after_event_id: String::new(),
                epoch: self.epoch,
            });
        pb::Start {
            consumer: "cli".to_owned(),
            instance: format!("cli-{}", std::process::id()),
            event_types: self.types.clone(),
            offsets: Some(pb::start::Offsets::OwnOffsets(pb::OwnOffsets {
                partitions: partitions.collect(),
            })),
        }
    }

    fn passed(&mut self, partition: i32, offset: i64) {
        let place = usize::try_from(partition).ok();
        if let Some(position) = place.and_then(|place| self.positions.get_mut(place)) {
            *position = offset;
        }
    }
}

/// Whether it is worth trying again: a gateway that is killed looks UNKNOWN or CANCELLED to its consumers.
fn lost(services: &Services, status: Status) -> Result<End, Failure> {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::ResourceExhausted => Ok(End::Lost(status)),
        _ => Err(services.failure(Service::Gateway, status)),
    }
}

fn print(event: &pb::Event, output: &mut Output) -> std::io::Result<()> {
    match output.format {
        Format::Json => output.json_line(&as_json(event)),
        Format::Table => output.line(&row(event)),
    }
}

fn request(message: Say) -> pb::SubscribeRequest {
    pb::SubscribeRequest { message: Some(message) }
}
