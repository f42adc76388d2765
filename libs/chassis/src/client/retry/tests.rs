//! The layer over a scripted transport, on a clock that stands still until everyone waits.

use std::collections::VecDeque;
use std::future::pending;

use counterfoil_proto::common::v1::ErrorReason;
use tonic_types::ErrorDetails;

use super::*;
use crate::client::attempt::Attempts;
use crate::status;

const CONFIG: &str = r#"{
  "methodConfig": [
    {
      "name": [{ "service": "a.v1.AService", "method": "Get" }],
      "timeout": "10s",
      "retryPolicy": {
        "maxAttempts": 3,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]
      }
    },
    { "name": [{ "service": "a.v1.AService", "method": "Create" }], "timeout": "10s" },
    { "name": [{ "service": "a.v1.AService", "method": "Subscribe" }] }
  ]
}"#;
const GET: &str = "/a.v1.AService/Get";

type Frames = Vec<Result<Frame<Bytes>, Status>>;

/// What the transport does with one attempt.
enum Answer {
    /// Trailers and nothing else.
    Status(Status),
    /// Headers and then these frames.
    Frames(Frames),
    /// Headers and then these frames; after them silence.
    Stalled(Frames),
    /// Never anything.
    Silence,
    /// The connection is lost.
    Lost,
}

/// What the transport was given.
struct Seen {
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<(VecDeque<Answer>, Vec<Seen>)>>);

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(Arc::new(Mutex::new((answers.into_iter().collect(), Vec::new()))))
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    async fn answer(self, request: Request) -> Result<Response, std::io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = {
            let (answers, seen) = &mut *self.0.lock().unwrap();
            seen.push(Seen {
                headers: parts.headers,
                body,
            });
            answers.pop_front().expect("no more attempts")
        };
        match answer {
            Answer::Status(status) => Ok(status.into_http()),
            Answer::Frames(frames) => Ok(Response::new(Body::new(StreamBody::new(stream::iter(frames))))),
            Answer::Stalled(frames) => {
                let frames = stream::iter(frames).chain(stream::pending());
                Ok(Response::new(Body::new(StreamBody::new(frames))))
            }
            Answer::Silence => pending().await,
            Answer::Lost => Err(std::io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Makes one call of `method` and reads the whole answer: its status, its data, and how long it took.
    async fn call(&self, config: &str, request: http::request::Builder, body: Body) -> (Status, Bytes, Duration) {
        let script = self.clone();
        let transport = tower::service_fn(move |request| script.clone().answer(request));
        let config = Arc::new(ServiceConfig::parse(config).unwrap());
        let begun = Instant::now();
        let channel = Retrying::new(Attempts(transport)).keeping(config);
        let response = channel.oneshot(request.body(body).unwrap()).await.unwrap();
        let told = Status::from_header_map(response.headers());
        let body = response.into_body().collect().await.unwrap();
        let told = told.or_else(|| Status::from_header_map(body.trailers()?));
        (told.unwrap_or_else(|| Status::ok("")), body.to_bytes(), begun.elapsed())
    }

    async fn get(&self) -> (Code, Duration) {
        let (status, _, took) = self.call(CONFIG, to(GET), message(b"request")).await;
        (status.code(), took)
    }
}

fn to(path: &str) -> http::request::Builder {
    http::Request::builder().uri(format!("http://server{path}"))
}

fn message(bytes: &'static [u8]) -> Body {
    Body::new(http_body_util::Full::new(Bytes::from_static(bytes)))
}

fn data(bytes: &'static [u8]) -> Result<Frame<Bytes>, Status> {
    Ok(Frame::data(Bytes::from_static(bytes)))
}

fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut headers = HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    Ok(Frame::trailers(headers))
}

/// UNAVAILABLE that leaves the wait to the client.
fn unavailable() -> Status {
    Status::unavailable("down")
}

fn pushing_back(ms: &str) -> Status {
    let mut status = unavailable();
    status
        .metadata_mut()
        .insert("grpc-retry-pushback-ms", ms.parse().unwrap());
    status
}

fn ok() -> Answer {
    Answer::Frames(vec![data(b"answer"), trailers(&Status::ok(""))])
}

