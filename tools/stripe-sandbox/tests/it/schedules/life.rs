//! How a schedule begins and ends.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_schedule_begins_a_subscription_now() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let before = seller.world.events().await.len();
    let form = format!(
        "&metadata[deal]=7&phases[0][items][0][price]={price}&phases[0][items][0][quantity]=2&phases[0][metadata][plan]=pro\
         &phases[0][items][0][metadata][seat]=a&phases[0][duration][interval]=month&phases[0][duration][interval_count]=3\
         &default_settings[description]=Deal"
    );
    let schedule = seller.schedule("now", &form).await;
    assert_eq!(schedule["status"], "active");
    assert_eq!(
        schedule["current_phase"],
        json!({ "start_date": JUNE, "end_date": SEPTEMBER })
    );
    assert_eq!(schedule["metadata"], json!({ "deal": "7" }));
    let subscription = seller.subscription_of(&schedule).await;
    assert_eq!(
        (&subscription["status"], &subscription["schedule"]),
        (&json!("active"), &schedule["id"])
    );
    assert_eq!(
        (&subscription["description"], &subscription["cancel_at"]),
        (&json!("Deal"), &Value::Null)
    );
    assert_eq!(subscription["metadata"], json!({ "plan": "pro" }));
    assert_eq!(subscription["items"]["data"][0]["metadata"], json!({ "seat": "a" }));
    assert_eq!(seller.invoices().await, [draft(&[5800])]);
    assert_eq!(
        seller.events_since(before).await,
        [
            "invoice.created",
            "customer.subscription.created",
            "subscription_schedule.created"
        ]
    );
    seller.advance_to(JUNE + HOUR).await;
    assert_eq!(seller.invoices().await, [paid(&[5800])]);
    seller.advance_to(SEPTEMBER + 2 * HOUR).await;
    assert_eq!(seller.invoices().await.len(), 4);
    assert_eq!(seller.again(&schedule).await["status"], "released");
    assert_eq!(seller.subscription_of(&schedule).await["status"], "active");
}

#[tokio::test]
async fn a_schedule_begins_when_its_day_comes() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let form = format!("&phases[0][items][0][price]={price}&phases[0][end_date]={AUGUST}");
    let schedule = seller.schedule(&JULY.to_string(), &form).await;
    assert_eq!(
        (&schedule["status"], &schedule["subscription"]),
        (&json!("not_started"), &Value::Null)
    );
    let of_customer = format!("/v1/subscriptions?customer={}", seller.customer);
    seller.advance_to(JULY - 1).await;
    assert_eq!(seller.world.get(&of_customer).await["data"], json!([]));
    let waiting = format!("{SCHEDULES}?scheduled=true&customer={}", seller.customer);
    assert_eq!(seller.world.get(&waiting).await["data"][0]["id"], schedule["id"]);

    let before = seller.world.events().await.len();
    seller.advance_to(JULY).await;
    let started = seller.again(&schedule).await;
    assert_eq!(
        (&started["status"], &started["current_phase"]["start_date"]),
        (&json!("active"), &json!(JULY))
    );
    assert_eq!(
        seller.events_since(before).await,
        [
            "invoice.created",
            "customer.subscription.created",
            "subscription_schedule.updated"
        ]
    );
    let subscription = seller.subscription_of(&schedule).await;
    assert_eq!(
        (&subscription["start_date"], &subscription["status"]),
        (&json!(JULY), &json!("active"))
    );
    assert_eq!(seller.world.get(&waiting).await["data"], json!([]));
    seller.advance_to(JULY + HOUR).await;
    assert_eq!(seller.invoices().await, [paid(&[2900])]);
}

