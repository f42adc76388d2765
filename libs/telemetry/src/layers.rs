//! One span a gRPC call, on either side, named as OpenTelemetry says.
//! Source: <https://opentelemetry.io/docs/specs/semconv/rpc/grpc>.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::header::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::propagation::{TRACEPARENT, context, trace_id, trace_id_of, traceparent_of};

type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// Health checks come every second and belong to no trace.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// A span for every call that is served, the child of the one the caller names in `traceparent`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerLayer;

/// What [`ServerLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct ServerService<S>(S);

/// A span for every call that is made, whose context goes along as `traceparent`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientLayer;

/// What [`ClientLayer`] makes of a channel.
#[derive(Debug, Clone)]
pub struct ClientService<S>(S);

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService(inner)
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientService(inner)
    }
}

impl<S> Service<Request> for ServerService<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.uri().path().starts_with(HEALTH) {
            return Box::pin(self.0.call(request));
        }
        let parent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let parent = parent.and_then(context);
        // The trace's id is the caller's, or known once the span is there. A field that is recorded later has every other
        // field of the span formatted again, so the usual case does without.
        let known = parent.as_ref().map(trace_id);
        let span = span("server", request.uri().path(), known.as_deref());
        match parent {
            // The error only says that nothing traces.
            Some(parent) => drop(span.set_parent(parent)),
            None => {
                if let Some(id) = trace_id_of(&span) {
                    span.record("trace_id", id);
                }
            }
        }
        let begun = Instant::now();
        let answer = span.in_scope(|| self.0.call(request)).instrument(span.clone());
        Box::pin(async move {
            Ok(observed(answer.await?, move |code| {
                record(&span, code, failed_for_server(code));
                let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                let code = code_name(code);
                tracing::info!(parent: &span, elapsed_ms, rpc.response.status_code = code, "call answered");
            }))
        })
    }
}

impl<S> Service<Request> for ClientService<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let span = span("client", request.uri().path(), None);
        if let Some(context) = traceparent_of(&span).and_then(|context| HeaderValue::try_from(context).ok()) {
            request.headers_mut().insert(TRACEPARENT, context);
        }
        let answer = span.in_scope(|| self.0.call(request)).instrument(span.clone());
        Box::pin(async move {
            match answer.await {
                Ok(response) => Ok(observed(response, move |code| record(&span, code, code != Code::Ok))),
                Err(error) => {
                    record(&span, Code::Unavailable, true);
                    Err(error)
                }
            }
        })
    }
}

fn span(kind: &'static str, path: &str, trace_id: Option<&str>) -> Span {
    let method = method(path);
    tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = kind,
        rpc.system.name = "grpc",
        rpc.method = method,
        trace_id,
    )
}

/// The method by its full name; a path that is none is not repeated, as anyone can send anything.
fn method(path: &str) -> &str {
    let plain = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_';
        (1..=200).contains(&part.len()) && part.bytes().all(allowed)
    };
    path.strip_prefix('/')
        .filter(|method| {
            method
                .split_once('/')
                .is_some_and(|(service, name)| plain(service) && plain(name))
        })
        .unwrap_or("_OTHER")
}

/// Calls `ended` with the call's status, which stands in the headers or comes after the body; a span that `ended` holds lasts
/// until then.
fn observed(response: Response, ended: impl Fn(Code) + Send + 'static) -> Response {
    if let Some(code) = code(response.headers()) {
        ended(code);
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(code) = frame.trailers_ref().and_then(code) {
                ended(code);
            }
            frame
        }))
    })
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers
        .get("grpc-status")
        .map(|value| Code::from_bytes(value.as_bytes()))
}

/// Past the log's formatter, which would format the span's fields again; the log line has the code itself.
fn record(span: &Span, code: Code, failed: bool) {
    span.set_attribute("rpc.response.status_code", code_name(code));
    if failed {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}

/// On the server's side only what is the server's fault is an error.
fn failed_for_server(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// A code as gRPC's own documents write it. Source: <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_method_is_named() {
        assert_eq!(
            method("/counterfoil.tax.v1.TaxService/Get"),
            "counterfoil.tax.v1.TaxService/Get"
        );
        for wrong in [
            "",
            "/",
            "/a",
            "/a/",
            "//b",
            "/a/b/c",
            "/a b/c",
            "/ä/b",
            &format!("/a/{}", "b".repeat(201)),
        ] {
            assert_eq!(method(wrong), "_OTHER", "{wrong}");
        }
    }
}
