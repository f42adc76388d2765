use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

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

#[tokio::test]
async fn a_refusal_may_say_when_to_come_back_and_may_come_after_the_effect() {
    let world = start().await;
    let fault = |more: Value| {
        let mut fault = json!({ "method": "POST", "path": "/v1/customers", "kind": "status" });
        fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "answers": [fault] })
    };
    set(
        &world,
        fault(json!({ "status": 429, "code": "lock_timeout", "retry_after": 7 })),
    )
    .await;
    let locked = world.call("POST", "/v1/customers", &[]).await;
    assert_eq!(
        (
            locked.status,
            locked.header("retry-after"),
            &locked.json()["error"]["code"]
        ),
        (429, "7", &json!("lock_timeout"))
    );
    set(&world, fault(json!({ "status": 429 }))).await;
    assert_eq!(world.call("POST", "/v1/customers", &[]).await.header("retry-after"), "");
    assert_eq!(world.get("/v1/customers").await["data"], json!([]));
    set(&world, fault(json!({ "status": 503, "executed": true }))).await;
    assert_eq!(world.call("POST", "/v1/customers", &[]).await.status, 503);
    assert_eq!(world.get("/v1/customers").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_proxys_page_comes_and_a_body_breaks_off() {
    let world = start().await;
    let call = || {
        world
            .request(Method::POST, "/v1/customers")
            .header("idempotency-key", "k")
            .form(&[("name", "n")])
    };
    let page = json!({ "method": "POST", "path": "/v1/customers", "kind": "html_502" });
    set(&world, json!({ "answers": [page] })).await;
    let answer = call().send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["content-type"], "text/html");
    assert_eq!(answer.headers().get("request-id"), None);
    assert!(answer.text().await.unwrap().contains("<h1>502 Bad Gateway</h1>"));
    assert_eq!(world.get("/v1/customers").await["data"], json!([]));

    let torn = json!({ "method": "POST", "path": "/v1/customers", "kind": "truncated" });
    set(&world, json!({ "answers": [torn] })).await;
    let mut answer = call().send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let whole: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let first = answer.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"{") && first.len() < whole);
    assert!(answer.chunk().await.is_err());
    let replayed = call().send().await.unwrap();
    assert_eq!(replayed.headers()["idempotent-replayed"], "true");
    assert_eq!(replayed.text().await.unwrap().len(), whole);
}

#[tokio::test]
async fn a_type_that_is_never_generated_is_not_even_in_the_list() {
    let world = start().await;
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({})).await;
    set(
        &world,
        json!({ "deliveries": { "never_generate": ["customer.created"] } }),
    )
    .await;
    world.customer().await;
    world.post("/v1/products", &[("name", "P")]).await;
    world.settle().await;
    assert_eq!(receiver.types(), ["product.created"]);
    assert_eq!(world.events().await, ["product.created"]);
}

#[tokio::test]
async fn a_delivery_can_be_late_by_the_clock() {
    let world = start().await;
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({})).await;
    set(&world, json!({ "deliveries": { "delay_seconds": 3600 } })).await;
    world.customer().await;
    world.advance(3599).await;
    assert_eq!(world.rest().await["attempts"], 0);
    world.advance(1).await;
    world.settle().await;
    assert_eq!(receiver.types(), ["customer.created"]);
}

#[tokio::test]
async fn what_a_setting_has_met_is_not_forgotten_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = crate::client::start_on(&journal).await;
    let fault = json!({ "method": "POST", "path": "/v1/customers", "times": 2, "kind": "status", "status": 500 });
    set(&world, json!({ "answers": [fault] })).await;
    assert_eq!(world.call("POST", "/v1/customers", &[]).await.status, 500);
    world.sandbox.stop().await;
    let world = crate::client::start_on(&journal).await;
    assert_eq!(world.call("POST", "/v1/customers", &[]).await.status, 500);
    assert_eq!(world.call("POST", "/v1/customers", &[]).await.status, 200);
}

#[tokio::test]
async fn a_refusal_for_the_moment_leaves_the_connection_as_it_is() {
    let world = start().await;
    let refused = json!({ "method": "POST", "path": "/v1/customers", "kind": "status", "status": 429 });
    set(&world, json!({ "answers": [refused] })).await;
    let address = world.sandbox.url().strip_prefix("http://").unwrap();
    let mut connection = BufReader::new(TcpStream::connect(address).await.unwrap());
    for status in ["429", "200"] {
        let head = format!(
            "POST /v1/customers HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\n",
            world.sandbox.secret_key()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        // The body comes in a packet of its own, when the head has long been there.
        world.look("clock").await;
        connection.write_all(b"name=Jenny").await.unwrap();
        let mut length = 0;
        let mut line = String::new();
        connection.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{line}");
        while line != "\r\n" {
            line.clear();
            connection.read_line(&mut line).await.unwrap();
            if let Some(told) = line.strip_prefix("content-length: ") {
                length = told.trim().parse().unwrap();
            }
        }
        connection.read_exact(&mut vec![0; length]).await.unwrap();
    }
}