#[tokio::test]
async fn a_schedule_may_end_with_its_subscription() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let form = format!("&end_behavior=cancel&phases[0][items][0][price]={price}&phases[0][end_date]={AUGUST}");
    let schedule = seller.schedule("now", &form).await;
    assert_eq!(seller.subscription_of(&schedule).await["cancel_at"], AUGUST);
    seller.advance_to(AUGUST - 7 * DAY).await;
    assert_eq!(
        seller.world.events().await.pop().unwrap(),
        "subscription_schedule.expiring"
    );
    let before = seller.world.events().await.len();
    seller.advance_to(AUGUST).await;
    assert_eq!(
        seller.events_since(before).await,
        ["customer.subscription.deleted", "subscription_schedule.completed"]
    );
    let over = seller.again(&schedule).await;
    assert_eq!(
        (&over["status"], &over["completed_at"]),
        (&json!("completed"), &json!(AUGUST))
    );
    let subscription = seller.subscription_of(&schedule).await;
    assert_eq!(
        (&subscription["status"], &subscription["ended_at"]),
        (&json!("canceled"), &json!(AUGUST))
    );
    seller.advance_to(SEPTEMBER).await;
    assert_eq!(seller.invoices().await, [paid(&[2900]), paid(&[2900])]);
}

#[tokio::test]
async fn canceling_credits_what_is_unused_unless_it_is_not_to() {
    for (how, invoices, balance) in [
        ("", vec![paid(&[2900]), paid(&[-1901])], -1901),
        ("prorate=false", vec![paid(&[2900])], 0),
        ("prorate=false&invoice_now=false", vec![paid(&[2900])], 0),
    ] {
        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        let schedule = seller
            .schedule("now", &format!("&phases[0][items][0][price]={price}"))
            .await;
        seller.advance_to(JUNE + INTO_JUNE).await;
        let canceled = seller.post(&format!("{}/cancel", path(&schedule)), how).await;
        assert_eq!(
            (
                &canceled["status"],
                &canceled["canceled_at"],
                &canceled["current_phase"]
            ),
            (&json!("canceled"), &json!(JUNE + INTO_JUNE), &Value::Null)
        );
        assert_eq!(seller.subscription_of(&schedule).await["status"], "canceled");
        assert_eq!(seller.invoices().await, invoices, "{how}");
        let customer = seller.world.get(&format!("/v1/customers/{}", seller.customer)).await;
        assert_eq!(customer["balance"], balance, "{how}");
        assert_eq!(
            seller.world.events().await.pop().unwrap(),
            "subscription_schedule.canceled"
        );
        let error = seller.refused(&format!("{}/cancel", path(&schedule)), "").await;
        assert_eq!(
            error["message"],
            "You cannot cancel a subscription schedule that is currently in the `canceled` status. It must be in \
             `not_started, active` status to be canceled."
        );
        seller.refused(&path(&schedule), "metadata[a]=b").await;
        seller.refused(&format!("{}/release", path(&schedule)), "").await;
    }
}

#[tokio::test]
async fn one_that_has_not_begun_is_canceled_or_released_without_a_trace() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let form = format!("&phases[0][items][0][price]={price}");
    for (act, status) in [("cancel", "canceled"), ("release", "released")] {
        let schedule = seller.schedule(&JULY.to_string(), &form).await;
        let ended = seller.post(&format!("{}/{act}", path(&schedule)), "").await;
        assert_eq!(
            (&ended["status"], &ended["released_subscription"]),
            (&json!(status), &Value::Null)
        );
    }
    let orphan = seller.schedule(&JULY.to_string(), &form).await;
    let customer = format!("/v1/customers/{}", seller.customer);
    assert_eq!(seller.world.call("DELETE", &customer, &[]).await.status, 200);
    assert_eq!(seller.again(&orphan).await["status"], "canceled");
    seller.advance_to(AUGUST).await;
    assert_eq!(seller.world.look("objects/subscription").await["data"], json!([]));
}

