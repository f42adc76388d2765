//! Pausing subscriptions and resuming them, and pausing the collection of their invoices.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, start, text};

const HOUR: i64 = 3600;
/// The first period ends here.
const RENEWAL: i64 = 31 * DAY;
/// A pause that gives nothing back, so that a resumption costs something.
const KEPT: &[(&str, &str)] = &[("bill_for[unused_time_from][type]", "none")];

async fn subscribed(world: &World, card: &str) -> Value {
    let customer = world.customer().await;
    world.give_card(&customer, "visa").await;
    let price = world.price().await;
    let form = [("customer", &*customer), ("items[0][price]", &*price)];
    let subscription = world.post("/v1/subscriptions", &form).await;
    world.give_card(&customer, card).await;
    subscription
}

fn path(subscription: &Value, step: &str) -> String {
    format!("/v1/subscriptions/{}{step}", text(&subscription["id"]))
}

async fn latest(world: &World, subscription: &Value) -> Value {
    let now = world.get(&path(subscription, "")).await;
    world
        .get(&format!("/v1/invoices/{}", text(&now["latest_invoice"])))
        .await
}

async fn status(world: &World, subscription: &Value) -> Value {
    world.get(&path(subscription, "")).await["status"].clone()
}

fn of_invoice(invoice: &Value, step: &str) -> String {
    format!("/v1/invoices/{}{step}", text(&invoice["id"]))
}

#[tokio::test]
async fn invoices_of_a_paused_collection_are_kept_voided_or_written_off() {
    for (behavior, left, events) in [
        ("keep_as_draft", "draft", ["invoice.created", "invoice.created"]),
        ("void", "void", ["invoice.finalized", "invoice.voided"]),
        (
            "mark_uncollectible",
            "uncollectible",
            ["invoice.finalized", "invoice.marked_uncollectible"],
        ),
    ] {
        let world = start().await;
        let subscription = subscribed(&world, "visa").await;
        let resumes = (START + RENEWAL + 10 * DAY).to_string();
        let form = [
            ("pause_collection[behavior]", behavior),
            ("pause_collection[resumes_at]", &*resumes),
        ];
        let paused = world.post(&path(&subscription, ""), &form).await;
        assert_eq!(
            (&paused["status"], &paused["pause_collection"]["behavior"]),
            (&json!("active"), &json!(behavior))
        );
        world.advance(RENEWAL + 2 * HOUR).await;
        let invoice = latest(&world, &subscription).await;
        assert_eq!(
            (&invoice["status"], &invoice["auto_advance"]),
            (&json!(left), &json!(false))
        );
        let told = world.events().await;
        assert!(
            events.iter().all(|event| told.iter().any(|one| one == event)),
            "{told:?}"
        );
        let reason = &invoice["status_details"]["uncollectible"]["reason"];
        assert_eq!(reason == "subscription_paused", left == "uncollectible");
        assert_eq!(status(&world, &subscription).await, "active");
        world.advance(10 * DAY).await;
        let resumed = world.get(&path(&subscription, "")).await;
        assert_eq!(resumed["pause_collection"], Value::Null);
        assert_eq!(latest(&world, &subscription).await["status"], left);
        world.advance(20 * DAY).await;
        assert_eq!(latest(&world, &subscription).await["status"], "paid");
    }
}

#[tokio::test]
async fn collection_is_resumed_by_clearing_and_not_paused_until_the_past() {
    let world = start().await;
    let subscription = subscribed(&world, "visa").await;
    for (wrong, param) in [
        (
            &[
                ("pause_collection[behavior]", "void"),
                ("pause_collection[resumes_at]", "1800000000"),
            ][..],
            "pause_collection[resumes_at]",
        ),
        (
            &[("pause_collection[resumes_at]", "1900000000")],
            "pause_collection[behavior]",
        ),
    ] {
        let answer = world.call("POST", &path(&subscription, ""), wrong).await;
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(param)));
    }
    let form = [("pause_collection[behavior]", "keep_as_draft")];
    world.post(&path(&subscription, ""), &form).await;
    // It cannot be paused beside that.
    let answer = world.call("POST", &path(&subscription, "/pause"), &[]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let cleared = world.post(&path(&subscription, ""), &[("pause_collection", "")]).await;
    assert_eq!(cleared["pause_collection"], Value::Null);
    world.advance(RENEWAL + HOUR).await;
    assert_eq!(latest(&world, &subscription).await["status"], "paid");
}

