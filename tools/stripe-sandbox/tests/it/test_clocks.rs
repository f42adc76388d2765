//! Test clocks: a time of their own for customers and all that is theirs.

use serde_json::{Value, json};
use stripe_sandbox::Config;

use crate::client::{DAY, START, World, config, has_in_order, start, start_on, start_with, text};

/// 2020-01-01T00:00:00Z, long before the sandbox's own time.
const PAST: i64 = 1_577_836_800;
/// 2040-01-01T00:00:00Z, long after it.
const FUTURE: i64 = 2_208_988_800;
const CLOCKS: &str = "/v1/test_helpers/test_clocks";

async fn clock(world: &World, frozen_time: i64) -> String {
    let clock = world
        .post(
            CLOCKS,
            &[("frozen_time", &frozen_time.to_string()), ("name", "Renewal")],
        )
        .await;
    text(&clock["id"])
}

async fn customer(world: &World, clock: &str, card: &str) -> String {
    let form = [("test_clock", clock), ("email", "jenny@example.com")];
    let customer = text(&world.post("/v1/customers", &form).await["id"]);
    if !card.is_empty() {
        world.give_card(&customer, card).await;
    }
    customer
}

async fn subscription(world: &World, customer: &str, more: &[(&str, &str)]) -> Value {
    let price = world.price().await;
    let form = [&[("customer", customer), ("items[0][price]", &*price)], more].concat();
    world.post("/v1/subscriptions", &form).await
}

/// Advances a clock and looks until it is there.
async fn advance(world: &World, clock: &str, to: i64) -> Value {
    let path = format!("{CLOCKS}/{clock}");
    let sent = world
        .post(&format!("{path}/advance"), &[("frozen_time", &to.to_string())])
        .await;
    assert_eq!(sent["status"], "advancing");
    assert_eq!(sent["status_details"]["advancing"]["target_frozen_time"], to);
    let clock = world.get(&path).await;
    assert_eq!((&clock["status"], &clock["frozen_time"]), (&json!("ready"), &json!(to)));
    assert_eq!(clock["status_details"], json!({}));
    clock
}

