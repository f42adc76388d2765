//! Payment intents and their charges, card by card and state by state.

use serde_json::{Value, json};

use crate::client::{Answer, DAY, START, World, has_in_order, send, start, text};

/// Ten dollars on this card, at once.
async fn pay(world: &World, card: &str, more: &[(&str, &str)]) -> Answer {
    let method = format!("pm_card_{card}");
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", &*method),
    ];
    world.call("POST", "/v1/payment_intents", &[&form, more].concat()).await
}

fn path(intent: &Value) -> String {
    format!("/v1/payment_intents/{}", text(&intent["id"]))
}

async fn latest_charge(world: &World, intent: &Value) -> Value {
    world
        .get(&format!("/v1/charges/{}", text(&intent["latest_charge"])))
        .await
}

#[tokio::test]
async fn each_declining_card_is_declined_in_its_own_way() {
    let world = start().await;
    // Card, code, decline code, advice, whether it can be attached.
    let cards = [
        (
            "chargeDeclined",
            "card_declined",
            "generic_decline",
            "try_again_later",
            false,
        ),
        (
            "visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
            "try_again_later",
            false,
        ),
        (
            "visa_chargeDeclinedLostCard",
            "card_declined",
            "lost_card",
            "do_not_try_again",
            false,
        ),
        (
            "visa_chargeDeclinedStolenCard",
            "card_declined",
            "stolen_card",
            "do_not_try_again",
            false,
        ),
        (
            "visa_chargeDeclinedVelocityLimitExceeded",
            "card_declined",
            "card_velocity_exceeded",
            "try_again_later",
            false,
        ),
        (
            "chargeDeclinedExpiredCard",
            "expired_card",
            "",
            "confirm_card_data",
            false,
        ),
        (
            "chargeDeclinedIncorrectCvc",
            "incorrect_cvc",
            "",
            "confirm_card_data",
            false,
        ),
        (
            "chargeDeclinedProcessingError",
            "processing_error",
            "",
            "try_again_later",
            false,
        ),
        (
            "chargeCustomerFail",
            "card_declined",
            "generic_decline",
            "try_again_later",
            true,
        ),
        ("radarBlock", "card_declined", "fraudulent", "do_not_try_again", true),
    ];
    let customer = world.customer().await;
    for (card, code, decline_code, advice_code, attaches) in cards {
        let declined = pay(&world, card, &[]).await;
        assert_eq!(declined.status, 402, "{card}");
        let error = declined.json()["error"].clone();
        assert_eq!(error["type"], "card_error");
        let said = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (&*said("code"), &*said("decline_code"), &*said("advice_code")),
            (code, decline_code, advice_code),
            "{card}"
        );
        let intent = world.get(&path(&error["payment_intent"])).await;
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["payment_method"], json!(null));
        assert_eq!(intent["last_payment_error"]["code"], code);
        let charge = latest_charge(&world, &intent).await;
        assert_eq!((&charge["id"], &charge["status"]), (&error["charge"], &json!("failed")));
        assert_eq!(charge["failure_code"], code);

        let attach = format!("/v1/payment_methods/pm_card_{card}/attach");
        let attached = world.call("POST", &attach, &[("customer", &customer)]).await;
        assert_eq!(attached.status, if attaches { 200 } else { 402 }, "{card}");
    }
    let number = [
        ("type", "card"),
        ("card[number]", "4242424242424241"),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2034"),
    ];
    let wrong = world.call("POST", "/v1/payment_methods", &number).await;
    let error = wrong.json()["error"].clone();
    assert_eq!(
        (wrong.status, &error["code"], &error["param"]),
        (402, &json!("incorrect_number"), &json!("number"))
    );
}