#[tokio::test]
async fn collection_that_resumes_as_a_period_ends_takes_its_invoice() {
    let world = start().await;
    let subscription = subscribed(&world, "visa").await;
    let form = [
        ("pause_collection[behavior]", "void"),
        ("pause_collection[resumes_at]", &*(START + RENEWAL).to_string()),
    ];
    world.post(&path(&subscription, ""), &form).await;
    world.advance(RENEWAL + HOUR).await;
    // The ledger is looked at as it is; other calls would run what was left undone.
    let effects = world.look("ledger").await["effects"].clone();
    let made = effects.as_array().unwrap().iter();
    let made = made.filter(|one| one["object"] == "invoice" && one["effect"] == "created");
    assert_eq!(made.count(), 2);
    assert_eq!(latest(&world, &subscription).await["status"], "paid");
}

#[tokio::test]
async fn a_paused_subscription_is_not_invoiced_and_credits_what_was_not_used() {
    for (kind, credit) in [
        ("now", Some(-1450)),
        ("item_current_period_start", Some(-2900)),
        ("none", None),
    ] {
        let world = start().await;
        let subscription = subscribed(&world, "visa").await;
        world.advance(RENEWAL / 2).await;
        let form = [("bill_for[unused_time_from][type]", kind)];
        let paused = world.post(&path(&subscription, "/pause"), &form).await;
        assert_eq!(paused["status"], "paused");
        assert_eq!(
            paused["status_details"]["paused"],
            json!({
                "subscription": { "type": "pause_requested" },
                "transitioned_at": START + RENEWAL / 2, "type": "subscription",
            })
        );
        let waiting = world.get("/v1/invoiceitems?pending=true").await["data"].clone();
        let amounts: Vec<i64> = waiting
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["amount"].as_i64().unwrap())
            .collect();
        assert_eq!(amounts, Vec::from_iter(credit), "{kind}");
        world.advance(100 * DAY).await;
        assert_eq!(
            latest(&world, &subscription).await["billing_reason"],
            "subscription_create"
        );

        // By default it waits until its invoice is paid, if there is something to be paid.
        let resumed = world.post(&path(&subscription, "/resume"), &[]).await;
        let invoice = latest(&world, &subscription).await;
        assert_eq!(invoice["amount_due"], 2900 + credit.unwrap_or(0));
        if kind == "item_current_period_start" {
            assert_eq!(
                (&resumed["status"], &invoice["status"]),
                (&json!("active"), &json!("paid"))
            );
            continue;
        }
        assert_eq!(
            (&resumed["status"], &invoice["status"]),
            (&json!("paused"), &json!("open"))
        );
        let again = world.call("POST", &path(&subscription, "/resume"), &[]).await;
        assert_eq!(again.status, 400);
        world.post(&of_invoice(&invoice, "/pay"), &[]).await;
        let active = world.get(&path(&subscription, "")).await;
        assert_eq!(
            (&active["status"], &active["status_details"]),
            (&json!("active"), &Value::Null)
        );
        assert_eq!(active["billing_cycle_anchor"], START + RENEWAL / 2 + 100 * DAY);
        world.advance(RENEWAL + HOUR).await;
        assert_eq!(latest(&world, &subscription).await["amount_paid"], 2900);
    }
}

#[tokio::test]
async fn what_is_given_back_is_invoiced_where_that_is_asked_for() {
    let world = start().await;
    let subscription = subscribed(&world, "visa").await;
    world.advance(RENEWAL / 2).await;
    let form = [("invoicing_behavior", "invoice")];
    world.post(&path(&subscription, "/pause"), &form).await;
    let invoice = latest(&world, &subscription).await;
    assert_eq!((&invoice["status"], &invoice["total"]), (&json!("paid"), &json!(-1450)));
    let customer = world
        .get(&format!("/v1/customers/{}", text(&subscription["customer"])))
        .await;
    assert_eq!(customer["balance"], -1450);
}

