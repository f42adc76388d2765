//! Meters, the usage that is reported to them, and what it costs.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, start, start_on, text};

pub(crate) async fn meter(world: &World, event: &str, more: &[(&str, &str)]) -> String {
    let mut form = vec![("display_name", "Calls"), ("event_name", event)];
    if more.iter().all(|(name, _)| *name != "default_aggregation[formula]") {
        form.push(("default_aggregation[formula]", "sum"));
    }
    form.extend(more);
    text(&world.post("/v1/billing/meters", &form).await["id"])
}

/// Reports usage, and gives the status of the answer and what it says.
pub(crate) async fn report(
    world: &World,
    event: &str,
    customer: &str,
    value: &str,
    more: &[(&str, &str)],
) -> (u16, Value) {
    let mut form = vec![
        ("event_name", event),
        ("payload[stripe_customer_id]", customer),
        ("payload[value]", value),
    ];
    form.extend(more);
    let answer = world.call("POST", "/v1/billing/meter_events", &form).await;
    (answer.status, answer.json())
}

/// What a customer used, as `(start, value)` of each summary.
async fn used(world: &World, meter: &str, customer: &str, from: i64, to: i64, window: &str) -> Vec<(i64, Value)> {
    let mut path =
        format!("/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={from}&end_time={to}");
    if !window.is_empty() {
        path.push_str(&format!("&value_grouping_window={window}"));
    }
    let list = world.get(&path).await;
    let data = list["data"].as_array().unwrap().iter();
    data.map(|one| (one["start_time"].as_i64().unwrap(), one["aggregated_value"].clone()))
        .collect()
}

#[tokio::test]
async fn what_is_reported_is_added_up_by_hour_by_day_and_in_all() {
    let world = start().await;
    let (customer, other) = (world.customer().await, world.customer().await);
    let meter = meter(&world, "calls", &[]).await;
    let hour = START - 8 * 3600;
    for (at, who, value) in [
        (hour - DAY, &customer, "4"),
        (hour, &customer, "2.5"),
        (hour + 60, &customer, "1"),
        (START, &customer, "-3"),
        (START + 300, &customer, "8"),
        (START, &other, "100"),
    ] {
        let (status, event) = report(&world, "calls", who, value, &[("timestamp", &at.to_string())]).await;
        assert_eq!(status, 200, "{event}");
        assert_eq!((&event["timestamp"], &event["created"]), (&json!(at), &json!(START)));
        assert_eq!(
            (event.get("id"), event["payload"]["value"].as_str()),
            (None, Some(value))
        );
    }
    let all = (hour - DAY, hour + DAY);
    assert_eq!(
        used(&world, &meter, &customer, all.0, all.1, "").await,
        [(hour - DAY, json!(12.5))]
    );
    assert_eq!(
        used(&world, &meter, &customer, all.0, all.1, "day").await,
        [(hour, json!(8.5)), (hour - DAY, json!(4))]
    );
    assert_eq!(
        used(&world, &meter, &customer, all.0, all.1, "hour").await,
        [(START, json!(5)), (hour, json!(3.5)), (hour - DAY, json!(4))]
    );
    // The end is not included.
    assert_eq!(
        used(&world, &meter, &customer, hour, START, "").await,
        [(hour, json!(3.5))]
    );
    assert_eq!(
        used(&world, &meter, &customer, START + DAY, START + 2 * DAY, "").await,
        [(START + DAY, json!(0))]
    );
    let path = format!(
        "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={}&end_time={}&value_grouping_window=hour&limit=1",
        all.0, all.1
    );
    let first = world.get(&path).await;
    let next = world
        .get(&format!("{path}&starting_after={}", text(&first["data"][0]["id"])))
        .await;
    assert_eq!(
        (&first["has_more"], &next["data"][0]["start_time"]),
        (&json!(true), &json!(hour))
    );
}

