//! The balance and refunds.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, send, start, text};

const HOUR: i64 = 3600;

/// A payment intent paid with a test card.
async fn paid(world: &World, amount: &str, card: &str) -> Value {
    let form = [
        ("amount", amount),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", card),
        ("expand[]", "latest_charge.balance_transaction"),
    ];
    world.post("/v1/payment_intents", &form).await
}

/// What is available and what is pending, in USD.
async fn balance(world: &World) -> (i64, i64) {
    let balance = world.get("/v1/balance").await;
    let of = |half: &str| {
        let amounts = balance[half].as_array().unwrap();
        let usd = amounts.iter().find(|one| one["currency"] == "usd");
        usd.map_or(0, |one| one["amount"].as_i64().unwrap())
    };
    (of("available"), of("pending"))
}

async fn charge(world: &World, intent: &Value) -> Value {
    world
        .get(&format!("/v1/charges/{}", text(&intent["latest_charge"]["id"])))
        .await
}

#[tokio::test]
async fn a_charge_is_pending_for_two_days_and_then_available() {
    let world = start().await;
    let none = world.get("/v1/balance").await;
    assert_eq!(
        none["available"],
        json!([{ "amount": 0, "currency": "eur", "source_types": { "card": 0 } }])
    );
    assert_eq!(none["pending"], none["available"]);

    let intent = paid(&world, "10000", "pm_card_visa").await;
    let posted = &intent["latest_charge"]["balance_transaction"];
    assert_eq!(
        (&posted["amount"], &posted["fee"], &posted["net"]),
        (&json!(10000), &json!(320), &json!(9680))
    );
    assert_eq!(
        (&posted["type"], &posted["reporting_category"], &posted["source"]),
        (&json!("charge"), &json!("charge"), &intent["latest_charge"]["id"])
    );
    assert_eq!(posted["available_on"], START + 2 * DAY);
    assert_eq!(posted["fee_details"][0]["type"], "stripe_fee");
    assert_eq!(balance(&world).await, (0, 9680));

    world.advance(2 * DAY - 1).await;
    assert_eq!(balance(&world).await, (0, 9680));
    world.advance(1).await;
    assert_eq!(balance(&world).await, (9680, 0));
    let posted = world
        .get(&format!("/v1/balance_transactions/{}", text(&posted["id"])))
        .await;
    assert_eq!(posted["status"], "available");
}

#[tokio::test]
async fn funds_that_come_at_one_moment_are_told_of_once() {
    let world = start().await;
    paid(&world, "1000", "pm_card_visa").await;
    paid(&world, "2000", "pm_card_visa").await;
    paid(&world, "4000", "pm_card_bypassPending").await;
    assert_eq!(balance(&world).await, (4000 - 146, 3000 - 59 - 88));
    world.advance(3 * DAY).await;
    let told = world.get("/v1/events?type=balance.available").await;
    assert_eq!(told["data"].as_array().unwrap().len(), 1, "{told}");
    let object = &told["data"][0]["data"]["object"];
    assert_eq!(object["available"][0]["amount"], 7000 - 146 - 59 - 88);
    assert_eq!((&object["object"], object.get("id")), (&json!("balance"), None));
}

#[tokio::test]
async fn balance_transactions_are_listed_by_type_source_and_currency() {
    let world = start().await;
    let intent = paid(&world, "1000", "pm_card_visa").await;
    paid(&world, "2000", "pm_card_visa").await;
    let refund = world
        .post("/v1/refunds", &[("payment_intent", &text(&intent["id"]))])
        .await;
    for (query, count) in [
        ("", 3),
        ("type=charge", 2),
        ("type=refund", 1),
        (&*format!("source={}", text(&refund["id"])), 1),
        ("currency=USD", 3),
        ("currency=eur", 0),
        ("created[gt]=1800000000", 0),
    ] {
        let listed = world.get(&format!("/v1/balance_transactions?{query}")).await;
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{query}");
    }
    let refused = world
        .call("GET", "/v1/balance_transactions", &[("payout", "po_1")])
        .await;
    assert_eq!(refused.json()["error"]["code"], "resource_missing");
}

