//! The deadline of a call, and how long its work lasts: a caller who leaves, or who has waited long enough, changes nothing
//! about the work.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use counterfoil_store::budget;
use futures::{FutureExt, StreamExt};
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use crate::context::Deadline;
use crate::status;

type Response = http::Response<Body>;

/// Answers DEADLINE_EXCEEDED in time and INTERNAL after a panic; the calls that run are counted in `calls`.
#[derive(Debug, Clone)]
pub(crate) struct DeadlineLayer {
    /// For a caller who names no deadline.
    pub(crate) default: Duration,
    /// For a caller who would wait longer.
    pub(crate) max: Duration,
    /// For work that takes its own time once it has begun, whoever waits.
    pub(crate) work: Duration,
    pub(crate) calls: TaskTracker,
}

/// What [`DeadlineLayer`] makes of a service.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<S> {
    layer: DeadlineLayer,
    inner: S,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded {
            layer: self.clone(),
            inner,
        }
    }
}

impl DeadlineLayer {
    fn allowance(&self, headers: &http::HeaderMap) -> Duration {
        let asked = headers
            .get("grpc-timeout")
            .and_then(|value| timeout(value.to_str().ok()?));
        asked.unwrap_or(self.default).min(self.max)
    }
}

impl<S> Service<http::Request<Body>> for Bounded<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let allowance = self.layer.allowance(request.headers());
        let now = Instant::now();
        let deadline = now.checked_add(allowance).unwrap_or(now);
        request.extensions_mut().insert(Deadline(deadline));
        let timer = tokio::time::sleep_until(deadline);
        let span = Span::current();
        let work = budget::scope(deadline, self.layer.work, self.inner.call(request));
        let work = AssertUnwindSafe(work).catch_unwind();
        let mut work = Lasting::new(self.layer.calls.track_future(work), span.clone());
        Box::pin(async move {
            tokio::select! {
                biased;
                done = &mut work => match done {
                    Ok(answer) => answer.map(|response| guarded(response, span)),
                    // The panic's message may repeat the value it choked on; where it was stands in the log already.
                    Err(_) => Ok(status::internal(&"a handler panicked").into_http()),
                },
                () = timer => Ok(status::deadline_exceeded().into_http()),
            }
        })
    }
}

/// Work that is dropped before its end goes on in a task of its own. To begin it in one would wake another thread for every
/// call, though few are left before they end.
struct Lasting<T: Send + 'static> {
    /// `None` once it has ended.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// Where it belongs, also when it is alone.
    span: Span,
}

impl<T: Send + 'static> Lasting<T> {
    fn new(work: impl Future<Output = T> + Send + 'static, span: Span) -> Self {
        let work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
        Self { work: Some(work), span }
    }
}

impl<T: Send + 'static> Future for Lasting<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else {
            return Poll::Pending;
        };
        let done = std::task::ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(done)
    }
}

impl<T: Send + 'static> Drop for Lasting<T> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work.instrument(self.span.clone()));
        }
    }
}

/// A stream that panics ends as a handler does that panics, not with a reset.
fn guarded(response: Response, span: Span) -> Response {
    if response.headers().contains_key("grpc-status") {
        return response;
    }
    response.map(|body| {
        let frames = AssertUnwindSafe(BodyStream::new(body)).catch_unwind();
        let frames = frames.map(move |frame| {
            frame.unwrap_or_else(|_| {
                let status = span.in_scope(|| status::internal(&"a stream panicked"));
                let mut trailers = http::HeaderMap::new();
                // It fails on a message that fits in no header, which this one does.
                let _ = status.add_header(&mut trailers);
                Ok(Frame::trailers(trailers))
            })
        });
        Body::new(StreamBody::new(frames))
    })
}

/// Reads `grpc-timeout`: at most eight digits and a unit.
/// Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
pub(crate) fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        "M" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tonic::Status;

    use super::*;

    #[test]
    fn a_timeout_has_digits_and_a_unit_and_everything_else_is_ignored() {
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(timeout("2M"), Some(Duration::from_secs(120)));
        assert_eq!(timeout("3S"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("250u"), Some(Duration::from_micros(250)));
        assert_eq!(timeout("0n"), Some(Duration::ZERO));
        for wrong in ["", "S", "1", "-1S", "+1S", "1s", "100000000S", "1.5S", "1é"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_panics_ends_with_an_error_id() {
        let frames = futures::stream::iter([1, 2]).map(|number| match number {
            1 => Ok::<_, Infallible>(Frame::data(tonic::codegen::Bytes::from_static(b"one"))),
            _ => panic!("the stream is cursed"),
        });
        let body = Body::new(StreamBody::new(frames));
        let guarded = guarded(http::Response::new(body), Span::none()).into_body();
        let collected = guarded.collect().await.unwrap();
        let status = Status::from_header_map(collected.trailers().unwrap()).unwrap();
        assert_eq!(status.code(), tonic::Code::Internal);
        assert!(status.message().starts_with("internal error err_"), "{status}");
        assert_eq!(collected.to_bytes(), "one");
    }

    #[test]
    fn the_callers_deadline_is_capped_and_defaulted() {
        let layer = DeadlineLayer {
            default: Duration::from_secs(10),
            max: Duration::from_secs(60),
            work: Duration::ZERO,
            calls: TaskTracker::new(),
        };
        let mut headers = http::HeaderMap::new();
        assert_eq!(layer.allowance(&headers), Duration::from_secs(10));
        headers.insert("grpc-timeout", "2S".parse().unwrap());
        assert_eq!(layer.allowance(&headers), Duration::from_secs(2));
        headers.insert("grpc-timeout", "1H".parse().unwrap());
        assert_eq!(layer.allowance(&headers), Duration::from_secs(60));
    }
}
