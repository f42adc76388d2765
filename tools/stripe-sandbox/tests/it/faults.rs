use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{World, start, text},
    receiver::Receiver,
};

async fn set(world: &World, faults: Value) {
    let answer = world.control("faults", faults).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn events_come_in_copies_and_pairs_come_swapped() {
    let world = start().await;
    let receiver = Receiver::start().await;
    receiver
        .register(
            &world,
            json!({ "enabled_events": ["product.created", "price.created"] }),
        )
        .await;
    set(&world, json!({ "deliveries": { "swap": true } })).await;
    world.price().await;
    world.settle().await;
    assert_eq!(receiver.types(), ["price.created", "product.created"]);

    set(&world, json!({ "deliveries": { "swap": true, "copies": 2 } })).await;
    world.price().await;
    world.settle().await;
    assert_eq!(
        receiver.types()[2..],
        ["price.created", "price.created", "product.created", "product.created"]
    );

    set(&world, json!({ "deliveries": { "copies": 3 } })).await;
    world.price().await;
    world.settle().await;
    let types = receiver.types();
    let count = |kind: &str| types.iter().filter(|one| *one == kind).count();
    assert_eq!((count("product.created"), count("price.created")), (6, 6));
    let mut ids: Vec<String> = receiver.events().iter().map(|event| text(&event["id"])).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn an_event_that_no_other_follows_is_not_held_for_ever() {
    let world = start().await;
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({})).await;
    set(&world, json!({ "deliveries": { "swap": true, "copies": 2 } })).await;
    world.customer().await;
    world.settle().await;
    assert_eq!(receiver.types(), ["customer.created", "customer.created"]);
}

#[tokio::test]
async fn a_dropped_type_is_never_delivered_but_is_in_the_list() {
    let world = start().await;
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({})).await;
    set(&world, json!({ "deliveries": { "drop": ["customer.created"] } })).await;
    world.customer().await;
    world.post("/v1/products", &[("name", "P")]).await;
    world.settle().await;
    assert_eq!(receiver.types(), ["product.created"]);
    assert_eq!(world.look("deliveries").await["dropped"], 1);
    assert_eq!(world.events().await, ["customer.created", "product.created"]);
}

#[tokio::test]
async fn an_answer_is_a_status_as_often_as_asked() {
    let world = start().await;
    let answers = json!([{ "method": "POST", "path": "/v1/customers", "times": 2, "kind": "status", "status": 429 }]);
    set(&world, json!({ "answers": answers })).await;
    for _ in 0..2 {
        let limited = world.call("POST", "/v1/customers", &[]).await;
        assert_eq!(
            (limited.status, &limited.json()["error"]["code"]),
            (429, &json!("rate_limit"))
        );
    }
    assert_eq!(world.call("POST", "/v1/customers", &[]).await.status, 200);
    assert_eq!(world.get("/v1/customers").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_connection_is_cut_before_or_after_the_effect() {
    let world = start().await;
    let cut = |kind: &str| json!({ "answers": [{ "method": "POST", "path": "/v1/customers", "kind": kind }] });
    let call = || {
        world
            .request(Method::POST, "/v1/customers")
            .header("idempotency-key", "k")
            .form(&[("name", "n")])
    };
    let count = async || world.get("/v1/customers").await["data"].as_array().unwrap().len();
    set(&world, cut("reset_before")).await;
    assert!(call().send().await.is_err());
    assert_eq!(count().await, 0);
    set(&world, cut("reset_after")).await;
    assert!(call().send().await.is_err());
    assert_eq!(count().await, 1);
    let replayed = call().send().await.unwrap();
    assert_eq!(replayed.headers()["idempotent-replayed"], "true");
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn a_cached_500_is_replayed_for_its_key_and_had_no_effect() {
    let world = start().await;
    set(
        &world,
        json!({ "answers": [{ "method": "POST", "path": "/v1/*", "kind": "error_500_cached" }] }),
    )
    .await;
    let call = |key: &'static str| {
        world
            .request(Method::POST, "/v1/customers")
            .header("idempotency-key", key)
            .send()
    };
    assert_eq!(call("k").await.unwrap().status(), 500);
    let again = call("k").await.unwrap();
    assert_eq!(
        (
            again.status().as_u16(),
            again.headers()["idempotent-replayed"].to_str().unwrap()
        ),
        (500, "true")
    );
    assert_eq!(world.get("/v1/customers").await["data"], json!([]));
    assert_eq!(call("other").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_setting_that_does_not_fit_is_refused_and_the_old_one_stays() {
    let world = start().await;
    set(&world, json!({ "deliveries": { "copies": 2 } })).await;
    for wrong in [
        json!({ "delivery": {} }),
        json!({ "deliveries": { "copies": 0 } }),
        json!({ "deliveries": { "copies": "2" } }),
        json!({ "deliveries": { "order": "reversed" } }),
        json!({ "answers": [{ "method": "POST", "path": "/v1/customers", "kind": "status" }] }),
        json!({ "answers": [{ "method": "PATCH", "path": "/v1/customers", "kind": "hang" }] }),
        json!({ "answers": [{ "method": "POST", "path": "/v1/customers", "kind": "explode" }] }),
        json!([]),
    ] {
        assert_eq!(world.control("faults", wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(world.look("faults").await["deliveries"]["copies"], 2);
    set(&world, json!({})).await;
    assert_eq!(world.look("faults").await["deliveries"]["copies"], 1);
    assert_eq!(
        world.control("clock", json!({ "advance_seconds": -1 })).await.status,
        400
    );
    assert_eq!(world.control("clock", json!({ "advance": 1 })).await.status, 400);
}
