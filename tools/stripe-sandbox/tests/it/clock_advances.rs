//! How test clocks advance.

use serde_json::json;

use crate::{
    client::{DAY, START, World, has_in_order, start, start_on, text},
    test_clocks::{CLOCKS, PAST, advance, clock, customer, invoices, subscription},
};

/// The events about objects with this field, oldest first: type and `created`.
async fn told(world: &World, name: &str, value: &str) -> Vec<(String, i64)> {
    let objects = world.look("objects/event").await;
    let events = objects["data"].as_array().unwrap().iter().rev();
    events
        .filter(|one| one["object"]["data"]["object"][name] == value)
        .map(|one| {
            let event = &one["object"];
            (text(&event["type"]), event["created"].as_i64().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn events_are_told_in_order_at_the_moments_of_the_clock() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "chargeCustomerFail").await;
    let trial = subscription(&world, &customer, &[("trial_period_days", "7")]).await;
    advance(&world, &clock, PAST + 31 * DAY).await;
    let told = told(&world, "customer", &customer).await;
    let at = |kind: &str| -> Vec<i64> {
        let moments = told.iter().filter(|(told, _)| told == kind);
        moments.map(|(_, at)| (at - PAST) / 3600).collect()
    };
    assert_eq!(at("customer.subscription.trial_will_end"), [4 * 24]);
    let first = 7 * 24 + 1;
    let failures = [first, first + 3 * 24, first + 8 * 24, first + 15 * 24];
    assert_eq!(at("invoice.payment_failed"), failures);
    assert_eq!(at("customer.subscription.deleted"), [first + 15 * 24]);
    assert!(told.is_sorted_by_key(|(_, at)| *at), "{told:?}");
    let ended = world.get(&format!("/v1/subscriptions/{}", text(&trial["id"]))).await;
    assert_eq!(
        (&ended["status"], &ended["ended_at"]),
        (&json!("canceled"), &json!(PAST + (first + 15 * 24) * 3600))
    );
    let events = world.events().await;
    let story = [
        "test_helpers.test_clock.created",
        "test_helpers.test_clock.advancing",
        "customer.subscription.trial_will_end",
        "customer.subscription.deleted",
        "test_helpers.test_clock.ready",
    ];
    assert!(has_in_order(&events, &story), "{events:?}");
    // They are read for 30 days of the present, whatever their own time.
    let list = world.get("/v1/events?type=customer.subscription.deleted").await;
    assert_eq!(list["data"][0]["created"], ended["ended_at"]);
    world.advance(31 * DAY).await;
    let list = world.get("/v1/events?type=customer.subscription.deleted").await;
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn a_clock_goes_forward_only_and_at_most_two_intervals() {
    let world = start().await;
    let clock = clock(&world, 1_732_320_000).await;
    let path = format!("{CLOCKS}/{clock}/advance");
    let refused = async |to: i64| {
        let answer = world.call("POST", &path, &[("frozen_time", &to.to_string())]).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.json()["error"]["param"], "frozen_time");
        text(&answer.json()["error"]["message"])
    };
    for back in [0, 1_732_319_999, 1_732_320_000] {
        let message = refused(back).await;
        assert!(message.contains("only advance it to a later time"), "{message}");
    }
    // 2026-11-23: two years.
    let message = refused(1_795_392_001).await;
    assert!(
        message.contains("up to 1795392000 (2026-11-23 00:00:00 UTC)"),
        "{message}"
    );
    let customer = customer(&world, &clock, "visa").await;
    subscription(&world, &customer, &[]).await;
    let message = refused(1_737_590_401).await;
    assert!(
        message.starts_with(
            "The frozen time of this clock is 1732320000 (2024-11-23 00:00:00 UTC). You can only advance it up to 1737590400 \
             (2025-01-23 00:00:00 UTC). "
        ),
        "{message}"
    );
    advance(&world, &clock, 1_737_590_400).await;
    assert_eq!(invoices(&world, &customer).await.len(), 3);
    let events = world.events().await;
    let tried = events.iter().filter(|one| one.ends_with("advancing")).count();
    assert_eq!(tried, 1);
}

#[tokio::test]
async fn what_advances_is_not_changed() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "visa").await;
    let subscription = subscription(&world, &customer, &[]).await;
    world.control("faults", json!({ "test_clocks": "hold" })).await;
    let item = text(&subscription["items"]["data"][0]["id"]);
    let path = format!("{CLOCKS}/{clock}");
    let to = (PAST + 31 * DAY).to_string();
    world.post(&format!("{path}/advance"), &[("frozen_time", &to)]).await;
    let changes = [
        ("POST", format!("{path}/advance"), vec![("frozen_time", &*to)]),
        ("DELETE", path.clone(), vec![]),
        ("POST", format!("/v1/customers/{customer}"), vec![("name", "n")]),
        ("POST", "/v1/customers".to_owned(), vec![("test_clock", &*clock)]),
        (
            "DELETE",
            format!("/v1/subscriptions/{}", text(&subscription["id"])),
            vec![],
        ),
        (
            "POST",
            format!("/v1/subscription_items/{item}"),
            vec![("quantity", "2")],
        ),
        (
            "POST",
            "/v1/invoiceitems".to_owned(),
            vec![("customer", &*customer), ("amount", "5"), ("currency", "usd")],
        ),
    ];
    for (method, path, form) in changes {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let call = world.request(method.clone(), &path).header("idempotency-key", &*path);
        let answer = crate::client::send(call.form(&form)).await;
        assert_eq!(answer.status, 429, "{method} {path}: {}", answer.text);
        let message = text(&answer.json()["error"]["message"]);
        assert_eq!(
            message,
            format!("Test clock advancement underway - cannot perform modifications: {clock}")
        );
    }
    let path = format!("{CLOCKS}/{clock}");
    assert_eq!(world.get(&path).await["status"], "advancing");
    assert_eq!(invoices(&world, &customer).await.len(), 1);
    // What is not the clock's is changed all the while.
    world.customer().await;
    world.control("faults", json!({})).await;
    // Whoever looks, at anything, finds it there.
    let all = invoices(&world, &customer).await;
    assert_eq!((all.len(), &all[0]["created"]), (2, &json!(PAST + 31 * DAY)));
    // A refusal is not kept: the same key is good now.
    let path = format!("/v1/customers/{customer}");
    let call = world
        .request(reqwest::Method::POST, &path)
        .header("idempotency-key", &*path);
    let answer = crate::client::send(call.form(&[("name", "n")])).await;
    assert_eq!((answer.status, &answer.json()["name"]), (200, &json!("n")));
}

