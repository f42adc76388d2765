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

/// All that the services need, for none of them to reach.
const COMPLETE: [(&str, &str); 7] = [
    ("DATABASE_URL", "postgres://app:secret@127.0.0.1:1/db"),
    ("STRIPE_SECRET_KEY", "sk_test_1secret"),
    ("COUNTERFOIL_STRIPE__MODE", "test"),
    ("COUNTERFOIL_EVENTS__GATEWAY_URL", "http://127.0.0.1:1"),
    ("COUNTERFOIL_CUSTOMER_URL", "http://127.0.0.1:1"),
    ("COUNTERFOIL_SERVER__ALLOWED_ORIGINS", r#"["http://127.0.0.1"]"#),
    ("COUNTERFOIL_ENDPOINTS__PLATFORM__MODE", "test"),
];

#[tokio::test]
async fn each_missing_key_is_named() {
    let table: [(&[&str], &str, &str); 5] = [
        (
            &["customer", "billing", "tax", "connect"],
            "STRIPE_SECRET_KEY",
            "stripe.secret_key",
        ),
        (
            &["customer", "billing", "tax", "connect"],
            "COUNTERFOIL_STRIPE__MODE",
            "stripe.mode",
        ),
        (
            &["customer", "billing", "connect"],
            "COUNTERFOIL_EVENTS__GATEWAY_URL",
            "events.gateway_url",
        ),
        (&["billing"], "COUNTERFOIL_CUSTOMER_URL", "customer_url"),
        (
            &["webhook-gateway"],
            "COUNTERFOIL_ENDPOINTS__PLATFORM__SECRET",
            "endpoints",
        ),
    ];
    for (services, missing, key) in table {
        for service in services {
            let environment: Vec<_> = COMPLETE.into_iter().filter(|(name, _)| *name != missing).collect();
            let (code, stderr) = run(service, &environment).await;
            assert_eq!(
                (code, stderr.lines().count()),
                (Some(2), 1),
                "{service} without {missing}: {stderr}"
            );
            assert!(stderr.contains(key), "{service} without {missing}: {stderr}");
        }
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
            let given = COMPLETE.into_iter().filter(|(name, _)| !name.contains("STRIPE"));
            let environment: Vec<_> = given
                .chain([("STRIPE_SECRET_KEY", key), ("COUNTERFOIL_STRIPE__MODE", mode)])
                .collect();
            let (code, stderr) = run(service, &environment).await;
            assert_eq!(
                (code, stderr.lines().count()),
                (Some(2), 1),
                "{service}, {mode}: {stderr}"
            );
            assert!(stderr.contains("secret_key"), "{service}, {mode}: {stderr}");
            assert!(!stderr.contains("1secret"), "{service} tells the key: {stderr}");
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
