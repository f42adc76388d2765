//! The worker: completes the calls whose owners died, and deletes the claims that nobody can ask for any more.
//!
//! A claim holds its caller, its method and its request, so the worker makes the call again as that caller, in this process
//! and below the gate, which let it through when it came. The handler then finds the claim as any repeat does and takes it
//! over; nobody hears the answer, which is kept for the caller's next repeat.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_store::claim::{self, Operation, Orphan};
use counterfoil_store::{Db, Error};
use futures::future::join_all;
use http_body_util::Full;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::service::Routes;
use tower::ServiceExt;
use tower_http::add_extension::AddExtension;
use tracing::Instrument;

use crate::context::Call;
use crate::deadline::Bounded;
use crate::rules::Rules;

/// How many calls are made again at a time.
const CALLS: u32 = 8;
/// How many claims are deleted at a time.
const CLAIMS: u32 = 200;

/// What the worker needs.
pub(crate) struct Worker {
    pub(crate) db: Db,
    /// The service's own methods, each call bounded as those that come from outside.
    pub(crate) service: Bounded<AddExtension<Routes, Arc<Rules>>>,
    pub(crate) every: Duration,
    /// How often a call is made again before it is left to an operator.
    pub(crate) tries: u32,
}

impl Worker {
    /// Looks after the claims until `shutdown` is cancelled. Any number of workers may.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        while tokio::time::timeout(self.every, shutdown.cancelled()).await.is_err() {
            let looked = async {
                while self.resume().await? == CALLS && !shutdown.is_cancelled() {}
                while claim::expire(&self.db, CLAIMS).await? == CLAIMS && !shutdown.is_cancelled() {}
                Ok::<_, Error>(())
            };
            if let Err(error) = looked.await {
                tracing::warn!(%error, "claims could not be looked after");
            }
        }
    }

    /// Makes orphaned calls again; says how many were found.
    async fn resume(&self) -> Result<u32, Error> {
        let orphans = claim::orphans(&self.db, self.tries, CALLS).await?;
        let found = u32::try_from(orphans.len()).unwrap_or(CALLS);
        join_all(orphans.into_iter().map(|orphan| self.call_again(orphan))).await;
        Ok(found)
    }

    async fn call_again(&self, Orphan { operation, tries }: Orphan) {
        let Operation { method, key, .. } = &operation;
        if tries > self.tries {
            let operation = operation.claim_id();
            tracing::error!(%operation, method = &**method, %key, "an operation cannot be completed and is an operator's now");
            return;
        }
        let span =
            tracing::info_span!(parent: None, "resume", rpc.method = &**method, operation = %operation.claim_id());
        async {
            tracing::warn!(%key, tries, "an operation whose owner went silent is resumed");
            let told = match self.service.clone().oneshot(request(&operation)).await {
                Ok(response) => Status::from_header_map(response.headers()),
                Err(never) => match never {},
            };
            if let Some(status) = told.filter(|status| status.code() != tonic::Code::Ok) {
                tracing::warn!(%key, code = ?status.code(), "the resumed operation was answered with an error");
            }
        }
        .instrument(span)
        .await;
    }
}

/// The stored call as it came over the wire. Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
fn request(operation: &Operation) -> http::Request<Body> {
    let message = &operation.request;
    // No message is nearly as long: it came through our server.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let frame: Vec<u8> = [&[0], length.as_slice(), message].concat();
    let mut request = http::Request::new(Body::new(Full::new(Bytes::from(frame))));
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    // What was called once is a path.
    *request.uri_mut() = format!("/{}", operation.method).parse().unwrap_or_default();
    let content_type = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    request.extensions_mut().insert(Call {
        caller: operation.caller.clone(),
        method: operation.method.clone(),
    });
    request
}
