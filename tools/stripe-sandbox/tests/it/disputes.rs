//! Disputes and early fraud warnings, of the cards that make them and of any charge.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, start, text};

async fn paid(world: &World, card: &str) -> String {
    let form = [
        ("amount", "10000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", &*format!("pm_card_{card}")),
    ];
    text(&world.post("/v1/payment_intents", &form).await["latest_charge"])
}

/// The only dispute of a charge.
async fn dispute_of(world: &World, charge: &str) -> Value {
    let listed = world.get(&format!("/v1/disputes?charge={charge}")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    listed["data"][0].clone()
}

async fn disputed(world: &World, card: &str) -> Value {
    let charge = paid(world, card).await;
    dispute_of(world, &charge).await
}

async fn respond(world: &World, dispute: &Value, form: &[(&str, &str)]) -> Value {
    world
        .post(&format!("/v1/disputes/{}", text(&dispute["id"])), form)
        .await
}

async fn retrieved(world: &World, dispute: &Value) -> Value {
    world.get(&format!("/v1/disputes/{}", text(&dispute["id"]))).await
}

/// What there is in USD, available and pending.
async fn funds(world: &World) -> i64 {
    let balance = world.get("/v1/balance").await;
    let halves = ["available", "pending"].map(|half| balance[half][0]["amount"].as_i64().unwrap());
    halves.iter().sum()
}

/// What is left of 100.00 after Stripe's own fee, and what a dispute takes beside its amount.
const PAID: i64 = 10_000 - 320;
const FEE: i64 = 1500;

#[tokio::test]
async fn a_card_disputes_its_payment_as_fraudulent_and_the_money_is_gone() {
    let world = start().await;
    let charge = paid(&world, "createDispute").await;
    let dispute = dispute_of(&world, &charge).await;
    assert_eq!(
        (&dispute["status"], &dispute["reason"]),
        (&json!("needs_response"), &json!("fraudulent"))
    );
    assert_eq!(
        (&dispute["amount"], &dispute["currency"]),
        (&json!(10_000), &json!("usd"))
    );
    assert_eq!(dispute["is_charge_refundable"], false);
    assert_eq!(
        dispute["payment_method_details"]["card"],
        json!({ "brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4" })
    );
    let details = &dispute["evidence_details"];
    assert_eq!(details["due_by"], START + 7 * DAY);
    assert_eq!(
        (
            &details["has_evidence"],
            &details["past_due"],
            &details["submission_count"]
        ),
        (&json!(false), &json!(false), &json!(0))
    );
    let posted = &dispute["balance_transactions"][0];
    for (name, value) in [
        ("amount", json!(-10_000)),
        ("fee", json!(1500)),
        ("net", json!(-11_500)),
        ("type", json!("adjustment")),
        ("reporting_category", json!("dispute")),
        ("source", dispute["id"].clone()),
    ] {
        assert_eq!(posted[name], value, "{name}");
    }
    assert_eq!(
        *posted,
        world
            .get(&format!("/v1/balance_transactions/{}", text(&posted["id"])))
            .await
    );
    assert_eq!(funds(&world).await, PAID - 10_000 - FEE);
    assert_eq!(world.get(&format!("/v1/charges/{charge}")).await["disputed"], true);
    has_in_order(
        &world.events().await,
        &[
            "charge.succeeded",
            "payment_intent.succeeded",
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
        ],
    );
    let refused = world.call("POST", "/v1/refunds", &[("charge", &charge)]).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (400, &json!("charge_disputed"))
    );
}

