//! Calls by a service config: a deadline for all attempts together, and the same bytes again after a failure that passes.
//! Source: <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use counterfoil_telemetry::code_name;
use futures::{StreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

use super::attempt::Deadline;
use super::config::{Method, ServiceConfig};
use crate::deadline::timeout;

type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// The largest message that is kept to be sent again.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// When a method's failures are followed by another attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retry {
    /// The first one counted.
    pub(crate) max_attempts: u32,
    pub(crate) initial_backoff: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) backoff_multiplier: f64,
    pub(crate) codes: Vec<Code>,
}

/// Keeps retries from becoming a storm: each failure takes a token, each success gives a part of one back, and nothing is
/// repeated while no more than half of them are left.
#[derive(Debug)]
pub(crate) struct Throttle {
    max_tokens: f64,
    token_ratio: f64,
    tokens: Mutex<f64>,
}

/// Calls as the service config says, where there is one.
#[derive(Debug, Clone)]
pub(crate) struct Retrying<S> {
    inner: S,
    config: Option<Arc<ServiceConfig>>,
}

impl<S> Retrying<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, config: None }
    }

    pub(crate) fn keeping(self, config: Arc<ServiceConfig>) -> Self {
        Self {
            inner: self.inner,
            config: Some(config),
        }
    }
}

impl<S> Service<Request> for Retrying<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Each attempt waits for it anew.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let inner = self.inner.clone();
        match self.config.clone() {
            Some(config) => Box::pin(call(inner, config, request)),
            None => Box::pin(inner.oneshot(request)),
        }
    }
}

async fn call<S>(inner: S, config: Arc<ServiceConfig>, request: Request) -> Result<Response, Infallible>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone,
{
    let Some(Method {
        timeout: Some(limit),
        retry,
    }) = config.method(request.uri().path())
    else {
        return inner.oneshot(request).await;
    };
    let (mut parts, body) = request.into_parts();
    let deadline = deadline(&parts.headers, *limit);
    parts.extensions.insert(Deadline(deadline));
    let kept = match retry {
        Some(retry) => kept(body).await.map(|bytes| (retry, bytes)),
        None => Err(body),
    };
    match kept {
        Ok((retry, bytes)) => repeat(inner, retry, config.throttle.as_ref(), &parts, deadline, &bytes).await,
        Err(body) => inner.oneshot(attempt(&parts, deadline, 0, body)).await,
    }
}

/// The caller's deadline or the method's, whichever is sooner.
fn deadline(headers: &HeaderMap, limit: Duration) -> Instant {
    let asked = headers
        .get("grpc-timeout")
        .and_then(|value| timeout(value.to_str().ok()?));
    let now = Instant::now();
    now.checked_add(asked.map_or(limit, |asked| asked.min(limit)))
        .unwrap_or(now)
}

/// Makes attempts until one succeeds or its failure stands.
async fn repeat<S>(
    inner: S,
    retry: &Retry,
    throttle: Option<&Throttle>,
    parts: &Parts,
    deadline: Instant,
    bytes: &Bytes,
) -> Result<Response, Infallible>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone,
{
    let mut previous = 0;
    let mut backoffs = 0;
    loop {
        let body = StreamBody::new(stream::iter([Ok::<_, Infallible>(Frame::data(bytes.clone()))]));
        let answer = inner
            .clone()
            .oneshot(attempt(parts, deadline, previous, Body::new(body)));
        let (failure, response) = looked_at(answer.await?).await;
        previous = previous.saturating_add(1);

        let Some(failure) = failure else {
            throttle.inspect(|throttle| throttle.succeeded());
            return Ok(response);
        };
        if !retry.codes.contains(&failure.code()) {
            return Ok(response);
        }
        let calm = throttle.is_none_or(Throttle::failed);
        let wait = match pushback(&failure) {
            Some(Pushback::Never) => return Ok(response),
            Some(Pushback::After(wait)) => {
                backoffs = 0;
                wait
            }
            None => {
                let wait = retry.backoff(backoffs).max(retry_delay(&failure));
                backoffs = backoffs.saturating_add(1);
                wait
            }
        };
        // A failure that is known now is worth more to the caller than DEADLINE_EXCEEDED later.
        let in_time = wait < deadline.saturating_duration_since(Instant::now());
        if !calm || !in_time || previous >= retry.max_attempts {
            return Ok(response);
        }
        tracing::info!(
            rpc.method = parts.uri.path().trim_start_matches('/'),
            rpc.response.status_code = code_name(failure.code()),
            previous_attempts = previous,
            wait = ?wait,
            "a call is made again"
        );
        sleep(wait).await;
    }
}

