use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, send, start, text};

/// 2027-02-15, the end of the first month.
const PERIOD_END: i64 = START + 31 * DAY;

#[tokio::test]
async fn checkout_is_paid_on_its_page_and_becomes_a_subscription() {
    let world = start().await;
    let customer = world.customer().await;
    let session = world.session(&customer).await;
    assert_eq!(
        (&session["status"], &session["payment_status"]),
        (&json!("open"), &json!("unpaid"))
    );
    assert_eq!(session["subscription"], json!(null));
    let page = send(world.http.get(text(&session["url"]))).await;
    assert!(page.text.contains("29.00 usd / month") && page.text.contains("<label for=\"card_number\">"));

    let paid = world.pay(&session, "4242 4242 4242 4242").await;
    assert_eq!(paid.status, 303);
    assert_eq!(
        paid.header("location"),
        format!("https://example.com/done?s={}", text(&session["id"]))
    );

    let session = world
        .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
        .await;
    assert_eq!(
        (&session["status"], &session["payment_status"], &session["url"]),
        (&json!("complete"), &json!("paid"), &json!(null))
    );
    let subscription = world
        .get(&format!("/v1/subscriptions/{}", text(&session["subscription"])))
        .await;
    assert_eq!(
        (&subscription["status"], &subscription["metadata"]["user_id"]),
        (&json!("active"), &json!("u1"))
    );
    assert_eq!(subscription["billing_mode"]["type"], "flexible");
    let item = &subscription["items"]["data"][0];
    assert_eq!(
        (&item["current_period_start"], &item["current_period_end"]),
        (&json!(START), &json!(PERIOD_END))
    );
    assert_eq!(subscription.get("current_period_end"), None);
    let invoice = world.get(&format!("/v1/invoices/{}", text(&session["invoice"]))).await;
    assert_eq!(
        (&invoice["status"], &invoice["amount_paid"]),
        (&json!("paid"), &json!(2900))
    );
    assert_eq!(
        invoice["parent"]["subscription_details"]["subscription"],
        subscription["id"]
    );
    assert_eq!(invoice["billing_reason"], "subscription_create");

    let events = world.events().await;
    let story = [
        "customer.created",
        "product.created",
        "price.created",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ];
    assert!(has_in_order(&events, &story), "{events:?}");
    assert_eq!(
        world
            .pay(&json!({ "url": page_of(&world, &session) }), "4242424242424242")
            .await
            .status,
        409
    );
}

fn page_of(world: &World, session: &Value) -> String {
    format!("{}/c/pay/{}", world.sandbox.url(), text(&session["id"]))
}