#[tokio::test]
async fn a_change_that_comes_at_once_comes_too_early() {
    // Within a second, that is; what is held is tried above.
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "").await;
    let to = [("frozen_time", &*(PAST + DAY).to_string())];
    let begun = std::time::Instant::now();
    world.post(&format!("{CLOCKS}/{clock}/advance"), &to).await;
    let path = format!("/v1/customers/{customer}");
    let answer = world.call("POST", &path, &[("name", "n")]).await;
    if begun.elapsed().as_millis() < 1000 {
        assert_eq!(answer.status, 429, "{}", answer.text);
    }
    let events = world.events().await;
    assert_eq!(events.last().unwrap(), "test_helpers.test_clock.ready");
    world.post(&path, &[("name", "n")]).await;
}

#[tokio::test]
async fn a_clock_that_failed_to_advance_does_not_any_more() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "visa").await;
    subscription(&world, &customer, &[]).await;
    world.control("faults", json!({ "test_clocks": "fail" })).await;
    let to = [("frozen_time", &*(PAST + 40 * DAY).to_string())];
    let path = format!("{CLOCKS}/{clock}");
    world.post(&format!("{path}/advance"), &to).await;
    let failed = world.get(&path).await;
    assert_eq!(
        (&failed["status"], &failed["frozen_time"]),
        (&json!("internal_failure"), &json!(PAST))
    );
    assert_eq!(
        world.events().await.last().unwrap(),
        "test_helpers.test_clock.internal_failure"
    );
    world.control("faults", json!({})).await;
    let answer = world.call("POST", &format!("{path}/advance"), &to).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(invoices(&world, &customer).await.len(), 1);
    assert_eq!(world.call("DELETE", &path, &[]).await.status, 200);
}

