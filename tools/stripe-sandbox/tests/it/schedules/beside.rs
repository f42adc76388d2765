//! Schedules beside what else happens to a subscription: paused collection, updates that wait, previews, sent invoices, usage,
//! test clocks.

use serde_json::{Value, json};

use super::*;

/// A subscription of 29.00 a month that a schedule has taken over; another price follows when June ends.
async fn followed(seller: &Seller, more: &str, next: &str) -> (Value, Value) {
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, more).await;
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    let form = then(&schedule, &price, 1, next, 1);
    (subscription, seller.post(&path(&schedule), &form).await)
}

#[tokio::test]
async fn what_a_schedule_invoices_is_held_while_collection_is_paused() {
    for (behavior, left) in [
        ("keep_as_draft", "draft"),
        ("void", "void"),
        ("mark_uncollectible", "uncollectible"),
    ] {
        let seller = Seller::new().await;
        let dear = seller.price(7900, "month").await;
        let (subscription, schedule) = followed(&seller, "", &dear).await;
        let form = format!("pause_collection[behavior]={behavior}");
        seller.post(&path(&subscription), &form).await;
        let middle = JUNE + INTO_JUNE;
        let item = text(&schedule["phases"][0]["items"][0]["price"]);
        let form = format!(
            "phases[0][items][0][price]={item}&phases[0][start_date]={JUNE}&phases[0][end_date]={middle}\
             &phases[1][items][0][price]={dear}&phases[1][proration_behavior]=always_invoice&phases[1][end_date]={JULY}\
             &phases[2][items][0][price]={dear}&phases[2][items][0][quantity]=2"
        );
        seller.post(&path(&schedule), &form).await;
        seller.advance_to(JULY + 2 * HOUR).await;
        let invoices = seller.invoices().await;
        assert_eq!(
            invoices[1..],
            [(vec![-1901, 5179], left.to_owned()), (vec![15_800], left.to_owned())]
        );
    }
}

#[tokio::test]
async fn collection_that_resumes_as_a_phase_begins_takes_its_invoice() {
    let seller = Seller::new().await;
    let dear = seller.price(7900, "month").await;
    let (subscription, _) = followed(&seller, "", &dear).await;
    let form = format!("pause_collection[behavior]=void&pause_collection[resumes_at]={JULY}");
    seller.post(&path(&subscription), &form).await;
    seller.advance_to(JULY + 2 * HOUR).await;
    assert_eq!(seller.invoices().await, [paid(&[2900]), paid(&[7900])]);
    assert_eq!(seller.again(&subscription).await["pause_collection"], Value::Null);
}

#[tokio::test]
async fn an_update_passes_into_the_phase_when_it_is_paid() {
    let seller = Seller::new().await;
    let (middle, dear) = (seller.price(4900, "month").await, seller.price(7900, "month").await);
    let (subscription, schedule) = followed(&seller, "", &dear).await;
    seller.advance_to(JUNE + INTO_JUNE).await;
    seller.world.give_card(&seller.customer, "chargeCustomerFail").await;
    let item = text(&subscription["items"]["data"][0]["id"]);
    let form = format!(
        "items[0][id]={item}&items[0][price]={middle}&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete"
    );
    let waits = seller.post(&path(&subscription), &form).await;
    assert!(waits["pending_update"].is_object());
    let first = &schedule["phases"][0]["items"];
    assert_eq!(&seller.again(&schedule).await["phases"][0]["items"], first);
    seller.world.give_card(&seller.customer, "visa").await;
    let invoice = format!("/v1/invoices/{}/pay", text(&waits["latest_invoice"]));
    seller.post(&invoice, "").await;
    assert_eq!(sold(&seller.again(&subscription).await), [(middle.clone(), 1)]);
    let phases = seller.again(&schedule).await["phases"].clone();
    assert_eq!(
        (&phases[0]["items"][0]["price"], &phases[1]["items"][0]["price"]),
        (&json!(middle), &json!(dear))
    );
}

