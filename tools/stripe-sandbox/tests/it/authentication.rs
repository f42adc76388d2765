//! 3-D Secure, through the page on which the owner of a card authenticates.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::client::{Answer, DAY, World, has_in_order, send, start, text};

const BACK: &str = "https://example.com/back?order=1";

/// An intent that waits for authentication.
async fn waiting(world: &World, card: &str, more: &[(&str, &str)]) -> Value {
    let method = format!("pm_card_{card}");
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", &*method),
    ];
    let intent = world.post("/v1/payment_intents", &[&form, more].concat()).await;
    assert_eq!(intent["status"], "requires_action", "{card}");
    intent
}

/// Opens the page that an intent leads to, and does `action` there.
async fn authenticate(world: &World, intent: &Value, action: &str) -> Answer {
    let next = &intent["next_action"];
    let url = next["redirect_to_url"]["url"].as_str();
    let url = url.or(next["use_stripe_sdk"]["stripe_js"].as_str()).unwrap();
    let page = send(world.http.get(url)).await;
    assert_eq!(page.status, 200);
    for part in [
        "<html lang=\"en\">",
        "<title>3D Secure</title>",
        "Complete authentication",
        "Fail authentication",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    send(world.http.post(url).form(&[("action", action)])).await
}

async fn now(world: &World, intent: &Value) -> Value {
    world.get(&format!("/v1/payment_intents/{}", text(&intent["id"]))).await
}

#[tokio::test]
async fn authenticating_pays_and_leads_back() {
    let world = start().await;
    let intent = waiting(&world, "threeDSecure2Required", &[("return_url", BACK)]).await;
    assert_eq!(intent["next_action"]["type"], "redirect_to_url");
    assert_eq!(intent["next_action"]["redirect_to_url"]["return_url"], BACK);
    let done = authenticate(&world, &intent, "complete").await;
    let wanted = format!(
        "{BACK}&payment_intent={}&payment_intent_client_secret={}&redirect_status=succeeded",
        text(&intent["id"]),
        text(&intent["client_secret"])
    );
    assert_eq!((done.status, done.header("location")), (303, &*wanted));
    let paid = now(&world, &intent).await;
    assert_eq!(
        (&paid["status"], &paid["next_action"], &paid["amount_received"]),
        (&json!("succeeded"), &json!(null), &json!(1000))
    );
    let charge = world
        .get(&format!("/v1/charges/{}", text(&paid["latest_charge"])))
        .await;
    let how = &charge["payment_method_details"]["card"]["three_d_secure"];
    assert_eq!(
        (&how["result"], &how["authentication_flow"], &how["version"]),
        (&json!("authenticated"), &json!("challenge"), &json!("2.2.0"))
    );
    let story = [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.succeeded",
        "payment_intent.succeeded",
    ];
    assert!(has_in_order(&world.events().await, &story));
    let url = text(&intent["next_action"]["redirect_to_url"]["url"]);
    let late = send(world.http.post(url).form(&[("action", "complete")])).await;
    assert!(late.text.contains("role=\"alert\"") || late.status == 409);
    assert_eq!(now(&world, &intent).await, paid);
}

#[tokio::test]
async fn failing_to_authenticate_asks_for_another_card() {
    let world = start().await;
    let intent = waiting(&world, "authenticationRequired", &[("return_url", BACK)]).await;
    let failed = authenticate(&world, &intent, "fail").await;
    assert!(failed.header("location").ends_with("&redirect_status=failed"));
    let open = now(&world, &intent).await;
    assert_eq!(
        (
            &open["status"],
            &open["last_payment_error"]["code"],
            &open["latest_charge"]
        ),
        (
            &json!("requires_payment_method"),
            &json!("payment_intent_authentication_failure"),
            &json!(null)
        )
    );
    let confirm = format!("/v1/payment_intents/{}/confirm", text(&intent["id"]));
    let paid = world.post(&confirm, &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(
        (&paid["status"], &paid["last_payment_error"]),
        (&json!("succeeded"), &json!(null))
    );
}

#[tokio::test]
async fn a_card_may_be_declined_after_authentication() {
    let world = start().await;
    for (card, decline_code) in [
        ("threeDSecureRequiredChargeDeclined", "generic_decline"),
        (
            "authenticationRequiredChargeDeclinedInsufficientFunds",
            "insufficient_funds",
        ),
    ] {
        let intent = waiting(&world, card, &[]).await;
        assert_eq!(intent["next_action"]["type"], "use_stripe_sdk");
        let page = authenticate(&world, &intent, "complete").await;
        assert!(
            page.text.contains("<code>requires_payment_method</code>"),
            "{}",
            page.text
        );
        let declined = now(&world, &intent).await;
        assert_eq!(declined["last_payment_error"]["decline_code"], decline_code);
    }
}

#[tokio::test]
async fn a_card_that_needs_no_authentication_is_asked_for_it_where_the_caller_wants_that() {
    let world = start().await;
    let wanted = [("payment_method_options[card][request_three_d_secure]", "any")];
    waiting(&world, "threeDSecureOptional", &wanted).await;
    let intent = waiting(&world, "authenticationRequired", &[]).await;
    let path = format!("/v1/payment_intents/{}", text(&intent["id"]));
    let updated = world.post(&path, &[("amount", "1100")]).await;
    assert_eq!(
        (&updated["status"], &updated["next_action"]),
        (&json!("requires_confirmation"), &json!(null))
    );
    let canceled = world.post(&format!("{path}/cancel"), &[]).await;
    assert_eq!(canceled["status"], "canceled");
}

#[tokio::test]
async fn checkout_leads_through_authentication() {
    let world = start().await;
    let customer = world.customer().await;
    let session = world.session(&customer).await;
    let page = text(&session["url"]);
    let asked = world.pay(&session, "4000002500003155").await;
    let authenticate = asked.header("location").to_owned();
    assert_eq!(asked.status, 303);
    assert!(authenticate.contains("/3d_secure/pi_"), "{authenticate}");
    let failed = send(world.http.post(&authenticate).form(&[("action", "fail")])).await;
    let back = failed.header("location").to_owned();
    assert_eq!(back, format!("{page}?redirect_status=failed"));
    assert!(send(world.http.get(&back)).await.text.contains("role=\"alert\""));

    let asked = world.pay(&session, "4000002500003155").await;
    assert_eq!(asked.header("location"), authenticate, "it is the same payment");
    let done = send(world.http.post(&authenticate).form(&[("action", "complete")])).await;
    assert_eq!(
        done.header("location"),
        format!("https://example.com/done?s={}", text(&session["id"]))
    );
    let path = format!("/v1/checkout/sessions/{}?expand[]=subscription", text(&session["id"]));
    let session = world.get(&path).await;
    assert_eq!(
        (&session["payment_status"], &session["subscription"]["status"]),
        (&json!("paid"), &json!("active"))
    );
    let charges = world.get("/v1/charges").await;
    assert_eq!(charges["data"].as_array().unwrap().len(), 1, "it is charged once");

    // Set up at checkout, the card renews without its owner.
    world.advance(32 * DAY).await;
    let invoices = world.get("/v1/invoices?status=paid").await;
    assert_eq!(invoices["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_trial_bought_at_checkout_sets_the_card_up() {
    let world = start().await;
    let (customer, price) = (world.customer().await, world.price().await);
    let form = [
        ("mode", "subscription"),
        ("customer", &*customer),
        ("line_items[0][price]", &*price),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://example.com/done"),
        ("subscription_data[trial_period_days]", "14"),
    ];
    let session = world.post("/v1/checkout/sessions", &form).await;
    let asked = world.pay(&session, "4000002500003155").await;
    let authenticate = asked.header("location").to_owned();
    assert!(authenticate.contains("/3d_secure/seti_"), "{authenticate}");
    let done = send(world.http.post(authenticate).form(&[("action", "complete")])).await;
    assert_eq!(done.header("location"), "https://example.com/done");
    let subscriptions = world.get("/v1/subscriptions").await;
    assert_eq!(subscriptions["data"][0]["status"], "trialing");
    world.advance(14 * DAY + 3600).await;
    assert_eq!(world.get("/v1/subscriptions").await["data"][0]["status"], "active");
    let charges = world.get("/v1/charges").await;
    assert_eq!(charges["data"][0]["paid"], json!(true));
}

#[tokio::test]
async fn one_payment_at_checkout_is_authenticated_without_a_customer() {
    let world = start().await;
    let form = [
        ("mode", "payment"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "500"),
        ("line_items[0][price_data][product_data][name]", "Mug"),
        ("success_url", "https://example.com/"),
        ("customer_email", "g@example.com"),
    ];
    let session = world.post("/v1/checkout/sessions", &form).await;
    let asked = world.pay(&session, "4000002760003184").await;
    let done = send(
        world
            .http
            .post(asked.header("location"))
            .form(&[("action", "complete")]),
    )
    .await;
    assert_eq!(done.header("location"), "https://example.com/");
    let paid = world
        .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
        .await;
    assert_eq!(
        (&paid["status"], &paid["payment_status"], &paid["customer"]),
        (&json!("complete"), &json!("paid"), &json!(null))
    );
}

#[tokio::test]
async fn what_checkout_and_invoices_begin_is_not_canceled_behind_their_back() {
    let world = start().await;
    let subscription = world.subscription().await;
    let price = text(&subscription["items"]["data"][0]["price"]["id"]);
    let customer = text(&subscription["customer"]);
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("payment_behavior", "default_incomplete"),
    ];
    world.post("/v1/subscriptions", &form).await;
    let session = world.session(&customer).await;
    world.pay(&session, "4000002760003184").await;
    let open = world.get("/v1/payment_intents?limit=2").await;
    for intent in open["data"].as_array().unwrap() {
        let path = format!("/v1/payment_intents/{}", text(&intent["id"]));
        for (path, form) in [
            (format!("{path}/cancel"), vec![]),
            (path.clone(), vec![("amount", "100")]),
            (path.clone(), vec![("capture_method", "manual")]),
        ] {
            let refused = world.call("POST", &path, &form).await;
            assert_eq!(refused.json()["error"]["code"], "payment_intent_unexpected_state");
        }
    }
}

#[tokio::test]
async fn an_expired_session_takes_no_money_after_authentication() {
    let world = start().await;
    let customer = world.customer().await;
    let session = world.session(&customer).await;
    let asked = world.pay(&session, "4000002760003184").await;
    world.advance(DAY).await;
    send(
        world
            .http
            .post(asked.header("location"))
            .form(&[("action", "complete")]),
    )
    .await;
    let intents = world.get("/v1/payment_intents").await;
    let intent = &intents["data"][0];
    assert_eq!(
        (&intent["status"], &intent["amount_received"], &intent["next_action"]),
        (&json!("canceled"), &json!(0), &json!(null))
    );
}

#[tokio::test]
async fn a_subscription_is_incomplete_until_its_payer_has_authenticated() {
    let world = start().await;
    let (customer, price) = (world.customer().await, world.price().await);
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("default_payment_method", "pm_card_authenticationRequired"),
        ("expand[]", "latest_invoice.payments"),
    ];
    let begun = world.post("/v1/subscriptions", &form).await;
    assert_eq!(begun["status"], "incomplete");
    let payment = &begun["latest_invoice"]["payments"]["data"][0]["payment"];
    let intent = format!("/v1/payment_intents/{}", text(&payment["payment_intent"]));
    let waiting = world.get(&intent).await;
    authenticate(&world, &waiting, "fail").await;
    let path = format!("/v1/subscriptions/{}", text(&begun["id"]));
    assert_eq!(world.get(&path).await["status"], "incomplete");
    let again = [("payment_method", &*text(&begun["default_payment_method"]))];
    let waiting = world.post(&format!("{intent}/confirm"), &again).await;
    authenticate(&world, &waiting, "complete").await;
    assert_eq!(world.get(&path).await["status"], "active");
    let strict = [&form[..], &[("payment_behavior", "error_if_incomplete")]].concat();
    let refused = world.call("POST", "/v1/subscriptions", &strict).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (402, &json!("subscription_payment_intent_requires_action"))
    );
}

#[tokio::test]
async fn who_is_not_there_needs_not_authenticate_with_a_card_that_was_set_up() {
    let world = start().await;
    let (customer, price) = (world.customer().await, world.price().await);
    let method = world
        .post(
            "/v1/payment_methods/pm_card_authenticationRequiredSetupForOffSession/attach",
            &[("customer", &*customer)],
        )
        .await;
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*price),
        ("default_payment_method", &*text(&method["id"])),
    ];
    for (off_session, status) in [("false", "incomplete"), ("true", "active")] {
        let more = [&form[..], &[("off_session", off_session)]].concat();
        assert_eq!(world.post("/v1/subscriptions", &more).await["status"], status);
    }
    let begun = world
        .post("/v1/subscriptions", &[&form[..], &[("off_session", "true")]].concat())
        .await;
    let item = text(&begun["items"]["data"][0]["id"]);
    let path = format!("/v1/subscriptions/{}", text(&begun["id"]));
    // Another quantity each time, charged at once.
    let by_item = format!("/v1/subscription_items/{item}");
    for (path, id, quantity, off_session, status) in [
        (&path, "items[0][id]", "2", "true", 200),
        (&path, "items[0][id]", "3", "false", 402),
        (&by_item, "", "4", "true", 200),
        (&by_item, "", "5", "false", 402),
    ] {
        let (id, quantity) = match id {
            "" => (vec![], ("quantity", quantity)),
            id => (vec![(id, &*item)], ("items[0][quantity]", quantity)),
        };
        let how = [
            quantity,
            ("off_session", off_session),
            ("proration_behavior", "always_invoice"),
            ("payment_behavior", "error_if_incomplete"),
        ];
        let answer = world.call("POST", path, &[&id[..], &how].concat()).await;
        assert_eq!(answer.status, status, "{path} {quantity:?}: {}", answer.text);
    }
    assert_eq!(world.get(&path).await["items"]["data"][0]["quantity"], 4);
}

