//! Phases that are trials, or begin with one.

use serde_json::{Value, json};

use super::*;

const WEEK: i64 = 7 * DAY;

/// The status of a subscription, and when its trial began and ends.
fn trial(subscription: &Value) -> (String, Value, Value) {
    (
        text(&subscription["status"]),
        subscription["trial_start"].clone(),
        subscription["trial_end"].clone(),
    )
}

fn period(subscription: &Value) -> (&Value, &Value) {
    let item = &subscription["items"]["data"][0];
    (&item["current_period_start"], &item["current_period_end"])
}

#[tokio::test]
async fn a_later_phase_is_a_trial() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
        let end = JULY + 2 * WEEK;
        let form = format!(
            "&billing_mode[type]={mode}&phases[0][items][0][price]={basic}&phases[0][duration][interval]=month\
             &phases[1][items][0][price]={pro}&phases[1][trial]=true&phases[1][end_date]={end}\
             &phases[2][items][0][price]={pro}"
        );
        let schedule = seller.schedule("now", &form).await;
        assert_eq!(schedule["phases"][0]["trial"], Value::Null);
        let later = &schedule["phases"][1];
        assert_eq!((&later["trial"], &later["trial_end"]), (&json!(true), &json!(end)));
        assert_eq!(seller.subscription_of(&schedule).await["trial_end"], Value::Null);
        seller.advance_to(JULY - 1).await;
        let before = seller.world.events().await.len();
        seller.advance_to(JULY).await;
        let subscription = seller.subscription_of(&schedule).await;
        assert_eq!(trial(&subscription), ("trialing".to_owned(), json!(JULY), json!(end)));
        assert_eq!(sold(&subscription), [(pro.clone(), 1)]);
        assert_eq!(period(&subscription), (&json!(JULY), &json!(end)));
        let begun = [
            "subscription_schedule.updated",
            "invoice.created",
            "customer.subscription.updated",
        ];
        assert_eq!(seller.events_since(before).await, begun, "{mode}");
        assert_eq!(seller.invoices().await, [paid(&[2900]), draft(&[0])], "{mode}");

        seller.advance_to(end - 3 * DAY - 1).await;
        let before = seller.world.events().await.len();
        seller.advance_to(end - 3 * DAY).await;
        let told = seller.events_since(before).await;
        assert_eq!(told, ["customer.subscription.trial_will_end"]);
        seller.advance_to(end + 2 * HOUR).await;
        let subscription = seller.subscription_of(&schedule).await;
        assert_eq!(trial(&subscription), ("active".to_owned(), json!(JULY), json!(end)));
        assert_eq!(subscription["billing_cycle_anchor"], end);
        assert_eq!(period(&subscription), (&json!(end), &json!(end + 31 * DAY)));
        assert_eq!(
            seller.invoices().await,
            [paid(&[2900]), paid(&[0]), paid(&[7900])],
            "{mode}"
        );
        assert_eq!(seller.waiting().await, Vec::<i64>::new());
    }
}

#[tokio::test]
async fn a_later_phase_begins_with_a_trial() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let subscription = seller.subscribe(&basic, "").await;
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    let end = JULY + WEEK;
    let form = format!(
        "phases[0][items][0][price]={basic}&phases[0][start_date]={JUNE}&phases[0][end_date]={JULY}\
         &phases[1][items][0][price]={pro}&phases[1][trial_end]={end}&phases[1][end_date]={SEPTEMBER}"
    );
    let planned = seller.post(&path(&schedule), &form).await;
    let later = &planned["phases"][1];
    assert_eq!((&later["trial"], &later["trial_end"]), (&json!(false), &json!(end)));
    seller.advance_to(end - 1).await;
    let ending = seller.again(&subscription).await;
    assert_eq!(trial(&ending), ("trialing".to_owned(), json!(JULY), json!(end)));
    assert_eq!(seller.invoices().await, [paid(&[2900]), paid(&[0])]);
    seller.advance_to(end + 31 * DAY + 2 * HOUR).await;
    assert_eq!(seller.again(&subscription).await["status"], "active");
    assert_eq!(
        seller.invoices().await,
        [paid(&[2900]), paid(&[0]), paid(&[7900]), paid(&[7900])]
    );
}