/// The request as attempt number `previous + 1` sends it.
fn attempt(parts: &Parts, deadline: Instant, previous: u32, body: Body) -> Request {
    let mut request = Request::from_parts(parts.clone(), body);
    let headers = request.headers_mut();
    let left = deadline.saturating_duration_since(Instant::now());
    if let Ok(left) = HeaderValue::try_from(grpc_timeout(left)) {
        headers.insert("grpc-timeout", left);
    }
    if previous > 0 {
        headers.insert("grpc-previous-rpc-attempts", previous.into());
    }
    request
}

/// Writes what [`timeout`] reads.
fn grpc_timeout(left: Duration) -> String {
    const MOST: u128 = 99_999_999;
    match (left.as_micros(), left.as_millis()) {
        (micros, _) if micros <= MOST => format!("{micros}u"),
        (_, millis) if millis <= MOST => format!("{millis}m"),
        _ => format!("{}S", u128::from(left.as_secs()).min(MOST)),
    }
}

/// The whole message, or the body as it was where it is too large to be kept, or cannot be read.
async fn kept(mut body: Body) -> Result<Bytes, Body> {
    let mut read: Vec<Bytes> = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let size = frame.as_ref().ok().and_then(|frame| frame.data_ref().map(Bytes::len));
        length = length.saturating_add(size.unwrap_or(usize::MAX));
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) if length <= MAX_KEPT_BYTES => read.push(data),
            frame => {
                let frame = frame.map(|data| data.map_or_else(|other| other, Frame::data));
                let begun = stream::iter(read).map(|data| Ok(Frame::data(data)));
                let rest = stream::iter([frame]).chain(BodyStream::new(body));
                return Err(Body::new(StreamBody::new(begun.chain(rest))));
            }
        }
    }
    Ok(read.concat().into())
}

/// The failure that an answer tells before any data, and the answer as it was. What begins with data is a success here: its
/// status comes too late for another attempt.
async fn looked_at(response: Response) -> (Option<Status>, Response) {
    let failure = |headers: &HeaderMap| Status::from_header_map(headers).filter(|status| status.code() != Code::Ok);
    if response.headers().contains_key("grpc-status") {
        return (failure(response.headers()), response);
    }
    // A proxy's answer. Source: <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>.
    if matches!(response.status().as_u16(), 429 | 502..=504) {
        return (Some(Status::unavailable("a proxy has refused the call")), response);
    }
    let (parts, mut body) = response.into_parts();
    let first = body.frame().await;
    let failure = match &first {
        Some(Ok(frame)) => frame.trailers_ref().and_then(failure),
        Some(Err(status)) => Some(status.clone()),
        None => None,
    };
    let frames = stream::iter(first).chain(BodyStream::new(body));
    (failure, Response::from_parts(parts, Body::new(StreamBody::new(frames))))
}

/// What a server asks of a client that would repeat.
#[derive(Debug, PartialEq)]
enum Pushback {
    Never,
    After(Duration),
}

fn pushback(failure: &Status) -> Option<Pushback> {
    let asked = failure.metadata().get("grpc-retry-pushback-ms")?;
    let wait = asked.to_str().ok().and_then(|text| text.parse().ok());
    Some(wait.map_or(Pushback::Never, |ms| Pushback::After(Duration::from_millis(ms))))
}

/// The least wait that the failure's `google.rpc.RetryInfo` asks for.
fn retry_delay(failure: &Status) -> Duration {
    let info = failure.get_details_retry_info();
    info.and_then(|info| info.retry_delay).unwrap_or_default()
}

impl Retry {
    /// The wait after `nth` waits before it: at random, at most as long as it has grown to.
    fn backoff(&self, nth: i32) -> Duration {
        let grown = self.initial_backoff.as_secs_f64() * self.backoff_multiplier.powi(nth);
        let most = grown.min(self.max_backoff.as_secs_f64());
        Duration::try_from_secs_f64(most * rand::random::<f64>()).unwrap_or(self.max_backoff)
    }
}

impl Throttle {
    pub(crate) fn new(max_tokens: f64, token_ratio: f64) -> Self {
        Self {
            max_tokens,
            token_ratio,
            tokens: Mutex::new(max_tokens),
        }
    }

    fn succeeded(&self) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens + self.token_ratio).min(self.max_tokens);
    }

    /// Says whether the call may be repeated.
    fn failed(&self) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens - 1.0).max(0.0);
        *tokens > self.max_tokens / 2.0
    }
}

#[cfg(test)]
mod tests;