#[tokio::test]
async fn radar_blocks_one_card_and_has_another_reviewed() {
    let world = start().await;
    let blocked = pay(&world, "radarBlock", &[]).await.json()["error"]["payment_intent"].clone();
    let outcome = latest_charge(&world, &blocked).await["outcome"].clone();
    assert_eq!(
        (&outcome["type"], &outcome["network_status"], &outcome["risk_level"]),
        (&json!("blocked"), &json!("not_sent_to_network"), &json!("highest"))
    );
    let reviewed = pay(&world, "riskLevelElevated", &[]).await.json();
    assert_eq!(reviewed["status"], "succeeded");
    let charge = latest_charge(&world, &reviewed).await;
    assert_eq!(charge["outcome"]["type"], "manual_review");
    assert_eq!(charge["review"], reviewed["review"]);
    assert!(text(&charge["review"]).starts_with("prv_"));
    assert!(has_in_order(
        &world.events().await,
        &["review.opened", "charge.succeeded"]
    ));
}

#[tokio::test]
async fn cards_that_matter_later_pay_now() {
    let world = start().await;
    for card in [
        "visa_debit",
        "mastercard",
        "mastercard_prepaid",
        "amex",
        "discover",
        "diners",
        "jcb",
        "unionpay",
        "de",
        "createDispute",
        "createDisputeProductNotReceived",
        "createDisputeInquiry",
        "createIssuerFraudRecord",
        "pendingRefund",
        "refundFail",
        "bypassPending",
    ] {
        let paid = pay(&world, card, &[]).await;
        assert_eq!(
            (paid.status, &paid.json()["status"]),
            (200, &json!("succeeded")),
            "{card}"
        );
    }
}

#[tokio::test]
async fn a_card_is_charged_by_its_token() {
    let world = start().await;
    let form = [
        ("amount", "1000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", "tok_mastercard_debit"),
        ("payment_method_data[billing_details][name]", "Jenny"),
    ];
    let paid = world.post("/v1/payment_intents", &form).await;
    let charge = latest_charge(&world, &paid).await;
    let card = &charge["payment_method_details"]["card"];
    assert_eq!(
        (&card["brand"], &card["funding"], &card["last4"]),
        (&json!("mastercard"), &json!("debit"), &json!("8210"))
    );
    assert_eq!(
        (&card["amount_authorized"], &card["network"]),
        (&json!(1000), &json!("mastercard"))
    );
    assert_eq!(charge["billing_details"]["name"], "Jenny");
    let unknown = [&form[..4], &[("payment_method_data[card][token]", "tok_none")]].concat();
    let unknown = world.call("POST", "/v1/payment_intents", &unknown).await;
    let error = unknown.json()["error"].clone();
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("resource_missing"), &json!("payment_method_data[card][token]"))
    );
}

#[tokio::test]
async fn without_the_payer_a_card_that_needs_them_is_declined() {
    let world = start().await;
    let off_session = [("off_session", "true")];
    let declined = pay(&world, "authenticationRequired", &off_session).await;
    let error = declined.json()["error"].clone();
    assert_eq!(
        (declined.status, &error["code"], &error["decline_code"]),
        (
            402,
            &json!("authentication_required"),
            &json!("authentication_required")
        )
    );
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    assert!(error["charge"].is_string() && error["payment_method"]["id"].is_string());

    let not_set_up = pay(&world, "authenticationRequiredOnSetup", &off_session).await;
    assert_eq!(not_set_up.json()["error"]["code"], "authentication_required");
    let set_up = pay(&world, "authenticationRequiredSetupForOffSession", &off_session).await;
    assert_eq!(set_up.json()["status"], "succeeded");
    let asked = pay(&world, "authenticationRequiredSetupForOffSession", &[]).await;
    assert_eq!(asked.json()["status"], "requires_action");

    let refused = pay(&world, "threeDSecure2Required", &[("error_on_requires_action", "true")]).await;
    let error = refused.json()["error"].clone();
    assert_eq!(
        (&error["code"], &error["decline_code"]),
        (&json!("card_declined"), &json!("authentication_not_handled"))
    );
    let lone = [("amount", "1000"), ("currency", "usd"), ("off_session", "true")];
    let lone = world.call("POST", "/v1/payment_intents", &lone).await;
    assert_eq!(
        (lone.status, &lone.json()["error"]["param"]),
        (400, &json!("off_session"))
    );
}