#[tokio::test]
async fn what_comes_of_it_does_not_depend_on_when_it_is_looked_at() {
    let live = async |waits: bool| {
        let world = start().await;
        let clock = clock(&world, PAST).await;
        let customer = customer(&world, &clock, "visa").await;
        subscription(&world, &customer, &[]).await;
        let to = [("frozen_time", &*(PAST + 40 * DAY).to_string())];
        world.post(&format!("{CLOCKS}/{clock}/advance"), &to).await;
        let is_over = async || {
            let ledger = world.look("ledger").await;
            let effects = ledger["effects"].as_array().unwrap();
            let told = effects.iter().filter(|one| one["object"] == "test_helpers.test_clock");
            told.count() == 3
        };
        while waits && !is_over().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        world.subscription().await;
        (world.look("world").await, world.look("ledger").await)
    };
    assert_eq!(live(true).await, live(false).await);
}

#[tokio::test]
async fn an_advance_ends_though_nobody_looks() {
    let world = start().await;
    let receiver = crate::receiver::Receiver::start().await;
    receiver.register(&world, json!({ "name": "gateway" })).await;
    let clock = clock(&world, PAST).await;
    let to = (PAST + DAY).to_string();
    world
        .post(&format!("{CLOCKS}/{clock}/advance"), &[("frozen_time", &to)])
        .await;
    for _ in 0..100 {
        if receiver
            .types()
            .last()
            .is_some_and(|last| last == "test_helpers.test_clock.ready")
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{:?}", receiver.types());
}

#[tokio::test]
async fn the_same_key_advances_once() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let to = (PAST + DAY).to_string();
    let send = async || {
        let call = world.request(reqwest::Method::POST, &format!("{CLOCKS}/{clock}/advance"));
        crate::client::send(call.header("idempotency-key", "k").form(&[("frozen_time", &*to)])).await
    };
    let first = send().await;
    let again = send().await;
    assert_eq!((first.status, &again.text), (200, &first.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
    world.get(&format!("{CLOCKS}/{clock}")).await;
    let advances = world.events().await;
    assert_eq!(advances.iter().filter(|one| one.ends_with(".advancing")).count(), 1);
}

#[tokio::test]
async fn killed_while_it_advances_a_clock_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("world");
    let world = start_on(&journal).await;
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "visa").await;
    subscription(&world, &customer, &[]).await;
    let before = std::fs::read_to_string(&journal).unwrap().lines().count();
    advance(&world, &clock, PAST + 60 * DAY).await;
    let hash = world.look("world").await;
    assert_eq!(invoices(&world, &customer).await.len(), 3);
    world.sandbox.stop().await;

    let whole = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert!(lines.len() > before + 5, "{}", lines.len() - before);
    // As `kill -9` may leave it: with the advance begun, and so many of its steps done.
    for left in before + 1..lines.len() {
        std::fs::write(&journal, lines[..left].join("\n") + "\n").unwrap();
        let world = start_on(&journal).await;
        let clock = world.get(&format!("{CLOCKS}/{clock}")).await;
        assert_eq!(
            (&clock["status"], &clock["frozen_time"]),
            (&json!("ready"), &json!(PAST + 60 * DAY))
        );
        assert_eq!(world.look("world").await, hash, "{left}");
        world.sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_snapshot_keeps_clocks_and_what_is_on_its_way() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "visa").await;
    subscription(&world, &customer, &[]).await;
    let to = (PAST + 31 * DAY).to_string();
    world
        .post(&format!("{CLOCKS}/{clock}/advance"), &[("frozen_time", &to)])
        .await;
    let snapshot = world.control("snapshot", json!({})).await.text;
    let goes_on = async |world: &World| {
        advance(world, &clock, PAST + 40 * DAY).await;
        (invoices(world, &customer).await, world.look("world").await)
    };
    world.get(CLOCKS).await;
    let (went, hash) = goes_on(&world).await;
    assert_eq!(went.len(), 2);

    let other = start().await;
    let url = format!("{}/_sandbox/restore", other.sandbox.url());
    let restored = crate::client::send(other.http.post(url).body(snapshot)).await;
    assert_eq!(restored.status, 200, "{}", restored.text);
    assert_eq!(other.get(&format!("{CLOCKS}/{clock}")).await["status"], "ready");
    let (again, same) = goes_on(&other).await;
    assert_eq!(same, hash);
    assert_eq!(again.len(), 2);
    assert_eq!(START, other.look("clock").await["now"].as_i64().unwrap());
}