#[tokio::test]
async fn a_declined_card_is_shown_and_the_session_can_still_be_paid() {
    let world = start().await;
    let customer = world.customer().await;
    let session = world.session(&customer).await;
    let declined = world.pay(&session, "4000000000000002").await;
    assert_eq!(declined.status, 402);
    assert!(
        declined
            .text
            .contains("role=\"alert\" data-code=\"generic_decline\">Your card was declined.")
    );
    let wrong = world.pay(&session, "4242424242424241").await;
    assert!(wrong.text.contains("data-code=\"incorrect_number\""));
    let expired = [
        ("card_number", "4242424242424242"),
        ("card_expiry", "12/26"),
        ("card_cvc", "123"),
    ];
    let expired = send(world.http.post(text(&session["url"])).form(&expired)).await;
    assert!(
        expired.text.contains("data-code=\"invalid_expiry_year\""),
        "{}",
        expired.text
    );

    let charges = world.get("/v1/charges").await;
    assert_eq!(charges["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&charges["data"][0]["status"], &charges["data"][0]["failure_code"]),
        (&json!("failed"), &json!("card_declined"))
    );
    assert!(has_in_order(
        &world.events().await,
        &["charge.failed", "payment_intent.payment_failed"]
    ));
    assert_eq!(world.get("/v1/subscriptions").await["data"], json!([]));

    assert_eq!(world.pay(&session, "4242424242424242").await.status, 303);
    let intents = world.get("/v1/payment_intents").await;
    assert_eq!(
        intents["data"].as_array().unwrap().len(),
        1,
        "the second attempt is on the same intent"
    );
    assert_eq!(intents["data"][0]["status"], "succeeded");
}

#[tokio::test]
async fn a_one_time_payment_needs_no_customer_but_an_email() {
    let world = start().await;
    let form = [
        ("mode", "payment"),
        ("line_items[0][quantity]", "3"),
        ("line_items[0][price_data][currency]", "jpy"),
        ("line_items[0][price_data][unit_amount]", "500"),
        ("line_items[0][price_data][product_data][name]", "<b>Mug</b>"),
        ("success_url", "https://example.com/"),
        ("payment_intent_data[metadata][order]", "o1"),
    ];
    let session = world.post("/v1/checkout/sessions", &form).await;
    let page = send(world.http.get(text(&session["url"]))).await;
    assert!(page.text.contains("&lt;b&gt;Mug&lt;/b&gt;") && page.text.contains("1500 jpy"));
    assert_eq!(world.pay(&session, "4242424242424242").await.status, 400);
    let form = [
        ("email", "g@example.com"),
        ("card_number", "4242424242424242"),
        ("card_expiry", "1/2030"),
        ("card_cvc", "1234"),
    ];
    assert_eq!(
        send(world.http.post(text(&session["url"])).form(&form)).await.status,
        303
    );
    let session = world
        .get(&format!(
            "/v1/checkout/sessions/{}?expand[]=payment_intent",
            text(&session["id"])
        ))
        .await;
    assert_eq!(
        (&session["customer"], &session["customer_details"]["email"]),
        (&json!(null), &json!("g@example.com"))
    );
    assert_eq!(
        (
            &session["payment_intent"]["amount"],
            &session["payment_intent"]["metadata"]["order"]
        ),
        (&json!(1500), &json!("o1"))
    );
}

#[tokio::test]
async fn an_unpaid_session_expires_by_itself_or_when_asked() {
    let world = start().await;
    let customer = world.customer().await;
    let (one, other) = (world.session(&customer).await, world.session(&customer).await);
    let path = |session: &Value| format!("/v1/checkout/sessions/{}", text(&session["id"]));
    assert_eq!(
        world.post(&format!("{}/expire", path(&one)), &[]).await["status"],
        "expired"
    );
    assert_eq!(
        world.call("POST", &format!("{}/expire", path(&one)), &[]).await.status,
        400
    );
    world.advance(DAY).await;
    assert_eq!(world.get(&path(&other)).await["status"], "expired");
    assert_eq!(world.pay(&other, "4242424242424242").await.status, 409);
    assert_eq!(
        world
            .events()
            .await
            .iter()
            .filter(|event| *event == "checkout.session.expired")
            .count(),
        2
    );
}

#[tokio::test]
async fn a_subscription_renews_at_its_period_end_and_is_charged_an_hour_later() {
    let world = start().await;
    let subscription = world.subscription().await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    world.advance(PERIOD_END - START - 1).await;
    assert_eq!(world.get(&path).await["latest_invoice"], subscription["latest_invoice"]);
    world.advance(1).await;
    let renewed = world.get(&format!("{path}?expand[]=latest_invoice")).await;
    assert_eq!(renewed["items"]["data"][0]["current_period_start"], PERIOD_END);
    assert_eq!(renewed["items"]["data"][0]["current_period_end"], PERIOD_END + 28 * DAY);
    assert_eq!(
        (&renewed["status"], &renewed["latest_invoice"]["status"]),
        (&json!("active"), &json!("draft"))
    );
    assert_eq!(renewed["latest_invoice"]["billing_reason"], "subscription_cycle");
    world.advance(3600).await;
    let invoice = world
        .get(&format!("/v1/invoices/{}", text(&renewed["latest_invoice"]["id"])))
        .await;
    assert_eq!(
        (&invoice["status"], &invoice["created"]),
        (&json!("paid"), &json!(PERIOD_END))
    );
    assert_eq!(invoice["status_transitions"]["paid_at"], PERIOD_END + 3600);
    world.advance(365 * DAY).await;
    let invoices = world.get("/v1/invoices?limit=100&status=paid").await;
    assert_eq!(invoices["data"].as_array().unwrap().len(), 14);
}

#[tokio::test]
async fn cancelling_at_period_end_keeps_the_subscription_until_then() {
    let world = start().await;
    let subscription = world.subscription().await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let ending = world.post(&path, &[("cancel_at_period_end", "true")]).await;
    assert_eq!(
        (&ending["status"], &ending["cancel_at"], &ending["canceled_at"]),
        (&json!("active"), &json!(PERIOD_END), &json!(START))
    );
    let kept = world.post(&path, &[("cancel_at_period_end", "false")]).await;
    assert_eq!(
        (&kept["cancel_at"], &kept["cancellation_details"]["reason"]),
        (&json!(null), &json!(null))
    );
    world
        .post(
            &path,
            &[
                ("cancel_at_period_end", "true"),
                ("cancellation_details[feedback]", "too_expensive"),
            ],
        )
        .await;
    world.advance(PERIOD_END - START - 1).await;
    assert_eq!(world.get(&path).await["status"], "active");
    world.advance(10 * DAY).await;
    let ended = world.get(&path).await;
    assert_eq!(
        (&ended["status"], &ended["ended_at"]),
        (&json!("canceled"), &json!(PERIOD_END))
    );
    assert_eq!(ended["cancellation_details"]["reason"], "cancellation_requested");
    assert_eq!(world.get("/v1/invoices").await["data"].as_array().unwrap().len(), 1);
    let events = world.get("/v1/events?type=customer.subscription.deleted").await;
    assert_eq!(
        (
            &events["data"][0]["created"],
            &events["data"][0]["data"]["object"]["status"]
        ),
        (&json!(PERIOD_END), &json!("canceled"))
    );
    assert_eq!(
        events["data"][0]["request"],
        json!({ "id": null, "idempotency_key": null })
    );
    assert_eq!(world.call("POST", &path, &[("description", "Pro")]).await.status, 400);
}

#[tokio::test]
async fn cancelling_now_ends_at_once_and_deleting_a_customer_too() {
    let world = start().await;
    let subscription = world.subscription().await;
    let canceled = world
        .call(
            "DELETE",
            &format!("/v1/subscriptions/{}", text(&subscription["id"])),
            &[],
        )
        .await
        .json();
    assert_eq!(
        (&canceled["status"], &canceled["ended_at"]),
        (&json!("canceled"), &json!(START))
    );
    let other = world.subscription().await;
    world
        .call("DELETE", &format!("/v1/customers/{}", text(&other["customer"])), &[])
        .await;
    assert_eq!(
        world.get(&format!("/v1/subscriptions/{}", text(&other["id"]))).await["status"],
        "canceled"
    );
    assert!(has_in_order(
        &world.events().await,
        &[
            "customer.subscription.deleted",
            "customer.subscription.deleted",
            "customer.deleted"
        ]
    ));
}

#[tokio::test]
async fn a_failing_renewal_is_retried_and_then_ends_the_subscription() {
    let world = start().await;
    let subscription = world.subscription().await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let attach = [("customer", subscription["customer"].as_str().unwrap())];
    let bad = world
        .post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", &attach)
        .await;
    world
        .post(&path, &[("default_payment_method", bad["id"].as_str().unwrap())])
        .await;
    world.advance(PERIOD_END - START + 3600).await;
    let failing = world.get(&format!("{path}?expand[]=latest_invoice")).await;
    assert_eq!(
        (&failing["status"], &failing["latest_invoice"]["attempt_count"]),
        (&json!("past_due"), &json!(1))
    );
    assert_eq!(
        failing["latest_invoice"]["next_payment_attempt"],
        PERIOD_END + 3600 + 3 * DAY
    );

    let good = world.post("/v1/payment_methods/pm_card_visa/attach", &attach).await;
    world
        .post(&path, &[("default_payment_method", good["id"].as_str().unwrap())])
        .await;
    world.advance(3 * DAY).await;
    assert_eq!(world.get(&path).await["status"], "active");

    world
        .post(&path, &[("default_payment_method", bad["id"].as_str().unwrap())])
        .await;
    world.advance(50 * DAY).await;
    let ended = world.get(&path).await;
    assert_eq!(
        (&ended["status"], &ended["cancellation_details"]["reason"]),
        (&json!("canceled"), &json!("payment_failed"))
    );
    let events = world.events().await;
    let failures = events.iter().filter(|kind| *kind == "invoice.payment_failed");
    assert_eq!(failures.count(), 1 + 4);
}

#[tokio::test]
async fn an_incomplete_subscription_becomes_active_when_its_intent_is_paid_or_expires() {
    let world = start().await;
    let (customer, price) = (world.customer().await, world.price().await);
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("payment_behavior", "default_incomplete"),
        ("payment_settings[save_default_payment_method]", "on_subscription"),
        ("expand[]", "latest_invoice.confirmation_secret"),
    ];
    let paid = world.post("/v1/subscriptions", &form).await;
    let left = world.post("/v1/subscriptions", &form).await;
    assert_eq!(
        (&paid["status"], &paid["latest_invoice"]["status"]),
        (&json!("incomplete"), &json!("open"))
    );
    let secret = text(&paid["latest_invoice"]["confirmation_secret"]["client_secret"]);
    let intent = secret.split("_secret_").next().unwrap();
    world
        .post(
            &format!("/v1/payment_intents/{intent}/confirm"),
            &[("payment_method", "pm_card_visa")],
        )
        .await;
    let active = world.get(&format!("/v1/subscriptions/{}", text(&paid["id"]))).await;
    assert_eq!(active["status"], "active");
    assert!(active["default_payment_method"].is_string());
    world.advance(23 * 3600).await;
    let expired = world
        .get(&format!(
            "/v1/subscriptions/{}?expand[]=latest_invoice",
            text(&left["id"])
        ))
        .await;
    assert_eq!(
        (&expired["status"], &expired["latest_invoice"]["status"]),
        (&json!("incomplete_expired"), &json!("void"))
    );
}