async fn invoices(world: &World, customer: &str) -> Vec<Value> {
    let list = world.get(&format!("/v1/invoices?customer={customer}&limit=100")).await;
    list["data"].as_array().unwrap().clone()
}

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
async fn a_subscription_lives_in_its_clocks_time_and_nowhere_else() {
    for from in [PAST, FUTURE] {
        let world = start().await;
        let clock = clock(&world, from).await;
        let customer = customer(&world, &clock, "visa").await;
        let subscription = subscription(&world, &customer, &[]).await;
        assert_eq!(
            (
                &subscription["created"],
                &subscription["test_clock"],
                &subscription["status"]
            ),
            (&json!(from), &json!(clock), &json!("active"))
        );
        let other = world.subscription().await;
        world.advance(29 * DAY).await;
        advance(&world, &clock, from + DAY).await;
        world.advance(DAY / 2).await;
        assert_eq!(invoices(&world, &customer).await.len(), 1, "other time does nothing");
        advance(&world, &clock, from + 31 * DAY).await;
        let all = invoices(&world, &customer).await;
        assert_eq!(
            (&all[0]["status"], &all[0]["created"], &all[0]["test_clock"]),
            (&json!("draft"), &json!(from + 31 * DAY), &json!(clock))
        );
        advance(&world, &clock, from + 31 * DAY + 3600).await;
        let all = invoices(&world, &customer).await;
        assert_eq!(
            (&all[0]["status"], &all[0]["amount_paid"]),
            (&json!("paid"), &json!(2900))
        );
        assert_eq!(all[0]["status_transitions"]["paid_at"], from + 31 * DAY + 3600);
        assert_eq!(all.len(), 2);
        world.advance(2 * DAY).await;
        assert_eq!(invoices(&world, &text(&other["customer"])).await.len(), 2);
        let payments = world.get(&format!("/v1/payment_intents?customer={customer}")).await;
        assert_eq!(payments["data"][0]["created"], from + 31 * DAY + 3600);
    }
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
async fn two_clocks_are_independent() {
    let world = start().await;
    let (one, other) = (clock(&world, PAST).await, clock(&world, FUTURE).await);
    let first = customer(&world, &one, "visa").await;
    let second = customer(&world, &other, "visa").await;
    subscription(&world, &first, &[]).await;
    subscription(&world, &second, &[]).await;
    advance(&world, &one, PAST + 40 * DAY).await;
    assert_eq!(invoices(&world, &first).await.len(), 2);
    assert_eq!(invoices(&world, &second).await.len(), 1);
    let untouched = world.get(&format!("{CLOCKS}/{other}")).await;
    assert_eq!(untouched["frozen_time"], FUTURE);
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
        let answer = world.call(method, &path, &form).await;
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
    world.post(&format!("/v1/customers/{customer}"), &[("name", "n")]).await;
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
async fn usage_is_reported_and_taken_back_in_the_clocks_time() {
    let world = start().await;
    let meter = [
        ("display_name", "Calls"),
        ("event_name", "calls"),
        ("default_aggregation[formula]", "sum"),
    ];
    let meter = text(&world.post("/v1/billing/meters", &meter).await["id"]);
    let clock = clock(&world, PAST).await;
    let customer = customer(&world, &clock, "visa").await;
    let product = text(&world.post("/v1/products", &[("name", "Calls")]).await["id"]);
    let metered = [
        ("product", &*product),
        ("currency", "usd"),
        ("unit_amount", "10"),
        ("recurring[interval]", "month"),
        ("recurring[usage_type]", "metered"),
        ("recurring[meter]", &*meter),
    ];
    let price = text(&world.post("/v1/prices", &metered).await["id"]);
    let form = [("customer", &*customer), ("items[0][price]", &*price)];
    world.post("/v1/subscriptions", &form).await;
    advance(&world, &clock, PAST + 10 * DAY).await;
    for (identifier, value) in [("a", "7"), ("b", "100")] {
        let used = [
            ("event_name", "calls"),
            ("identifier", identifier),
            ("payload[stripe_customer_id]", &*customer),
            ("payload[value]", value),
        ];
        let event = world.post("/v1/billing/meter_events", &used).await;
        assert_eq!(
            (&event["created"], &event["timestamp"]),
            (&json!(PAST + 10 * DAY), &json!(PAST + 10 * DAY))
        );
    }
    let back = [("event_name", "calls"), ("type", "cancel"), ("cancel[identifier]", "b")];
    world.post("/v1/billing/meter_event_adjustments", &back).await;
    advance(&world, &clock, PAST + 31 * DAY + 3600).await;
    let all = invoices(&world, &customer).await;
    assert_eq!(
        (&all[0]["status"], &all[0]["amount_paid"]),
        (&json!("paid"), &json!(70))
    );
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
async fn a_clock_has_three_customers_with_three_subscriptions_each() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    for _ in 0..2 {
        customer(&world, &clock, "").await;
    }
    let third = customer(&world, &clock, "visa").await;
    let answer = world.call("POST", "/v1/customers", &[("test_clock", &*clock)]).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("test_clock"))
    );
    let mut last = Value::Null;
    for _ in 0..3 {
        last = subscription(&world, &third, &[]).await;
    }
    let price = world.price().await;
    let one_more = [("customer", &*third), ("items[0][price]", &*price)];
    let answer = world.call("POST", "/v1/subscriptions", &one_more).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("customer"))
    );
    let session = [
        ("customer", &*third),
        ("mode", "subscription"),
        ("line_items[0][price]", &*price),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://example.com"),
    ];
    assert_eq!(world.call("POST", "/v1/checkout/sessions", &session).await.status, 400);
    let path = format!("/v1/subscriptions/{}", text(&last["id"]));
    assert_eq!(world.call("DELETE", &path, &[]).await.status, 200);
    subscription(&world, &third, &[]).await;
}

