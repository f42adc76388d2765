//! Answers as faults have them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Frame, SizeHint};

use super::{
    answer::{Reply, cut, respond},
    error::ApiError,
};
use crate::{
    app::App,
    control::faults::{AnswerFault, AnswerFaultKind},
};

/// What is answered in place of a call that is not executed, or whose answer is lost.
pub(super) fn instead(app: &App, fault: &AnswerFault, sent: &HeaderMap, request_id: &str) -> Option<Response> {
    match fault.kind {
        AnswerFaultKind::ResetBefore => Some(cut()),
        AnswerFaultKind::Html502 => Some(bad_gateway()),
        AnswerFaultKind::Status => {
            let mut error = ApiError::injected(fault.status.unwrap_or(500));
            if let Some(code) = &fault.code {
                error = error.code(code);
            }
            if let Some(seconds) = fault.retry_after {
                error = error.header("retry-after", seconds.to_string());
            }
            let reply = Reply::refusal(&error, error.body().to_string());
            Some(respond(app, sent, request_id, reply))
        }
        _ => None,
    }
}

/// What is answered after the call was executed.
pub(super) fn after(app: &App, fault: &AnswerFault, sent: &HeaderMap, request_id: &str, reply: Reply) -> Response {
    match fault.kind {
        AnswerFaultKind::ResetAfter => cut(),
        AnswerFaultKind::Truncated => {
            let torn = Torn::new(&reply.body);
            let mut response = respond(app, sent, request_id, reply);
            *response.body_mut() = Body::new(torn);
            response
        }
        AnswerFaultKind::Error500Cached | AnswerFaultKind::Hang => respond(app, sent, request_id, reply),
        _ => instead(app, fault, sent, request_id).unwrap_or_else(cut),
    }
}

/// A proxy's page, without any of Stripe's headers.
fn bad_gateway() -> Response {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>\
                </center>\r\n</body>\r\n</html>\r\n";
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// A body that ends halfway, though the length it told was the whole one.
struct Torn {
    half: Option<Bytes>,
    whole: u64,
    waited: bool,
}

impl Torn {
    fn new(body: &str) -> Self {
        let half = body.as_bytes().iter().take(body.len() / 2).copied().collect();
        Self {
            half: Some(half),
            whole: u64::try_from(body.len()).unwrap_or_default(),
            waited: false,
        }
    }
}

impl hyper::body::Body for Torn {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.waited {
            // What was given is flushed when there is nothing more for the moment.
            self.waited = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.whole)
    }
}
