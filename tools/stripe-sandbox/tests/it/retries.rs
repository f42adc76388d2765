//! When a webhook is tried again, and by what it is signed and shaped meanwhile.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use stripe_sandbox::{Config, RetrySchedule};
use tokio::net::TcpListener;

use crate::{
    client::{DAY, World, config, start, start_with, text},
    receiver::Receiver,
};

fn on_stripes_schedule() -> Config {
    Config {
        retry_schedule: RetrySchedule::Stripe,
        ..config()
    }
}

async fn retry_now(world: &World) -> Value {
    let answer = world.control("deliveries/retry", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn on_stripes_schedule_a_retry_waits_for_the_clock_or_for_the_call() {
    let world = start_with(on_stripes_schedule()).await;
    let receiver = Receiver::failing(2).await;
    receiver.register(&world, json!({})).await;
    world.customer().await;
    assert_eq!(world.rest().await["attempts"], 1);
    world.advance(299).await;
    let resting = world.rest().await;
    assert_eq!((&resting["attempts"], &resting["waiting"]), (&json!(1), &json!(1)));
    world.advance(1).await;
    assert_eq!(world.rest().await["attempts"], 2);
    assert_eq!(retry_now(&world).await["pending"], 1);
    world.settle().await;
    assert_eq!(receiver.types(), ["customer.created"]);
    let event = &world.get("/v1/events").await["data"][0];
    assert_eq!(event["pending_webhooks"], 0);
}

#[tokio::test]
async fn after_the_last_retry_a_delivery_is_given_up_and_can_be_sent_by_hand() {
    let world = start_with(on_stripes_schedule()).await;
    let receiver = Receiver::failing_with(StatusCode::FOUND, 4).await;
    let endpoint = text(&receiver.register(&world, json!({})).await["id"]);
    world.customer().await;
    for _ in 0..3 {
        world.rest().await;
        world.advance(DAY).await;
    }
    world.settle().await;
    let deliveries = world.look("deliveries").await;
    assert_eq!(
        (&deliveries["attempts"], &deliveries["failed"], &deliveries["delivered"]),
        (&json!(4), &json!(1), &json!(0))
    );
    let failed = world.get("/v1/events?delivery_success=false").await;
    let event = text(&failed["data"][0]["id"]);
    let path = format!("/v1/events/{event}/retry");
    let unknown = world.call("POST", &path, &[("webhook_endpoint", "we_x")]).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["param"]),
        (400, &json!("webhook_endpoint"))
    );
    let again = world.post(&path, &[("webhook_endpoint", &endpoint)]).await;
    assert_eq!(again["pending_webhooks"], 1);
    world.settle().await;
    assert_eq!(receiver.events()[0]["id"], json!(event));
    assert_eq!(world.get("/v1/events?delivery_success=false").await["data"], json!([]));
    world.post(&path, &[]).await;
    world.settle().await;
    assert_eq!(receiver.types().len(), 2, "one more for whoever listens");
}

#[tokio::test]
async fn what_waits_goes_on_waiting_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config {
        journal: Some(folder.path().join("world")),
        ..on_stripes_schedule()
    };
    let world = start_with(config()).await;
    let receiver = Receiver::failing(1).await;
    receiver.register(&world, json!({})).await;
    world.customer().await;
    let due = world.rest().await["next_due"].clone();
    world.sandbox.stop().await;
    let world = start_with(config()).await;
    let resting = world.rest().await;
    assert_eq!((&resting["waiting"], &resting["next_due"]), (&json!(1), &due));
    world.advance(300).await;
    world.settle().await;
    assert_eq!(receiver.types(), ["customer.created"]);
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up_for_this_try_and_holds_up_no_other() {
    let world = start_with(Config {
        webhook_timeout: Duration::from_secs(1),
        ..on_stripes_schedule()
    })
    .await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    world.control("webhook_endpoints", json!({ "url": url })).await;
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({})).await;
    for _ in 0..20 {
        world.customer().await;
    }
    let resting = world.rest().await;
    assert_eq!(
        (&resting["waiting"], &resting["delivered"], &resting["attempts"]),
        (&json!(20), &json!(20), &json!(40))
    );
    assert_eq!(receiver.types().len(), 20);
}