#[tokio::test]
async fn an_identifier_counts_once_a_day_and_can_be_taken_back() {
    let world = start().await;
    let customer = world.customer().await;
    let counting = [("default_aggregation[formula]", "count")];
    let meter = meter(&world, "calls", &counting).await;
    let named = [("identifier", "row-1")];
    assert_eq!(report(&world, "calls", &customer, "1", &named).await.0, 200);
    let (status, again) = report(&world, "calls", &customer, "1", &named).await;
    assert_eq!(
        (status, again["error"]["message"].as_str()),
        (400, Some("An event already exists with identifier row-1."))
    );
    assert_eq!(report(&world, "calls", &customer, "", &[]).await.0, 200);
    let total = async || {
        used(&world, &meter, &customer, START, START + 2 * DAY, "").await[0]
            .1
            .clone()
    };
    assert_eq!(total().await, 2);
    let cancel = async |event: &str, identifier: &str| {
        let form = [
            ("event_name", event),
            ("type", "cancel"),
            ("cancel[identifier]", identifier),
        ];
        world.call("POST", "/v1/billing/meter_event_adjustments", &form).await
    };
    let done = cancel("calls", "row-1").await.json();
    assert_eq!(
        done,
        json!({
            "object": "billing.meter_event_adjustment", "cancel": { "identifier": "row-1" }, "event_name": "calls",
            "livemode": false, "status": "complete", "type": "cancel",
        })
    );
    assert_eq!(total().await, 1);
    for (event, identifier) in [("calls", "row-1"), ("calls", "row-9"), ("others", "row-1")] {
        assert_eq!(cancel(event, identifier).await.status, 400, "{event} {identifier}");
    }
    // Canceled or not, the identifier is taken for a day.
    assert_eq!(report(&world, "calls", &customer, "1", &named).await.0, 400);
    world.advance(DAY).await;
    assert_eq!(report(&world, "calls", &customer, "1", &named).await.0, 200);
    assert_eq!(total().await, 2);
    world.advance(DAY).await;
    assert_eq!(cancel("calls", "row-1").await.status, 400);
}

#[tokio::test]
async fn usage_that_cannot_be_is_refused() {
    let world = start().await;
    let customer = world.customer().await;
    meter(&world, "calls", &[]).await;
    let oldest = (START - 35 * DAY).to_string();
    let too_old = (START - 35 * DAY - 1).to_string();
    let too_new = (START + 301).to_string();
    for (event, customer, value, more, param) in [
        ("others", &*customer, "1", None, "event_name"),
        ("calls", "cus_nobody", "1", None, "payload[stripe_customer_id]"),
        ("calls", "", "1", None, "payload[stripe_customer_id]"),
        ("calls", &customer, "", None, "payload[value]"),
        ("calls", &customer, "many", None, "payload[value]"),
        ("calls", &customer, "1e3", None, "payload[value]"),
        ("calls", &customer, "1.", None, "payload[value]"),
        ("calls", &customer, "1234567890.123456", None, "payload[value]"),
        ("calls", &customer, "1", Some(("timestamp", &*too_old)), "timestamp"),
        ("calls", &customer, "1", Some(("timestamp", &*too_new)), "timestamp"),
    ] {
        let more: Vec<_> = more.into_iter().collect();
        let (status, answer) = report(&world, event, customer, value, &more).await;
        assert_eq!(
            (status, answer["error"]["param"].as_str()),
            (400, Some(param)),
            "{event} {customer} {value} {answer}"
        );
    }
    assert_eq!(
        report(&world, "calls", &customer, "1", &[("timestamp", &oldest)])
            .await
            .0,
        200
    );
    let meters = world.get("/v1/billing/meters").await;
    let path = format!("/v1/billing/meters/{}/event_summaries", text(&meters["data"][0]["id"]));
    let start = START.to_string();
    for (from, to, window, param) in [
        (START + 1, START + 60, "", "start_time"),
        (START, START + 61, "", "end_time"),
        (START, START + 60, "hour", "end_time"),
        (START, START + DAY, "day", "start_time"),
        (START, START, "", "start_time"),
    ] {
        let (from, to) = (from.to_string(), to.to_string());
        let mut query = vec![("customer", &*customer), ("start_time", &from), ("end_time", &to)];
        query.extend((!window.is_empty()).then_some(("value_grouping_window", window)));
        let answer = world.call("GET", &path, &query).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["param"].as_str()),
            (400, Some(param)),
            "{query:?}"
        );
    }
    let query = [
        ("customer", "cus_nobody"),
        ("start_time", &*start),
        ("end_time", "9999999960"),
    ];
    assert_eq!(world.call("GET", &path, &query).await.status, 400);
}

