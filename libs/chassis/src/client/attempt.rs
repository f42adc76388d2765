//! One attempt of a call, which ends with a status whatever happens to the connection, and in time.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status, TimeoutExpired};
use tower::{Service, ServiceExt};

use crate::status;

type Request = http::Request<Body>;
type Response = http::Response<Body>;
type BoxError = Box<dyn Error + Send + Sync>;

/// Until when a request may wait for the whole of its answer. Among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

/// Makes attempts over a transport: a failure to connect, a lost connection and a deadline that has passed are answers with
/// a status. Waits for the transport within the attempt, so that the deadline bounds this, too.
#[derive(Debug, Clone)]
pub(crate) struct Attempts<S>(pub(crate) S);

impl<S> Service<Request> for Attempts<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let deadline = request.extensions().get::<Deadline>().copied();
        let answer = self.0.clone().oneshot(request);
        Box::pin(async move {
            let answered = tokio::select! {
                biased;
                () = passed(deadline) => return Ok(status::deadline_exceeded().into_http()),
                answered = answer => answered,
            };
            Ok(match (answered, deadline) {
                (Ok(response), None) => response,
                (Ok(response), Some(deadline)) => response.map(|body| bounded(body, deadline)),
                (Err(failure), _) => of_failure(failure.into()).into_http(),
            })
        })
    }
}

async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(Deadline(at)) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The body of an answer that may end halfway: then it ends with a status all the same.
fn bounded(body: Body, deadline: Deadline) -> Body {
    let timer = Box::pin(sleep_until(deadline.0));
    let frames = stream::unfold(Some((body, timer)), |state| async {
        let (mut body, mut timer) = state?;
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame?,
            () = &mut timer => return Some((Ok(trailers(&status::deadline_exceeded())), None)),
        };
        Some(match frame {
            Ok(frame) => (Ok::<_, Status>(frame), Some((body, timer))),
            Err(failure) => (Ok(trailers(&of_failure(failure.into()))), None),
        })
    });
    Body::new(StreamBody::new(frames))
}

fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = http::HeaderMap::new();
    // It fails on a message that fits in no header; the code and the details are there even then.
    let _ = status.add_header(&mut trailers);
    Frame::trailers(trailers)
}

/// What the transport's failure means. tonic takes a lost connection for UNKNOWN, INTERNAL or CANCELLED, by where it was
/// lost. Source of the codes: <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>.
fn of_failure(failure: BoxError) -> Status {
    if causes(&*failure).any(|cause| cause.is::<TimeoutExpired>()) {
        return status::deadline_exceeded();
    }
    let lost = causes(&*failure).any(|cause| {
        let left = cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_go_away);
        left || cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_canceled)
    });
    let status = Status::from_error(failure);
    if lost || status.code() == Code::Unknown {
        return Status::unavailable("the connection was lost");
    }
    status
}

fn causes<'a>(failure: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(failure), |cause| (*cause).source())
}
