//! Coupons, promotion codes and what a session makes of them.

use serde_json::{Value, json};

use crate::client::{DAY, START, World, has_in_order, send, start, text};

async fn refusal(world: &World, path: &str, form: &[(&str, &str)]) -> (Value, Value) {
    let answer = world.call("POST", path, form).await;
    assert_eq!(answer.status, 400, "{form:?}: {}", answer.text);
    let error = answer.json()["error"].clone();
    (error["code"].clone(), error["param"].clone())
}

async fn code(world: &World, coupon: &str, more: &[(&str, &str)]) -> Value {
    let mut form = vec![("promotion[type]", "coupon"), ("promotion[coupon]", coupon)];
    form.extend(more);
    world.post("/v1/promotion_codes", &form).await
}

#[tokio::test]
async fn a_coupon_is_made_renamed_listed_and_deleted() {
    let world = start().await;
    let product = text(&world.post("/v1/products", &[("name", "Pro")]).await["id"]);
    let form = [
        ("id", "SPRING-25"),
        ("percent_off", "25.50"),
        ("duration", "repeating"),
        ("duration_in_months", "3"),
        ("applies_to[products][]", &*product),
        ("metadata[a]", "b"),
    ];
    let coupon = world.post("/v1/coupons", &form).await;
    assert_eq!(
        (&coupon["id"], &coupon["percent_off"], &coupon["valid"]),
        (&json!("SPRING-25"), &json!(25.5), &json!(true))
    );
    assert_eq!(
        (&coupon["duration"], &coupon["duration_in_months"]),
        (&json!("repeating"), &json!(3))
    );
    assert_eq!(coupon.get("applies_to"), None);
    let shown = world.get("/v1/coupons/SPRING-25?expand[]=applies_to").await;
    assert_eq!(shown["applies_to"], json!({ "products": [product] }));
    let renamed = world.post("/v1/coupons/SPRING-25", &[("name", "Spring")]).await;
    assert_eq!(
        (&renamed["name"], &renamed["percent_off"]),
        (&json!("Spring"), &json!(25.5))
    );
    let form = [
        ("amount_off", "500"),
        ("currency", "USD"),
        ("currency_options[eur][amount_off]", "450"),
    ];
    let amount = world.post("/v1/coupons", &form).await;
    assert_eq!(
        (&amount["amount_off"], &amount["currency"], &amount["duration"]),
        (&json!(500), &json!("usd"), &json!("once"))
    );
    let path = format!("/v1/coupons/{}?expand[]=currency_options", text(&amount["id"]));
    assert_eq!(
        world.get(&path).await["currency_options"],
        json!({ "eur": { "amount_off": 450 } })
    );
    let promotion = code(&world, "SPRING-25", &[]).await;
    let gone = world.call("DELETE", "/v1/coupons/SPRING-25", &[]).await;
    assert_eq!(
        gone.json(),
        json!({ "id": "SPRING-25", "object": "coupon", "deleted": true })
    );
    assert_eq!(world.call("GET", "/v1/coupons/SPRING-25", &[]).await.status, 404);
    assert_eq!(world.get("/v1/coupons").await["data"].as_array().unwrap().len(), 1);
    let path = format!("/v1/promotion_codes/{}", text(&promotion["id"]));
    assert_eq!(world.get(&path).await["active"], false);
    let events = world.events().await;
    let story = [
        "coupon.created",
        "coupon.updated",
        "promotion_code.created",
        "coupon.deleted",
    ];
    assert!(has_in_order(&events, &story), "{events:?}");
    // The id is free again.
    world
        .post("/v1/coupons", &[("id", "SPRING-25"), ("percent_off", "5")])
        .await;
}

