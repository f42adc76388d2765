//! `POST` to an endpoint's path: look at the headers, cap, verify, read the envelope, store, answer.
//!
//! A valid signature: stored durably, then 200. A bad one: 400. Too large: 413. Our failure: 503. Bodies of answers are
//! constant. Nothing of a delivery is logged but its event's id and type.

mod body;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_chassis::Clock;
use counterfoil_store::Db;
use counterfoil_stripe::webhook::{Header, Rejected};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{Instrument, Span};

use crate::committer::{NotStored, Outcome, Queue};
use crate::counters::{Counters, Verified};
use crate::delivery::Delivery;
use crate::endpoint::{Endpoint, Endpoints, Kind};
use crate::envelope::Envelope;
use crate::log::append::NewEvent;
use crate::log::quarantine::{self, Reason};

use body::Budget;
pub(crate) use server::serve;

/// The bytes of bodies that are being read or wait for the committer, all together.
const BUDGET_BYTES: usize = 16 * 1024 * 1024;

/// What a delivery needs on its way in.
pub(crate) struct Ingest {
    pub(crate) endpoints: watch::Receiver<Arc<Endpoints>>,
    pub(crate) queue: Queue,
    /// For the quarantine; events go through the queue.
    pub(crate) db: Db,
    pub(crate) counters: Arc<Counters>,
    verified: Verified,
    budget: Budget,
    /// Signatures are checked against the wall clock, even where time is virtual.
    wall: Clock,
}

/// Why a delivery is not answered with 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NoSuchEndpoint,
    NotPost,
    Encoded,
    TooLarge,
    TooSlow,
    BrokenOff,
    BadSignature,
    Unavailable,
}

impl Ingest {
    pub(crate) fn new(
        endpoints: watch::Receiver<Arc<Endpoints>>,
        queue: Queue,
        db: Db,
        counters: Arc<Counters>,
    ) -> Ingest {
        Ingest {
            endpoints,
            queue,
            db,
            counters,
            verified: Verified::new(),
            budget: Budget::new(BUDGET_BYTES),
            wall: Clock::system(),
        }
    }