#[tokio::test]
async fn the_next_invoice_is_previewed_as_the_phases_have_it() {
    let seller = Seller::new().await;
    let dear = seller.price(7900, "month").await;
    let (subscription, schedule) = followed(&seller, "", &dear).await;
    let form = format!("subscription={}", text(&subscription["id"]));
    let preview = seller.post("/v1/invoices/create_preview", &form).await;
    assert_eq!((amounts(&preview), &preview["created"]), (vec![7900], &json!(JULY)));

    let item = text(&schedule["phases"][0]["items"][0]["price"]);
    let middle = JUNE + INTO_JUNE;
    let phases = format!(
        "phases[0][items][0][price]={item}&phases[0][start_date]={JUNE}&phases[0][end_date]={middle}\
         &phases[1][items][0][price]={dear}&phases[1][proration_behavior]=always_invoice&phases[1][end_date]={JULY}"
    );
    seller.post(&path(&schedule), &phases).await;
    let preview = seller.post("/v1/invoices/create_preview", &form).await;
    assert_eq!(
        (amounts(&preview), &preview["created"]),
        (vec![-1901, 5179], &json!(middle))
    );
    seller.advance_to(middle + HOUR).await;
    assert_eq!(seller.invoices().await[1], paid(&amounts(&preview)));
}

#[tokio::test]
async fn invoices_are_sent_until_a_phase_says_otherwise() {
    let seller = Seller::new().await;
    let customer = format!("/v1/customers/{}", seller.customer);
    seller.post(&customer, "email=jenny@example.com").await;
    let dear = seller.price(7900, "month").await;
    let (subscription, schedule) = followed(&seller, "&collection_method=send_invoice&days_until_due=40", &dear).await;
    let defaults = &schedule["default_settings"];
    assert_eq!(
        (
            &defaults["collection_method"],
            &defaults["invoice_settings"]["days_until_due"]
        ),
        (&json!("send_invoice"), &json!(40))
    );
    seller.advance_to(JULY + HOUR).await;
    let open = |amount| (vec![amount], "open".to_owned());
    assert_eq!(seller.invoices().await, [open(2900), open(7900)]);
    let form = format!(
        "phases[0][items][0][price]={dear}&phases[0][start_date]={JULY}&phases[0][end_date]={AUGUST}\
         &phases[1][items][0][price]={dear}&phases[1][collection_method]=charge_automatically"
    );
    seller.post(&path(&schedule), &form).await;
    assert_eq!(seller.again(&subscription).await["days_until_due"], 40);
    seller.advance_to(AUGUST + HOUR).await;
    assert_eq!(seller.invoices().await[2], paid(&[7900]));
    let charged = seller.again(&subscription).await;
    assert_eq!(
        (&charged["collection_method"], &charged["days_until_due"]),
        (&json!("charge_automatically"), &Value::Null)
    );
}

#[tokio::test]
async fn a_change_to_sent_invoices_stays_when_the_next_phase_begins() {
    let seller = Seller::new().await;
    let customer = format!("/v1/customers/{}", seller.customer);
    seller.post(&customer, "email=jenny@example.com").await;
    let dear = seller.price(7900, "month").await;
    let (subscription, schedule) = followed(&seller, "", &dear).await;
    seller
        .post(&path(&subscription), "collection_method=send_invoice&days_until_due=9")
        .await;
    let defaults = seller.again(&schedule).await["default_settings"].clone();
    assert_eq!(defaults["collection_method"], "send_invoice");
    seller.advance_to(JULY + HOUR).await;
    assert_eq!(seller.invoices().await[1], (vec![7900], "open".to_owned()));
    let refused = seller
        .refused(&path(&schedule), "default_settings[collection_method]=send_invoice")
        .await;
    assert_eq!(refused["param"], "default_settings[collection_method]");
}

