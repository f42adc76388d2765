//! How many connections there are, and how they end.

use std::time::Duration;

use counterfoil_test_support::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw::{Raw, asking_for};
use crate::service::{GET, Served, config, take};

/// Far more than anything here takes.
const BOUND: Duration = Duration::from_secs(30);

/// A client's first words in HTTP/2, with which it has said nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn an_old_connection_takes_no_more_calls_and_ends_when_those_in_flight_have() {
    let mut config = config();
    config.server.connections.max_age_ms = 300;
    let served = Served::new(config).await;
    let raw = Raw::connect(served.running.addr).await;
    let call = tokio::spawn(raw.call(GET, &[], asking_for("acct_slow")));
    take(&served.probe.begun).await;
    eventually("the connection to take no more calls", async || {
        raw.call(GET, &[], asking_for("acct_1")).await.err()
    })
    .await;
    assert!(!call.is_finished());
    served.probe.release.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap()["grpc-status"], "0");
    // The client would keep it.
    timeout(BOUND, raw.connection).await.unwrap().unwrap().unwrap();
    served.end().await;
}

#[tokio::test]
async fn a_call_that_outlasts_the_grace_of_an_old_connection_is_cut_off() {
    let mut config = config();
    config.server.connections.max_age_ms = 300;
    config.server.connections.age_grace_ms = 30;
    let served = Served::new(config).await;
    let raw = Raw::connect(served.running.addr).await;
    let call = tokio::spawn(raw.call(GET, &[], asking_for("acct_slow")));
    take(&served.probe.begun).await;
    timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    // As ever, the work goes on.
    served.probe.release.add_permits(1);
    take(&served.probe.completed).await;
    served.end().await;
}

#[tokio::test]
async fn one_connection_more_than_there_may_be_is_closed_at_once() {
    let mut config = config();
    config.server.connections.max = 1;
    let served = Served::new(config).await;
    let first = Raw::connect(served.running.addr).await;
    first.call(GET, &[], asking_for("acct_1")).await.unwrap();
    let mut second = TcpStream::connect(served.running.addr).await.unwrap();
    let read = timeout(BOUND, second.read(&mut [0])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");

    first.call(GET, &[], asking_for("acct_1")).await.unwrap();
    drop(first);
    eventually("room for another", async || {
        let next = Raw::connect(served.running.addr).await;
        next.call(GET, &[], asking_for("acct_1")).await.ok()
    })
    .await;
    served.end().await;
}

#[tokio::test]
async fn a_client_that_never_begins_to_speak_is_let_go() {
    let mut config = config();
    config.server.connections.handshake_ms = 30;
    let served = Served::new(config).await;
    let mut silent = TcpStream::connect(served.running.addr).await.unwrap();
    silent.write_all(&PREFACE[..10]).await.unwrap();
    let mut heard = Vec::new();
    let _ = timeout(BOUND, silent.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.is_empty());
    served.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_let_go() {
    let mut config = config();
    config.server.connections.keepalive_ms = 20;
    config.server.connections.keepalive_timeout_ms = 20;
    let served = Served::new(config).await;
    let mut silent = TcpStream::connect(served.running.addr).await.unwrap();
    silent.write_all(PREFACE).await.unwrap();
    let mut heard = Vec::new();
    let ended = timeout(BOUND, silent.read_to_end(&mut heard)).await.unwrap();
    assert!(ended.is_err() || !heard.is_empty());
    served.end().await;
}

#[tokio::test]
async fn a_call_with_more_headers_than_it_may_have_is_refused() {
    let mut config = config();
    config.server.connections.max_header_bytes = 4_096;
    let served = Served::new(config).await;
    let raw = Raw::connect(served.running.addr).await;
    let long = "a".repeat(5_000);
    let answer = raw.call(GET, &[("x-long", &long)], asking_for("acct_1")).await;
    assert!(answer.is_err() || answer.is_ok_and(|headers| !headers.contains_key("grpc-status")));
    let answer = raw.call(GET, &[("x-long", &long[..2_000])], asking_for("acct_1")).await;
    assert_eq!(answer.unwrap()["grpc-status"], "0");
    served.end().await;
}

#[tokio::test]
async fn the_end_lets_go_of_a_client_that_has_said_nothing() {
    for words in [&[][..], PREFACE] {
        let mut config = config();
        config.server.drain_ms = 50;
        let served = Served::new(config).await;
        let mut silent = TcpStream::connect(served.running.addr).await.unwrap();
        silent.write_all(words).await.unwrap();
        // Another's call is answered: by then this one was accepted, as it came first.
        let raw = Raw::connect(served.running.addr).await;
        raw.call(GET, &[], asking_for("acct_1")).await.unwrap();
        timeout(BOUND, served.end()).await.unwrap();
        let mut heard = Vec::new();
        let _ = timeout(BOUND, silent.read_to_end(&mut heard)).await.unwrap();
    }
}
