//! A webhook receiver that verifies what it gets and answers as it is told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, AtomicU32, Ordering},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::client::{World, text};

pub(crate) const SECRET: &str = "whsec_receiver";

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    accepted: Mutex<Vec<Value>>,
    signatures: Mutex<Vec<String>>,
    failures_left: AtomicU32,
    failure: AtomicU16,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::failing(0).await
    }

    /// Answers the first `failures` deliveries with 503.
    pub(crate) async fn failing(failures: u32) -> Self {
        Self::failing_with(StatusCode::SERVICE_UNAVAILABLE, failures).await
    }

    /// Answers the first `failures` deliveries with this status.
    pub(crate) async fn failing_with(failure: StatusCode, failures: u32) -> Self {
        let seen = Arc::new(Seen {
            failures_left: AtomicU32::new(failures),
            failure: AtomicU16::new(failure.as_u16()),
            ..Seen::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(seen.clone());
        tokio::spawn(async move { axum_serve(listener, router).await });
        Self { url, seen }
    }

    pub(crate) async fn register(&self, world: &World, more: Value) -> Value {
        let mut body = json!({ "url": self.url, "secret": SECRET });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = world.control("webhook_endpoints", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// The events accepted, in order of arrival.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.seen.accepted.lock().unwrap().clone()
    }

    pub(crate) fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| text(&event["type"])).collect()
    }

    /// The signature header of every delivery, accepted or not.
    pub(crate) fn signatures(&self) -> Vec<String> {
        self.seen.signatures.lock().unwrap().clone()
    }
}

async fn axum_serve(listener: TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn receive(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    seen.signatures.lock().unwrap().push(signature.clone());
    if !is_genuine(&signature, &body) {
        return StatusCode::BAD_REQUEST;
    }
    let fails = seen
        .failures_left
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if fails.is_ok() {
        return StatusCode::from_u16(seen.failure.load(Ordering::SeqCst)).unwrap();
    }
    seen.accepted
        .lock()
        .unwrap()
        .push(serde_json::from_slice(&body).unwrap());
    StatusCode::OK
}

/// Whether one of the `v1` signatures is made with our secret.
pub(crate) fn is_genuine(header: &str, body: &[u8]) -> bool {
    let (timestamp, rest) = header.strip_prefix("t=").unwrap().split_once(',').unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    rest.split(',')
        .filter_map(|part| part.strip_prefix("v1="))
        .any(|signature| mac.clone().verify_slice(&hex::decode(signature).unwrap()).is_ok())
}

impl World {
    /// Waits until what is still to be delivered waits for its time.
    pub(crate) async fn rest(&self) -> Value {
        loop {
            let deliveries = self.look("deliveries").await;
            if deliveries["pending"] == deliveries["waiting"] {
                return deliveries;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until nothing is to be delivered any more.
    pub(crate) async fn settle(&self) {
        while self.look("deliveries").await["pending"] != 0 {
            tokio::task::yield_now().await;
        }
    }
}