#[tokio::test]
async fn a_connected_account_has_a_balance_of_its_own() {
    let world = start().await;
    let account = text(&world.post("/v1/accounts", &[("country", "GB")]).await["id"]);
    let own = async |method: Method, path: &str, form: &[(&str, &str)]| {
        let request = world.request(method, path).header("stripe-account", &account);
        send(request.form(form)).await.json()
    };
    let none = own(Method::GET, "/v1/balance", &[]).await;
    assert_eq!(none["available"][0]["currency"], "gbp");
    let form = [
        ("amount", "1000"),
        ("currency", "gbp"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
    ];
    own(Method::POST, "/v1/payment_intents", &form).await;
    let some = own(Method::GET, "/v1/balance", &[]).await;
    assert_eq!(
        some["pending"],
        json!([{ "amount": 941, "currency": "gbp", "source_types": { "card": 941 } }])
    );
    assert_eq!(balance(&world).await, (0, 0));
    world.advance(2 * DAY).await;
    let told = own(Method::GET, "/v1/events?type=balance.available", &[]).await;
    assert_eq!(told["data"][0]["account"], account);
}

#[tokio::test]
async fn a_charge_is_refunded_in_parts_until_nothing_is_left() {
    let world = start().await;
    let intent = paid(&world, "1000", "pm_card_visa").await;
    let id = text(&intent["id"]);
    let form = [
        ("payment_intent", &*id),
        ("amount", "300"),
        ("reason", "requested_by_customer"),
        ("metadata[order]", "o1"),
    ];
    let refund = world.post("/v1/refunds", &form).await;
    assert_eq!(
        (&refund["amount"], &refund["status"], &refund["reason"]),
        (&json!(300), &json!("succeeded"), &json!("requested_by_customer"))
    );
    assert_eq!(refund["charge"], intent["latest_charge"]["id"]);
    assert_eq!(refund.get("_sandbox"), None);
    let part = charge(&world, &intent).await;
    assert_eq!(
        (&part["amount_refunded"], &part["refunded"]),
        (&json!(300), &json!(false))
    );
    // The fee is not given back.
    assert_eq!(balance(&world).await, (0, 1000 - 59 - 300));

    let rest = world
        .post("/v1/refunds", &[("charge", &text(&intent["latest_charge"]["id"]))])
        .await;
    assert_eq!(rest["amount"], 700);
    let whole = charge(&world, &intent).await;
    assert_eq!(
        (&whole["amount_refunded"], &whole["refunded"]),
        (&json!(1000), &json!(true))
    );
    let after = world.get(&format!("/v1/payment_intents/{id}")).await;
    assert_eq!(
        (&after["status"], &after["amount_received"]),
        (&json!("succeeded"), &json!(1000))
    );
    let events = world.events().await;
    let story = ["charge.refunded", "refund.created", "charge.refunded", "refund.created"];
    assert!(has_in_order(&events, &story), "{events:?}");
    let listed = world.get(&format!("/v1/refunds?payment_intent={id}")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let expanded = world
        .get(&format!(
            "/v1/charges/{}?expand[]=refunds",
            text(&intent["latest_charge"]["id"])
        ))
        .await;
    assert_eq!(expanded["refunds"]["data"], listed["data"]);

    let path = format!("/v1/refunds/{}", text(&refund["id"]));
    let changed = world.post(&path, &[("metadata[note]", "n")]).await;
    assert_eq!(changed["metadata"], json!({ "order": "o1", "note": "n" }));
}

#[tokio::test]
async fn what_cannot_be_refunded_is_refused_in_stripes_words() {
    let world = start().await;
    let intent = paid(&world, "1000", "pm_card_visa").await;
    let (id, charge) = (text(&intent["id"]), text(&intent["latest_charge"]["id"]));
    let unpaid = world
        .post("/v1/payment_intents", &[("amount", "900"), ("currency", "usd")])
        .await;
    let refused = async |form: &[(&str, &str)], status: u16, code: Value, message: &str| {
        let answer = world.call("POST", "/v1/refunds", form).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["code"], &*text(&error["message"])),
            (status, &code, message),
            "{form:?}"
        );
    };
    let none = "One of the following params should be provided for this request: payment_intent or charge.";
    refused(&[], 400, json!("parameter_missing"), none).await;
    refused(
        &[("charge", "ch_x")],
        400,
        json!("resource_missing"),
        "No such charge: 'ch_x'",
    )
    .await;
    let message = format!(
        "This PaymentIntent ({}) does not have a successful charge to refund.",
        text(&unpaid["id"])
    );
    refused(&[("payment_intent", &text(&unpaid["id"]))], 400, Value::Null, &message).await;
    let too_much = "Refund amount ($10.01) is greater than charge amount ($10.00)";
    refused(
        &[("payment_intent", &*id), ("amount", "1001")],
        400,
        Value::Null,
        too_much,
    )
    .await;
    let code = json!("parameter_invalid_integer");
    refused(
        &[("charge", &*charge), ("amount", "0")],
        400,
        code,
        "Invalid positive integer",
    )
    .await;
    world
        .post("/v1/refunds", &[("charge", &*charge), ("amount", "400")])
        .await;
    let too_much = "Refund amount ($6.01) is greater than unrefunded amount on charge ($6.00)";
    refused(&[("charge", &*charge), ("amount", "601")], 400, Value::Null, too_much).await;
    world.post("/v1/refunds", &[("charge", &*charge)]).await;
    let again = format!("Charge {charge} has already been refunded.");
    refused(&[("charge", &*charge)], 400, json!("charge_already_refunded"), &again).await;
}