    async fn receive(&self, request: Request) -> Result<Outcome, Refusal> {
        // What is in force when a delivery begins decides it.
        let endpoint = self.endpoints.borrow().get(request.uri().path()).cloned();
        let endpoint = &*endpoint.ok_or(Refusal::NoSuchEndpoint)?;
        if request.method() != Method::POST {
            return Err(Refusal::NotPost);
        }
        Span::current().record("endpoint", &endpoint.name);
        let (head, body) = request.into_parts();
        let encoding = head.headers.get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Refusal::Encoded);
        }
        let (signature, header) = self.signature(endpoint, &head.headers)?;
        let body = self.budget.read(body).await?;
        let now = self.wall.now();
        let (live, tolerance) = (endpoint.live(now), endpoint.tolerance);
        let secret_name = header
            .verify(&body.bytes, live, tolerance, now.timestamp())
            .map_err(|rejected| refused(endpoint, rejected))?;
        self.counters.received.add_one();
        self.verified.add_one(&endpoint.name, secret_name);
        Span::current().record("secret.name", secret_name);
        let delivery = Delivery {
            endpoint: endpoint.name.clone(),
            secret_name: secret_name.to_owned(),
            signature: signature.to_owned(),
            traceparent: counterfoil_telemetry::traceparent().unwrap_or_default(),
            body: body.bytes,
        };
        self.keep(endpoint, delivery, body.budget).await
    }

    /// The signature header, as it came and taken apart, if a delivery that is made now could have it. No other body is read.
    fn signature<'a>(&self, endpoint: &Endpoint, headers: &'a HeaderMap) -> Result<(&'a str, Header<'a>), Refusal> {
        let mut given = headers.get_all("stripe-signature").iter();
        let (Some(signature), None) = (given.next(), given.next()) else {
            return Err(refused(endpoint, Rejected::Malformed));
        };
        let signature = signature.to_str().map_err(|_| refused(endpoint, Rejected::Malformed))?;
        let now = self.wall.now().timestamp();
        let header = Header::parse(signature.as_bytes());
        let fresh = header.and_then(|header| header.fresh(endpoint.tolerance, now).map(|()| header));
        let header = fresh.map_err(|rejected| refused(endpoint, rejected))?;
        Ok((signature, header))
    }

    /// Puts a verified delivery where it belongs.
    async fn keep(
        &self,
        endpoint: &Endpoint,
        delivery: Delivery,
        budget: OwnedSemaphorePermit,
    ) -> Result<Outcome, Refusal> {
        let envelope = match Envelope::read(&delivery.body) {
            Ok(envelope) => envelope,
            Err(unreadable) => {
                tracing::error!(endpoint = endpoint.name, error = %unreadable, "an unreadable delivery is quarantined");
                return self.quarantine(Reason::Unreadable, &delivery).await;
            }
        };
        Span::current()
            .record("event.id", &envelope.event_id)
            .record("event.type", &envelope.event_type);
        if envelope.mode != endpoint.mode {
            tracing::error!(
                endpoint = endpoint.name,
                event.id = envelope.event_id,
                event.type = envelope.event_type,
                object.id = envelope.object_id,
                account = envelope.account,
                result = "quarantined",
                "an event of the {} mode came to an endpoint of the {} mode and is quarantined",
                envelope.mode,
                endpoint.mode
            );
            return self.quarantine(Reason::WrongMode, &delivery).await;
        }
        if (endpoint.kind == Kind::Connect) == envelope.account.is_empty() {
            tracing::warn!(
                endpoint = endpoint.name,
                event.id = envelope.event_id,
                account = envelope.account,
                "an event's account does not fit its endpoint's kind"
            );
        }
        let event = NewEvent {
            envelope,
            source: "webhook",
            delivery,
        };
        self.queue
            .store(event, budget)
            .await
            .map_err(|NotStored| Refusal::Unavailable)
    }

    async fn quarantine(&self, reason: Reason, delivery: &Delivery) -> Result<Outcome, Refusal> {
        let put = async {
            let mut conn = self.db.conn().await?;
            Ok::<(), counterfoil_store::Error>(quarantine::put(&mut conn, reason, delivery).await?)
        };
        match put.await {
            Ok(()) => {
                self.counters.quarantined.add_one();
                Ok(Outcome::Quarantined)
            }
            Err(error) => {
                tracing::error!(error = %error, "a delivery could not be quarantined");
                self.counters.failed.add_one();
                Err(Refusal::Unavailable)
            }
        }
    }
}

fn refused(endpoint: &Endpoint, rejected: Rejected) -> Refusal {
    tracing::info!(endpoint = endpoint.name, reason = %rejected, "a delivery's signature was refused");
    Refusal::BadSignature
}

/// One way in: where the endpoints are may change while they are served.
pub(crate) fn router(ingest: Arc<Ingest>) -> Router {
    Router::new().fallback(receive).with_state(ingest)
}

async fn receive(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    // A root of its own: whoever sends may write any trace context into the request.
    let span = tracing::info_span!(
        parent: None,
        "webhook",
        otel.kind = "server",
        // Only one of ours: the path may be anything.
        endpoint = tracing::field::Empty,
        secret.name = tracing::field::Empty,
        event.id = tracing::field::Empty,
        event.type = tracing::field::Empty,
    );
    match ingest.receive(request).instrument(span).await {
        Ok(Outcome::Stored) => "stored\n".into_response(),
        Ok(Outcome::Duplicate) => "known\n".into_response(),
        Ok(Outcome::Quarantined) => "quarantined\n".into_response(),
        Err(refusal) => {
            let known = !matches!(
                refusal,
                Refusal::NoSuchEndpoint | Refusal::NotPost | Refusal::Unavailable
            );
            if known {
                ingest.counters.refused.add_one();
            }
            refusal.into_response()
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::NotPost => {
                let text = "an endpoint takes POST\n";
                return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], text).into_response();
            }
            Refusal::NoSuchEndpoint => (StatusCode::NOT_FOUND, "no such endpoint\n"),
            Refusal::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "no content encoding is accepted\n"),
            Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
            Refusal::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
            Refusal::BrokenOff => (StatusCode::BAD_REQUEST, "the body is incomplete\n"),
            Refusal::BadSignature => (StatusCode::BAD_REQUEST, "the signature is not valid\n"),
            Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "not stored, try again\n"),
        }
        .into_response()
    }
}
