//! Payment methods and setup intents: cards that are kept for later.

use serde_json::{Value, json};

use crate::client::{World, has_in_order, send, start, text};

async fn set_up(world: &World, card: &str, customer: &str) -> Value {
    let method = format!("pm_card_{card}");
    let form = [
        ("customer", customer),
        ("payment_method", &*method),
        ("confirm", "true"),
        ("return_url", "https://example.com/"),
    ];
    world.post("/v1/setup_intents", &form).await
}

async fn charge_off_session(world: &World, method: &str, customer: &str) -> Value {
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("customer", customer),
        ("payment_method", method),
        ("confirm", "true"),
        ("off_session", "true"),
    ];
    world.call("POST", "/v1/payment_intents", &form).await.json()
}

#[tokio::test]
async fn a_card_is_made_of_its_data_and_known_again() {
    let world = start().await;
    let by_number = [
        ("type", "card"),
        ("card[number]", "4000 0566 5566 5556"),
        ("card[exp_month]", "8"),
        ("card[exp_year]", "2030"),
        ("card[cvc]", "123"),
        ("billing_details[address][postal_code]", "94102"),
        ("metadata[a]", "b"),
    ];
    let one = world.post("/v1/payment_methods", &by_number).await;
    let by_token = [("type", "card"), ("card[token]", "tok_visa_debit")];
    let other = world.post("/v1/payment_methods", &by_token).await;
    assert_ne!(one["id"], other["id"]);
    assert_eq!(one["card"]["fingerprint"], other["card"]["fingerprint"]);
    let card = &one["card"];
    assert_eq!(
        (&card["brand"], &card["funding"], &card["last4"], &card["exp_month"]),
        (&json!("visa"), &json!("debit"), &json!("5556"), &json!(8))
    );
    assert_eq!(card["checks"]["address_postal_code_check"], "pass");
    assert_eq!(one["metadata"], json!({ "a": "b" }));
    for (changed, code) in [
        (("card[exp_year]", "2020"), "invalid_expiry_year"),
        (("card[exp_month]", "13"), "invalid_expiry_month"),
        (("card[cvc]", "1"), "invalid_cvc"),
        (("card[number]", "4242424242424241"), "incorrect_number"),
    ] {
        let form: Vec<_> = by_number
            .into_iter()
            .map(|sent| if sent.0 == changed.0 { changed } else { sent })
            .collect();
        let refused = world.call("POST", "/v1/payment_methods", &form).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (402, &json!(code)));
    }
}

#[tokio::test]
async fn a_card_belongs_to_one_customer_until_it_is_detached_for_good() {
    let world = start().await;
    let (one, other) = (world.customer().await, world.customer().await);
    let form = [("type", "card"), ("card[token]", "tok_visa")];
    let id = text(&world.post("/v1/payment_methods", &form).await["id"]);
    let path = format!("/v1/payment_methods/{id}");
    let early = world.call("POST", &path, &[("metadata[a]", "b")]).await;
    assert_eq!(early.status, 400, "it is nobody's yet");
    let attach = format!("{path}/attach");
    assert_eq!(world.post(&attach, &[("customer", &one)]).await["customer"], json!(one));
    assert_eq!(world.call("POST", &attach, &[("customer", &other)]).await.status, 400);
    let default = [("invoice_settings[default_payment_method]", &*id)];
    world.post(&format!("/v1/customers/{one}"), &default).await;
    let details = [
        ("billing_details[name]", "Jenny"),
        ("card[exp_year]", "2040"),
        ("metadata[a]", "b"),
    ];
    let updated = world.post(&path, &details).await;
    assert_eq!(
        (&updated["billing_details"]["name"], &updated["card"]["exp_year"]),
        (&json!("Jenny"), &json!(2040))
    );
    let listed = world
        .get(&format!("/v1/payment_methods?customer={one}&type=card"))
        .await;
    assert_eq!(listed["data"][0]["id"], json!(id));

    let paid = charge_off_session(&world, &id, &other).await;
    assert_eq!(paid["error"]["param"], "payment_method", "it is another customer's");
    world.post(&format!("{path}/detach"), &[]).await;
    let customer = world.get(&format!("/v1/customers/{one}")).await;
    assert_eq!(customer["invoice_settings"]["default_payment_method"], json!(null));
    assert_eq!(world.call("POST", &attach, &[("customer", &one)]).await.status, 400);
    assert_eq!(
        charge_off_session(&world, &id, &one).await["error"]["type"],
        "invalid_request_error"
    );
    assert_eq!(world.call("POST", &format!("{path}/detach"), &[]).await.status, 400);
    let told = world.get("/v1/events?type=payment_method.detached").await;
    assert_eq!(
        told["data"][0]["data"]["previous_attributes"],
        json!({ "customer": one })
    );
    let story = [
        "payment_method.attached",
        "payment_method.updated",
        "payment_method.detached",
        "customer.updated",
    ];
    assert!(has_in_order(&world.events().await, &story));
}