#[tokio::test]
async fn evidence_is_staged_and_then_submitted_and_decides() {
    for (card, evidence, status, back) in [
        ("createDispute", "winning_evidence", "won", 10_000 + FEE),
        ("createDisputeProductNotReceived", "losing_evidence", "lost", 0),
    ] {
        let world = start().await;
        let dispute = disputed(&world, card).await;
        let staged = [
            ("evidence[uncategorized_text]", evidence),
            ("evidence[customer_name]", "Jenny"),
            ("submit", "false"),
        ];
        let staged = respond(&world, &dispute, &staged).await;
        assert_eq!(
            (&staged["status"], &staged["evidence_details"]["has_evidence"]),
            (&json!("needs_response"), &json!(true))
        );
        assert_eq!(funds(&world).await, PAID - 10_000 - FEE);
        let decided = respond(&world, &dispute, &[("submit", "true")]).await;
        assert_eq!(
            (&decided["status"], &decided["evidence"]["customer_name"]),
            (&json!(status), &json!("Jenny"))
        );
        assert_eq!(decided["evidence_details"]["submission_count"], 1);
        assert_eq!(funds(&world).await, PAID - 10_000 - FEE + back);
        let types = world.events().await;
        has_in_order(
            &types,
            &[
                "charge.dispute.updated",
                "charge.dispute.updated",
                "charge.dispute.closed",
            ],
        );
        let reinstated = types.iter().any(|one| one == "charge.dispute.funds_reinstated");
        assert_eq!(reinstated, status == "won");
        let again = world
            .call(
                "POST",
                &format!("/v1/disputes/{}", text(&dispute["id"])),
                &[("evidence[customer_name]", "J")],
            )
            .await;
        assert_eq!(again.status, 400, "{}", again.text);
        let annotated = respond(&world, &dispute, &[("metadata[ticket]", "7")]).await;
        assert_eq!(
            (&annotated["metadata"]["ticket"], &annotated["status"]),
            (&json!("7"), &json!(status))
        );
    }
}

#[tokio::test]
async fn a_won_dispute_gives_the_amount_and_the_fee_back_and_the_charge_can_be_refunded() {
    let world = start().await;
    let dispute = disputed(&world, "createDispute").await;
    let won = respond(
        &world,
        &dispute,
        &[("evidence[uncategorized_text]", "winning_evidence")],
    )
    .await;
    let returned = &won["balance_transactions"][1];
    assert_eq!(
        (
            &returned["amount"],
            &returned["fee"],
            &returned["net"],
            &returned["reporting_category"]
        ),
        (
            &json!(10_000),
            &json!(-1500),
            &json!(11_500),
            &json!("dispute_reversal")
        )
    );
    assert_eq!(returned["fee_details"][0]["amount"], -1500);
    assert_eq!(
        (&won["is_charge_refundable"], funds(&world).await),
        (&json!(true), PAID)
    );
    let refund = world
        .post("/v1/refunds", &[("charge", &text(&dispute["charge"]))])
        .await;
    assert_eq!(refund["amount"], 10_000);
}

#[tokio::test]
async fn time_decides_where_nobody_answers_or_the_bank_is_not_convinced() {
    let world = start().await;
    let (silent, answered) = (
        disputed(&world, "createDispute").await,
        disputed(&world, "createDispute").await,
    );
    let submitted = respond(
        &world,
        &answered,
        &[("evidence[customer_email_address]", "jenny@example.com")],
    )
    .await;
    assert_eq!(submitted["status"], "under_review");
    world.advance(7 * DAY - 1).await;
    assert_eq!(retrieved(&world, &silent).await["status"], "needs_response");
    world.advance(1).await;
    assert_eq!(retrieved(&world, &silent).await["status"], "lost");
    assert_eq!(retrieved(&world, &answered).await["status"], "under_review");
    world.advance(53 * DAY).await;
    assert_eq!(retrieved(&world, &answered).await["status"], "lost");
    assert_eq!(funds(&world).await, 2 * (PAID - 10_000 - FEE));
}

#[tokio::test]
async fn accepting_a_dispute_loses_it_once() {
    let world = start().await;
    let dispute = disputed(&world, "createDisputeProductNotReceived").await;
    assert_eq!(dispute["network_reason_code"], "13.1");
    let close = format!("/v1/disputes/{}/close", text(&dispute["id"]));
    assert_eq!(world.post(&close, &[]).await["status"], "lost");
    assert_eq!(world.call("POST", &close, &[]).await.status, 400);
    let missing = world.call("POST", "/v1/disputes/dp_0/close", &[]).await;
    assert_eq!(
        (missing.status, &missing.json()["error"]["code"]),
        (404, &json!("resource_missing"))
    );
}

