//! Subscriptions to what is metered as they begin and change: what was used is billed once, at the price it was used at.

use serde_json::{Value, json};

use crate::{
    client::{DAY, START, World, start, text},
    meters::{meter, metered, report},
};

/// A subscription to a metered price, 5 cents a call, and to more; what is used of it is reported as it begins.
async fn calling(world: &World, customer: &str, mode: &str, more: &[(&str, &str)]) -> Value {
    let meter = meter(world, "calls", &[]).await;
    let price = text(&metered(world, &meter).await["id"]);
    let mut form = vec![
        ("customer", customer),
        ("billing_mode[type]", mode),
        ("items[0][price]", &*price),
    ];
    form.extend(more);
    let subscription = world.post("/v1/subscriptions", &form).await;
    assert_eq!(subscription["status"], "active");
    report(world, "calls", customer, "17.5", &[]).await;
    world.advance(DAY).await;
    subscription
}

/// The amount, quantity and period of each line of an invoice.
async fn billed(world: &World, invoice: &Value) -> Vec<Value> {
    let invoice = world.get(&format!("/v1/invoices/{}", text(invoice))).await;
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    lines
        .map(|line| {
            json!([
                line["amount"],
                line["quantity_decimal"],
                line["period"]["start"],
                line["period"]["end"]
            ])
        })
        .collect()
}

#[tokio::test]
async fn what_is_metered_begins_without_an_invoice_but_in_classic_mode() {
    for mode in ["flexible", "classic"] {
        let world = start().await;
        let customer = world.customer().await;
        world.give_card(&customer, "visa").await;
        let subscription = calling(&world, &customer, mode, &[]).await;
        let invoices = world.get("/v1/invoices").await["data"].clone();
        if mode == "flexible" {
            assert_eq!((&subscription["latest_invoice"], &invoices), (&json!(null), &json!([])));
        } else {
            assert_eq!(
                (&invoices[0]["total"], &invoices[0]["status"]),
                (&json!(0), &json!("paid"))
            );
        }
        let end = subscription["items"]["data"][0]["current_period_end"].as_i64().unwrap();
        world.advance(end - START).await;
        let invoices = world.get("/v1/invoices").await;
        assert_eq!(
            billed(&world, &invoices["data"][0]["id"]).await,
            [json!([88, "17.5", START, end])]
        );
    }
}

/// As <https://docs.stripe.com/billing/subscriptions/usage-based/manage-billing-setup> has it.
#[tokio::test]
async fn what_was_used_at_a_price_that_goes_is_billed_at_it_in_flexible_mode() {
    let prorated = "create_prorations";
    for (mode, prorations, change, waits, later) in [
        // 17.5 calls at 5 cents are 88, and one more is 5 or, at twice the price, 10.
        ("flexible", prorated, "deleted", Some(88), None),
        ("flexible", prorated, "price", Some(88), Some(10)),
        ("flexible", "none", "deleted", None, None),
        ("flexible", "none", "price", None, Some(10)),
        ("classic", prorated, "deleted", None, None),
        ("classic", prorated, "price", None, Some(10)),
    ] {
        let world = start().await;
        let customer = world.customer().await;
        world.give_card(&customer, "visa").await;
        let flat = world.price().await;
        let more = [("items[1][price]", &*flat)];
        let subscription = calling(&world, &customer, mode, &more).await;
        let item = &subscription["items"]["data"][0];
        let form = [
            ("product", item["price"]["product"].as_str().unwrap()),
            ("currency", "usd"),
            ("unit_amount", "10"),
            ("recurring[interval]", "month"),
            ("recurring[usage_type]", "metered"),
            (
                "recurring[meter]",
                item["price"]["recurring"]["meter"].as_str().unwrap(),
            ),
        ];
        let dearer = text(&world.post("/v1/prices", &form).await["id"]);
        let value = if change == "price" { &dearer } else { "true" };
        let form = [
            ("items[0][id]", item["id"].as_str().unwrap()),
            (&format!("items[0][{change}]"), value),
            ("proration_behavior", prorations),
        ];
        let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
        world.post(&path, &form).await;
        report(&world, "calls", &customer, "1", &[]).await;
        let waiting = world.get("/v1/invoiceitems?pending=true").await["data"].clone();
        let amounts: Vec<_> = waiting
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["amount"].as_i64())
            .collect();
        assert_eq!(
            amounts,
            waits.map(Some).into_iter().collect::<Vec<_>>(),
            "{mode} {change}"
        );
        if waits.is_some() {
            let waiting = &waiting[0];
            assert_eq!(
                (&waiting["quantity_decimal"], &waiting["proration"]),
                (&json!("17.5"), &json!(false))
            );
            assert_eq!(waiting["period"], json!({ "start": START, "end": START + DAY }));
        }
        let end = item["current_period_end"].as_i64().unwrap();
        world.advance(end - START - DAY + 7200).await;
        let renewal = world.get("/v1/invoices").await["data"][0].clone();
        let total = 2900 + waits.unwrap_or(0) + later.unwrap_or(0);
        assert_eq!(
            (&renewal["total"], &renewal["status"]),
            (&json!(total), &json!("paid")),
            "{mode} {change}"
        );
    }
}

#[tokio::test]
async fn what_was_used_in_a_period_that_is_cut_short_is_billed() {
    for mode in ["flexible", "classic"] {
        let world = start().await;
        let customer = world.customer().await;
        world.give_card(&customer, "visa").await;
        let flat = world.price().await;
        let subscription = calling(&world, &customer, mode, &[("items[1][price]", &*flat)]).await;
        let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
        let form = [("billing_cycle_anchor[type]", "now"), ("proration_behavior", "none")];
        let changed = world.post(&path, &form).await;
        let now = START + DAY;
        let end = changed["items"]["data"][0]["current_period_end"].as_i64().unwrap();
        let mut lines = vec![json!([88, "17.5", START, now]), json!([2900, "1", now, end])];
        if mode == "classic" {
            lines.insert(1, json!([0, "0", now, end]));
        }
        assert_eq!(billed(&world, &changed["latest_invoice"]).await, lines);
        // None of it is billed again.
        world.advance(end - now).await;
        let renewal = world.get("/v1/invoices").await["data"][0].clone();
        assert_eq!(renewal["total"], 2900);
    }
}
