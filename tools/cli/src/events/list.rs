//! `counterfoil events list`. The service lists one partition forwards; the newest events of many are found by walking
//! all of them backwards, whichever has the newest event next.

use clap::Args;
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::event_service_client::EventServiceClient;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::{HEADER, as_json, of_type, row};
use crate::addresses::Service;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::services::{Channel, Services};

/// Events that are asked for at a time: at least so many, since a type may be rare, and at most what a page holds.
const LEAST: usize = 50;
const MOST: usize = 1_000;
/// Partitions that are read at once.
const AT_ONCE: usize = 8;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this partition, 0 to 63
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Starts behind this offset of the partition, rather than ending with the newest event
    #[arg(long, requires = "partition", value_name = "OFFSET")]
    after: Option<i64>,
    /// The most events to list
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only events of this type, "invoice.paid" or "invoice.*"; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
}

/// What was found.
struct Found {
    /// In the order they were stored.
    events: Vec<pb::Event>,
    /// Where to go on, where there may be more behind.
    next_after: Option<i64>,
}

pub(super) async fn run(arguments: Arguments, services: &Services, output: &mut Output) -> Result<(), Failure> {
    let log = Log {
        services,
        client: services.events()?,
    };
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let types = &arguments.types;
    let found = match (arguments.partition, arguments.after) {
        (Some(partition), Some(after)) => log.forwards(partition, after, limit, types).await?,
        (partition, _) => {
            let lanes = log.lanes(partition).await?;
            let events = log.backwards(lanes, limit, types).await?;
            Found {
                events,
                next_after: None,
            }
        }
    };
    match output.format {
        Format::Json => {
            let events: Vec<_> = found.events.iter().map(as_json).collect();
            output.json(&json!({"events": events, "next_after": found.next_after}))?;
        }
        Format::Table => {
            output.table(HEADER, found.events.iter().map(row).collect())?;
            if let Some(after) = found.next_after {
                eprintln!("there is more: --after {after}");
            }
        }
    }
    Ok(())
}

/// A partition that is walked backwards.
struct Lane {
    partition: i32,
    /// Everything above this offset has been read.
    down_to: i64,
    /// Read and not yet taken, by rising offset.
    events: Vec<pb::Event>,
}

impl Lane {
    /// When its newest event that was not taken was stored, in seconds and nanoseconds.
    fn newest(&self) -> Option<(i64, i32)> {
        let envelope = self.events.last()?.envelope.as_ref()?;
        let time = envelope.received_time.as_ref()?;
        Some((time.seconds, time.nanos))
    }
}

struct Log<'a> {
    services: &'a Services,
    client: EventServiceClient<Channel>,
}

impl Log<'_> {
    /// The first `limit` events of `types` behind `after`.
    async fn forwards(&self, partition: i32, after: i64, limit: usize, types: &[String]) -> Result<Found, Failure> {
        let mut events = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = self
                .page(partition, after, limit.clamp(LEAST, MOST), page_token)
                .await?;
            page_token = page.next_page_token;
            let mut read = page.events.into_iter();
            for event in read.by_ref() {
                let offset = event.offset;
                if of_type(&event, types) {
                    events.push(event);
                }
                if events.len() >= limit {
                    let more = read.len() > 0 || !page_token.is_empty();
                    return Ok(Found {
                        events,
                        next_after: more.then_some(offset),
                    });
                }
            }
            if page_token.is_empty() {
                return Ok(Found {
                    events,
                    next_after: None,
                });
            }
        }
    }

    /// The partitions asked for, where they have events.
    async fn lanes(&self, partition: Option<i32>) -> Result<Vec<Lane>, Failure> {
        let request = self.services.request(pb::GetIngestStatusRequest {});
        let answer = self.client.clone().get_ingest_status(request).await;
        let heads = self.services.answer(Service::Gateway, answer)?.last_offsets;
        if let Some(partition) = partition {
            // Only the service knows which partitions there are: it is asked about one that has no head.
            let head = usize::try_from(partition)
                .ok()
                .and_then(|place| heads.get(place).copied());
            if head.is_none() {
                self.page(partition, 0, 1, String::new()).await?;
            }
        }
        let lanes = (0..).zip(heads).map(|(partition, head)| Lane {
            partition,
            down_to: head,
            events: Vec::new(),
        });
        let asked_for = |lane: &Lane| partition.is_none_or(|partition| partition == lane.partition);
        Ok(lanes.filter(asked_for).collect())
    }

    /// The last `limit` events of `types` in all `lanes`, in the order they were stored.
    async fn backwards(&self, mut lanes: Vec<Lane>, limit: usize, types: &[String]) -> Result<Vec<pb::Event>, Failure> {
        let mut events = Vec::new();
        while events.len() < limit {
            lanes = stream::iter(lanes)
                .map(|lane| self.fill(lane, limit))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            let newest = lanes.iter_mut().max_by_key(|lane| lane.newest());
            let Some(event) = newest.and_then(|lane| lane.events.pop()) else {
                break;
            };
            if of_type(&event, types) {
                events.push(event);
            }
        }
        events.reverse();
        Ok(events)
    }

    /// Reads the events before those that were read, if all of those were taken.
    async fn fill(&self, mut lane: Lane, limit: usize) -> Result<Lane, Failure> {
        while lane.events.is_empty() && lane.down_to > 0 {
            let size = limit.clamp(LEAST, MOST);
            let after = lane
                .down_to
                .saturating_sub(i64::try_from(size).unwrap_or(i64::MAX))
                .max(0);
            let mut page_token = String::new();
            loop {
                let page = self.page(lane.partition, after, size, page_token).await?;
                // A page may be shorter than was asked for, and go beyond what is wanted once the log has grown.
                let beyond = page.events.last().is_none_or(|event| event.offset >= lane.down_to);
                let wanted = page.events.into_iter().filter(|event| event.offset <= lane.down_to);
                lane.events.extend(wanted);
                page_token = page.next_page_token;
                if beyond || page_token.is_empty() {
                    break;
                }
            }
            lane.down_to = after;
        }
        Ok(lane)
    }

    async fn page(
        &self,
        partition: i32,
        after_offset: i64,
        size: usize,
        page_token: String,
    ) -> Result<pb::ListEventsResponse, Failure> {
        let request = self.services.request(pb::ListEventsRequest {
            partition,
            after_offset,
            page_size: i32::try_from(size).unwrap_or(i32::MAX),
            page_token,
            headers_only: true,
            filter: None,
        });
        let answer = self.client.clone().list_events(request).await;
        self.services.answer(Service::Gateway, answer)
    }
}
