use serde_json::{Value, json};
use stripe_sandbox::{Config, Sandbox};
use tokio::net::TcpListener;

use crate::{
    client::{Answer, DAY, World, config, send, start, start_on, start_with, text},
    receiver::Receiver,
};

async fn restore(world: &World, snapshot: &str) -> Answer {
    let url = format!("{}/_sandbox/restore", world.sandbox.url());
    send(world.http.post(url).body(snapshot.to_owned())).await
}

/// Everything a world can have: a billing history, a key, faults, something undelivered.
async fn lived_in(world: &World) {
    world.subscription().await;
    world.advance(40 * DAY).await;
    let nowhere = json!({ "name": "gateway", "url": "http://127.0.0.1:1/", "secret": crate::receiver::SECRET });
    world.control("webhook_endpoints", nowhere).await;
    let call = world.request(reqwest::Method::POST, "/v1/customers");
    send(call.header("idempotency-key", "k").form(&[("name", "n")])).await;
    world
        .control("keys", json!({ "permissions": { "customers": "read" } }))
        .await;
}

/// What a world does next: a replay, a new customer, three months.
async fn goes_on(world: &World) -> Vec<Value> {
    let call = world.request(reqwest::Method::POST, "/v1/customers");
    let replayed = send(call.header("idempotency-key", "k").form(&[("name", "n")])).await;
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    let customer = world.customer().await;
    world.advance(90 * DAY).await;
    let mut seen = vec![replayed.json(), json!(customer)];
    for look in ["world", "clock", "ledger", "faults", "keys", "objects/event"] {
        // Pages have this sandbox's own address.
        let text = world
            .look(look)
            .await
            .to_string()
            .replace(world.sandbox.url(), "http://sandbox");
        seen.push(serde_json::from_str(&text).unwrap());
    }
    seen
}

#[tokio::test]
async fn a_restored_world_is_the_same_and_goes_on_the_same() {
    let world = start().await;
    lived_in(&world).await;
    let hash = world.look("world").await;
    let snapshot = world.control("snapshot", json!({})).await.text;
    let went_on = goes_on(&world).await;
    assert_ne!(world.look("world").await, hash);

    assert_eq!(restore(&world, &snapshot).await.json(), hash);
    assert_eq!(goes_on(&world).await, went_on);

    let other = start().await;
    other.customer().await;
    assert_eq!(restore(&other, &snapshot).await.json(), hash);
    let receiver = Receiver::start().await;
    receiver.register(&other, json!({ "name": "gateway" })).await;
    other.settle().await;
    assert_eq!(receiver.types(), ["customer.created"], "what was pending is delivered");
    assert_eq!(restore(&other, &snapshot).await.json(), hash);
    assert_eq!(goes_on(&other).await, went_on);
}

#[tokio::test]
async fn a_restored_world_is_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = start_on(&journal).await;
    lived_in(&world).await;
    let (hash, snapshot) = (
        world.look("world").await,
        world.control("snapshot", json!({})).await.text,
    );
    world.price().await;
    restore(&world, &snapshot).await;
    let customer = world.customer().await;
    world.sandbox.stop().await;
    let world = start_on(&journal).await;
    world.get(&format!("/v1/customers/{customer}")).await;
    assert_eq!(world.get("/v1/prices").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(restore(&world, &snapshot).await.json(), hash);
    world.sandbox.stop().await;

    std::fs::write(&journal, &snapshot).unwrap();
    let world = start_on(&journal).await;
    assert_eq!(world.look("world").await, hash, "a snapshot is a journal");
}

#[tokio::test]
async fn snapshots_have_names_in_a_folder_and_a_new_world_begins_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || Config {
        snapshots: Some(folder.path().to_owned()),
        ..config()
    };
    let world = start_with(kept()).await;
    let customer = world.customer().await;
    let made = world
        .control("snapshot", json!({ "name": "one_customer" }))
        .await
        .json();
    world.customer().await;
    let restored = world.control("restore", json!({ "name": "one_customer" })).await.json();
    assert_eq!(restored["sha256"], made["sha256"]);
    for name in ["../one_customer", "", "a/b"] {
        assert_eq!(world.control("snapshot", json!({ "name": name })).await.status, 400);
        assert_eq!(world.control("restore", json!({ "name": name })).await.status, 400);
    }
    assert_eq!(world.control("restore", json!({ "name": "another" })).await.status, 400);

    let begins = || Config {
        restore: Some(folder.path().join("one_customer.snapshot")),
        journal: Some(folder.path().join("world")),
        ..config()
    };
    let world = start_with(begins()).await;
    world.get(&format!("/v1/customers/{customer}")).await;
    assert_eq!(world.look("world").await["sha256"], made["sha256"]);
    world.sandbox.stop().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = Sandbox::start(begins(), listener).await.expect_err("a history already");
    assert!(format!("{error:#}").contains("already"), "{error:#}");
}

#[tokio::test]
async fn what_is_no_snapshot_of_this_world_is_refused_and_changes_nothing() {
    let world = start().await;
    world.customer().await;
    let hash = world.look("world").await;
    let snapshot = world.control("snapshot", json!({})).await.text;
    let other_seed = snapshot.replacen("\"seed\":1", "\"seed\":2", 1);
    for wrong in ["", "{}", "x", &snapshot[..snapshot.len() - 2], &other_seed] {
        let answer = restore(&world, wrong).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    assert_eq!(world.look("world").await, hash);
    assert_eq!(text(&hash["sha256"]).len(), 64);
}