#[tokio::test]
async fn what_was_paid_for_is_given_back_where_a_trial_begins_within_a_period() {
    for (behavior, begun) in [
        ("create_prorations", vec![0, -1901]),
        ("always_invoice", vec![0, -1901]),
        ("none", vec![0]),
    ] {
        for mode in ["flexible", "classic"] {
            let seller = Seller::new().await;
            let price = seller.price(2900, "month").await;
            let begins = JUNE + INTO_JUNE;
            let form = format!(
                "&billing_mode[type]={mode}&phases[0][items][0][price]={price}&phases[0][end_date]={begins}\
                 &phases[1][items][0][price]={price}&phases[1][trial]=true&phases[1][duration][interval]=week\
                 &phases[1][proration_behavior]={behavior}"
            );
            let schedule = seller.schedule("now", &form).await;
            seller.advance_to(begins + 2 * HOUR).await;
            let subscription = seller.subscription_of(&schedule).await;
            let expected = ("trialing".to_owned(), json!(begins), json!(begins + WEEK));
            assert_eq!(trial(&subscription), expected);
            let invoices = seller.invoices().await;
            assert_eq!(invoices, [paid(&[2900]), paid(&begun)], "{behavior} {mode}");
            // What was given back is taken off the first invoice after the trial.
            seller.advance_to(begins + WEEK + 2 * HOUR).await;
            let credit: i64 = -begun.iter().sum::<i64>();
            let last = &seller.world.get("/v1/invoices?limit=1").await["data"][0];
            assert_eq!(last["amount_paid"], 2900 - credit, "{behavior} {mode}");
            assert_eq!(seller.again(&schedule).await["status"], "released");
        }
    }
}

#[tokio::test]
async fn a_trial_goes_on_from_phase_to_phase() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let nobody = text(&seller.post("/v1/customers", "name=Nobody").await["id"]);
    let form = format!(
        "customer={nobody}&items[0][price]={basic}&trial_period_days=7\
         &trial_settings[end_behavior][missing_payment_method]=pause"
    );
    let subscription = seller.post("/v1/subscriptions", &form).await;
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    let first = &schedule["phases"][0];
    assert_eq!(
        (&first["trial"], &first["trial_end"]),
        (&json!(true), &json!(JUNE + WEEK))
    );
    let form = format!(
        "phases[0][items][0][price]={basic}&phases[0][start_date]={JUNE}&phases[0][end_date]={0}\
         &phases[0][trial]=true&phases[0][trial_end]={0}\
         &phases[1][items][0][price]={pro}&phases[1][trial]=true&phases[1][end_date]={JULY}\
         &phases[2][items][0][price]={basic}",
        JUNE + WEEK
    );
    seller.post(&path(&schedule), &form).await;
    seller.advance_to(JUNE + WEEK - 1).await;
    let before = seller.world.events().await.len();
    seller.advance_to(JUNE + WEEK).await;
    let story = ["subscription_schedule.updated", "customer.subscription.updated"];
    assert_eq!(seller.events_since(before).await, story, "nothing is invoiced");
    let going_on = seller.again(&subscription).await;
    assert_eq!(trial(&going_on), ("trialing".to_owned(), json!(JUNE), json!(JULY)));
    assert_eq!(sold(&going_on), [(pro.clone(), 1)]);
    assert_eq!(period(&going_on).1, JULY);
    // Nobody can be charged, and the trial ends with the phase.
    seller.advance_to(JULY).await;
    assert_eq!(seller.again(&subscription).await["status"], "paused");
    let invoices = seller.world.get(&format!("/v1/invoices?customer={nobody}")).await;
    assert_eq!(invoices["data"].as_array().unwrap().len(), 1);
    let events = seller.world.events().await;
    let ends = events.iter().filter(|event| event.ends_with("trial_will_end"));
    assert_eq!(ends.count(), 2, "one for each phase");
}

