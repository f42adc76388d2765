//! Answers with the headers Stripe gives them.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{error::ApiError, version};
use crate::{app::App, world::API_VERSION};

/// Put into a response's extensions to close the connection instead of sending it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutConnection;

/// What goes back, before it has the headers that every answer has.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub(super) fn new(status: u16, body: String) -> Self {
        Self {
            status,
            body,
            headers: Vec::new(),
        }
    }

    pub(super) fn refusal(error: &ApiError, body: String) -> Self {
        Self {
            headers: error.headers.clone(),
            ..Self::new(error.status, body)
        }
    }
}

/// No answer: the connection is closed.
pub(super) fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CutConnection);
    response
}

pub(super) fn respond(app: &App, sent: &HeaderMap, request_id: &str, reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let version = sent
        .get("stripe-version")
        .filter(|version| version.to_str().is_ok_and(version::is_dated))
        .cloned()
        .unwrap_or(HeaderValue::from_static(API_VERSION));
    headers.insert("stripe-version", version);
    for name in ["idempotency-key", "stripe-account"] {
        if let Some(value) = sent.get(name) {
            headers.insert(name, value.clone());
        }
    }
    if matches!(reply.status, 409 | 429) {
        headers.insert("stripe-should-retry", HeaderValue::from_static("true"));
    }
    let date = http_date(app.world().clock.now());
    let own = [("request-id", request_id.to_owned()), ("date", date)];
    for (name, value) in own.into_iter().chain(reply.headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Unix seconds as an HTTP date.
pub(crate) fn http_date(at: i64) -> String {
    chrono::DateTime::from_timestamp(at, 0)
        .map(|time| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}
