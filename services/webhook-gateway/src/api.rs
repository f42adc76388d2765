//! `EventService`: the log, listed and streamed; and `QuarantineService`.

mod event;
mod list;
mod positions;
pub(crate) mod quarantine;
mod stream;
mod subscription;
mod verify;

use std::sync::Arc;

use counterfoil_chassis::convert::timestamp;
use counterfoil_chassis::{Clock, Streamed, status};
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::ErrorReason;
use counterfoil_proto::event::v1::event_service_server::EventService;
use counterfoil_store::{Db, Error};
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::counters::Counters;
use crate::endpoint::Endpoints;
use crate::log::head::{Head, head, state};
use crate::log::read;

/// The service.
pub(crate) struct Events {
    pub(crate) db: Db,
    pub(crate) heads: Arc<watch::Sender<Head>>,
    counters: Arc<Counters>,
    endpoints: watch::Receiver<Arc<Endpoints>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    pub(crate) streams: Arc<Semaphore>,
}

/// The most streams of one gateway.
const MAX_STREAMS: usize = 256;
/// The bytes of bodies after which a page ends. With one body above it, a page stays under tonic's 4 MiB.
const PAGE_BYTES: i64 = 2 * 1024 * 1024;

impl Events {
    pub(crate) fn new(
        db: Db,
        heads: Arc<watch::Sender<Head>>,
        counters: Arc<Counters>,
        endpoints: watch::Receiver<Arc<Endpoints>>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Events {
        Events {
            db,
            heads,
            counters,
            endpoints,
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
        let (cx, request) = counterfoil_chassis::accept(request)?;
        Ok(Response::new(list::events(self, &cx, request).await?))
    }

    async fn get_event(&self, request: Request<pb::GetEventRequest>) -> Result<Response<pb::GetEventResponse>, Status> {
        let (_, pb::GetEventRequest { account, event_id }) = counterfoil_chassis::accept(request)?;
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

    async fn verify_event(
        &self,
        request: Request<pb::VerifyEventRequest>,
    ) -> Result<Response<pb::VerifyEventResponse>, Status> {
        let (_, pb::VerifyEventRequest { event_id, account }) = counterfoil_chassis::accept(request)?;
        let found = async {
            let mut conn = self.db.conn().await?;
            Ok(read::received(&mut conn, &account, &event_id).await?)
        };
        let received = found.await.map_err(|error: Error| unavailable(&error))?;
        let received = received.ok_or_else(|| status::not_found("event", &event_id))?;
        let endpoints = self.endpoints.borrow().clone();
        Ok(Response::new(verify::verdict(
            &endpoints,
            Clock::system().now(),
            &received,
        )))
    }

    type SubscribeStream = ReceiverStream<Result<pb::SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<pb::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let rules = Streamed::of(&request)?;
        Ok(Response::new(stream::open(self, rules, request.into_inner())?))
    }

    async fn get_ingest_status(
        &self,
        request: Request<pb::GetIngestStatusRequest>,
    ) -> Result<Response<pb::GetIngestStatusResponse>, Status> {
        let (_, pb::GetIngestStatusRequest {}) = counterfoil_chassis::accept(request)?;
        let read = async {
            let mut conn = self.db.conn().await?;
            let state = state(&mut conn).await?;
            Ok((state, head(&mut conn).await?))
        };
        let (state, head) = read.await.map_err(|error: Error| unavailable(&error))?;
        Ok(Response::new(pb::GetIngestStatusResponse {
            received: self.counters.received.get(),
            stored: self.counters.stored.get(),
            duplicates: self.counters.duplicates.get(),
            refused: self.counters.refused.get(),
            quarantined: self.counters.quarantined.get(),
            failed: self.counters.failed.get(),
            epoch: head.epoch,
            last_offsets: head.last,
            unhandled: self.counters.unhandled.get(),
            findings: self.counters.findings.get(),
            committer_lag: prost_types::Duration::try_from(self.counters.oldest.lag()).ok(),
            last_received_time: state.last_at.map(timestamp),
            months_ahead: state.months_ahead,
            quarantine_held: state.held,
            findings_kept: state.findings,
        }))
    }
}

/// The database did not answer, for whatever reason: a later call may fare better.
fn unavailable(error: &Error) -> Status {
    if error.is_transient() {
        tracing::warn!(error = %error, "the log could not be read");
        status::unavailable(status::RETRY, &ErrorReason::LogUnavailable)
    } else {
        status::internal(error)
    }
}