#[tokio::test]
async fn releasing_keeps_a_planned_end_only_if_it_is_said() {
    for (how, cancel_at) in [("", Value::Null), ("preserve_cancel_date=true", json!(AUGUST))] {
        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        let form = format!("&end_behavior=cancel&phases[0][items][0][price]={price}&phases[0][end_date]={AUGUST}");
        let schedule = seller.schedule("now", &form).await;
        let before = seller.world.events().await.len();
        let released = seller.post(&format!("{}/release", path(&schedule)), how).await;
        assert_eq!(released["status"], "released");
        assert_eq!(
            seller.events_since(before).await,
            [
                "subscription_schedule.updated",
                "customer.subscription.updated",
                "subscription_schedule.released"
            ]
        );
        let subscription = seller.subscription_of(&schedule).await;
        assert_eq!(
            (&subscription["cancel_at"], &subscription["schedule"]),
            (&cancel_at, &Value::Null)
        );
        seller.advance_to(AUGUST).await;
        let status = if cancel_at.is_null() { "active" } else { "canceled" };
        assert_eq!(seller.subscription_of(&schedule).await["status"], status);
        assert_eq!(seller.again(&schedule).await["status"], "released");
    }
}

#[tokio::test]
async fn a_payment_that_fails_for_good_aborts_the_schedule() {
    let seller = Seller::new().await;
    seller.world.give_card(&seller.customer, "chargeCustomerFail").await;
    let price = seller.price(2900, "month").await;
    let form = format!("&phases[0][items][0][price]={price}&phases[0][duration][interval]=year");
    let schedule = seller.schedule("now", &form).await;
    assert_eq!(seller.subscription_of(&schedule).await["status"], "active");
    seller.advance_to(JUNE + HOUR).await;
    assert_eq!(seller.subscription_of(&schedule).await["status"], "past_due");
    assert_eq!(seller.again(&schedule).await["status"], "active");
    seller.advance_to(JUNE + 16 * DAY).await;
    let subscription = seller.subscription_of(&schedule).await;
    assert_eq!(subscription["cancellation_details"]["reason"], "payment_failed");
    assert_eq!(seller.again(&schedule).await["status"], "canceled");
    let events = seller.world.events().await;
    let story = ["customer.subscription.deleted", "subscription_schedule.aborted"];
    assert!(has_in_order(&events, &story), "{events:?}");
}

#[tokio::test]
async fn a_paused_subscription_is_taken_over_for_a_period() {
    let seller = Seller::new().await;
    let customer = text(&seller.world.post("/v1/customers", &[]).await["id"]);
    let price = seller.price(2900, "month").await;
    let form = format!(
        "customer={customer}&items[0][price]={price}&trial_period_days=9\
         &trial_settings[end_behavior][missing_payment_method]=pause"
    );
    let subscription = seller.post("/v1/subscriptions", &form).await;
    seller.advance_to(JUNE + 9 * DAY).await;
    assert_eq!(seller.again(&subscription).await["status"], "paused");
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    let end = JULY + 9 * DAY;
    assert_eq!(schedule["current_phase"]["end_date"], end);
    assert_eq!(seller.again(&subscription).await["cancel_at"], Value::Null);
    seller.advance_to(end).await;
    assert_eq!(seller.again(&schedule).await["status"], "released");
    assert_eq!(seller.again(&subscription).await["status"], "paused");
}

#[tokio::test]
async fn a_planned_end_passes_to_the_schedule() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, "&cancel_at_period_end=true").await;
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    assert_eq!(
        (&schedule["end_behavior"], &schedule["phases"][0]["end_date"]),
        (&json!("cancel"), &json!(JULY))
    );
    let renewed = seller.post(&path(&schedule), "end_behavior=release").await;
    assert_eq!(renewed["end_behavior"], "release");
    assert_eq!(seller.again(&subscription).await["cancel_at"], Value::Null);
    seller.post(&path(&schedule), "end_behavior=cancel").await;
    assert_eq!(seller.again(&subscription).await["cancel_at"], JULY);
    seller.advance_to(JULY).await;
    assert_eq!(seller.again(&schedule).await["status"], "completed");
}