#[tokio::test]
async fn a_meter_is_renamed_put_out_of_use_and_into_use_again() {
    let world = start().await;
    let customer = world.customer().await;
    let meter = meter(
        &world,
        "calls",
        &[
            ("customer_mapping[type]", "by_id"),
            ("customer_mapping[event_payload_key]", "who.id"),
            ("value_settings[event_payload_key]", "how.many"),
        ],
    )
    .await;
    let mapped = [
        ("event_name", "calls"),
        ("payload[who.id]", &*customer),
        ("payload[how.many]", "3"),
    ];
    world.post("/v1/billing/meter_events", &mapped).await;
    let path = format!("/v1/billing/meters/{meter}");
    world.advance(60).await;
    let renamed = world.post(&path, &[("display_name", "API calls")]).await;
    assert_eq!(
        (renamed["display_name"].as_str(), &renamed["updated"]),
        (Some("API calls"), &json!(START + 60))
    );
    let form = [
        ("display_name", "x"),
        ("event_name", "calls"),
        ("default_aggregation[formula]", "sum"),
    ];
    assert_eq!(world.call("POST", "/v1/billing/meters", &form).await.status, 400);
    let off = world.post(&format!("{path}/deactivate"), &[]).await;
    assert_eq!(
        (off["status"].as_str(), &off["status_transitions"]["deactivated_at"]),
        (Some("inactive"), &json!(START + 60))
    );
    for (path, form) in [
        (format!("{path}/deactivate"), &[][..]),
        (path.clone(), &form[..1]),
        ("/v1/billing/meter_events".to_owned(), &mapped[..]),
    ] {
        assert_eq!(world.call("POST", &path, form).await.status, 400, "{path}");
    }
    let second = text(&world.post("/v1/billing/meters", &form).await["id"]);
    assert_eq!(world.call("POST", &format!("{path}/reactivate"), &[]).await.status, 400);
    world
        .post(&format!("/v1/billing/meters/{second}/deactivate"), &[])
        .await;
    world.post(&format!("{path}/reactivate"), &[]).await;
    let active = world.get("/v1/billing/meters?status=active").await;
    assert_eq!(active["data"].as_array().unwrap().len(), 1);
    assert_eq!(active["data"][0]["status_transitions"]["deactivated_at"], json!(null));
    let events = world.events().await;
    assert!(has_in_order(
        &events,
        &[
            "billing.meter.created",
            "billing.meter.updated",
            "billing.meter.deactivated",
            "billing.meter.created",
            "billing.meter.deactivated",
            "billing.meter.reactivated",
        ]
    ));
    assert_eq!(events.len(), 7, "{events:?}");
}

/// A price of 5 cents a call.
pub(crate) async fn metered(world: &World, meter: &str) -> Value {
    let product = text(&world.post("/v1/products", &[("name", "Calls")]).await["id"]);
    let terms = [
        ("product", &*product),
        ("currency", "usd"),
        ("unit_amount", "5"),
        ("recurring[interval]", "month"),
        ("recurring[usage_type]", "metered"),
        ("recurring[meter]", meter),
    ];
    world.post("/v1/prices", &terms).await
}

#[tokio::test]
async fn usage_is_billed_when_its_period_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let world = start_on(&journal).await;
    let customer = world.customer().await;
    let meter = meter(&world, "calls", &[]).await;
    let price = metered(&world, &meter).await;
    assert_eq!(
        (&price["recurring"]["usage_type"], &price["recurring"]["meter"]),
        (&json!("metered"), &json!(meter))
    );
    let (flat, price) = (world.price().await, text(&price["id"]));
    let form = [
        ("mode", "subscription"),
        ("customer", &*customer),
        ("line_items[0][price]", &flat),
        ("line_items[0][quantity]", "1"),
        ("line_items[1][price]", &price),
        ("success_url", "https://example.com/done"),
        ("expand[]", "line_items"),
    ];
    let session = world.post("/v1/checkout/sessions", &form).await;
    assert_eq!(
        (&session["amount_total"], &session["line_items"]["data"][1]["quantity"]),
        (&json!(2900), &json!(null))
    );
    assert_eq!(world.pay(&session, "4242424242424242").await.status, 303);
    let subscription = world.get("/v1/subscriptions").await["data"][0].clone();
    let item = &subscription["items"]["data"][1];
    assert_eq!((item.get("quantity"), &item["plan"]["meter"]), (None, &json!(meter)));
    assert_eq!(item["plan"]["usage_type"], "metered");
    report(&world, "calls", &customer, "10", &[]).await;
    world.advance(DAY).await;
    report(&world, "calls", &customer, "7.5", &[]).await;
    world.sandbox.stop().await;

    let world = start_on(&journal).await;
    let end = item["current_period_end"].as_i64().unwrap();
    world.advance(end - START - 60).await;
    // Of the next period.
    let next = (end + 60).to_string();
    assert_eq!(
        report(&world, "calls", &customer, "1000", &[("timestamp", &next)])
            .await
            .0,
        200
    );
    world.advance(7200).await;
    let invoices = world.get("/v1/invoices").await;
    let renewal = &invoices["data"][0];
    // 17.5 calls at 5 cents, rounded once.
    assert_eq!(
        (&renewal["status"], &renewal["total"]),
        (&json!("paid"), &json!(2900 + 88))
    );
    let lines = renewal["lines"]["data"].as_array().unwrap();
    let used = lines
        .iter()
        .find(|line| line["pricing"]["price_details"]["price"] == *price)
        .unwrap();
    assert_eq!(
        (
            &used["amount"],
            &used["quantity"],
            &used["quantity_decimal"],
            &used["period"]["end"]
        ),
        (&json!(88), &json!(17), &json!("17.5"), &json!(end))
    );
}

