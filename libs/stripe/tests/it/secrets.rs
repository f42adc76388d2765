//! Neither the key nor anything personal comes out by logs, spans or errors, at the finest level.

use counterfoil_store::MIGRATIONS;
use counterfoil_stripe::customer::{CreateCustomer, RetrieveCustomer};
use counterfoil_test_support::{Log, TestDb};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::fake::{Answer, Fake, error};

#[tokio::test]
async fn logs_and_errors_hold_neither_the_key_nor_anything_personal() {
    let test = TestDb::new(&MIGRATIONS).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let fake = Fake::start([
        Answer::Broken,
        error(402, &[("request-id", "req_7")], "card_error", "card_declined"),
        error(404, &[], "invalid_request_error", "resource_missing"),
        Answer::Of(200, &[], r#"{"email": "ada@example.com"}"#.to_owned()),
    ])
    .await;
    let client = fake.client();
    let create = CreateCustomer::new().email("ada@example.com").name("Lovelace");
    let mut said = String::new();
    for step in ["one", "two"] {
        let error = client.step(&test.db(), step, &create, None).await.unwrap_err();
        said.push_str(&format!("{error} {error:?}\n"));
    }
    let reply = client.read(&RetrieveCustomer::new("cus_1"), None).await.unwrap();
    let error = reply.object().unwrap_err();
    said.push_str(&format!("{reply:?} {error} {error:?}\n"));
    drop(guard);
    let said = format!("{said}{}", log.text());
    for canary in ["sk_test_canary", "ada@example", "ada%40example", "Lovelace"] {
        assert!(!said.contains(canary), "{canary} in {said}");
    }
    for wanted in [
        "POST /v1/customers",
        "GET /v1/customers/{id}",
        "http.response.status_code=402",
        "req_7",
    ] {
        assert!(said.contains(wanted), "no {wanted} in {said}");
    }
}