#[tokio::test]
async fn a_card_without_a_customer_serves_once() {
    let world = start().await;
    let form = [("type", "card"), ("card[token]", "tok_visa")];
    let id = text(&world.post("/v1/payment_methods", &form).await["id"]);
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("payment_method", &*id),
        ("confirm", "true"),
    ];
    assert_eq!(world.post("/v1/payment_intents", &form).await["status"], "succeeded");
    assert_eq!(world.call("POST", "/v1/payment_intents", &form).await.status, 400);
    let customer = world.customer().await;
    let attach = format!("/v1/payment_methods/{id}/attach");
    assert_eq!(
        world.call("POST", &attach, &[("customer", &customer)]).await.status,
        400
    );
}

#[tokio::test]
async fn a_payment_may_save_its_card() {
    let world = start().await;
    let customer = world.customer().await;
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("customer", &*customer),
        ("payment_method", "pm_card_visa"),
        ("setup_future_usage", "off_session"),
        ("confirm", "true"),
    ];
    let paid = world.post("/v1/payment_intents", &form).await;
    let method = text(&paid["payment_method"]);
    let kept = world.get(&format!("/v1/payment_methods/{method}")).await;
    assert_eq!(kept["customer"], json!(customer));
    assert_eq!(
        charge_off_session(&world, &method, &customer).await["status"],
        "succeeded"
    );
}

#[tokio::test]
async fn setting_up_attaches_the_card_and_is_on_record() {
    let world = start().await;
    let customer = world.customer().await;
    let done = set_up(&world, "visa", &customer).await;
    assert_eq!(
        (&done["status"], &done["usage"]),
        (&json!("succeeded"), &json!("off_session"))
    );
    let kept = world
        .get(&format!("/v1/payment_methods/{}", text(&done["payment_method"])))
        .await;
    assert_eq!(kept["customer"], json!(customer));
    let attempts = format!("/v1/setup_attempts?setup_intent={}", text(&done["id"]));
    let attempts = world.get(&attempts).await;
    let attempt = &attempts["data"][0];
    assert_eq!(
        (&attempt["id"], &attempt["status"], &attempt["setup_error"]),
        (&done["latest_attempt"], &json!("succeeded"), &json!(null))
    );
    assert_eq!(attempt["payment_method_details"]["card"]["last4"], "4242");
    assert!(has_in_order(
        &world.events().await,
        &[
            "setup_intent.created",
            "payment_method.attached",
            "setup_intent.succeeded"
        ]
    ));
    let path = format!("/v1/setup_intents/{}", text(&done["id"]));
    for verb in ["confirm", "cancel"] {
        let late = world.call("POST", &format!("{path}/{verb}"), &[]).await.json();
        assert_eq!(late["error"]["code"], "setup_intent_unexpected_state");
    }
}

