//! A server that records what it is sent and answers by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use counterfoil_stripe::{Client, Config};
use counterfoil_types::Mode;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

/// What came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) body: String,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn key(&self) -> &str {
        self.header("idempotency-key").expect("an idempotency key")
    }
}

/// What goes out.
pub(crate) enum Answer {
    /// A status, headers and a body.
    Of(u16, &'static [(&'static str, &'static str)], String),
    /// The connection breaks in the middle of the answer.
    Broken,
    /// Nothing, ever.
    Silence,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
}

#[derive(Clone)]
pub(crate) struct Fake {
    script: Arc<Mutex<Script>>,
    url: String,
}

impl Fake {
    /// Answers with `answers`, one after the other, and then with [`customer`].
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script {
            answers: answers.into_iter().collect(),
            seen: Vec::new(),
        }));
        let router = Router::new().fallback(handle).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Fake { script, url }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    /// A client with two retries and hardly a pause.
    pub(crate) fn client(&self) -> Client {
        client(&self.url)
    }
}

pub(crate) fn client(url: &str) -> Client {
    Client::new(&Config {
        secret_key: "sk_test_canary".into(),
        mode: Mode::Test,
        base_url: url.to_owned(),
        timeout_ms: 5_000,
        retries: 2,
        backoff_ms: 1,
    })
    .unwrap()
}

/// A client that is soon tired of waiting.
pub(crate) fn impatient(fake: &Fake) -> Client {
    Client::new(&Config {
        secret_key: "sk_test_canary".into(),
        mode: Mode::Test,
        base_url: fake.url.clone(),
        timeout_ms: 50,
        retries: 1,
        backoff_ms: 1,
    })
    .unwrap()
}

pub(crate) fn customer(id: &str) -> Answer {
    Answer::Of(200, &[("request-id", "req_1")], customer_json(id))
}

fn customer_json(id: &str) -> String {
    format!(r#"{{"id": "{id}", "object": "customer", "created": 1, "livemode": false, "email": "ada@example.com"}}"#)
}

pub(crate) fn error(status: u16, headers: &'static [(&'static str, &'static str)], kind: &str, code: &str) -> Answer {
    let body = format!(r#"{{"error": {{"type": "{kind}", "code": "{code}", "message": "about ada@example.com"}}}}"#);
    Answer::Of(status, headers, body)
}

async fn handle(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let answer = {
        let mut script = script.lock().unwrap();
        script.seen.push(Seen {
            line: format!("{} {}", head.method, head.uri),
            body: String::from_utf8(body.to_vec()).unwrap(),
            headers: head.headers,
        });
        script.answers.pop_front().unwrap_or_else(|| customer("cus_1"))
    };
    match answer {
        Answer::Of(status, headers, body) => {
            let headers = headers.iter().copied();
            let headers: HeaderMap = headers
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
        }
        Answer::Broken => {
            let half: [Result<Bytes, std::io::Error>; 2] =
                [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("broken"))];
            Body::from_stream(futures::stream::iter(half)).into_response()
        }
        Answer::Silence => std::future::pending().await,
    }
}
