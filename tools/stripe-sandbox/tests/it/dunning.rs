//! What follows when the invoices of a subscription are not paid, by the setting.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, start, text};

/// The hour after the first renewal, when its invoice is charged.
const CHARGED: i64 = 31 * DAY + 3600;

/// A subscription whose renewals are charged to another card than its beginning.
async fn subscribed(world: &World, card: &str) -> Value {
    let customer = world.customer().await;
    world.give_card(&customer, "visa").await;
    let price = world.price().await;
    let form = [("customer", &*customer), ("items[0][price]", &*price)];
    let subscription = world.post("/v1/subscriptions", &form).await;
    assert_eq!(subscription["status"], "active");
    world.give_card(&customer, card).await;
    subscription
}

async fn now(world: &World, subscription: &Value) -> Value {
    world
        .get(&format!("/v1/subscriptions/{}", text(&subscription["id"])))
        .await
}

async fn latest(world: &World, subscription: &Value) -> Value {
    let id = text(&now(world, subscription).await["latest_invoice"]);
    world.get(&format!("/v1/invoices/{id}")).await
}

async fn set(world: &World, settings: Value) {
    let answer = world.control("billing", settings).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_payment_is_tried_again_after_three_five_and_seven_days_and_then_the_subscription_ends() {
    let world = start().await;
    let subscription = subscribed(&world, "chargeCustomerFail").await;
    world.advance(CHARGED).await;
    let first = START + CHARGED;
    for (attempts, next) in [(1, Some(3)), (2, Some(8)), (3, Some(15)), (4, None)] {
        let invoice = latest(&world, &subscription).await;
        assert_eq!(
            (&invoice["attempt_count"], &invoice["next_payment_attempt"]),
            (&json!(attempts), &json!(next.map(|days| first + days * DAY)))
        );
        assert_eq!(invoice["status"], "open");
        let status = if attempts < 4 { "past_due" } else { "canceled" };
        assert_eq!(now(&world, &subscription).await["status"], status);
        world
            .advance(if attempts == 1 {
                3 * DAY
            } else {
                attempts * 2 * DAY + DAY
            })
            .await;
    }
    let ended = now(&world, &subscription).await;
    assert_eq!(ended["cancellation_details"]["reason"], "payment_failed");
    assert_eq!(latest(&world, &subscription).await["auto_advance"], false);
}

#[tokio::test]
async fn after_the_last_try_the_setting_decides() {
    for (outcome, status, left) in [
        (json!({}), "canceled", "open"),
        (
            json!({ "subscription": "unpaid", "invoice": "uncollectible" }),
            "unpaid",
            "uncollectible",
        ),
        (json!({ "subscription": "past_due" }), "past_due", "open"),
    ] {
        let world = start().await;
        set(
            &world,
            json!({ "retries": { "custom": [1] }, "after_retries": outcome }),
        )
        .await;
        let subscription = subscribed(&world, "chargeCustomerFail").await;
        world.advance(CHARGED).await;
        assert_eq!(now(&world, &subscription).await["status"], "past_due");
        world.advance(DAY).await;
        assert_eq!(now(&world, &subscription).await["status"], status);
        let invoice = latest(&world, &subscription).await;
        assert_eq!(
            (&invoice["status"], &invoice["attempt_count"]),
            (&json!(left), &json!(2))
        );
        let reason = &invoice["status_details"]["uncollectible"]["reason"];
        assert_eq!(reason == "max_payment_attempts", left == "uncollectible", "{invoice}");
    }
}

#[tokio::test]
async fn what_is_unpaid_goes_on_in_drafts_until_the_latest_is_paid() {
    let world = start().await;
    set(
        &world,
        json!({ "retries": { "custom": [] }, "after_retries": { "subscription": "unpaid" } }),
    )
    .await;
    let subscription = subscribed(&world, "chargeCustomerFail").await;
    world.advance(CHARGED).await;
    assert_eq!(now(&world, &subscription).await["status"], "unpaid");
    world.advance(60 * DAY).await;
    let draft = latest(&world, &subscription).await;
    assert_eq!(
        [
            &draft["status"],
            &draft["auto_advance"],
            &draft["automatically_finalizes_at"]
        ],
        [&json!("draft"), &json!(false), &Value::Null]
    );
    let charges = world.get("/v1/charges").await;
    assert_eq!(
        charges["data"].as_array().unwrap().len(),
        2,
        "nothing is tried any more"
    );

    world.give_card(&text(&subscription["customer"]), "visa").await;
    let path = format!("/v1/invoices/{}/pay", text(&draft["id"]));
    assert_eq!(world.post(&path, &[]).await["status"], "paid");
    assert_eq!(now(&world, &subscription).await["status"], "active");
    world.advance(31 * DAY).await;
    assert_eq!(latest(&world, &subscription).await["status"], "paid");
}

#[tokio::test]
async fn a_card_that_was_refused_for_good_is_not_charged_again_but_another_is() {
    for card in ["authenticationRequired", "radarBlock"] {
        let world = start().await;
        let subscription = subscribed(&world, card).await;
        world.advance(CHARGED).await;
        let charges = world.get("/v1/charges").await["data"].as_array().unwrap().len();
        world.advance(3 * DAY).await;
        let invoice = latest(&world, &subscription).await;
        assert_eq!(
            (&invoice["attempt_count"], &invoice["next_payment_attempt"]),
            (&json!(2), &json!(START + CHARGED + 8 * DAY)),
            "{card}"
        );
        let after = world.get("/v1/charges").await["data"].as_array().unwrap().len();
        assert_eq!(after, charges, "{card}");
        let events = world.events().await;
        let told = events.iter().filter(|kind| *kind == "invoice.payment_failed").count();
        assert_eq!(told, 1, "{card}");

        world.give_card(&text(&subscription["customer"]), "visa").await;
        world.advance(5 * DAY).await;
        let invoice = latest(&world, &subscription).await;
        assert_eq!(
            (&invoice["status"], &invoice["attempt_count"]),
            (&json!("paid"), &json!(3)),
            "{card}"
        );
        assert_eq!(now(&world, &subscription).await["status"], "active");
    }
}

#[tokio::test]
async fn attempts_by_hand_leave_the_schedule_as_it_is() {
    let world = start().await;
    let subscription = subscribed(&world, "chargeCustomerFail").await;
    // By hand before the hour of draft is over: that is the first attempt.
    world.advance(31 * DAY).await;
    let draft = latest(&world, &subscription).await;
    let pay = format!("/v1/invoices/{}/pay", text(&draft["id"]));
    assert_eq!(world.call("POST", &pay, &[]).await.status, 402);
    let planned = json!(START + 34 * DAY);
    for _ in 0..2 {
        let invoice = latest(&world, &subscription).await;
        assert_eq!(
            (&invoice["attempt_count"], &invoice["next_payment_attempt"]),
            (&json!(1), &planned)
        );
        assert_eq!(now(&world, &subscription).await["status"], "past_due");
        assert_eq!(world.call("POST", &pay, &[]).await.status, 402);
    }
    world.give_card(&text(&subscription["customer"]), "visa").await;
    let paid = world.post(&pay, &[]).await;
    assert_eq!((&paid["status"], &paid["attempt_count"]), (&json!("paid"), &json!(1)));
    assert_eq!(now(&world, &subscription).await["status"], "active");
    let story = [
        "invoice.payment_failed",
        "customer.subscription.updated",
        "invoice.payment_failed",
        "invoice.paid",
    ];
    assert!(has_in_order(&world.events().await, &story));
}

#[tokio::test]
async fn the_setting_is_looked_at_checked_and_goes_with_a_snapshot() {
    let world = start().await;
    let usual = world.look("billing").await;
    assert_eq!(usual["retries"], json!({ "custom": [3, 5, 7] }));
    for wrong in [
        json!({ "retries": { "custom": [0] } }),
        json!({ "retries": "none" }),
        json!({ "days": 3 }),
    ] {
        assert_eq!(world.control("billing", wrong).await.status, 400);
    }
    assert_eq!(world.look("billing").await, usual);
    set(&world, json!({ "retries": { "smart": { "days": 7 } } })).await;
    let smart = world.look("billing").await;
    assert_eq!(smart["retries"], json!({ "smart": { "tries": 8, "days": 7 } }));
    let snapshot = world.control("snapshot", json!({})).await.text;
    set(&world, json!({})).await;
    assert_eq!(world.look("billing").await, usual);
    let restore = world
        .http
        .post(format!("{}/_sandbox/restore", world.sandbox.url()))
        .body(snapshot);
    assert_eq!(restore.send().await.unwrap().status(), 200);
    assert_eq!(world.look("billing").await, smart);
}
