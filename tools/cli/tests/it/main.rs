//! `counterfoil`, as a person runs it, against a service that wants to know who calls.
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

mod service;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use tokio::process::Command;

use crate::service::{Folder, Served};

const ASKED: [&str; 6] = ["access", "check", "--user", "ada", "--feature", "reports"];

/// What a command came to.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the command in `folder`, where its files are.
async fn counterfoil(folder: &Folder, command: &[&str], options: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_counterfoil"))
        .args(command)
        .args(options)
        .current_dir(folder.path())
        .env_clear()
        .output()
        .await
        .unwrap();
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn over_tls_the_holder_of_a_token_is_answered_and_nobody_else() {
    let folder = Folder::new();
    let served = Served::new(&folder).await;
    let address = format!("https://{}", served.running.addr);
    let asks = async |options: &[&str]| {
        let options = [&["--billing", &address], options].concat();
        counterfoil(&folder, &ASKED, &options).await
    };

    let answer = asks(&["--ca", "ca.pem", "--token-file", "adas"]).await;
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert!(answer.stdout.contains("ada@company.example"), "{}", answer.stdout);

    // Each is refused with what to do about it.
    for (options, told) in [
        (
            &["--ca", "ca.pem", "--token-file", "nobodys"][..],
            &["(UNKNOWN_TOKEN)", "server.token_file"][..],
        ),
        (&["--ca", "ca.pem"], &["(NO_IDENTITY)", "--token-file"]),
        (
            &["--ca", "ca.pem", "--token-file", "bos"],
            &["(DENIED_BY_POLICY)", "identity: bo@company.example", "server.policy"],
        ),
        (
            &["--ca", "other.pem", "--token-file", "adas"],
            &["UNAVAILABLE", "UnknownIssuer"],
        ),
        (&["--token-file", "adas"], &["--ca"]),
        (&["--ca", "missing.pem", "--token-file", "adas"], &["missing.pem"]),
        (&["--ca", "ca.pem", "--token-file", "missing"], &["missing"]),
    ] {
        let refused = asks(options).await;
        assert_eq!(refused.code, Some(1), "{options:?}");
        for part in told {
            assert!(refused.stderr.contains(part), "{options:?}: {}", refused.stderr);
        }
        assert!(
            !refused.stderr.contains("counterfoil_"),
            "a token is told: {}",
            refused.stderr
        );
    }

    // A service is known by its certificate.
    let orders = asks(&["--ca", "ca.pem", "--cert", "orders.pem", "--key", "orders.pem"]).await;
    assert!(orders.stdout.contains("spiffe://company/orders"), "{}", orders.stderr);

    // The environment says the same.
    let answer = Command::new(env!("CARGO_BIN_EXE_counterfoil"))
        .args(ASKED)
        .current_dir(folder.path())
        .env_clear()
        .env("COUNTERFOIL_BILLING_ADDRESS", &address)
        .env("COUNTERFOIL_CA", "ca.pem")
        .env("COUNTERFOIL_TOKEN_FILE", "adas")
        .env("COUNTERFOIL_CERT", "")
        .status();
    assert!(answer.await.unwrap().success());
    served.end().await;
}

#[tokio::test]
async fn health_is_told_without_a_token_and_an_unbelieved_service_is_not_reached() {
    let folder = Folder::new();
    let served = Served::new(&folder).await;
    let address = format!("https://{}", served.running.addr);
    let row = async |ca| {
        let options = ["--billing", &address, "--ca", ca];
        let status = counterfoil(&folder, &["status"], &options).await.stdout;
        let row = status.lines().find(|line| line.starts_with("billing"));
        row.unwrap_or_default().to_owned()
    };
    // It has no database.
    let (known, unknown) = (row("ca.pem").await, row("other.pem").await);
    assert!(known.ends_with("not serving"), "{known}");
    assert!(
        unknown.contains("cannot be reached") && unknown.contains("UnknownIssuer"),
        "{unknown}"
    );
    served.end().await;
}

#[tokio::test]
async fn a_token_that_would_travel_in_plain_text_is_not_sent_and_nobody_is_called() {
    let folder = Folder::new();
    folder.write("token", "counterfoil_0123456789abcdef0123456789abcdef", 0o600);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // Both lead here, and neither is known to.
    for host in ["localhost", "0.0.0.0"] {
        let address = format!("{host}:{port}");
        for command in [&ASKED[..], &["status"]] {
            let options = ["--billing", &address, "--token-file", "token"];
            let refused = counterfoil(&folder, command, &options).await;
            assert_eq!(refused.code, Some(1));
            let told = refused.stdout + &refused.stderr;
            assert!(told.contains("in plain text"), "{told}");
        }
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    // Without the token somebody is called, who says nothing.
    let address = format!("localhost:{port}");
    let options = ["--billing", &address, "--timeout", "1"];
    assert_eq!(counterfoil(&folder, &ASKED, &options).await.code, Some(1));
    listener.accept().unwrap();
}

#[tokio::test]
async fn a_token_that_others_may_read_is_refused() {
    let folder = Folder::new();
    folder.write("token", "counterfoil_0123456789abcdef0123456789abcdef", 0o600);
    let options = ["--billing", "127.0.0.1:1", "--token-file", "token"];
    for (mode, refused) in [(0o644, true), (0o640, true), (0o600, false), (0o400, false)] {
        std::fs::set_permissions(folder.file("token"), std::fs::Permissions::from_mode(mode)).unwrap();
        let done = counterfoil(&folder, &ASKED, &options).await;
        assert_eq!(done.stderr.contains("chmod 600"), refused, "{mode:o}: {}", done.stderr);
    }
}
