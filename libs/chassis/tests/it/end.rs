//! Health, and an orderly end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use counterfoil_chassis::client;
use counterfoil_store::MIGRATIONS;
use counterfoil_test_support::TestDb;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::service::{Served, config, config_on, get, take};

fn asking(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn health_is_known_for_the_process_and_each_service_even_without_an_identity() {
    let test = TestDb::new(&MIGRATIONS).await;
    let mut config = config_on(&test);
    config.server.dev_identity = false;
    let served = Served::new(config).await;
    let mut health = HealthClient::new(client::channel(&served.uri()).unwrap());
    for service in ["", "counterfoil.connect.v1.ConnectedAccountService"] {
        let answer = health.check(asking(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    let unknown = health
        .check(asking("counterfoil.tax.v1.CalculationService"))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut watched = health.watch(asking("nobody")).await.unwrap().into_inner();
    let answer = watched.next().await.unwrap().unwrap();
    assert_eq!(answer.status(), ServingStatus::ServiceUnknown);
    served.end().await;
}

#[tokio::test]
async fn at_the_end_health_says_so_first_and_calls_and_tasks_are_waited_for() {
    let test = TestDb::new(&MIGRATIONS).await;
    let served = Served::new(config_on(&test)).await;
    let mut health = HealthClient::new(client::channel(&served.uri()).unwrap());
    let mut watched = health.watch(asking("")).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let mut client = served.client();
    let call = tokio::spawn(async move { client.get_connected_account(get("acct_slow")).await });
    take(&served.probe.begun).await;

    served.shutdown.cancel();
    assert_eq!(
        watched.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert!(
        watched.next().await.is_none(),
        "the watcher's stream ends, or it would hold up the end"
    );
    assert!(!call.is_finished());

    let probe = Arc::clone(&served.probe);
    let addr = served.running.addr;
    probe.release.add_permits(1);
    assert!(call.await.unwrap().is_ok(), "a call in flight is answered");
    served.end().await;
    assert!(probe.task_ended.load(Ordering::SeqCst));
    assert!(
        tokio::net::TcpStream::connect(addr).await.is_err(),
        "nobody listens any more"
    );
}

/// Ten minutes to drain in, and an end long before: neither is waited for.
#[tokio::test]
async fn open_streams_of_health_and_reflection_end_with_the_token() {
    let mut config = config();
    config.server.drain_ms = 600_000;
    let served = Served::new(config).await;
    let channel = client::channel(&served.uri()).unwrap();
    let watched = HealthClient::new(channel.clone()).watch(asking("")).await.unwrap();
    let mut watched = watched.into_inner();
    assert_eq!(
        watched.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    // A client that asks once and keeps the stream.
    let requests = tokio_stream::iter([request]).chain(tokio_stream::pending());
    let answers = ServerReflectionClient::new(channel)
        .server_reflection_info(requests)
        .await;
    let mut answers = answers.unwrap().into_inner();
    answers.next().await.unwrap().unwrap();

    timeout(Duration::from_secs(30), served.end()).await.unwrap();
    assert!(answers.next().await.is_none());
    while let Some(answer) = watched.next().await {
        assert_eq!(answer.unwrap().status(), ServingStatus::NotServing);
    }
}

#[tokio::test]
async fn a_service_whose_background_task_panics_ends_and_says_so() {
    let served = Served::new(config()).await;
    served.probe.panic.add_permits(1);
    let failure = served.running.stopped().await.unwrap_err().to_string();
    assert_eq!(failure, "a background task failed");
    assert!(
        served.probe.task_ended.load(Ordering::SeqCst),
        "its other tasks were told"
    );
    assert!(
        !served.shutdown.is_cancelled(),
        "the token may be that of other services"
    );
}