#[tokio::test]
async fn a_resumption_ends_by_payment_failure_voiding_or_waiting() {
    // (card, what is done with its invoice, what the subscription becomes)
    for (card, step, becomes) in [
        ("visa", "/pay", "active"),
        ("visa", "/mark_uncollectible", "active"),
        ("chargeCustomerFail", "/pay", "past_due"),
        ("visa", "/void", "paused"),
        ("visa", "", "paused"),
    ] {
        let world = start().await;
        let subscription = subscribed(&world, card).await;
        world.post(&path(&subscription, "/pause"), KEPT).await;
        let before = world.get(&path(&subscription, "")).await;
        world.advance(40 * DAY).await;
        world.post(&path(&subscription, "/resume"), &[]).await;
        let invoice = latest(&world, &subscription).await;
        assert_eq!(status(&world, &subscription).await, "paused");
        if step.is_empty() {
            world.advance(23 * HOUR - 1).await;
            assert_eq!(world.get(&of_invoice(&invoice, "")).await["status"], "open");
            world.advance(1).await;
            assert_eq!(world.get(&of_invoice(&invoice, "")).await["status"], "void");
        } else {
            world.call("POST", &of_invoice(&invoice, step), &[]).await;
        }
        let after = world.get(&path(&subscription, "")).await;
        assert_eq!(after["status"], becomes, "{card} {step}");
        let told = world.events().await;
        let resumed = told.iter().any(|event| event == "customer.subscription.resumed");
        assert_eq!(resumed, becomes != "paused", "{card} {step}");
        if becomes == "paused" {
            assert_eq!(after["billing_cycle_anchor"], before["billing_cycle_anchor"]);
            assert_eq!(after["items"], before["items"]);
            world.post(&path(&subscription, "/resume"), &[]).await;
        } else if becomes == "past_due" {
            let failed = world.get(&of_invoice(&invoice, "")).await;
            assert_eq!(failed["next_payment_attempt"], Value::Null, "it is not tried again");
        }
    }
}

#[tokio::test]
async fn a_credit_outlives_the_void_invoice_of_a_resumption() {
    for anchor in ["now", "unchanged"] {
        let world = start().await;
        let subscription = subscribed(&world, "visa").await;
        world.advance(RENEWAL / 2).await;
        world.post(&path(&subscription, "/pause"), &[]).await;
        // Into the month after, of which the half is left.
        world.advance(RENEWAL / 2 + 14 * DAY).await;
        let form = [
            ("billing_cycle_anchor[type]", anchor),
            ("proration_behavior", "always_invoice"),
        ];
        let due = if anchor == "now" { 2900 - 1450 } else { 0 };
        if due == 0 {
            // Something that makes it cost more than the credit.
            let customer = text(&subscription["customer"]);
            let form = [
                ("customer", &*customer),
                ("subscription", &*text(&subscription["id"])),
                ("currency", "usd"),
                ("amount", "500"),
            ];
            world.post("/v1/invoiceitems", &form).await;
        }
        for _ in 0..2 {
            world.post(&path(&subscription, "/resume"), &form).await;
            let invoice = latest(&world, &subscription).await;
            let lines = invoice["lines"]["data"].as_array().unwrap();
            let mut amounts: Vec<i64> = lines.iter().map(|line| line["amount"].as_i64().unwrap()).collect();
            amounts.sort_unstable();
            let expected = if anchor == "now" {
                vec![-1450, 2900]
            } else {
                vec![-1450, 500, 1450]
            };
            assert_eq!(amounts, expected);
            world.post(&of_invoice(&invoice, "/void"), &[]).await;
        }
        assert_eq!(status(&world, &subscription).await, "paused");
    }
}

#[tokio::test]
async fn a_resumption_that_waits_for_success_is_tried_again() {
    let world = start().await;
    let subscription = subscribed(&world, "chargeCustomerFail").await;
    world.post(&path(&subscription, "/pause"), KEPT).await;
    let form = [("payment_behavior", "resume_on_payment_success")];
    world.advance(40 * DAY).await;
    assert_eq!(
        world.post(&path(&subscription, "/resume"), &form).await["status"],
        "paused"
    );
    world.advance(2 * DAY).await;
    assert_eq!(
        latest(&world, &subscription).await["status"],
        "open",
        "it is not voided"
    );
    world.give_card(&text(&subscription["customer"]), "visa").await;
    world.advance(DAY).await;
    assert_eq!(latest(&world, &subscription).await["status"], "paid");
    assert_eq!(status(&world, &subscription).await, "active");
}

#[tokio::test]
async fn a_resumption_whose_tries_end_leaves_it_paused_without_an_open_invoice() {
    let world = start().await;
    let subscription = subscribed(&world, "chargeCustomerFail").await;
    world.post(&path(&subscription, "/pause"), KEPT).await;
    let form = [("payment_behavior", "resume_on_payment_success")];
    world.post(&path(&subscription, "/resume"), &form).await;
    world.advance(16 * DAY).await;
    assert_eq!(latest(&world, &subscription).await["status"], "void");
    assert_eq!(status(&world, &subscription).await, "paused");
}