#[tokio::test]
async fn coupons_that_make_no_sense_are_refused() {
    let world = start().await;
    world
        .post("/v1/coupons", &[("id", "TAKEN"), ("percent_off", "5")])
        .await;
    for (form, code, param) in [
        (&[("duration", "once")][..], json!("parameter_missing"), Value::Null),
        (&[("percent_off", "5"), ("amount_off", "5")], Value::Null, Value::Null),
        (&[("percent_off", "0")], Value::Null, json!("percent_off")),
        (&[("percent_off", "100.1")], Value::Null, json!("percent_off")),
        (&[("amount_off", "5")], json!("parameter_missing"), json!("currency")),
        (
            &[("amount_off", "0"), ("currency", "usd")],
            json!("parameter_invalid_integer"),
            json!("amount_off"),
        ),
        (
            &[("percent_off", "5"), ("duration", "repeating")],
            json!("parameter_missing"),
            json!("duration_in_months"),
        ),
        (
            &[("percent_off", "5"), ("duration_in_months", "2")],
            Value::Null,
            json!("duration_in_months"),
        ),
        (
            &[("percent_off", "5"), ("max_redemptions", "0")],
            json!("parameter_invalid_integer"),
            json!("max_redemptions"),
        ),
        (
            &[("percent_off", "5"), ("redeem_by", "1800000000")],
            Value::Null,
            json!("redeem_by"),
        ),
        (
            &[("percent_off", "5"), ("id", "TAKEN")],
            json!("resource_already_exists"),
            json!("id"),
        ),
        (&[("percent_off", "5"), ("id", "a b")], Value::Null, json!("id")),
        (
            &[("percent_off", "5"), ("currency_options[eur][amount_off]", "1")],
            Value::Null,
            json!("currency_options"),
        ),
    ] {
        assert_eq!(refusal(&world, "/v1/coupons", form).await, (code, param), "{form:?}");
    }
}

#[tokio::test]
async fn a_promotion_code_is_unique_among_the_active_ones() {
    let world = start().await;
    let coupon = text(&world.post("/v1/coupons", &[("percent_off", "20")]).await["id"]);
    let first = code(&world, &coupon, &[("code", "FALL20")]).await;
    assert_eq!(
        (&first["promotion"], &first["active"]),
        (&json!({ "coupon": coupon, "type": "coupon" }), &json!(true))
    );
    let same = [
        ("promotion[type]", "coupon"),
        ("promotion[coupon]", &*coupon),
        ("code", "fall20"),
    ];
    assert_eq!(refusal(&world, "/v1/promotion_codes", &same).await.1, "code");
    let path = format!("/v1/promotion_codes/{}", text(&first["id"]));
    world.post(&path, &[("active", "false")]).await;
    world.post("/v1/promotion_codes", &same).await;
    assert_eq!(refusal(&world, &path, &[("active", "true")]).await.1, "code");
    for (query, count) in [
        ("active=true", 1),
        ("code=Fall20", 2),
        ("code=other", 0),
        (&*format!("coupon={coupon}"), 2),
    ] {
        let listed = world.get(&format!("/v1/promotion_codes?{query}")).await;
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{query}");
    }
    let expanded = world.get(&format!("{path}?expand[]=promotion.coupon")).await;
    assert_eq!(expanded["promotion"]["coupon"]["percent_off"], 20);
}

#[tokio::test]
async fn coupons_and_codes_end_by_the_clock() {
    let world = start().await;
    let by = (START + 2 * DAY).to_string();
    let coupon = text(
        &world
            .post("/v1/coupons", &[("percent_off", "20"), ("redeem_by", &*by)])
            .await["id"],
    );
    let early = (START + DAY).to_string();
    let early = code(&world, &coupon, &[("expires_at", &*early)]).await;
    let late = code(&world, &coupon, &[]).await;
    let active = async |code: &Value| {
        let path = format!("/v1/promotion_codes/{}", text(&code["id"]));
        world.get(&path).await["active"].clone()
    };
    world.advance(DAY).await;
    assert_eq!((active(&early).await, active(&late).await), (json!(false), json!(true)));
    world.advance(DAY).await;
    assert_eq!(active(&late).await, json!(false));
    assert_eq!(world.get(&format!("/v1/coupons/{coupon}")).await["valid"], false);
    let form = [("promotion[type]", "coupon"), ("promotion[coupon]", &*coupon)];
    assert_eq!(refusal(&world, "/v1/promotion_codes", &form).await.0, "coupon_expired");
}