#[tokio::test]
async fn a_subscription_needs_something_to_pay_with() {
    let world = start().await;
    let (customer, price) = (world.customer().await, world.price().await);
    let form = [("customer", &*customer), ("items[0][price]", &*price)];
    assert_eq!(world.call("POST", "/v1/subscriptions", &form).await.status, 400);
    assert_eq!(world.get("/v1/subscriptions").await["data"], json!([]));
    world.give_card(&customer, "visa").await;
    assert_eq!(world.post("/v1/subscriptions", &form).await["status"], "active");
    let strict = [
        &form[..],
        &[
            ("default_payment_method", "pm_card_chargeCustomerFail"),
            ("payment_behavior", "error_if_incomplete"),
        ],
    ];
    assert_eq!(
        world.call("POST", "/v1/subscriptions", &strict.concat()).await.status,
        402
    );
    assert_eq!(
        world.get("/v1/subscriptions").await["data"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_trial_is_free_and_then_billed() {
    let world = start().await;
    let (customer, price) = (world.customer().await, world.price().await);
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("trial_period_days", "14"),
        ("default_payment_method", "pm_card_visa"),
    ];
    let trial = world.post("/v1/subscriptions", &form).await;
    assert_eq!(
        (&trial["status"], &trial["trial_end"]),
        (&json!("trialing"), &json!(START + 14 * DAY))
    );
    world.advance(14 * DAY + 3600).await;
    let path = format!("/v1/subscriptions/{}?expand[]=latest_invoice", text(&trial["id"]));
    let billed = world.get(&path).await;
    assert_eq!(
        (&billed["status"], &billed["latest_invoice"]["amount_paid"]),
        (&json!("active"), &json!(2900))
    );
    assert!(
        world
            .events()
            .await
            .contains(&"customer.subscription.trial_will_end".to_owned())
    );
}

#[tokio::test]
async fn of_a_subscription_that_has_ended_only_what_is_said_of_it_changes() {
    let world = start().await;
    let subscription = world.subscription().await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    world.call("DELETE", &path, &[]).await;
    let said = [
        ("metadata[why]", "dear"),
        ("cancellation_details[feedback]", "too_expensive"),
    ];
    let told = world.post(&path, &said).await;
    assert_eq!(
        (
            &told["status"],
            &told["metadata"]["why"],
            &told["cancellation_details"]["feedback"]
        ),
        (&json!("canceled"), &json!("dear"), &json!("too_expensive"))
    );
    for more in [("description", "Pro"), ("cancel_at_period_end", "true")] {
        let refused = world.call("POST", &path, &[said[0], more]).await;
        assert_eq!(refused.status, 400, "{more:?}");
    }
}

#[tokio::test]
async fn a_wrong_quantity_is_named_by_its_line() {
    let world = start().await;
    let subscription = world.subscription().await;
    let item = text(&subscription["items"]["data"][0]["id"]);
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let form = [("items[0][id]", &*item), ("items[0][quantity]", "-1")];
    let refused = world.call("POST", &path, &form).await.json();
    assert_eq!(refused["error"]["param"], "items[0][quantity]");
}
