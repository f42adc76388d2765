//! Reads, harmless calls, and what every request carries.

use counterfoil_stripe::account_link::{CreateAccountLink, CreateAccountLinkType};
use counterfoil_stripe::customer::{CreateCustomer, RetrieveCustomer};
use counterfoil_stripe::{API_VERSION, Error};
use counterfoil_types::AccountId;
use tokio::net::TcpListener;

use crate::fake::{Answer, Fake, client, customer, error, impatient};

fn retrieve() -> RetrieveCustomer {
    RetrieveCustomer::new("cus_1").expand(["tax".to_owned()])
}

#[tokio::test]
async fn a_read_carries_key_version_and_account_and_brings_object_json_and_stamp() {
    let fake = Fake::start([customer("cus_1")]).await;
    let account = AccountId::parse("acct_1").unwrap();
    let reply = fake.client().read(&retrieve(), Some(&account)).await.unwrap();
    let stripe_shared_customer = format!("{:?}", reply);
    assert!(!stripe_shared_customer.contains("ada"), "{stripe_shared_customer}");
    assert!(reply.raw.starts_with(br#"{"id": "cus_1""#));
    assert_eq!(reply.stripe_request_id.as_deref(), Some("req_1"));
    assert!(!reply.replayed);
    let (from, to) = reply.stamp.range();
    assert!(from < to);
    let seen = fake.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "GET /v1/customers/cus_1?expand[0]=tax");
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk_test_canary"));
    assert_eq!(seen[0].header("stripe-version"), Some(API_VERSION));
    assert_eq!(seen[0].header("stripe-account"), Some("acct_1"));
    assert_eq!(seen[0].header("idempotency-key"), None);
}

#[test]
fn the_version_is_the_one_that_the_types_are_of() {
    assert_eq!(counterfoil_stripe::objects::version::VERSION.to_string(), API_VERSION);
}

#[tokio::test]
async fn a_read_is_tried_again_until_it_is_answered() {
    let busy = Answer::Of(502, &[], "<html>bad gateway</html>".to_owned());
    let fake = Fake::start([busy, Answer::Broken, customer("cus_1")]).await;
    fake.client().read(&retrieve(), None).await.unwrap();
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn a_read_without_an_answer_is_unavailable() {
    let fake = Fake::start([Answer::Silence, Answer::Silence]).await;
    let error = impatient(&fake).read(&retrieve(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable), "{error}");
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_connection_that_is_reset_or_refused_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let resetting = tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    let error = client(&url).read(&retrieve(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable), "{error}");
    resetting.abort();
    let _ = resetting.await;
    let error = client(&url).read(&retrieve(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable), "{error}");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_refused_are_told_apart_and_say_nothing_personal() {
    let missing = error(404, &[], "invalid_request_error", "resource_missing");
    let declined = error(402, &[("request-id", "req_2")], "card_error", "card_declined");
    let fake = Fake::start([missing, declined]).await;
    let error = fake.client().read(&retrieve(), None).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound(refusal) if refusal.code.as_deref() == Some("resource_missing")));
    assert!(!format!("{error} {error:?}").contains("ada"), "{error}");
    let error = fake.client().read(&retrieve(), None).await.unwrap_err();
    let Error::Refused(refusal) = error else {
        panic!("{error}")
    };
    assert_eq!(refusal.stripe_request_id.as_deref(), Some("req_2"));
    assert_eq!(refusal.message.as_deref(), Some("about ada@example.com"));
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_key_that_may_not_is_said_at_once() {
    let fake = Fake::start([error(401, &[], "invalid_request_error", "")]).await;
    let error = fake.client().read(&retrieve(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorised), "{error}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_limit_that_lasts_too_long_is_handed_on() {
    let limited = error(429, &[("retry-after", "60")], "invalid_request_error", "rate_limit");
    let fake = Fake::start([limited]).await;
    let error = fake.client().read(&retrieve(), None).await.unwrap_err();
    assert!(
        matches!(error, Error::RateLimited { retry_after: Some(wait) } if wait.as_secs() == 60),
        "{error}"
    );
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let moved = || Answer::Of(302, &[("location", "http://127.0.0.1:1/")], String::new());
    let fake = Fake::start([moved(), moved(), moved()]).await;
    let error = fake.client().read(&retrieve(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable), "{error}");
    assert!(
        fake.seen()
            .iter()
            .all(|seen| seen.line.starts_with("GET /v1/customers/"))
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_of_another_shape_is_an_error_and_no_panic() {
    let huge = || Answer::Of(200, &[], format!("\"{}\"", "x".repeat(5 * 1024 * 1024)));
    let fake = Fake::start([huge(), huge(), huge()]).await;
    let error = fake.client().read(&retrieve(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable), "{error}");
    let no_objects = ["[]", "\"cus_1\"", "{", "<html>", ""];
    let fake = Fake::start(no_objects.map(|body| Answer::Of(200, &[], body.to_owned()))).await;
    for body in no_objects {
        let error = fake.client().read(&retrieve(), None).await.unwrap_err();
        assert!(matches!(error, Error::Bug(_)), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_field_that_stripe_drops_is_missed_only_by_who_asks_for_the_typed_object() {
    let without_livemode = r#"{"id": "cus_1", "object": "customer", "created": 1}"#;
    let fake = Fake::start([Answer::Of(200, &[], without_livemode.to_owned())]).await;
    let reply = fake.client().read(&retrieve(), None).await.unwrap();
    assert_eq!(reply.raw, without_livemode);
    assert!(matches!(reply.object().unwrap_err(), Error::Bug(_)));
}

#[tokio::test]
async fn a_mutation_is_no_read() {
    let fake = Fake::start([]).await;
    let error = fake.client().read(&CreateCustomer::new(), None).await.unwrap_err();
    assert!(matches!(error, Error::Bug(_)), "{error}");
    assert_eq!(fake.seen(), []);
}

#[tokio::test]
async fn a_harmless_call_keeps_its_key_for_its_tries_and_takes_another_for_the_next() {
    let link = || {
        let json = r#"{"object": "account_link", "created": 1, "expires_at": 2, "url": "https://example.com/"}"#;
        Answer::Of(200, &[], json.to_owned())
    };
    let busy = error(500, &[], "api_error", "");
    let fake = Fake::start([busy, link(), link()]).await;
    let request = CreateAccountLink::new("acct_1", CreateAccountLinkType::AccountOnboarding);
    for _ in 0..2 {
        fake.client().harmless(&request, None).await.unwrap();
    }
    let seen = fake.seen();
    assert_eq!(seen[0].key(), seen[1].key());
    assert_ne!(seen[1].key(), seen[2].key());
}