#[tokio::test]
async fn a_pending_refund_succeeds_by_the_clock_or_is_canceled_before() {
    let world = start().await;
    let intent = paid(&world, "1000", "pm_card_pendingRefund").await;
    let refund = async |amount: &str| {
        world
            .post(
                "/v1/refunds",
                &[("payment_intent", &*text(&intent["id"])), ("amount", amount)],
            )
            .await
    };
    let (kept, canceled) = (refund("300").await, refund("200").await);
    assert_eq!(
        (&kept["status"], &kept["pending_reason"]),
        (&json!("pending"), &json!("processing"))
    );
    let cancel = format!("/v1/refunds/{}/cancel", text(&canceled["id"]));
    let canceled = world.post(&cancel, &[]).await;
    assert_eq!(
        (&canceled["status"], &canceled["failure_reason"]),
        (&json!("canceled"), &json!("merchant_request"))
    );
    assert_eq!(charge(&world, &intent).await["amount_refunded"], 300);
    let again = world.call("POST", &cancel, &[]).await;
    assert_eq!(again.status, 400, "{}", again.text);

    world.advance(HOUR).await;
    let kept = world.get(&format!("/v1/refunds/{}", text(&kept["id"]))).await;
    assert_eq!(
        (&kept["status"], kept.get("pending_reason")),
        (&json!("succeeded"), None)
    );
    let events = world.events().await;
    let story = ["refund.created", "refund.updated", "charge.refund.updated"];
    assert!(has_in_order(&events, &story), "{events:?}");
    // 200 came back at once, the rest waits with the charge.
    assert_eq!(balance(&world).await, (200, 1000 - 59 - 300 - 200));
}

#[tokio::test]
async fn a_refund_that_fails_later_brings_its_money_back() {
    let world = start().await;
    let intent = paid(&world, "1000", "pm_card_refundFail").await;
    let refund = world
        .post("/v1/refunds", &[("payment_intent", &*text(&intent["id"]))])
        .await;
    assert_eq!(refund["status"], "succeeded");
    assert_eq!(charge(&world, &intent).await["refunded"], true);
    world.advance(HOUR).await;
    let failed = world
        .get(&format!(
            "/v1/refunds/{}?expand[]=failure_balance_transaction",
            text(&refund["id"])
        ))
        .await;
    let expanded = world.get("/v1/refunds?expand[]=data.failure_balance_transaction").await;
    assert_eq!(expanded["data"][0], failed);
    assert_eq!(
        (&failed["status"], &failed["failure_reason"]),
        (&json!("failed"), &json!("expired_or_canceled_card"))
    );
    let returned = &failed["failure_balance_transaction"];
    assert_eq!(
        (&returned["type"], &returned["amount"], &returned["source"]),
        (&json!("refund_failure"), &json!(1000), &failed["id"])
    );
    let charge = charge(&world, &intent).await;
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&json!(0), &json!(false))
    );
    let events = world.events().await;
    let story = [
        "refund.created",
        "refund.updated",
        "charge.refund.updated",
        "refund.failed",
    ];
    assert!(has_in_order(&events, &story), "{events:?}");
    // The charge can be refunded again.
    world
        .post("/v1/refunds", &[("payment_intent", &*text(&intent["id"]))])
        .await;
}