#[tokio::test]
async fn an_inquiry_takes_nothing_until_it_becomes_a_chargeback() {
    let world = start().await;
    let dispute = disputed(&world, "createDisputeInquiry").await;
    assert_eq!(
        (&dispute["status"], &dispute["balance_transactions"]),
        (&json!("warning_needs_response"), &json!([]))
    );
    assert_eq!(
        (&dispute["is_charge_refundable"], funds(&world).await),
        (&json!(true), PAID)
    );
    world
        .post(
            "/v1/refunds",
            &[("charge", &*text(&dispute["charge"])), ("amount", "2500")],
        )
        .await;
    let answered = respond(&world, &dispute, &[("evidence[product_description]", "A thing")]).await;
    assert_eq!(answered["status"], "warning_under_review");
    world.advance(8 * DAY).await;
    let path = format!("disputes/{}", text(&dispute["id"]));
    let unlikely = world.control(&path, json!({ "status": "won" })).await;
    assert_eq!(
        (unlikely.status, &unlikely.json()["error"]["param"]),
        (400, &json!("status"))
    );
    let escalated = world.control(&path, json!({ "status": "needs_response" })).await.json();
    assert_eq!(
        (&escalated["status"], &escalated["amount"]),
        (&json!("needs_response"), &json!(7500))
    );
    assert_eq!(escalated["payment_method_details"]["card"]["case_type"], "chargeback");
    assert_eq!(escalated["evidence_details"]["due_by"], START + 15 * DAY);
    assert_eq!(funds(&world).await, PAID - 10_000 - FEE);
    let won = world.control(&path, json!({ "status": "won" })).await.json();
    assert_eq!((&won["status"], funds(&world).await), (&json!("won"), PAID - 2500));
    let over = world.control(&path, json!({ "status": "lost" })).await;
    assert_eq!(over.status, 400, "{}", over.text);
}

#[tokio::test]
async fn an_inquiry_ends_by_evidence_by_a_refund_or_by_itself() {
    let world = start().await;
    let [answered, refunded, forgotten, escalated] = [
        disputed(&world, "createDisputeInquiry").await,
        disputed(&world, "createDisputeInquiry").await,
        disputed(&world, "createDisputeInquiry").await,
        disputed(&world, "createDisputeInquiry").await,
    ];
    let escalated = respond(
        &world,
        &escalated,
        &[("evidence[uncategorized_text]", "escalate_inquiry_evidence")],
    )
    .await;
    assert_eq!(
        (&escalated["status"], &escalated["evidence_details"]["submission_count"]),
        (&json!("needs_response"), &json!(1))
    );
    let answered = respond(
        &world,
        &answered,
        &[("evidence[uncategorized_text]", "winning_evidence")],
    )
    .await;
    assert_eq!(
        (&answered["status"], &answered["balance_transactions"]),
        (&json!("warning_closed"), &json!([]))
    );
    world
        .post("/v1/refunds", &[("charge", &text(&refunded["charge"]))])
        .await;
    let refunded = retrieved(&world, &refunded).await;
    assert_eq!(
        (&refunded["status"], &refunded["is_charge_refundable"]),
        (&json!("warning_closed"), &json!(false))
    );
    world.advance(120 * DAY - 1).await;
    assert_eq!(retrieved(&world, &forgotten).await["status"], "warning_needs_response");
    world.advance(1).await;
    assert_eq!(retrieved(&world, &forgotten).await["status"], "warning_closed");
}

