//! A seed and a scenario file make a run that repeats exactly.

use std::path::Path;

use serde_json::{Value, json};
use stripe_sandbox::{Config, Sandbox};
use tokio::net::TcpListener;

use crate::{
    client::{World, config, start_with, text},
    receiver::Receiver,
};

fn scenario() -> Value {
    json!({
        "seed": 11,
        // Late by the clock, so that no wall time has a say in which events form a group.
        "deliveries": { "delay_seconds": 60, "reorder": 4, "copies": 2, "copy_percent": 40, "drop_percent": 20 },
        "answers": [
            { "method": "POST", "path": "/v1/customers", "times": 100, "percent": 30, "kind": "status", "status": 500 },
            { "method": "POST", "path": "/v1/**", "times": 100, "percent": 20, "kind": "reset_after" },
        ],
        "steps": [
            { "after": { "calls": 8, "method": "POST" }, "answers": [
                { "method": "POST", "path": "/v1/products", "after": 1, "kind": "status", "status": 429 }] },
            { "after": { "calls": 9 }, "answers": [], "advance_seconds": 30,
              "deliveries": { "delay_seconds": 30, "reorder": 3 } },
        ],
    })
}

fn with_scenario(file: &Path, seed: u64) -> Config {
    Config {
        scenario: Some(file.to_owned()),
        seed,
        ..config()
    }
}

/// What twenty calls were answered, and the ids of the events in the order they came.
async fn run(file: &Path, seed: u64) -> (Vec<String>, Vec<String>) {
    let world = start_with(with_scenario(file, seed)).await;
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({})).await;
    let mut answers = Vec::new();
    for index in 0..20 {
        let path = if index % 3 == 0 {
            "/v1/products"
        } else {
            "/v1/customers"
        };
        let call = world
            .request(reqwest::Method::POST, path)
            .header("idempotency-key", format!("k{index}"))
            .form(&[("name", "n")]);
        answers.push(match call.send().await {
            Err(_) => "no answer".to_owned(),
            Ok(answer) => {
                let head = format!("{} {:?}", answer.status(), answer.headers());
                format!("{head}\n{}", answer.text().await.unwrap())
            }
        });
    }
    world.advance(60).await;
    world.settle().await;
    let events = receiver.events().iter().map(|event| text(&event["id"])).collect();
    (answers, events)
}

#[tokio::test]
async fn the_same_seed_and_scenario_give_the_same_answers_and_deliveries_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.json");
    std::fs::write(&file, scenario().to_string()).unwrap();
    let first = run(&file, 1).await;
    assert_eq!(run(&file, 1).await, first);
    let (answers, events) = first;
    assert!(answers.iter().any(|answer| answer == "no answer"));
    for status in ["200", "429", "500"] {
        assert!(answers.iter().any(|answer| answer.starts_with(status)), "no {status}");
    }
    let mut in_order = events.clone();
    in_order.dedup();
    assert!(in_order.len() < events.len(), "copies come one after the other");
    assert_ne!(run(&file, 2).await.1, events, "another seed has other ids");
}

#[tokio::test]
async fn a_scenario_is_for_a_new_world_and_a_wrong_one_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.json");
    std::fs::write(&file, json!({ "deliveries": { "copies": 3 } }).to_string()).unwrap();
    let config = || Config {
        journal: Some(folder.path().join("world")),
        ..with_scenario(&file, 1)
    };
    let copies = async |world: &World| world.look("faults").await["deliveries"]["copies"].clone();
    let world = start_with(config()).await;
    assert_eq!(copies(&world).await, 3);
    world.control("faults", json!({ "deliveries": { "copies": 2 } })).await;
    world.sandbox.stop().await;
    let world = start_with(config()).await;
    assert_eq!(copies(&world).await, 2);
    world.sandbox.stop().await;

    for wrong in ["{", "{\"steps\": [{}]}", "{\"deliveries\": {\"copies\": 11}}"] {
        std::fs::write(&file, wrong).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = Sandbox::start(config(), listener).await.expect_err(wrong);
        assert!(format!("{error:#}").contains("scenario.json"), "{error:#}");
    }
}