/// The parameters of a session that sells two pens for 9.99 usd each.
fn pens() -> Vec<(&'static str, &'static str)> {
    vec![
        ("mode", "payment"),
        ("success_url", "https://example.com/done"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "999"),
        ("line_items[0][price_data][product_data][name]", "Pen"),
        ("line_items[0][quantity]", "2"),
    ]
}

#[tokio::test]
async fn a_session_with_a_promotion_code_is_paid_less_and_redeems_it() {
    let world = start().await;
    let form = [("percent_off", "25"), ("max_redemptions", "1")];
    let coupon = text(&world.post("/v1/coupons", &form).await["id"]);
    let promotion = text(&code(&world, &coupon, &[]).await["id"]);
    let mut form = pens();
    form.push(("discounts[0][promotion_code]", &promotion));
    form.push(("payment_intent_data[statement_descriptor]", "PENS"));
    form.push(("line_items[0][adjustable_quantity][enabled]", "true"));
    let session = world.post("/v1/checkout/sessions", &form).await;
    assert_eq!(
        (&session["amount_subtotal"], &session["amount_total"]),
        (&json!(1998), &json!(1498))
    );
    assert_eq!(session["total_details"]["amount_discount"], 500);
    assert_eq!(
        session["discounts"],
        json!([{ "coupon": null, "promotion_code": promotion }])
    );
    let lines = world
        .get(&format!("/v1/checkout/sessions/{}/line_items", text(&session["id"])))
        .await;
    let line = &lines["data"][0];
    assert_eq!(
        (
            &line["amount_subtotal"],
            &line["amount_discount"],
            &line["amount_total"]
        ),
        (&json!(1998), &json!(500), &json!(1498))
    );
    assert_eq!(
        line["adjustable_quantity"],
        json!({ "enabled": true, "maximum": 99, "minimum": 0 })
    );

    let paid = [
        ("card_number", "4242424242424242"),
        ("card_expiry", "12/34"),
        ("card_cvc", "123"),
        ("email", "a@b.c"),
    ];
    let answer = send(world.http.post(text(&session["url"])).form(&paid)).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let charges = world.get("/v1/charges").await;
    assert_eq!(
        (
            &charges["data"][0]["amount"],
            &charges["data"][0]["statement_descriptor"]
        ),
        (&json!(1498), &json!("PENS"))
    );
    let coupon_now = world.get(&format!("/v1/coupons/{coupon}")).await;
    assert_eq!(
        (&coupon_now["times_redeemed"], &coupon_now["valid"]),
        (&json!(1), &json!(false))
    );
    let promotion_now = world.get(&format!("/v1/promotion_codes/{promotion}")).await;
    assert_eq!(
        (&promotion_now["times_redeemed"], &promotion_now["active"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        refusal(&world, "/v1/checkout/sessions", &form).await.1,
        "discounts[0][promotion_code]"
    );
}

#[tokio::test]
async fn a_code_is_for_its_customer_for_a_first_payment_and_from_an_amount_on() {
    let world = start().await;
    let coupon = text(
        &world
            .post("/v1/coupons", &[("amount_off", "500"), ("currency", "usd")])
            .await["id"],
    );
    let (one, other) = (world.customer().await, world.customer().await);
    let own = text(&code(&world, &coupon, &[("customer", &*one)]).await["id"]);
    let first = [("restrictions[first_time_transaction]", "true")];
    let first = text(&code(&world, &coupon, &first).await["id"]);
    let least = |amount: &'static str| {
        [
            ("restrictions[minimum_amount]", amount),
            ("restrictions[minimum_amount_currency]", "usd"),
        ]
    };
    let small = text(&code(&world, &coupon, &least("1998")).await["id"]);
    let large = text(&code(&world, &coupon, &least("1999")).await["id"]);
    let form = [
        ("amount", "900"),
        ("currency", "usd"),
        ("customer", &*other),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
    ];
    world.post("/v1/payment_intents", &form).await;
    for (customer, promotion, taken) in [
        (&one, &own, true),
        (&other, &own, false),
        (&one, &first, true),
        (&other, &first, false),
        (&one, &small, true),
        (&one, &large, false),
    ] {
        let mut form = pens();
        form.extend([
            ("customer", &**customer),
            ("discounts[0][promotion_code]", &**promotion),
        ]);
        let answer = world.call("POST", "/v1/checkout/sessions", &form).await;
        assert_eq!(answer.status == 200, taken, "{}", answer.text);
        if taken {
            assert_eq!(answer.json()["amount_total"], 1498);
        }
    }
    let none = world.call("GET", &format!("/v1/customers/{one}/discount"), &[]).await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn a_session_is_changed_expired_and_found_by_its_state() {
    let world = start().await;
    let session = text(&world.post("/v1/checkout/sessions", &pens()).await["id"]);
    let path = format!("/v1/checkout/sessions/{session}");
    let changed = world.post(&path, &[("metadata[order]", "o2")]).await;
    assert_eq!(changed["metadata"], json!({ "order": "o2" }));
    world.post("/v1/checkout/sessions", &pens()).await;
    let expired = world.post(&format!("{path}/expire"), &[]).await;
    assert_eq!((&expired["status"], &expired["url"]), (&json!("expired"), &json!(null)));
    let again = world.call("POST", &format!("{path}/expire"), &[]).await;
    assert_eq!(again.status, 400);
    world.advance(DAY).await;
    let listed = world.get("/v1/checkout/sessions?status=expired").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let told = world.events().await;
    assert_eq!(
        told.iter().filter(|kind| *kind == "checkout.session.expired").count(),
        2
    );
}

#[tokio::test]
async fn a_session_may_hold_the_money_until_it_is_captured() {
    for (number, asks) in [("4242424242424242", false), ("4000002760003184", true)] {
        let world = start().await;
        let mut form = pens();
        form.push(("payment_intent_data[capture_method]", "manual"));
        let session = world.post("/v1/checkout/sessions", &form).await;
        let paid = [
            ("card_number", number),
            ("card_expiry", "12/34"),
            ("card_cvc", "123"),
            ("email", "a@b.c"),
        ];
        let answer = send(world.http.post(text(&session["url"])).form(&paid)).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        if asks {
            let authenticated = [("action", "complete")];
            let answer = send(world.http.post(answer.header("location")).form(&authenticated)).await;
            assert_eq!(answer.status, 303, "{}", answer.text);
        }
        let path = format!("/v1/checkout/sessions/{}", text(&session["id"]));
        let held = world.get(&path).await;
        assert_eq!(
            (&held["status"], &held["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );
        let charges = world.get("/v1/charges").await;
        assert_eq!(charges["data"].as_array().unwrap().len(), 1);
        assert_eq!(charges["data"][0]["balance_transaction"], json!(null));
        let capture = format!("/v1/payment_intents/{}/capture", text(&held["payment_intent"]));
        world.post(&capture, &[("amount_to_capture", "1000")]).await;
        assert_eq!(world.get(&path).await["payment_status"], "paid");
        let charge = world.get("/v1/charges?expand[]=data.balance_transaction").await["data"][0].clone();
        assert_eq!(charge["balance_transaction"]["amount"], 1000);
        let refund = world.post("/v1/refunds", &[("charge", &*text(&charge["id"]))]).await;
        assert_eq!(refund["amount"], 1000);
    }
}
