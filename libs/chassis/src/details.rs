//! Details for statuses that are not of our making.
//!
//! Tonic answers some calls itself, with a text of its own and no details: a method it does not know, a message it cannot
//! read. A caller decides by code and reason, so these get theirs here. Tonic tells the cases apart by text alone; the
//! tests provoke each of them, so that a release which words one otherwise is noticed.

use std::convert::Infallible;
use std::task::{Context, Poll};

use counterfoil_proto::common::v1::ErrorReason;
use futures::TryFutureExt;
use futures::future::MapOk;
use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Span;

use crate::status::{self, code_name};

type Response = http::Response<Body>;

/// Completes statuses without details, be they an answer's only headers or its trailers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DetailsLayer;

/// What [`DetailsLayer`] makes of a service.
#[derive(Debug, Clone)]
pub(crate) struct Detailed<S>(S);

impl<S> Layer<S> for DetailsLayer {
    type Service = Detailed<S>;

    fn layer(&self, inner: S) -> Detailed<S> {
        Detailed(inner)
    }
}

impl<S> Service<http::Request<Body>> for Detailed<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = MapOk<S::Future, fn(Response) -> Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request).map_ok(detailed)
    }
}

fn detailed(mut response: Response) -> Response {
    if response.headers().contains_key(Status::GRPC_STATUS) {
        complete(response.headers_mut());
        return response;
    }
    let span = Span::current();
    response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                span.in_scope(|| complete(trailers));
            }
            frame
        }))
    })
}

/// Puts a status of ours in the place of one without details.
fn complete(headers: &mut HeaderMap) {
    let ok = headers.get(Status::GRPC_STATUS).is_none_or(|code| code == "0");
    if ok || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return;
    }
    if let Some(bare) = Status::from_header_map(headers) {
        // It fails on a message that fits in no header, which ours do.
        let _ = of(bare.code(), bare.message()).add_header(headers);
    }
}

/// How tonic begins to say that what came is no message.
const MALFORMED: [&str; 4] = [
    "failed to decode Protobuf message",
    "protocol error: received message with",
    "Unexpected EOF decoding stream",
    "Error decompressing",
];

/// The status of ours that says what a bare one does, without its text: nobody can say what stands there.
fn of(code: Code, text: &str) -> Status {
    match code {
        Code::Unimplemented if text.starts_with("Content is compressed with") => {
            let message = "the message is compressed in a way that is not supported";
            reasoned(code, &ErrorReason::UnsupportedCompression, message)
        }
        Code::Unimplemented => reasoned(code, &ErrorReason::UnknownMethod, "there is no such method"),
        Code::Internal if text.starts_with("Missing request message") => {
            let message = "the request has no message";
            reasoned(Code::InvalidArgument, &ErrorReason::MissingMessage, message)
        }
        Code::Internal if MALFORMED.iter().any(|beginning| text.starts_with(beginning)) => {
            let message = "the message cannot be read";
            reasoned(Code::InvalidArgument, &ErrorReason::MalformedMessage, message)
        }
        Code::Internal | Code::Unknown | Code::DataLoss => {
            status::internal(&format!("a status {} without details", code_name(code)))
        }
        Code::Cancelled => reasoned(code, &ErrorReason::Cancelled, "the call was cancelled"),
        other => reasoned(other, &ErrorReason::Unexplained, other.description()),
    }
}

/// The message is longer than the server takes: RESOURCE_EXHAUSTED, `MESSAGE_TOO_LARGE`, with `limit_bytes` in the metadata.
pub(crate) fn too_large(limit_bytes: u32) -> Status {
    let metadata = [("limit_bytes".to_owned(), limit_bytes.to_string())];
    let message = format!("a message may have at most {limit_bytes} bytes");
    status::other(
        Code::ResourceExhausted,
        &ErrorReason::MessageTooLarge,
        &message,
        metadata,
    )
}

fn reasoned(code: Code, reason: &ErrorReason, message: &str) -> Status {
    status::other(code, reason, message, [])
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;
    use crate::status::DOMAIN;

    fn completed(status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        complete(&mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn a_status_that_anyone_made_gets_a_reason_and_loses_its_text() {
        for code in (1..=16).map(Code::from) {
            let status = completed(&Status::new(code, "select secret from customer"));
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.domain, DOMAIN, "{code:?}");
            assert!(!status.message().contains("secret"), "{code:?}");
            assert!(!status.message().is_empty(), "{code:?}");
        }
        let gone = completed(&Status::cancelled("x"));
        assert_eq!(gone.code(), Code::Cancelled);
        assert_eq!(gone.get_details_error_info().unwrap().reason, "CANCELLED");
    }

    #[test]
    fn a_status_of_ours_and_success_pass_as_they_are() {
        let ours = status::not_found("customer", "cus_1");
        let passed = completed(&ours);
        assert_eq!((passed.message(), passed.details()), (ours.message(), ours.details()));
        let ok = completed(&Status::ok(""));
        assert_eq!((ok.code(), ok.details()), (Code::Ok, &[][..]));
    }
}