#[tokio::test]
async fn a_clock_is_deleted_with_its_customers() {
    let world = start().await;
    let kept = clock(&world, PAST).await;
    let staying = customer(&world, &kept, "visa").await;
    let gone = clock(&world, PAST).await;
    let going = customer(&world, &gone, "visa").await;
    let subscription = subscription(&world, &going, &[]).await;
    advance(&world, &gone, PAST + 3 * DAY).await;
    let path = format!("{CLOCKS}/{gone}");
    let stub = world.call("DELETE", &path, &[]).await.json();
    assert_eq!(
        stub,
        json!({ "id": gone, "object": "test_helpers.test_clock", "deleted": true })
    );
    let answer = world.call("GET", &path, &[]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.json()["error"]["message"],
        format!("No such billingclock: '{gone}'")
    );
    assert_eq!(world.get(&format!("/v1/customers/{going}")).await["deleted"], true);
    let ended = world
        .get(&format!("/v1/subscriptions/{}", text(&subscription["id"])))
        .await;
    assert_eq!(
        (&ended["status"], &ended["ended_at"]),
        (&json!("canceled"), &json!(PAST + 3 * DAY))
    );
    assert_eq!(
        world.get(&format!("/v1/customers/{staying}")).await["test_clock"],
        json!(kept)
    );
    let form = [("test_clock", &*gone)];
    let answer = world.call("POST", "/v1/customers", &form).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!("resource_missing"))
    );
    let story = [
        "customer.subscription.deleted",
        "customer.deleted",
        "test_helpers.test_clock.deleted",
    ];
    let events = world.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");

    // 30 days after it was made, of the sandbox's own time, the other goes as well.
    world.advance(30 * DAY - 1).await;
    world.get(&format!("{CLOCKS}/{kept}")).await;
    world.advance(1).await;
    assert_eq!(world.get(CLOCKS).await["data"], json!([]));
    assert_eq!(world.get(&format!("/v1/customers/{staying}")).await["deleted"], true);
}

#[tokio::test]
async fn lists_leave_out_what_belongs_to_a_clock_unless_asked() {
    let world = start().await;
    let clock = clock(&world, PAST).await;
    let clocked = customer(&world, &clock, "visa").await;
    subscription(&world, &clocked, &[]).await;
    let item = [("customer", &*clocked), ("amount", "5"), ("currency", "usd")];
    world.post("/v1/invoiceitems", &item).await;
    for (list, by_customer) in [
        ("customers", false),
        ("subscriptions", true),
        ("invoices", true),
        ("invoiceitems", true),
    ] {
        assert_eq!(world.get(&format!("/v1/{list}")).await["data"], json!([]), "{list}");
        if by_customer {
            let theirs = world.get(&format!("/v1/{list}?customer={clocked}")).await;
            assert_eq!(theirs["data"][0]["test_clock"], json!(clock), "{list}");
        }
    }
    for list in ["customers", "subscriptions"] {
        let theirs = world.get(&format!("/v1/{list}?test_clock={clock}")).await;
        assert_eq!(theirs["data"].as_array().unwrap().len(), 1);
        let answer = world
            .call("GET", &format!("/v1/{list}?test_clock=clock_none"), &[])
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains("No such billingclock"), "{}", answer.text);
    }
    let expanded = world.get(&format!("/v1/customers/{clocked}?expand[]=test_clock")).await;
    assert_eq!(expanded["test_clock"]["frozen_time"], PAST);
}

#[tokio::test]
async fn a_session_and_what_is_paid_on_its_page_are_of_the_customers_time() {
    let world = start().await;
    let clock = clock(&world, FUTURE).await;
    let customer = customer(&world, &clock, "").await;
    let session = world.session(&customer).await;
    assert_eq!(session["created"], FUTURE);
    assert_eq!(
        world.pay(&session, "4242424242424242").await.status,
        402,
        "expired cards are"
    );
    let form = [
        ("card_number", "4242424242424242"),
        ("card_expiry", "12 / 44"),
        ("card_cvc", "123"),
    ];
    let paid = crate::client::send(world.http.post(text(&session["url"])).form(&form)).await;
    assert_eq!(paid.status, 303, "{}", paid.text);
    let session = world
        .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
        .await;
    let path = format!("/v1/subscriptions/{}", text(&session["subscription"]));
    let subscription = world.get(&path).await;
    assert_eq!(
        (&subscription["created"], &subscription["test_clock"]),
        (&json!(FUTURE), &json!(clock))
    );
    let other = world.session(&customer).await;
    advance(&world, &clock, FUTURE + DAY).await;
    let other = world
        .get(&format!("/v1/checkout/sessions/{}", text(&other["id"])))
        .await;
    assert_eq!(other["status"], "expired");
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
async fn live_mode_has_no_test_clocks() {
    let live = Config {
        secret_key: "sk_live_other".to_owned(),
        ..config()
    };
    let world = start_with(live).await;
    for (method, form) in [("POST", &[("frozen_time", "1")][..]), ("GET", &[])] {
        let answer = world.call(method, CLOCKS, form).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json()["error"]["message"],
            "This endpoint is only available in testmode. Try using your test keys instead."
        );
    }
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