#[tokio::test]
async fn resuming_may_go_on_with_the_period_there_was() {
    // (given back at the pause, days paused, how it is prorated, what is due then, what waits)
    let half = RENEWAL / 2;
    for (unused, paused_for, prorations, due, waits) in [
        ("now", half / 2, "create_prorations", 0, vec![725, -1450]),
        ("now", half / 2, "none", 0, vec![-1450]),
        ("now", half + 14 * DAY, "always_invoice", 0, vec![]),
        ("none", half / 2, "always_invoice", 0, vec![]),
        ("none", half + 14 * DAY, "always_invoice", 1450, vec![]),
    ] {
        let world = start().await;
        let subscription = subscribed(&world, "visa").await;
        world.advance(half).await;
        let form = [("bill_for[unused_time_from][type]", unused)];
        world.post(&path(&subscription, "/pause"), &form).await;
        world.advance(paused_for).await;
        let form = [
            ("billing_cycle_anchor[type]", "unchanged"),
            ("proration_behavior", prorations),
            ("payment_behavior", "resume_on_payment_success"),
        ];
        let resumed = world.post(&path(&subscription, "/resume"), &form).await;
        assert_eq!(resumed["status"], "active", "{unused} {prorations}");
        assert_eq!(resumed["billing_cycle_anchor"], START);
        let invoice = latest(&world, &subscription).await;
        if invoice["billing_reason"] == "subscription_update" {
            assert_eq!(invoice["amount_paid"], due);
        } else {
            assert_eq!(due, 0);
        }
        let waiting = world.get("/v1/invoiceitems?pending=true").await["data"].clone();
        let amounts: Vec<i64> = waiting
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["amount"].as_i64().unwrap())
            .collect();
        assert_eq!(amounts, waits, "{unused} {prorations}");
    }
}

#[tokio::test]
async fn what_cannot_be_paused_or_resumed_is_refused() {
    let world = start().await;
    let subscription = subscribed(&world, "visa").await;
    let answer = world.call("POST", &path(&subscription, "/resume"), &[]).await;
    assert_eq!(answer.status, 400);
    let form = [("bill_for[unused_time_from][type]", "later")];
    let answer = world.call("POST", &path(&subscription, "/pause"), &form).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("bill_for[unused_time_from][type]"))
    );
    world.post(&path(&subscription, "/pause"), &[]).await;
    let answer = world.call("POST", &path(&subscription, "/pause"), &[]).await;
    assert_eq!(answer.status, 400, "it is paused");
    for proration_date in [START - 1, START + RENEWAL + 1] {
        let form = [
            ("billing_cycle_anchor[type]", "unchanged"),
            ("proration_date", &*proration_date.to_string()),
        ];
        let answer = world.call("POST", &path(&subscription, "/resume"), &form).await;
        assert_eq!(answer.json()["error"]["param"], "proration_date", "{}", answer.text);
    }
    let (price, customer) = (world.price().await, text(&subscription["customer"]));
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("billing_mode[type]", "classic"),
    ];
    let classic = world.post("/v1/subscriptions", &form).await;
    let answer = world.call("POST", &path(&classic, "/pause"), &[]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn usage_up_to_a_pause_is_billed_once() {
    for (billed, waits) in [("now", vec![50]), ("none", vec![])] {
        let world = start().await;
        let customer = world.customer().await;
        world.give_card(&customer, "visa").await;
        let form = [
            ("display_name", "Calls"),
            ("event_name", "calls"),
            ("default_aggregation[formula]", "sum"),
        ];
        let meter = text(&world.post("/v1/billing/meters", &form).await["id"]);
        let product = text(&world.post("/v1/products", &[("name", "API")]).await["id"]);
        let form = [
            ("product", &*product),
            ("currency", "usd"),
            ("unit_amount", "10"),
            ("recurring[interval]", "month"),
            ("recurring[usage_type]", "metered"),
            ("recurring[meter]", &*meter),
        ];
        let price = text(&world.post("/v1/prices", &form).await["id"]);
        let form = [("customer", &*customer), ("items[0][price]", &*price)];
        let subscription = world.post("/v1/subscriptions", &form).await;
        let report = async |value: &str| {
            let form = [
                ("event_name", "calls"),
                ("payload[stripe_customer_id]", &*customer),
                ("payload[value]", value),
            ];
            world.post("/v1/billing/meter_events", &form).await;
        };
        report("5").await;
        world.advance(10 * DAY).await;
        let form = [("bill_for[outstanding_usage_through][type]", billed)];
        world.post(&path(&subscription, "/pause"), &form).await;
        let waiting = world.get("/v1/invoiceitems?pending=true").await["data"].clone();
        let amounts: Vec<i64> = waiting
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["amount"].as_i64().unwrap())
            .collect();
        assert_eq!(amounts, waits);
        let form = [("billing_cycle_anchor[type]", "unchanged")];
        world.post(&path(&subscription, "/resume"), &form).await;
        report("2").await;
        world.advance(21 * DAY + HOUR).await;
        let invoice = latest(&world, &subscription).await;
        assert_eq!(
            (&invoice["status"], &invoice["total"]),
            (&json!("paid"), &json!(70)),
            "{billed}"
        );
    }
}