#[tokio::test]
async fn a_warning_of_fraud_can_be_acted_on_until_the_charge_is_refunded_or_disputed() {
    let world = start().await;
    let (refunded, disputed) = (
        paid(&world, "createIssuerFraudRecord").await,
        paid(&world, "createIssuerFraudRecord").await,
    );
    let listed = world
        .get(&format!("/v1/radar/early_fraud_warnings?charge={refunded}"))
        .await;
    let warning = listed["data"][0].clone();
    assert_eq!(
        (&warning["actionable"], &warning["fraud_type"]),
        (&json!(true), &json!("misc"))
    );
    world
        .post("/v1/refunds", &[("charge", &*refunded), ("amount", "1")])
        .await;
    let path = format!("/v1/radar/early_fraud_warnings/{}", text(&warning["id"]));
    assert_eq!(world.get(&path).await["actionable"], true);
    world.post("/v1/refunds", &[("charge", &refunded)]).await;
    assert_eq!(world.get(&path).await["actionable"], false);
    world
        .control("disputes", json!({ "charge": disputed, "reason": "duplicate" }))
        .await;
    let all = world.get("/v1/radar/early_fraud_warnings").await;
    assert_eq!(
        (&all["data"][0]["charge"], &all["data"][0]["actionable"]),
        (&json!(disputed), &json!(false))
    );
    let updated = world.get("/v1/events?type=radar.early_fraud_warning.updated").await;
    assert_eq!(updated["data"].as_array().unwrap().len(), 2);
    let missing = world.call("GET", "/v1/radar/early_fraud_warnings/issfr_0", &[]).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn any_charge_is_disputed_in_whole_or_in_part_and_only_once() {
    let world = start().await;
    let charge = paid(&world, "visa").await;
    for (body, status) in [
        (json!({ "charge": charge, "reason": "dislike" }), 400),
        (json!({ "charge": charge }), 400),
        (json!({ "charge": "ch_0", "reason": "general" }), 400),
        (json!({ "charge": charge, "reason": "general", "amount": 10_001 }), 400),
        (json!({ "charge": charge, "reason": "general", "amount": 0 }), 400),
        (
            json!({ "charge": charge, "reason": "general", "account": "acct_0" }),
            403,
        ),
        (
            json!({ "charge": charge, "reason": "subscription_canceled", "amount": 4000 }),
            200,
        ),
        (json!({ "charge": charge, "reason": "general" }), 400),
    ] {
        let answer = world.control("disputes", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
    let dispute = dispute_of(&world, &charge).await;
    assert_eq!(
        (&dispute["amount"], &dispute["is_charge_refundable"]),
        (&json!(4000), &json!(true))
    );
    let too_much = world
        .call("POST", "/v1/refunds", &[("charge", &*charge), ("amount", "6001")])
        .await;
    assert_eq!(too_much.json()["error"]["param"], "amount");
    assert_eq!(world.post("/v1/refunds", &[("charge", &charge)]).await["amount"], 6000);
    let refused = world.call("POST", "/v1/refunds", &[("charge", &charge)]).await;
    assert_eq!(refused.json()["error"]["code"], "charge_disputed");
    assert_eq!(world.get(&format!("/v1/charges/{charge}")).await["refunded"], false);
}

#[tokio::test]
async fn a_payment_that_is_captured_later_is_disputed_then() {
    let world = start().await;
    let form = [
        ("amount", "10000"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("capture_method", "manual"),
        ("payment_method", "pm_card_createDispute"),
    ];
    let held = world.post("/v1/payment_intents", &form).await;
    assert_eq!(world.get("/v1/disputes").await["data"], json!([]));
    let capture = format!("/v1/payment_intents/{}/capture", text(&held["id"]));
    world.post(&capture, &[("amount_to_capture", "6000")]).await;
    let dispute = dispute_of(&world, &text(&held["latest_charge"])).await;
    assert_eq!(
        (&dispute["amount"], &dispute["payment_intent"]),
        (&json!(6000), &held["id"])
    );
}

#[tokio::test]
async fn what_is_no_evidence_is_refused() {
    let world = start().await;
    let dispute = disputed(&world, "createDispute").await;
    let path = format!("/v1/disputes/{}", text(&dispute["id"]));
    let long = "x".repeat(20_000);
    let fields = [
        "access_activity_log",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "duplicate_charge_explanation",
        "product_description",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "uncategorized_text",
    ]
    .map(|name| format!("evidence[{name}]"));
    let all: Vec<(&str, &str)> = fields.iter().map(|name| (name.as_str(), long.as_str())).collect();
    for (form, code, param) in [
        (&[("submit", "true")][..], Value::Null, "submit"),
        (&all, Value::Null, "evidence"),
        (
            &[("evidence[receipt]", "file_1")],
            json!("sandbox_unsupported_parameter"),
            "evidence[receipt]",
        ),
        (
            &[("evidence[duplicate_charge_id]", "ch_0")],
            json!("resource_missing"),
            "evidence[duplicate_charge_id]",
        ),
        (
            &[("evidence[alibi]", "x")],
            json!("parameter_unknown"),
            "evidence[alibi]",
        ),
    ] {
        let refused = world.call("POST", &path, form).await;
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status, &error["code"], &error["param"]),
            (400, &code, &json!(param)),
            "{error}"
        );
    }
    assert_eq!(retrieved(&world, &dispute).await, dispute);
}

#[tokio::test]
async fn what_was_staged_is_submitted_by_the_next_call_that_does_not_say_otherwise() {
    let world = start().await;
    let dispute = disputed(&world, "createDispute").await;
    let annotated = respond(&world, &dispute, &[("metadata[a]", "b")]).await;
    assert_eq!(annotated["status"], "needs_response");
    for name in ["evidence[customer_name]", "metadata[who]"] {
        let staged = respond(&world, &dispute, &[(name, "Jenny"), ("submit", "false")]).await;
        assert_eq!(staged["status"], "needs_response");
    }
    let submitted = respond(&world, &dispute, &[("metadata[a]", "c")]).await;
    assert_eq!(submitted["status"], "under_review");
}