#[tokio::test]
async fn a_metered_price_needs_a_meter_and_takes_no_quantity() {
    let world = start().await;
    let customer = world.customer().await;
    let meter = meter(&world, "calls", &[]).await;
    let price = metered(&world, &meter).await;
    let (product, price) = (text(&price["product"]), text(&price["id"]));
    let usage = |kind: &'static str, meter: &str| {
        vec![
            ("recurring[usage_type]", kind.to_owned()),
            ("recurring[meter]", meter.to_owned()),
        ]
    };
    let other = text(
        &world
            .post(
                "/v1/billing/meters",
                &[
                    ("display_name", "x"),
                    ("event_name", "x"),
                    ("default_aggregation[formula]", "last"),
                ],
            )
            .await["id"],
    );
    world.post(&format!("/v1/billing/meters/{other}/deactivate"), &[]).await;
    for terms in [
        usage("metered", ""),
        usage("licensed", &meter),
        usage("metered", "mtr_nobody"),
        usage("metered", &other),
    ] {
        let mut form = vec![
            ("product", &*product),
            ("currency", "usd"),
            ("unit_amount", "5"),
            ("recurring[interval]", "month"),
        ];
        form.extend(
            terms
                .iter()
                .map(|(name, value)| (*name, &**value))
                .filter(|(_, value)| !value.is_empty()),
        );
        let answer = world.call("POST", "/v1/prices", &form).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["param"].as_str()),
            (400, Some("recurring[meter]")),
            "{form:?}"
        );
    }
    for (filter, count) in [
        (format!("recurring[meter]={meter}"), 1),
        ("recurring[meter]=mtr_x".to_owned(), 0),
    ] {
        let found = world.get(&format!("/v1/prices?{filter}")).await;
        assert_eq!(found["data"].as_array().unwrap().len(), count);
    }
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &price),
        ("items[0][quantity]", "2"),
    ];
    let answer = world.call("POST", "/v1/subscriptions", &form).await;
    assert_eq!(
        (answer.status, answer.json()["error"]["param"].as_str()),
        (400, Some("items[0][quantity]"))
    );
    // From metered to licensed and back.
    let subscription = world.post("/v1/subscriptions", &form[..2]).await;
    assert_eq!(subscription["status"], "active");
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let item = text(&subscription["items"]["data"][0]["id"]);
    let licensed = world.price().await;
    let change = [("proration_behavior", "none"), ("items[0][id]", &*item)];
    for (price, quantity) in [(&licensed, Some(json!(1))), (&price, None)] {
        let mut form = change.to_vec();
        form.push(("items[0][price]", price));
        let changed = world.post(&path, &form).await;
        assert_eq!(changed["items"]["data"][0].get("quantity").cloned(), quantity);
    }
    let mut form = change.to_vec();
    form.push(("items[0][quantity]", "2"));
    assert_eq!(world.call("POST", &path, &form).await.status, 400);
    let direct = world
        .call("POST", &format!("/v1/subscription_items/{item}"), &[("quantity", "2")])
        .await;
    assert_eq!(
        (direct.status, direct.json()["error"]["param"].as_str()),
        (400, Some("quantity"))
    );
}
