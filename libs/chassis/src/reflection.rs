//! `grpc.reflection.v1`: the services and their messages, listed to whoever asks.
//!
//! Tonic's stream lasts as long as its client wants, and an orderly end would wait for it; here the questions end with a
//! token, and the answers with them.

use std::task::{Context, Poll};

use futures::StreamExt;
use http_body_util::{BodyStream, StreamBody};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

/// Adds reflection of `services`, of health and of itself, until `end` is cancelled. `descriptors` are the services'.
pub(crate) fn add(
    routes: Routes,
    descriptors: &'static [u8],
    services: &[&str],
    end: CancellationToken,
) -> anyhow::Result<Routes> {
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection");
    for service in services {
        reflection = reflection.with_service_name(*service);
    }
    let inner = reflection.build_v1()?;
    Ok(routes.add_service(Until { end, inner }))
}

/// A service whose callers have nothing more to say once `end` is cancelled.
#[derive(Debug, Clone)]
struct Until<S> {
    end: CancellationToken,
    inner: S,
}

impl<S: NamedService> NamedService for Until<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Until<S>
where
    S: Service<http::Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let end = self.end.clone().cancelled_owned();
        self.inner.call(request.map(|body| {
            let frames = BodyStream::new(body).take_until(end);
            Body::new(StreamBody::new(frames))
        }))
    }
}