#[tokio::test]
async fn the_pages_find_the_payments_of_connected_accounts() {
    let world = start().await;
    let account = text(&world.post("/v1/accounts", &[("country", "DE")]).await["id"]);
    let form = [
        ("amount", "1000"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_authenticationRequired"),
    ];
    let on_account = |request: RequestBuilder| send(request.header("stripe-account", &account));
    let intents = world.request(Method::POST, "/v1/payment_intents").form(&form);
    let intent = on_account(intents).await.json();
    authenticate(&world, &intent, "complete").await;
    let path = format!("/v1/payment_intents/{}", text(&intent["id"]));
    let paid = on_account(world.request(Method::GET, &path)).await.json();
    assert_eq!(paid["status"], "succeeded");
    assert_eq!(world.call("GET", &path, &[]).await.status, 404);
}

#[tokio::test]
async fn a_renewal_that_needs_the_payer_is_paid_when_they_have_authenticated() {
    let world = start().await;
    let subscription = world.subscription().await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let attach = [("customer", subscription["customer"].as_str().unwrap())];
    let strict = "/v1/payment_methods/pm_card_authenticationRequired/attach";
    let strict = text(&world.post(strict, &attach).await["id"]);
    world.post(&path, &[("default_payment_method", &strict)]).await;
    world.advance(31 * DAY + 3600).await;
    let behind = world.get(&format!("{path}?expand[]=latest_invoice.payments")).await;
    assert_eq!(behind["status"], "past_due");
    let events = world.events().await;
    assert!(has_in_order(
        &events,
        &["invoice.payment_action_required", "invoice.payment_failed"]
    ));
    let payment = &behind["latest_invoice"]["payments"]["data"][0]["payment"];
    let intent = format!("/v1/payment_intents/{}", text(&payment["payment_intent"]));
    let intent = world.get(&intent).await;
    assert_eq!(intent["status"], "requires_action");
    authenticate(&world, &intent, "complete").await;
    assert_eq!(world.get(&path).await["status"], "active");
}