#[tokio::test]
async fn held_money_is_captured_in_part_and_only_once() {
    let world = start().await;
    let held = pay(&world, "visa", &[("capture_method", "manual")]).await.json();
    assert_eq!(
        (&held["status"], &held["amount_capturable"], &held["amount_received"]),
        (&json!("requires_capture"), &json!(1000), &json!(0))
    );
    let charge = latest_charge(&world, &held).await;
    assert_eq!((&charge["captured"], &charge["paid"]), (&json!(false), &json!(true)));
    assert_eq!(
        charge["payment_method_details"]["card"]["capture_before"],
        START + 7 * DAY
    );
    let capture = format!("{}/capture", path(&held));
    let too_much = world.call("POST", &capture, &[("amount_to_capture", "1001")]).await;
    assert_eq!(too_much.json()["error"]["code"], "amount_too_large");
    let captured = world.post(&capture, &[("amount_to_capture", "700")]).await;
    assert_eq!(
        (
            &captured["status"],
            &captured["amount_capturable"],
            &captured["amount_received"]
        ),
        (&json!("succeeded"), &json!(0), &json!(700))
    );
    let charge = latest_charge(&world, &captured).await;
    assert_eq!(
        (&charge["captured"], &charge["amount_captured"]),
        (&json!(true), &json!(700))
    );
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&json!(300), &json!(false)),
        "the rest is released"
    );
    let again = world.call("POST", &capture, &[]).await.json()["error"].clone();
    assert_eq!(again["code"], "payment_intent_unexpected_state");
    assert_eq!(again["payment_intent"]["id"], captured["id"]);
    let again = format!("/v1/charges/{}/capture", text(&charge["id"]));
    let again = world.call("POST", &again, &[]).await.json();
    assert_eq!(again["error"]["code"], "charge_already_captured");
    let story = [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ];
    assert!(has_in_order(&world.events().await, &story));
}

#[tokio::test]
async fn held_money_is_given_back_when_asked_or_after_seven_days() {
    let world = start().await;
    let hold = [("capture_method", "manual")];
    let one = pay(&world, "visa", &hold).await.json();
    let other = pay(&world, "visa", &hold).await.json();
    let cancel = format!("{}/cancel", path(&one));
    let canceled = world.post(&cancel, &[("cancellation_reason", "duplicate")]).await;
    assert_eq!(
        (
            &canceled["status"],
            &canceled["cancellation_reason"],
            &canceled["canceled_at"]
        ),
        (&json!("canceled"), &json!("duplicate"), &json!(START))
    );
    let released = latest_charge(&world, &one).await;
    assert_eq!(
        (
            &released["refunded"],
            &released["amount_refunded"],
            &released["captured"]
        ),
        (&json!(true), &json!(1000), &json!(false))
    );
    let twice = world.call("POST", &cancel, &[]).await.json();
    assert_eq!(twice["error"]["code"], "payment_intent_unexpected_state");

    world.advance(7 * DAY - 1).await;
    assert_eq!(world.get(&path(&other)).await["status"], "requires_capture");
    world.advance(1).await;
    let expired = world.get(&path(&other)).await;
    assert_eq!(
        (&expired["status"], &expired["cancellation_reason"]),
        (&json!("canceled"), &json!("automatic"))
    );
    let story = [
        "charge.refunded",
        "payment_intent.canceled",
        "charge.expired",
        "payment_intent.canceled",
    ];
    assert!(has_in_order(&world.events().await, &story));
}