#[tokio::test]
async fn while_a_secret_is_rolled_both_sign_and_the_decoy_is_no_signature() {
    let world = start().await;
    let receiver = Receiver::start().await;
    let id = text(&receiver.register(&world, json!({})).await["id"]);
    let roll = async |body: Value| world.control(&format!("webhook_endpoints/{id}/roll"), body).await;
    let schemes = |header: &str| {
        let parts = header.split(',').map(|part| part.split_once('=').unwrap().0.to_owned());
        parts.collect::<Vec<_>>()
    };
    world.customer().await;
    world.settle().await;
    let rolled = roll(json!({ "expire_seconds": 3600 })).await.json();
    assert!(text(&rolled["secret"]).starts_with("whsec_"));
    world.advance(3599).await;
    world.customer().await;
    world.settle().await;
    assert_eq!(receiver.types().len(), 2, "the old secret still signs");
    world.advance(1).await;
    world.customer().await;
    while receiver.signatures().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(receiver.types().len(), 2, "and now does not");
    let headers = receiver.signatures();
    assert_eq!(schemes(&headers[0]), ["t", "v1", "v0"]);
    assert_eq!(schemes(&headers[1]), ["t", "v1", "v1", "v0"]);
    assert_eq!(schemes(&headers[2]), ["t", "v1", "v0"]);
    for wrong in [
        json!({ "expire_seconds": -1 }),
        json!({ "expire_seconds": 86_401 }),
        json!({ "secret": "" }),
    ] {
        assert_eq!(roll(wrong).await.status, 400);
    }
    assert_eq!(
        world.control("webhook_endpoints/we_x/roll", json!({})).await.status,
        404
    );
}

#[tokio::test]
async fn each_endpoint_gets_events_in_its_own_version() {
    let world = start().await;
    let (new, old) = (Receiver::start().await, Receiver::start().await);
    let subscribed = json!(["customer.subscription.created"]);
    new.register(&world, json!({ "enabled_events": subscribed })).await;
    old.register(
        &world,
        json!({ "enabled_events": subscribed, "api_version": "2024-06-20" }),
    )
    .await;
    world.subscription().await;
    world.settle().await;
    let (new, old) = (&new.events()[0], &old.events()[0]);
    assert_eq!(new["id"], old["id"]);
    assert_eq!(
        (&new["api_version"], &old["api_version"]),
        (&json!("2026-09-30.endive"), &json!("2024-06-20"))
    );
    let (new, old) = (&new["data"]["object"], &old["data"]["object"]);
    assert_eq!(old["current_period_end"], new["items"]["data"][0]["current_period_end"]);
    assert_eq!(new.get("current_period_end"), None);
    let form = [
        ("url", "https://example.com/"),
        ("enabled_events[]", "*"),
        ("api_version", "2025-01-27.acacia"),
    ];
    let made = world.post("/v1/webhook_endpoints", &form).await;
    assert_eq!(made["api_version"], "2025-01-27.acacia");
    let wrong = json!({ "url": "http://x/", "api_version": "latest" });
    assert_eq!(world.control("webhook_endpoints", wrong).await.status, 400);
}

#[tokio::test]
async fn a_disabled_endpoint_gets_nothing_and_there_are_at_most_sixteen() {
    let world = start().await;
    let receiver = Receiver::start().await;
    let id = text(&receiver.register(&world, json!({})).await["id"]);
    world
        .post(&format!("/v1/webhook_endpoints/{id}"), &[("disabled", "true")])
        .await;
    world.customer().await;
    world.settle().await;
    assert_eq!(receiver.types(), Vec::<String>::new());
    world
        .post(&format!("/v1/webhook_endpoints/{id}"), &[("disabled", "false")])
        .await;
    world.customer().await;
    world.settle().await;
    assert_eq!(receiver.types().len(), 1);
    let form = [("url", "https://example.com/"), ("enabled_events[]", "charge.updated")];
    for _ in 1..16 {
        world.post("/v1/webhook_endpoints", &form).await;
    }
    assert_eq!(world.call("POST", "/v1/webhook_endpoints", &form).await.status, 400);
}

#[tokio::test]
async fn events_are_filtered_by_type_and_time_and_read_for_thirty_days() {
    let world = start().await;
    world.price().await;
    world.customer().await;
    let event = text(&world.get("/v1/events?type=customer.created").await["data"][0]["id"]);
    let types = async |query: &str| {
        let list = world.get(&format!("/v1/events?{query}")).await;
        let types = list["data"].as_array().unwrap().iter().map(|one| text(&one["type"]));
        types.collect::<Vec<_>>()
    };
    assert_eq!(types("type=product.*").await, ["product.created"]);
    assert_eq!(
        types("types[]=price.created&types[]=customer.created").await,
        ["customer.created", "price.created"]
    );
    world.advance(100).await;
    world.customer().await;
    assert_eq!(types("created[gt]=1800000000").await, ["customer.created"]);
    world.advance(30 * DAY - 100).await;
    assert_eq!(types("limit=100").await, ["customer.created"]);
    assert_eq!(world.call("GET", &format!("/v1/events/{event}"), &[]).await.status, 404);
}
