//! Who may call, in which version, and how often.

use reqwest::Method;
use serde_json::{Value, json};
use stripe_sandbox::Config;

use crate::client::{Answer, World, config, send, start, start_on, start_with, text};

async fn with(world: &World, key: &str, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
    let url = format!("{}{path}", world.sandbox.url());
    let request = world.http.request(method.clone(), url).bearer_auth(key);
    send(if method == Method::GET {
        request.query(form)
    } else {
        request.form(form)
    })
    .await
}

async fn restricted(world: &World, permissions: Value) -> String {
    let made = world.control("keys", json!({ "permissions": permissions })).await;
    assert_eq!(made.status, 200, "{}", made.text);
    text(&made.json()["key"])
}

#[tokio::test]
async fn any_dated_version_is_echoed_and_a_malformed_one_refused() {
    let world = start().await;
    let call = |version: &'static str| {
        send(
            world
                .request(Method::GET, "/v1/customers")
                .header("stripe-version", version),
        )
    };
    for version in ["2026-09-30.endive", "2024-06-20", "2026-10-28.endive"] {
        let answer = call(version).await;
        assert_eq!((answer.status, answer.header("stripe-version")), (200, version));
    }
    let refused = call("2019-2-19").await;
    assert_eq!(
        (refused.status, refused.header("stripe-version")),
        (400, "2026-09-30.endive")
    );
    assert_eq!(
        refused.json()["error"],
        json!({ "type": "invalid_request_error", "message": "Invalid Stripe API version: 2019-2-19" })
    );
}

#[tokio::test]
async fn a_restricted_key_may_do_what_it_was_given_and_nothing_else() {
    let world = start().await;
    let key = restricted(
        &world,
        json!({ "customers": "write", "charges": "read", "prices": "none" }),
    )
    .await;
    assert!(key.starts_with("rk_test_"));
    let status = async |method, path: &str| with(&world, &key, method, path, &[]).await.status;
    assert_eq!(status(Method::POST, "/v1/customers").await, 200);
    assert_eq!(status(Method::GET, "/v1/customers").await, 200);
    assert_eq!(status(Method::GET, "/v1/charges").await, 200);
    assert_eq!(status(Method::GET, "/v1/prices").await, 403);
    let refused = with(&world, &key, Method::POST, "/v1/products", &[("name", "P")]).await;
    let error = &refused.json()["error"];
    assert_eq!(
        (refused.status, &error["type"], error.get("code")),
        (403, &json!("invalid_request_error"), None)
    );
    let message = text(&error["message"]);
    assert!(message.ends_with("Having the 'rak_product_write' permission would allow this request to continue."));
    assert!(!message.contains(&key));
    assert_eq!(world.get("/v1/products").await["data"], json!([]));
    for wrong in [
        json!({ "permissions": { "custmers": "read" } }),
        json!({ "permissions": { "customers": "all" } }),
        json!({}),
    ] {
        assert_eq!(world.control("keys", wrong).await.status, 400);
    }
    let unknown = with(&world, "rk_test_unknown", Method::GET, "/v1/customers", &[]).await;
    assert_eq!(unknown.status, 401);
}

#[tokio::test]
async fn restricted_keys_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = start_on(&journal).await;
    let key = restricted(&world, json!({ "customers": "read" })).await;
    let keys = world.look("keys").await;
    world.sandbox.stop().await;
    let world = start_on(&journal).await;
    assert_eq!(world.look("keys").await, keys);
    assert_eq!(keys["restricted"][0]["key"], json!(key));
    assert_eq!(with(&world, &key, Method::GET, "/v1/customers", &[]).await.status, 200);
    let ledger = world.look("ledger").await;
    assert_eq!(ledger["effects"], json!([]), "a key is no effect");
}

#[tokio::test]
async fn a_publishable_key_sees_an_intent_whose_client_secret_it_has() {
    let world = start().await;
    let publishable = text(&world.look("keys").await["publishable"]);
    let form = [("amount", "900"), ("currency", "usd"), ("metadata[a]", "b")];
    let intent = world.post("/v1/payment_intents", &form).await;
    let path = format!("/v1/payment_intents/{}", text(&intent["id"]));
    let secret = text(&intent["client_secret"]);
    let seen = with(&world, &publishable, Method::GET, &path, &[("client_secret", &secret)]).await;
    assert_eq!((seen.status, &seen.json()["amount"]), (200, &json!(900)));
    assert_eq!(seen.json().get("metadata"), None);
    let without = with(&world, &publishable, Method::GET, &path, &[]).await;
    assert_eq!(
        (without.status, &without.json()["error"]["code"]),
        (400, &json!("parameter_missing"))
    );
    let other = with(
        &world,
        &publishable,
        Method::GET,
        &path,
        &[("client_secret", "pi_x_secret_y")],
    )
    .await;
    assert_eq!(
        (other.status, &other.json()["error"]["code"]),
        (400, &json!("payment_intent_invalid_parameter"))
    );
    for (method, path) in [(Method::GET, "/v1/customers"), (Method::POST, "/v1/payment_intents")] {
        let refused = with(&world, &publishable, method, path, &[]).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (401, &json!("secret_key_required"))
        );
    }
    let form = [("client_secret", &*secret), ("payment_method", "pm_card_visa")];
    let confirmed = with(&world, &publishable, Method::POST, &format!("{path}/confirm"), &form).await;
    assert_eq!(
        (confirmed.status, &confirmed.json()["status"]),
        (200, &json!("succeeded"))
    );
}

#[tokio::test]
async fn an_idempotency_key_has_at_most_255_characters() {
    let world = start().await;
    let call = async |length: usize| {
        let request = world.request(Method::POST, "/v1/customers");
        send(request.header("idempotency-key", "k".repeat(length))).await
    };
    assert_eq!(call(255).await.status, 200);
    let refused = call(256).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    assert_eq!(world.get("/v1/customers").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn calls_above_the_rate_limit_are_told_which_limit_it_was() {
    let world = start_with(Config {
        rate_limit: Some(1),
        ..config()
    })
    .await;
    // The calls of one second of wall time: of twenty at least one is too many.
    let mut refused = None;
    for _ in 0..20 {
        let answer = world.call("GET", "/v1/customers", &[]).await;
        refused = refused.or((answer.status == 429).then_some(answer));
    }
    let refused = refused.unwrap();
    assert_eq!(
        (
            refused.header("stripe-rate-limited-reason"),
            refused.header("stripe-should-retry"),
            &refused.json()["error"]["code"]
        ),
        ("global-rate", "true", &json!("rate_limit"))
    );
}
