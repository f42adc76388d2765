//! A process's telemetry, from `init` to the end, with a collector.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    missing_docs,
    reason = "a test"
)]

use std::convert::Infallible;

use counterfoil_telemetry::{Config, init, set_parent, traceparent};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_traced_reaches_the_collector_when_the_guard_is_dropped_whatever_is_logged() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let collector = tower::service_fn(move |request: http::Request<Body>| {
        let sender = sender.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            sender.send((path, body)).unwrap();
            Ok::<_, Infallible>(Status::ok("").into_http::<Body>())
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Server::builder().serve_with_incoming(collector, TcpIncoming::from(listener)));

    let config = Config {
        log: "off".to_owned(),
        otlp_endpoint: Some(endpoint),
        ..Config::default()
    };
    let guard = init("test-service", &config).unwrap();
    let span = tracing::info_span!("work that was done");
    set_parent(&span, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let context = span.in_scope(traceparent).unwrap();
    assert!(context.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{context}");
    drop(span);
    assert!(init("test-service", &config).is_err(), "a process has one subscriber");
    tokio::task::spawn_blocking(move || drop(guard)).await.unwrap();

    let (path, body) = received.recv().await.unwrap();
    assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert!(contains(&body, b"test-service") && contains(&body, b"work that was done"));
    let trace_id = [
        0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c,
    ];
    assert!(contains(&body, &trace_id));
}