#[tokio::test]
async fn usage_of_a_year_that_is_cut_where_a_month_ends_is_billed_once() {
    // The year begins anew, or is no longer sold.
    for (again, lines) in [(true, vec![70]), (false, vec![2900, 70])] {
        let seller = Seller::new().await;
        let basic = seller.price(2900, "month").await;
        let monthly = seller.metered_price(10).await;
        let meter = text(&seller.world.get(&format!("/v1/prices/{monthly}")).await["recurring"]["meter"]);
        let form = format!(
            "product={}&currency=usd&unit_amount=10&recurring[interval]=year&recurring[usage_type]=metered\
             &recurring[meter]={meter}",
            seller.product
        );
        let yearly = text(&seller.post("/v1/prices", &form).await["id"]);
        let next = match again {
            true => format!("{yearly}&phases[1][billing_cycle_anchor]=phase_start"),
            false => basic.clone(),
        };
        let form = format!(
            "&phases[0][items][0][price]={basic}&phases[0][items][1][price]={yearly}&phases[0][end_date]={JULY}\
             &phases[1][items][0][price]={next}&phases[1][duration][interval]=month"
        );
        seller.schedule("now", &form).await;
        seller.advance_to(JUNE + DAY).await;
        seller.report(7).await;
        seller.advance_to(JULY + HOUR).await;
        assert_eq!(seller.invoices().await, [paid(&[2900]), paid(&lines)]);
    }
}

#[tokio::test]
async fn a_schedule_lives_in_its_customers_time() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    // By virtual time all of it would be past.
    let (begin, start) = (JUNE - 90 * DAY, JUNE - 50 * DAY);
    let clock = seller
        .post("/v1/test_helpers/test_clocks", &format!("frozen_time={begin}"))
        .await;
    let customer = format!("test_clock={}", text(&clock["id"]));
    let customer = text(&seller.post("/v1/customers", &customer).await["id"]);
    seller.world.give_card(&customer, "visa").await;
    let form = format!(
        "customer={customer}&start_date={start}&phases[0][items][0][price]={price}&phases[0][duration][interval]=month\
         &end_behavior=cancel"
    );
    let schedule = seller.post(SCHEDULES, &form).await;
    assert_eq!(
        (&schedule["test_clock"], &schedule["created"], &schedule["status"]),
        (&clock["id"], &json!(begin), &json!("not_started"))
    );
    assert_eq!(seller.world.get(SCHEDULES).await["data"], json!([]));
    let listed = seller.world.get(&format!("{SCHEDULES}?customer={customer}")).await;
    assert_eq!(listed["data"][0]["id"], schedule["id"]);
    seller.advance_to(JUNE + DAY).await;
    assert_eq!(seller.again(&schedule).await["status"], "not_started");

    let advance = format!("/v1/test_helpers/test_clocks/{}/advance", text(&clock["id"]));
    // Two months: what the schedule is to begin counts already.
    let far = seller
        .refused(&advance, &format!("frozen_time={}", begin + 70 * DAY))
        .await;
    assert_eq!(far["param"], "frozen_time");
    seller.post(&advance, &format!("frozen_time={}", start + HOUR)).await;
    let started = seller.again(&schedule).await;
    assert_eq!(started["status"], "active");
    let subscription = seller.subscription_of(&schedule).await;
    assert_eq!(
        (&subscription["created"], &subscription["test_clock"]),
        (&json!(start), &clock["id"])
    );
    let invoices = seller.world.get(&format!("/v1/invoices?customer={customer}")).await;
    assert_eq!(invoices["data"][0]["status"], "paid");
    let end = started["current_phase"]["end_date"].as_i64().unwrap();
    seller.post(&advance, &format!("frozen_time={end}")).await;
    let completed = seller.again(&schedule).await;
    assert_eq!(
        (&completed["status"], &completed["completed_at"]),
        (&json!("completed"), &json!(end))
    );

    let waiting = form.replace(&start.to_string(), &(end + DAY).to_string());
    let waiting = seller.post(SCHEDULES, &waiting).await;
    let clock = format!("/v1/test_helpers/test_clocks/{}", text(&clock["id"]));
    seller.world.call("DELETE", &clock, &[]).await;
    assert_eq!(seller.again(&waiting).await["status"], "canceled");
}
