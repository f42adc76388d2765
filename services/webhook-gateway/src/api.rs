//! `EventService`: the log, listed and streamed.

mod event;
mod positions;
mod stream;
mod subscription;

use std::sync::Arc;

use counterfoil_chassis::{Violations, status};
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::event_service_server::EventService;
use counterfoil_store::{Db, Error, page};
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::counters::Counters;
use crate::envelope::PARTITIONS;
use crate::log::head::Head;
use crate::log::read::{self, Filter, Range};
use crate::tailer;

/// The service.
pub(crate) struct Events {
    pub(crate) db: Db,
    pub(crate) heads: Arc<watch::Sender<Head>>,
    counters: Arc<Counters>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    pub(crate) streams: Arc<Semaphore>,
}

/// The most streams of one gateway.
const MAX_STREAMS: usize = 256;
/// Events of a page where the caller does not say, and at most.
const DEFAULT_PAGE: i32 = 100;
const MAX_PAGE: i32 = 1_000;
/// The bytes of bodies after which a page ends. With one body above it, a page stays under tonic's 4 MiB.
const PAGE_BYTES: i64 = 2 * 1024 * 1024;

impl Events {
    pub(crate) fn new(
        db: Db,
        heads: Arc<watch::Sender<Head>>,
        counters: Arc<Counters>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Events {
        Events {
            db,
            heads,
            counters,
            tasks,
            shutdown,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let (_, list) = counterfoil_chassis::accept::<_, List>(request)?;
        let range = Range {
            partition: list.partition,
            after: list.after,
            rows: list.size,
            bytes: if list.bodies { PAGE_BYTES } else { i64::MAX },
            bodies: list.bodies,
            filter: &Filter::default(),
        };
        let (rows, head) = self.read(range).await.map_err(|error| unavailable(&error))?;
        let last = rows.last().map(|row| row.log_offset);
        let more = last.filter(|last| head.last(list.partition).is_some_and(|head| *last < head));
        let next_page_token = more.map(|last| page::encode(&format!("{}:{last}", list.partition)));
        Ok(Response::new(pb::ListEventsResponse {
            events: rows.into_iter().map(Into::into).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn get_event(&self, request: Request<pb::GetEventRequest>) -> Result<Response<pb::GetEventResponse>, Status> {
        let (_, Get { account, event_id }) = counterfoil_chassis::accept::<_, Get>(request)?;
        let found = async {
            let mut conn = self.db.conn().await?;
            Ok(read::by_id(&mut conn, &account, &event_id).await?)
        };
        let row = found.await.map_err(|error: Error| unavailable(&error))?;
        let row = row.ok_or_else(|| status::not_found("event", &event_id))?;
        Ok(Response::new(pb::GetEventResponse {
            event: Some(row.into()),
        }))
    }

    type SubscribeStream = ReceiverStream<Result<pb::SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<pb::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Ok(Response::new(stream::open(self, request.into_inner())?))
    }

    async fn get_ingest_status(
        &self,
        _: Request<pb::GetIngestStatusRequest>,
    ) -> Result<Response<pb::GetIngestStatusResponse>, Status> {
        let head = tailer::read(&self.db).await.map_err(|error| unavailable(&error))?;
        Ok(Response::new(pb::GetIngestStatusResponse {
            received: self.counters.received.get(),
            stored: self.counters.stored.get(),
            duplicates: self.counters.duplicates.get(),
            refused: self.counters.refused.get(),
            quarantined: self.counters.quarantined.get(),
            failed: self.counters.failed.get(),
            epoch: head.epoch,
            last_offsets: head.last,
        }))
    }
}

impl Events {
    async fn read(&self, range: Range<'_>) -> Result<(Vec<read::Row>, Head), Error> {
        let mut conn = self.db.conn().await?;
        let rows = read::range(&mut conn, range).await?;
        // Behind the rows: what is new between the two makes one more page, not one too few.
        let head = crate::log::head::head(&mut conn).await?;
        Ok((rows, head))
    }
}

/// A request to list, with its fields in bounds.
struct List {
    partition: i32,
    after: i64,
    size: i64,
    bodies: bool,
}

impl TryFrom<pb::ListEventsRequest> for List {
    type Error = Violations;

    fn try_from(request: pb::ListEventsRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        violations.range("partition", request.partition, 0..PARTITIONS);
        violations.range("after_offset", request.after_offset, 0..);
        violations.range("page_size", request.page_size, 0..);
        let mut after = request.after_offset;
        if !request.page_token.is_empty() {
            match position_of(&request.page_token) {
                Some((partition, offset)) if partition == request.partition => after = offset,
                _ => violations.add("page_token", "must be the token of this partition's previous page"),
            }
        }
        violations.check()?;
        let size = if request.page_size == 0 {
            DEFAULT_PAGE
        } else {
            request.page_size.min(MAX_PAGE)
        };
        Ok(List {
            partition: request.partition,
            after,
            size: i64::from(size),
            bodies: !request.headers_only,
        })
    }
}

/// The partition and offset that a page token stands for.
fn position_of(token: &str) -> Option<(i32, i64)> {
    let key = page::decode(token).ok()?;
    let (partition, offset) = key.split_once(':')?;
    Some((
        partition.parse().ok()?,
        offset.parse().ok().filter(|offset| *offset >= 0)?,
    ))
}

/// A request for one event, with its fields in bounds.
struct Get {
    account: String,
    event_id: String,
}

impl TryFrom<pb::GetEventRequest> for Get {
    type Error = Violations;

    fn try_from(request: pb::GetEventRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        violations.length("event_id", &request.event_id, 1..=255);
        violations.length("account", &request.account, ..=255);
        for (field, text) in [("event_id", &request.event_id), ("account", &request.account)] {
            if text.contains('\0') {
                violations.add(field, "must not contain NUL");
            }
        }
        violations.check()?;
        Ok(Get {
            account: request.account,
            event_id: request.event_id,
        })
    }
}

/// The database did not answer, for whatever reason: a later call may fare better.
fn unavailable(error: &Error) -> Status {
    if error.is_transient() {
        tracing::warn!(error = %error, "the log could not be read");
        status::unavailable(std::time::Duration::from_secs(1), "LOG_UNAVAILABLE")
    } else {
        status::internal(error)
    }
}
