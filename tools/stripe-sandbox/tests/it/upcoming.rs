//! Notice of an invoice that is to come.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, start, text};

/// The first period of a month.
const RENEWAL: i64 = 31 * DAY;

async fn subscribed(world: &World, more: &[(&str, &str)]) -> Value {
    let customer = world.customer().await;
    world.give_card(&customer, "visa").await;
    let price = world.price().await;
    let form = [("customer", &*customer), ("items[0][price]", &*price)];
    world.post("/v1/subscriptions", &[&form[..], more].concat()).await
}

/// When notice was given, and the invoices that came with it, oldest first.
async fn notices(world: &World) -> Vec<(i64, Value)> {
    let events = world.look("objects/event").await;
    let mut found: Vec<(i64, Value)> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["object"])
        .filter(|event| event["type"] == "invoice.upcoming")
        .map(|event| (event["created"].as_i64().unwrap(), event["data"]["object"].clone()))
        .collect();
    found.reverse();
    found
}

#[tokio::test]
async fn notice_is_given_a_week_before_a_renewal_with_what_it_comes_to() {
    let world = start().await;
    let subscription = subscribed(&world, &[]).await;
    let customer = text(&subscription["customer"]);
    let form = [("customer", &*customer), ("currency", "usd"), ("amount", "300")];
    world.post("/v1/invoiceitems", &form).await;
    world.advance(RENEWAL - 7 * DAY - 1).await;
    assert_eq!(notices(&world).await.len(), 0);
    world.advance(1).await;
    let (at, invoice) = notices(&world).await.remove(0);
    assert_eq!(at, START + RENEWAL - 7 * DAY);
    assert_eq!(
        [
            &invoice["id"],
            &invoice["billing_reason"],
            &invoice["total"],
            &invoice["status"]
        ],
        [&Value::Null, &json!("upcoming"), &json!(3200), &json!("draft")]
    );
    assert!(invoice.as_object().unwrap().get("id").is_none());
    assert_eq!(
        (&invoice["created"], &invoice["next_payment_attempt"]),
        (&json!(START + RENEWAL), &json!(START + RENEWAL + 3600))
    );
    let line = &invoice["lines"]["data"][0];
    assert_eq!(line["period"]["start"], START + RENEWAL);
    assert_eq!(line["invoice"], Value::Null);
    // Nothing is taken up yet.
    let waiting = world.get("/v1/invoiceitems?pending=true").await;
    assert_eq!(waiting["data"].as_array().unwrap().len(), 1);
    world.advance(7 * DAY + 3600).await;
    let paid = world.get("/v1/invoices?limit=1").await["data"][0].clone();
    for name in ["total", "subtotal", "period_start", "period_end", "created"] {
        assert_eq!(paid[name], invoice[name], "{name}");
    }
    world.advance(60 * DAY).await;
    assert_eq!(notices(&world).await.len(), 3);
}

#[tokio::test]
async fn notice_is_not_given_where_no_invoice_is_to_be_collected() {
    for (form, before) in [
        (&[("cancel_at_period_end", "true")][..], 0),
        (&[("pause_collection[behavior]", "void")], 0),
        (&[("description", "as it was")], 1),
    ] {
        let world = start().await;
        let subscription = subscribed(&world, &[]).await;
        world
            .post(&format!("/v1/subscriptions/{}", text(&subscription["id"])), form)
            .await;
        world.advance(RENEWAL - DAY).await;
        assert_eq!(notices(&world).await.len(), before, "{form:?}");
    }
}

#[tokio::test]
async fn how_long_before_is_set_and_counts_from_the_next_period() {
    let world = start().await;
    subscribed(&world, &[]).await;
    let answer = world.control("billing", json!({ "upcoming_days": 3 })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    world.advance(2 * RENEWAL).await;
    let times: Vec<i64> = notices(&world).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [START + RENEWAL - 7 * DAY, START + RENEWAL + 28 * DAY - 3 * DAY]);
    world.control("billing", json!({ "upcoming_days": null })).await;
    world.advance(120 * DAY).await;
    assert_eq!(
        notices(&world).await.len(),
        3,
        "of the period at work, and then no more"
    );
    assert_eq!(
        world.control("billing", json!({ "upcoming_days": 0 })).await.status,
        400
    );
}

#[tokio::test]
async fn notice_of_a_trials_end_and_of_its_invoice_come_at_one_moment() {
    let world = start().await;
    world.control("billing", json!({ "upcoming_days": 3 })).await;
    subscribed(&world, &[("trial_period_days", "14")]).await;
    world.advance(12 * DAY).await;
    let (at, invoice) = notices(&world).await.remove(0);
    assert_eq!((at, &invoice["total"]), (START + 11 * DAY, &json!(2900)));
    let events = world.events().await;
    let told = events
        .iter()
        .filter(|kind| *kind == "customer.subscription.trial_will_end");
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn periods_as_short_as_the_notice_have_none() {
    for (days, told) in [("7", 0), ("8", 1)] {
        let world = start().await;
        let customer = world.customer().await;
        world.give_card(&customer, "visa").await;
        let product = text(&world.post("/v1/products", &[("name", "Pro")]).await["id"]);
        let terms = [
            ("product", &*product),
            ("currency", "usd"),
            ("unit_amount", "700"),
            ("recurring[interval]", "day"),
            ("recurring[interval_count]", days),
        ];
        let price = text(&world.post("/v1/prices", &terms).await["id"]);
        let form = [("customer", &*customer), ("items[0][price]", &*price)];
        world.post("/v1/subscriptions", &form).await;
        world.advance(8 * DAY - 1).await;
        assert_eq!(notices(&world).await.len(), told, "{days}");
    }
}
