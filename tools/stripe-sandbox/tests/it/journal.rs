use std::io::Write;

use serde_json::json;
use stripe_sandbox::{Config, Sandbox};
use tokio::net::TcpListener;

use crate::{
    client::{config, send, start_on, text},
    receiver::Receiver,
};

#[tokio::test]
async fn a_restart_keeps_objects_clock_keys_faults_and_hosted_pages() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = start_on(&journal).await;
    let subscription = world.subscription().await;
    world.advance(40 * 86_400).await;
    let customer = text(&subscription["customer"]);
    let session = world.session(&customer).await;
    world.control("faults", json!({ "deliveries": { "copies": 2 } })).await;
    let keyed = |world: &crate::client::World| {
        let request = world
            .request(reqwest::Method::POST, "/v1/customers")
            .header("idempotency-key", "k");
        send(request.form(&[("name", "n")]))
    };
    let first = keyed(&world).await;
    let (hash, clock) = (world.look("world").await, world.look("clock").await);
    let ledger = world.look("ledger").await;
    world.sandbox.stop().await;

    let world = start_on(&journal).await;
    assert_eq!((world.look("world").await, world.look("clock").await), (hash, clock));
    assert_eq!(world.look("ledger").await, ledger);
    assert_eq!(world.look("faults").await["deliveries"]["copies"], 2);
    let again = keyed(&world).await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.text),
        ("true", &first.text)
    );
    let moved = world
        .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
        .await;
    assert!(text(&moved["url"]).starts_with(world.sandbox.url()));
    assert_eq!(world.pay(&moved, "4242424242424242").await.status, 303);
    let fresh = world.customer().await;
    assert_ne!(fresh, customer);
}

#[tokio::test]
async fn what_was_not_delivered_is_delivered_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = start_on(&journal).await;
    let nowhere = json!({ "name": "gateway", "url": "http://127.0.0.1:1/", "secret": crate::receiver::SECRET });
    world.control("webhook_endpoints", nowhere).await;
    world.customer().await;
    world.sandbox.stop().await;
    let world = start_on(&journal).await;
    assert_eq!(world.look("deliveries").await["pending"], 1);
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({ "name": "gateway" })).await;
    world.settle().await;
    assert_eq!(receiver.types(), ["customer.created"]);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_the_journal_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = start_on(&journal).await;
    let first = world.customer().await;
    world.sandbox.stop().await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(b"{\"at\":1800000000,\"objects\":[{\"acc").unwrap();
    drop(file);
    let world = start_on(&journal).await;
    let second = world.customer().await;
    world.sandbox.stop().await;
    let world = start_on(&journal).await;
    let customers = world.get("/v1/customers").await;
    let ids: Vec<String> = customers["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(&one["id"]))
        .collect();
    assert_eq!(ids, [second, first]);
}

#[tokio::test]
async fn a_journal_belongs_to_one_seed_one_mode_and_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = start_on(&journal).await;
    let open = async |change: fn(&mut Config)| {
        let mut config = Config {
            journal: Some(journal.clone()),
            ..config()
        };
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Sandbox::start(config, listener)
            .await
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    };
    assert!(open(|_| ()).await.unwrap_err().contains("is in use"));
    world.sandbox.stop().await;
    assert!(
        open(|config| config.seed = 9)
            .await
            .unwrap_err()
            .contains("holds another world")
    );
    assert!(
        open(|config| config.secret_key = "sk_live_other".to_owned())
            .await
            .unwrap_err()
            .contains("another world")
    );
    assert!(
        open(|config| config.secret_key = "pk_test_x".to_owned())
            .await
            .unwrap_err()
            .contains("secret key")
    );
    std::fs::write(&journal, b"not a journal\n").unwrap();
    assert!(open(|_| ()).await.unwrap_err().contains("another world"));
}