fn asking(wait: Duration) -> Status {
    Status::with_error_details(Code::Unavailable, "down", ErrorDetails::with_retry_info(Some(wait)))
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_are_sent_until_an_attempt_succeeds() {
    let script = Script::new([Answer::Status(unavailable()), Answer::Lost, ok()]);
    let (status, answer, took) = script.call(CONFIG, to(GET), message(b"request")).await;
    assert_eq!((status.code(), &*answer), (Code::Ok, &b"answer"[..]));
    assert!(took <= Duration::from_millis(302), "backed off for {took:?}");

    let seen = script.seen();
    assert!(seen.iter().all(|attempt| attempt.body == "request"));
    let numbers: Vec<_> = seen
        .iter()
        .map(|seen| seen.headers.get("grpc-previous-rpc-attempts"))
        .collect();
    assert_eq!(
        numbers,
        [None, Some(&HeaderValue::from(1)), Some(&HeaderValue::from(2))]
    );
    let left: Vec<_> = seen
        .iter()
        .map(|seen| timeout(seen.headers["grpc-timeout"].to_str().unwrap()).unwrap())
        .collect();
    assert!(
        left.is_sorted_by(|before, after| after <= before) && left[0] == Duration::from_secs(10),
        "{left:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_attempts_failure_stands() {
    let script = Script::new([unavailable(), unavailable(), unavailable()].map(Answer::Status));
    assert_eq!(script.get().await.0, Code::Unavailable);
    assert_eq!(script.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn another_code_and_a_method_without_a_policy_are_not_repeated() {
    let script = Script::new([Answer::Status(Status::aborted("busy"))]);
    assert_eq!(script.get().await, (Code::Aborted, Duration::ZERO));

    let script = Script::new([Answer::Status(unavailable())]);
    let (status, ..) = script
        .call(CONFIG, to("/a.v1.AService/Create"), message(b"request"))
        .await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(script.seen()[0].headers.contains_key("grpc-timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_method_without_a_timeout_is_left_as_it_is() {
    for path in ["/a.v1.AService/Subscribe", "/b.v1.BService/Get"] {
        let script = Script::new([Answer::Status(unavailable())]);
        let (status, ..) = script.call(CONFIG, to(path), message(b"request")).await;
        assert_eq!(status.code(), Code::Unavailable);
        assert!(script.seen()[0].headers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_data_is_repeated_and_one_after_data_is_not() {
    let late = || trailers(&unavailable());
    let script = Script::new([Answer::Frames(vec![late()]), ok()]);
    assert_eq!(script.get().await.0, Code::Ok);

    let script = Script::new([Answer::Frames(vec![data(b"answer"), late()])]);
    assert_eq!(script.get().await, (Code::Unavailable, Duration::ZERO));

    let lost = || Err(Status::unknown("reset"));
    let script = Script::new([
        Answer::Frames(vec![lost()]),
        Answer::Frames(vec![data(b"answer"), lost()]),
    ]);
    assert_eq!(script.get().await.0, Code::Unavailable);
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_to_be_kept_is_sent_whole_and_once() {
    let parts = [&[1_u8; MAX_KEPT_BYTES][..], &[2], &[3; 1000]];
    for (count, attempts) in [(1, 2), (2, 1), (3, 1)] {
        let frames = stream::iter(parts.into_iter().take(count).map(data));
        let script = Script::new([Answer::Status(unavailable()), ok()]);
        script.call(CONFIG, to(GET), Body::new(StreamBody::new(frames))).await;
        let seen = script.seen();
        assert_eq!(seen.len(), attempts);
        assert!(seen.iter().all(|attempt| attempt.body == parts[..count].concat()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_waited_for_until_the_deadline() {
    for silence in [
        Answer::Silence,
        Answer::Stalled(vec![]),
        Answer::Stalled(vec![data(b"half")]),
    ] {
        let script = Script::new([silence]);
        let (status, _, took) = script.call(CONFIG, to(GET), message(b"request")).await;
        assert_eq!((status.code(), took), (Code::DeadlineExceeded, Duration::from_secs(10)));
        assert_eq!(status.get_details_error_info().unwrap().reason, "DEADLINE_EXCEEDED");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sooner_of_two_deadlines_counts() {
    for (asked, counts) in [("2S", 2), ("1H", 10)] {
        let script = Script::new([Answer::Silence]);
        let request = to(GET).header("grpc-timeout", asked);
        let (status, _, took) = script.call(CONFIG, request, message(b"request")).await;
        assert_eq!(
            (status.code(), took),
            (Code::DeadlineExceeded, Duration::from_secs(counts))
        );
        let sent = script.seen()[0].headers["grpc-timeout"].to_str().map(timeout).unwrap();
        assert_eq!(sent, Some(Duration::from_secs(counts)));
    }
}

#[tokio::test(start_paused = true)]
async fn all_attempts_share_one_deadline() {
    let nine = Duration::from_secs(9);
    let script = Script::new([Answer::Status(asking(nine)), Answer::Silence]);
    assert_eq!(script.get().await, (Code::DeadlineExceeded, Duration::from_secs(10)));
    assert_eq!(script.seen()[1].headers["grpc-timeout"], "1000000u");
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    for failure in [asking(Duration::from_secs(10)), pushing_back("10000")] {
        let script = Script::new([Answer::Status(failure)]);
        assert_eq!(script.get().await, (Code::Unavailable, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_says_how_long_to_wait() {
    let three = Duration::from_secs(3);
    for failure in [
        asking(three),
        pushing_back("3000"),
        status::unavailable(three, &ErrorReason::StripeUnavailable),
    ] {
        let script = Script::new([Answer::Status(failure), ok()]);
        assert_eq!(script.get().await, (Code::Ok, three));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_pushes_back_is_left_alone() {
    for never in ["-1", "soon"] {
        let script = Script::new([Answer::Status(pushing_back(never))]);
        assert_eq!(script.get().await, (Code::Unavailable, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_repeated() {
    let script = Script::new([Answer::Status(status::outcome_unknown("claim:create")), ok()]);
    assert_eq!(script.get().await, (Code::Ok, status::RETRY));
}

#[tokio::test(start_paused = true)]
async fn with_half_the_tokens_gone_nothing_is_repeated() {
    let throttling = r#"{ "retryThrottling": { "maxTokens": 2, "tokenRatio": 0.1 }, "methodConfig""#;
    let config = CONFIG.replacen("{\n  \"methodConfig\"", throttling, 1);
    let script = Script::new([Answer::Status(unavailable())]);
    let (status, ..) = script.call(&config, to(GET), message(b"request")).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(script.seen().len(), 1);
}

#[test]
fn failures_take_tokens_and_successes_give_them_back() {
    let throttle = Throttle::new(4.0, 0.5);
    assert!(throttle.failed());
    assert!(!throttle.failed(), "half is not enough");
    throttle.succeeded();
    throttle.succeeded();
    assert!(!throttle.failed());
    (0..100).for_each(|_| throttle.succeeded());
    assert_eq!(
        [(); 3].map(|()| throttle.failed()),
        [true, false, false],
        "there are never more than four"
    );
}

#[test]
fn a_wait_is_random_and_grows_to_its_bound() {
    let retry = Retry {
        max_attempts: 5,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 2.0,
        codes: vec![Code::Unavailable],
    };
    for (nth, most) in [(0, 100), (1, 200), (3, 800), (4, 1000), (i32::MAX, 1000)] {
        let waits: Vec<_> = (0..100).map(|_| retry.backoff(nth)).collect();
        assert!(
            waits.iter().all(|wait| *wait <= Duration::from_millis(most)),
            "{waits:?}"
        );
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
    }
}

#[test]
fn what_is_written_as_a_timeout_can_be_read() {
    for (written, read) in [
        (Duration::ZERO, Duration::ZERO),
        (Duration::from_nanos(1_999), Duration::from_micros(1)),
        (Duration::from_secs(99), Duration::from_secs(99)),
        (Duration::from_secs(3600), Duration::from_secs(3600)),
        (Duration::MAX, Duration::from_secs(99_999_999)),
    ] {
        assert_eq!(timeout(&grpc_timeout(written)), Some(read));
    }
}