#[tokio::test]
async fn a_card_set_up_with_authentication_is_charged_without_it() {
    let world = start().await;
    let customer = world.customer().await;
    let waiting = set_up(&world, "authenticationRequiredOnSetup", &customer).await;
    assert_eq!(waiting["status"], "requires_action");
    let url = text(&waiting["next_action"]["redirect_to_url"]["url"]);
    assert!(send(world.http.get(&url)).await.text.contains("save the card"));
    let done = send(world.http.post(&url).form(&[("action", "complete")])).await;
    let wanted = format!(
        "https://example.com/?setup_intent={}&setup_intent_client_secret={}&redirect_status=succeeded",
        text(&waiting["id"]),
        text(&waiting["client_secret"])
    );
    assert_eq!(done.header("location"), wanted);
    let path = format!("/v1/setup_intents/{}?expand[]=latest_attempt", text(&waiting["id"]));
    let done = world.get(&path).await;
    let how = &done["latest_attempt"]["payment_method_details"]["card"]["three_d_secure"];
    assert_eq!(
        (&done["status"], &how["result"]),
        (&json!("succeeded"), &json!("authenticated"))
    );
    let method = text(&done["payment_method"]);
    assert_eq!(
        charge_off_session(&world, &method, &customer).await["status"],
        "succeeded"
    );

    let always = set_up(&world, "authenticationRequired", &customer).await;
    let url = text(&always["next_action"]["redirect_to_url"]["url"]);
    send(world.http.post(&url).form(&[("action", "complete")])).await;
    let declined = charge_off_session(&world, &text(&always["payment_method"]), &customer).await;
    assert_eq!(declined["error"]["code"], "authentication_required");
}

#[tokio::test]
async fn setting_up_may_fail_and_be_tried_again() {
    let world = start().await;
    let customer = world.customer().await;
    let intent = world.post("/v1/setup_intents", &[("customer", &customer)]).await;
    assert_eq!(intent["status"], "requires_payment_method");
    let path = format!("/v1/setup_intents/{}", text(&intent["id"]));
    let confirm = format!("{path}/confirm");
    let lone = world.call("POST", &confirm, &[]).await.json();
    assert_eq!(lone["error"]["code"], "setup_intent_unexpected_state");
    let declined = world
        .call("POST", &confirm, &[("payment_method", "pm_card_chargeDeclined")])
        .await;
    let error = declined.json()["error"].clone();
    assert_eq!((declined.status, &error["code"]), (402, &json!("card_declined")));
    assert_eq!(
        error["setup_intent"]["last_setup_error"]["decline_code"],
        "generic_decline"
    );

    let waiting = world
        .post(&confirm, &[("payment_method", "pm_card_authenticationRequired")])
        .await;
    let url = text(&waiting["next_action"]["use_stripe_sdk"]["stripe_js"]);
    send(world.http.post(&url).form(&[("action", "fail")])).await;
    let failed = world.get(&path).await;
    assert_eq!(
        (&failed["status"], &failed["last_setup_error"]["code"]),
        (
            &json!("requires_payment_method"),
            &json!("setup_intent_authentication_failure")
        )
    );
    let updated = world
        .post(&path, &[("payment_method", "pm_card_chargeCustomerFail")])
        .await;
    assert_eq!(updated["status"], "requires_confirmation");
    assert_eq!(world.post(&confirm, &[]).await["status"], "succeeded");
    let attempts = world
        .get(&format!("/v1/setup_attempts?setup_intent={}", text(&intent["id"])))
        .await;
    let statuses: Vec<_> = attempts["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["status"])
        .collect();
    assert_eq!(statuses, ["succeeded", "failed", "failed"]);

    let other = world.post("/v1/setup_intents", &[]).await;
    let cancel = format!("/v1/setup_intents/{}/cancel", text(&other["id"]));
    let canceled = world.post(&cancel, &[("cancellation_reason", "abandoned")]).await;
    assert_eq!(
        (&canceled["status"], &canceled["cancellation_reason"]),
        (&json!("canceled"), &json!("abandoned"))
    );
}
