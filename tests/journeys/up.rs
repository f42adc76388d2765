//! `make up`, as a person runs it.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use counterfoil_dev::addresses::Addresses;
use counterfoil_dev::story::Stripe;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use counterfoil_journeys::binary;

#[tokio::test]
async fn up_prints_addresses_that_answer_writes_them_for_programs_and_ends_cleanly() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary("counterfoil-dev"));
        command
            .arg("up")
            .arg("--home")
            .arg(home.path())
            .env_remove("DATABASE_URL");
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        while !printed.contains("Ctrl-C") {
            let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
            let line = line
                .ok()
                .and_then(|line| line.unwrap())
                .unwrap_or_else(|| panic!("up ended:\n{printed}"));
            printed.push_str(&line);
            printed.push('\n');
        }

        let file = home.path().join("suite.json");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let addresses: Addresses = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let grpc = &addresses.grpc;
        for address in [&grpc.gateway, &grpc.customer, &grpc.billing, &grpc.tax, &grpc.connect] {
            let offered = |line: &str| line.contains("grpcurl -plaintext") && line.contains(address.as_str());
            assert!(
                printed.lines().any(offered),
                "no grpcurl line for {address}:\n{printed}"
            );
            assert_healthy_and_reflecting(address).await;
        }
        let page = printed.lines().find(|line| line.contains("a checkout page")).unwrap();
        let url = page
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap();
        let stripe = Stripe::new(&addresses.sandbox).unwrap();
        assert!(stripe.open_page(url).await.unwrap().contains("<form"));
        assert!(stripe.get("/v1/customers").await.unwrap()["data"].as_array().is_some());

        kill(Pid::from_raw(child.id().unwrap().cast_signed()), signal).unwrap();
        let status = tokio::time::timeout(Duration::from_secs(30), child.wait())
            .await
            .unwrap()
            .unwrap();
        assert!(status.success(), "{signal}: {status}");
        assert!(!file.exists(), "suite.json is still there after {signal}");
    }
}

/// As any gRPC client would ask: is it well, and what does it serve?
async fn assert_healthy_and_reflecting(address: &str) {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let health = HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await
        .unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(list))
        .await
        .unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{address} lists no services: {answer:?}");
    };
    assert!(
        list.service
            .iter()
            .any(|service| service.name.starts_with("counterfoil.")),
        "{address}: {list:?}"
    );
}