#[tokio::test]
async fn a_trial_that_was_ended_does_not_begin_again() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let form = format!("&phases[0][items][0][price]={price}&phases[0][trial]=true&phases[0][end_date]={JULY}");
    let schedule = seller.schedule("now", &form).await;
    seller.advance_to(JUNE + DAY).await;
    let subscription = seller.subscription_of(&schedule).await;
    seller.post(&path(&subscription), "trial_end=now").await;
    let ended = seller.again(&schedule).await;
    let phase = &ended["phases"][0];
    assert_eq!(
        (&phase["trial"], &phase["trial_end"]),
        (&json!(false), &json!(JUNE + DAY))
    );
    seller.post(&path(&schedule), "metadata[a]=1").await;
    assert_eq!(seller.again(&subscription).await["status"], "active");
    assert_eq!(seller.invoices().await, [paid(&[0]), paid(&[2900])]);
}

#[tokio::test]
async fn the_present_phase_becomes_a_trial() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, "").await;
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    seller.advance_to(JUNE + INTO_JUNE).await;
    let form = format!(
        "phases[0][items][0][price]={price}&phases[0][start_date]={JUNE}&phases[0][end_date]={JULY}\
         &phases[0][trial]=true&proration_behavior=none"
    );
    seller.post(&path(&schedule), &form).await;
    let begun = seller.again(&subscription).await;
    assert_eq!(
        trial(&begun),
        ("trialing".to_owned(), json!(JUNE + INTO_JUNE), json!(JULY))
    );
    // What is written again as it is begins nothing.
    let before = seller.world.events().await.len();
    seller.post(&path(&schedule), &form).await;
    assert_eq!(seller.events_since(before).await, Vec::<String>::new());
    seller.advance_to(JULY + 2 * HOUR).await;
    assert_eq!(seller.invoices().await, [paid(&[2900]), paid(&[0]), paid(&[2900])]);
}

#[tokio::test]
async fn usage_before_a_trial_is_billed_and_usage_in_it_is_free() {
    let seller = Seller::new().await;
    let price = seller.metered_price(10).await;
    let form = format!(
        "&phases[0][items][0][price]={price}&phases[0][duration][interval]=month\
         &phases[1][items][0][price]={price}&phases[1][trial]=true&phases[1][duration][interval]=week\
         &phases[2][items][0][price]={price}"
    );
    let schedule = seller.schedule("now", &form).await;
    seller.advance_to(JUNE + DAY).await;
    seller.report(7).await;
    seller.advance_to(JULY + DAY).await;
    seller.report(5).await;
    assert_eq!(seller.subscription_of(&schedule).await["status"], "trialing");
    assert_eq!(seller.invoices().await, [paid(&[70])]);
    seller.advance_to(JULY + WEEK + DAY).await;
    seller.report(3).await;
    seller.advance_to(JULY + WEEK + 31 * DAY + 2 * HOUR).await;
    assert_eq!(seller.invoices().await, [paid(&[70]), paid(&[30])]);
}

#[tokio::test]
async fn who_is_past_due_has_a_trial_too() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let form = format!(
        "&phases[0][items][0][price]={price}&phases[0][duration][interval]=month\
         &phases[1][items][0][price]={price}&phases[1][duration][interval]=week\
         &phases[2][items][0][price]={price}&phases[2][trial]=true&phases[2][duration][interval]=week"
    );
    let schedule = seller.schedule("now", &form).await;
    seller.advance_to(JUNE + DAY).await;
    seller.world.give_card(&seller.customer, "chargeCustomerFail").await;
    seller.advance_to(JULY + DAY).await;
    assert_eq!(seller.subscription_of(&schedule).await["status"], "past_due");
    seller.advance_to(JULY + WEEK).await;
    assert_eq!(seller.subscription_of(&schedule).await["status"], "trialing");
}