#[tokio::test]
async fn an_intent_is_updated_while_that_can_still_matter() {
    let world = start().await;
    let intent = world
        .post("/v1/payment_intents", &[("amount", "1000"), ("currency", "usd")])
        .await;
    let secret = text(&intent["client_secret"]);
    let form = [
        ("amount", "2500"),
        ("payment_method", "pm_card_visa"),
        ("metadata[order]", "o1"),
        ("description", "Mugs"),
        ("shipping[name]", "Jenny"),
        ("shipping[address][line1]", "1 Main Street"),
    ];
    let updated = world.post(&path(&intent), &form).await;
    assert_eq!(
        (&updated["status"], &updated["amount"], &updated["shipping"]["name"]),
        (&json!("requires_confirmation"), &json!(2500), &json!("Jenny"))
    );
    let confirm = format!("{}/confirm", path(&intent));
    let wrong = world.call("POST", &confirm, &[("client_secret", "x")]).await.json();
    let wrong = (&wrong["error"]["code"], &wrong["error"]["param"]);
    assert_eq!(
        wrong,
        (&json!("payment_intent_invalid_parameter"), &json!("client_secret"))
    );
    let paid = world.post(&confirm, &[("client_secret", &secret)]).await;
    assert_eq!(paid["amount_received"], 2500);
    let charge = latest_charge(&world, &paid).await;
    assert_eq!(
        (
            &charge["description"],
            &charge["metadata"]["order"],
            &charge["shipping"]["name"]
        ),
        (&json!("Mugs"), &json!("o1"), &json!("Jenny"))
    );
    let late = world.call("POST", &path(&intent), &[("amount", "100")]).await.json()["error"].clone();
    assert_eq!(
        (&late["code"], &late["param"]),
        (&json!("payment_intent_unexpected_state"), &json!("amount"))
    );
    let annotated = world.post(&path(&intent), &[("metadata[order]", "")]).await;
    assert_eq!(annotated["metadata"], json!({}));
    assert!(!world.events().await.contains(&"payment_intent.updated".to_owned()));
}

#[tokio::test]
async fn a_charge_is_annotated_and_listed() {
    let world = start().await;
    let customer = world.customer().await;
    let more = [("customer", &*customer), ("transfer_group", "g1")];
    let paid = pay(&world, "visa", &more).await.json();
    pay(&world, "visa", &[]).await;
    for filter in [
        format!("customer={customer}"),
        "transfer_group=g1".to_owned(),
        format!("payment_intent={}", text(&paid["id"])),
    ] {
        let found = world.get(&format!("/v1/charges?{filter}")).await;
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{filter}");
    }
    let path = format!("/v1/charges/{}", text(&paid["latest_charge"]));
    let form = [("description", "Mugs"), ("fraud_details[user_report]", "safe")];
    let updated = world.post(&path, &form).await;
    assert_eq!(
        (&updated["description"], &updated["fraud_details"]["user_report"]),
        (&json!("Mugs"), &json!("safe"))
    );
    let told = world.get("/v1/events?type=charge.updated").await;
    assert_eq!(
        told["data"][0]["data"]["previous_attributes"]["description"],
        json!(null)
    );
}

#[tokio::test]
async fn the_payment_page_offers_the_test_cards() {
    let world = start().await;
    let form = [("amount", "1000"), ("currency", "usd"), ("description", "<b>Mug</b>")];
    let intent = world.post("/v1/payment_intents", &form).await;
    let url = format!("{}/_sandbox/pay/{}", world.sandbox.url(), text(&intent["id"]));
    let page = send(world.http.get(&url)).await;
    for part in [
        "<html lang=\"en\">",
        "<label for=\"card_number\">",
        "<option value=\"4000 0000 0000 9995\">",
        "&lt;b&gt;Mug&lt;/b&gt;",
        "10.00 usd",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let choose = |number: &'static str| send(world.http.post(&url).form(&[("card_number", number)]));
    let declined = choose("4000 0000 0000 9995").await;
    assert_eq!(declined.status, 402);
    assert!(
        declined
            .text
            .contains("role=\"alert\" data-code=\"insufficient_funds\"")
    );
    let asked = choose("4000 0027 6000 3184").await;
    let authenticate = asked.header("location").to_owned();
    assert!(authenticate.contains("/3d_secure/pi_"), "{authenticate}");
    let back = send(world.http.post(authenticate).form(&[("action", "complete")])).await;
    assert_eq!((back.status, back.header("location")), (303, &*url));
    assert!(send(world.http.get(&url)).await.text.contains("<code>succeeded</code>"));
    assert_eq!(choose("4242 4242 4242 4242").await.status, 409);
    let unknown = format!("{}/_sandbox/pay/pi_none", world.sandbox.url());
    assert_eq!(send(world.http.get(unknown)).await.status, 404);
}
