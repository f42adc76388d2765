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
            assert!(
                printed.contains("grpcurl -plaintext") && printed.contains(address.as_str()),
                "{printed}"
            );
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
