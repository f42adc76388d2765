//! What a process says when it is told nonsense.

use std::process::Output;

use tokio::process::Command;

use counterfoil_journeys::binary;

const SERVICES: [&str; 5] = ["webhook-gateway", "customer", "billing", "tax", "connect"];

async fn run(service: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(binary(&format!("counterfoil-{service}")));
    let Output { status, stderr, .. } = command
        .arg("serve")
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn missing_configuration_is_one_line_that_names_the_key() {
    for service in SERVICES {
        let (code, stderr) = run(service, &[]).await;
        assert_eq!(code, Some(2), "{service}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{service}: {stderr}");
        assert!(
            stderr.contains("database.url") && stderr.contains("DATABASE_URL"),
            "{service}: {stderr}"
        );
    }
}

#[tokio::test]
async fn a_key_of_the_other_mode_refuses_to_start() {
    for service in ["customer", "billing", "tax", "connect"] {
        for (key, mode) in [
            ("sk_live_1secret", "test"),
            ("sk_test_1secret", "live"),
            ("pk_test_1secret", "test"),
        ] {
            let environment = [
                ("DATABASE_URL", "postgres://app:secret@127.0.0.1:1/db"),
                ("STRIPE_SECRET_KEY", key),
                ("COUNTERFOIL_STRIPE__MODE", mode),
                ("COUNTERFOIL_EVENTS__GATEWAY_URL", "http://127.0.0.1:1"),
                ("COUNTERFOIL_CUSTOMER_URL", "http://127.0.0.1:1"),
                ("COUNTERFOIL_ALLOWED_ORIGINS", r#"["http://127.0.0.1"]"#),
            ];
            let (code, stderr) = run(service, &environment).await;
            assert!(
                code.is_some_and(|code| code != 0),
                "{service} started with a {key} key in {mode}: {stderr}"
            );
            assert_eq!(stderr.lines().count(), 1, "{service}: {stderr}");
            assert!(
                !stderr.contains("secret_1") && !stderr.contains("1secret"),
                "{service} tells the key: {stderr}"
            );
        }
    }
}

#[tokio::test]
async fn every_program_has_help_with_an_example() {
    let programs = SERVICES.iter().map(|service| format!("counterfoil-{service}"));
    for program in programs.chain(["counterfoil-dev".to_owned(), "stripe-sandbox".to_owned()]) {
        let Output { status, stdout, .. } = Command::new(binary(&program)).arg("--help").output().await.unwrap();
        let help = String::from_utf8(stdout).unwrap();
        assert!(
            status.success() && help.contains("Example"),
            "{program} --help:\n{help}"
        );
    }
}
