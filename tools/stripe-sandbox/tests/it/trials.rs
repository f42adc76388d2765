//! How trials end, and pausing.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, start, text};

/// A trial of seven days of a customer who can be charged or not.
async fn trial(world: &World, end_behavior: &str, has_card: bool) -> Value {
    let customer = world.customer().await;
    if has_card {
        world.give_card(&customer, "visa").await;
    }
    let price = world.price().await;
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("trial_period_days", "7"),
        ("trial_settings[end_behavior][missing_payment_method]", end_behavior),
    ];
    world.post("/v1/subscriptions", &form).await
}

#[tokio::test]
async fn a_trial_ends_as_it_was_said() {
    for (end_behavior, has_card, status) in [
        ("create_invoice", true, "active"),
        ("pause", true, "active"),
        ("create_invoice", false, "past_due"),
        ("cancel", false, "canceled"),
        ("pause", false, "paused"),
    ] {
        for now in [false, true] {
            let world = start().await;
            let trial = trial(&world, end_behavior, has_card).await;
            assert_eq!(
                (&trial["status"], &trial["trial_end"]),
                (&json!("trialing"), &json!(START + 7 * DAY))
            );
            let path = format!("/v1/subscriptions/{}", text(&trial["id"]));
            if now {
                world.post(&path, &[("trial_end", "now")]).await;
            } else {
                world.advance(7 * DAY + 7200).await;
            }
            let ended = world.get(&path).await;
            assert_eq!(ended["status"], status, "{end_behavior} {has_card} {now}");
        }
    }
}

#[tokio::test]
async fn a_paused_subscription_is_resumed_when_it_can_be_paid() {
    let world = start().await;
    let trial = trial(&world, "pause", false).await;
    let path = format!("/v1/subscriptions/{}", text(&trial["id"]));
    let answer = world.call("POST", &format!("{path}/resume"), &[]).await;
    assert_eq!(answer.status, 400, "it is not paused");
    world.advance(8 * DAY).await;
    world.advance(60 * DAY).await;
    let paused = world.get(&path).await;
    assert_eq!(paused["status"], "paused", "nothing is due while it is");
    assert_eq!(
        paused["status_details"]["paused"],
        json!({
            "subscription": { "type": "trial_end_without_payment_method" },
            "transitioned_at": START + 7 * DAY, "type": "subscription",
        })
    );

    let form = [("customer", &*text(&trial["customer"]))];
    let method = world.post("/v1/payment_methods/pm_card_visa/attach", &form).await;
    world
        .post(&path, &[("default_payment_method", &*text(&method["id"]))])
        .await;
    let form = [("payment_behavior", "resume_on_payment_success")];
    let resumed = world.post(&format!("{path}/resume"), &form).await;
    assert_eq!(
        (&resumed["status"], &resumed["status_details"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(resumed["items"]["data"][0]["current_period_start"], START + 68 * DAY);
    let invoice = world
        .get(&format!("/v1/invoices/{}", text(&resumed["latest_invoice"])))
        .await;
    assert_eq!(
        (&invoice["status"], &invoice["amount_paid"]),
        (&json!("paid"), &json!(2900))
    );
    let story = [
        "customer.subscription.trial_will_end",
        "customer.subscription.paused",
        "invoice.paid",
        "customer.subscription.resumed",
    ];
    let events = world.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");
}

#[tokio::test]
async fn a_trial_is_moved_but_not_into_the_past_nor_beyond_two_years() {
    let world = start().await;
    let trial = trial(&world, "create_invoice", true).await;
    let path = format!("/v1/subscriptions/{}", text(&trial["id"]));
    for wrong in [START - 1, START, START + 731 * DAY] {
        let answer = world.call("POST", &path, &[("trial_end", &wrong.to_string())]).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &json!("trial_end"))
        );
    }
    let moved = world
        .post(&path, &[("trial_end", &(START + 20 * DAY).to_string())])
        .await;
    assert_eq!(
        (&moved["status"], &moved["trial_end"]),
        (&json!("trialing"), &json!(START + 20 * DAY))
    );
    assert_eq!(moved["items"]["data"][0]["current_period_end"], START + 20 * DAY);
    world.advance(19 * DAY).await;
    assert_eq!(world.get(&path).await["status"], "trialing");
    world.advance(DAY + 7200).await;
    assert_eq!(world.get(&path).await["status"], "active");
}
