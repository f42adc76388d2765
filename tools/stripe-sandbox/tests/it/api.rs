use serde_json::json;
use stripe_sandbox::Config;

use crate::client::{START, config, send, start, start_with, text};

#[tokio::test]
async fn a_call_without_the_key_is_refused_and_basic_works_like_bearer() {
    let world = start().await;
    let url = format!("{}/v1/customers", world.sandbox.url());
    assert_eq!(send(world.http.get(&url)).await.status, 401);
    let wrong = send(world.http.get(&url).bearer_auth("sk_test_wrong_key_1234")).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(
        wrong.json()["error"]["message"],
        "Invalid API Key provided: sk_test_***1234"
    );
    assert_eq!(
        send(world.http.get(&url).basic_auth(world.sandbox.secret_key(), Some("")))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn an_answer_carries_a_request_id_the_version_and_the_virtual_date() {
    let world = start().await;
    let answer = world.call("GET", "/v1/customers", &[]).await;
    assert!(answer.header("request-id").starts_with("req_"));
    assert_eq!(answer.header("stripe-version"), "2026-09-30.endive");
    assert_eq!(answer.header("date"), "Fri, 15 Jan 2027 08:00:00 GMT");
}

#[tokio::test]
async fn an_email_is_one_wherever_it_is_taken() {
    let world = start().await;
    let payment = [("amount", "1000"), ("currency", "usd")];
    let receipt = [&payment[..], &[("receipt_email", "jenny")]].concat();
    let card = [
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][token]", "tok_visa"),
        ("payment_method_data[billing_details][email]", "jenny"),
    ];
    let described = [&payment[..], &card].concat();
    for (path, form) in [
        ("/v1/customers", &[("email", "jenny")][..]),
        ("/v1/payment_intents", &receipt),
        ("/v1/payment_intents", &described),
    ] {
        let answer = world.call("POST", path, form).await;
        let error = &answer.json()["error"];
        let param = form.last().map(|(name, _)| *name).unwrap_or_default();
        assert_eq!(
            (answer.status, &error["code"], &error["param"]),
            (400, &json!("email_invalid"), &json!(param)),
        );
    }
}

#[tokio::test]
async fn what_is_missing_is_a_404_in_the_url_and_a_400_in_a_parameter() {
    let world = start().await;
    let customer = world.customer().await;
    let own = format!("/v1/customers/{customer}");
    let payment = [("amount", "1000"), ("currency", "usd")];
    let of_nobody = [&payment[..], &[("customer", "cus_0")]].concat();
    let with_nothing = [&payment[..], &[("payment_method", "pm_0")]].concat();
    let default = [("invoice_settings[default_payment_method]", "pm_0")];
    for (method, path, form, status, param) in [
        ("GET", "/v1/customers/cus_0", &[][..], 404, "id"),
        ("POST", "/v1/customers/cus_0", &[("name", "x")], 404, "id"),
        (
            "POST",
            "/v1/payment_methods/pm_0/attach",
            &[("customer", &*customer)],
            404,
            "payment_method",
        ),
        ("POST", "/v1/payment_intents", &of_nobody, 400, "customer"),
        ("POST", "/v1/payment_intents", &with_nothing, 400, "payment_method"),
        ("POST", "/v1/setup_intents", &[("customer", "cus_0")], 400, "customer"),
        (
            "POST",
            "/v1/refunds",
            &[("payment_intent", "pi_0")],
            400,
            "payment_intent",
        ),
        (
            "POST",
            "/v1/prices",
            &[("currency", "usd"), ("unit_amount", "1"), ("product", "prod_0")],
            400,
            "product",
        ),
        ("POST", &own, &default, 400, default[0].0),
        (
            "GET",
            "/v1/setup_attempts",
            &[("setup_intent", "seti_0")],
            400,
            "setup_intent",
        ),
        (
            "GET",
            "/v1/charges",
            &[("starting_after", "ch_0")],
            400,
            "starting_after",
        ),
    ] {
        let answer = world.call(method, path, form).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &*text(&error["code"]), &*text(&error["param"])),
            (status, "resource_missing", param),
            "{method} {path} {form:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_parameter_a_missing_one_and_an_unknown_id_are_told_apart() {
    let world = start().await;
    let unknown = world
        .call("POST", "/v1/customers", &[("email", "a@b.c"), ("nickname", "x")])
        .await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (400, &json!("parameter_unknown"))
    );
    assert_eq!(unknown.json()["error"]["param"], "nickname");
    let nested = world.call("POST", "/v1/customers", &[("address[planet]", "x")]).await;
    assert_eq!(nested.json()["error"]["param"], "address[planet]");
    let missing = world.call("POST", "/v1/prices", &[("product", "prod_1")]).await;
    assert_eq!(
        (missing.status, &missing.json()["error"]["code"]),
        (400, &json!("parameter_missing"))
    );
    let absent = world.call("GET", "/v1/customers/cus_none", &[]).await;
    assert_eq!(
        (absent.status, &absent.json()["error"]["code"]),
        (404, &json!("resource_missing"))
    );
    assert_eq!(world.call("GET", "/v1/unheard_of", &[]).await.status, 404);
    let types = [
        ("mode", "payment"),
        ("line_items[0][price]", "p"),
        ("payment_method_types[0]", "card"),
    ];
    let removed = world.call("POST", "/v1/checkout/sessions", &types).await;
    assert_eq!(
        removed.json()["error"]["code"],
        "payment_method_types_no_longer_supported"
    );
    let number = world
        .call("POST", "/v1/products", &[("name", "p"), ("active", "perhaps")])
        .await;
    assert_eq!(
        (number.status, &number.json()["error"]["param"]),
        (400, &json!("active"))
    );
}

#[tokio::test]
async fn a_refused_call_leaves_nothing_behind() {
    let world = start().await;
    let before = world.look("world").await;
    // The customer is made, then its payment method turns out to be declined.
    let refused = world
        .call("POST", "/v1/customers", &[("payment_method", "pm_card_chargeDeclined")])
        .await;
    assert_eq!(refused.status, 402);
    assert_eq!(world.look("world").await, before);
    assert_eq!(world.get("/v1/customers").await["data"], json!([]));
}

#[tokio::test]
async fn a_customer_is_changed_found_and_deleted() {
    let world = start().await;
    let id = world.customer().await;
    let path = format!("/v1/customers/{id}");
    let changed = world
        .post(
            &path,
            &[
                ("name", "Jenny"),
                ("metadata[user_id]", ""),
                ("metadata[plan]", "pro"),
                ("address[country]", "DE"),
            ],
        )
        .await;
    assert_eq!(changed["metadata"], json!({ "plan": "pro" }));
    assert_eq!(changed["address"]["country"], "DE");
    assert_eq!(world.post(&path, &[("name", "")]).await["name"], json!(null));

    let query = "metadata['plan']:'pro' AND email:\"jenny@example.com\"";
    let found = world
        .call("GET", "/v1/customers/search", &[("query", query)])
        .await
        .json();
    assert_eq!(
        (&found["object"], &found["data"][0]["id"]),
        (&json!("search_result"), &json!(id))
    );
    assert_eq!(
        world
            .call("GET", "/v1/customers/search", &[("query", "email'x'")])
            .await
            .status,
        400
    );

    let events = world.get("/v1/events?type=customer.updated").await;
    let previous = &events["data"].as_array().unwrap().last().unwrap()["data"]["previous_attributes"];
    assert_eq!(previous["metadata"], json!({ "user_id": "u1", "plan": null }));
    assert_eq!(previous["name"], json!(null));

    let stub = world.call("DELETE", &path, &[]).await.json();
    assert_eq!(stub, json!({ "id": id, "object": "customer", "deleted": true }));
    assert_eq!(world.get(&path).await, stub);
    assert_eq!(world.call("POST", &path, &[("name", "x")]).await.status, 404);
    assert_eq!(world.get("/v1/customers").await["data"], json!([]));
}

#[tokio::test]
async fn metadata_has_limits() {
    let world = start().await;
    let key = format!("metadata[{}]", "k".repeat(41));
    assert_eq!(world.call("POST", "/v1/customers", &[(&key, "v")]).await.status, 400);
    assert_eq!(
        world
            .call("POST", "/v1/customers", &[("metadata[k]", &"v".repeat(501))])
            .await
            .status,
        400
    );
    let keys: Vec<String> = (0..51).map(|n| format!("metadata[k{n}]")).collect();
    let form: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "v")).collect();
    assert_eq!(world.call("POST", "/v1/customers", &form).await.status, 400);
    assert_eq!(world.call("POST", "/v1/customers", &form[..50]).await.status, 200);
}

#[tokio::test]
async fn lists_are_cut_by_limit_and_cursor_newest_first() {
    let world = start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.customer().await);
    }
    ids.reverse();
    let page = async |query: &str| {
        let page = world.get(&format!("/v1/customers?{query}")).await;
        let data = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| text(&one["id"]))
            .collect::<Vec<_>>();
        (data, page["has_more"].as_bool().unwrap())
    };
    assert_eq!(page("limit=2").await, (ids[..2].to_vec(), true));
    assert_eq!(
        page(&format!("limit=2&starting_after={}", ids[1])).await,
        (ids[2..4].to_vec(), true)
    );
    assert_eq!(
        page(&format!("limit=2&starting_after={}", ids[3])).await,
        (ids[4..].to_vec(), false)
    );
    assert_eq!(
        page(&format!("limit=2&ending_before={}", ids[4])).await,
        (ids[2..4].to_vec(), true)
    );
    assert_eq!(page(&format!("created[gt]={START}")).await, (vec![], false));
    assert_eq!(
        world.call("GET", "/v1/customers", &[("limit", "101")]).await.status,
        400
    );
    assert_eq!(
        world
            .call("GET", "/v1/customers", &[("starting_after", "cus_none")])
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn ids_are_expanded_four_deep_and_no_deeper() {
    let world = start().await;
    let subscription = world.subscription().await;
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let deep = world
        .get(&format!(
            "{path}?expand[]=latest_invoice.payments.data.payment.payment_intent&expand[]=customer"
        ))
        .await;
    let payment = &deep["latest_invoice"]["payments"]["data"][0]["payment"];
    assert_eq!(payment["payment_intent"]["status"], "succeeded");
    assert_eq!(deep["customer"]["email"], "jenny@example.com");
    let list = world
        .get("/v1/subscriptions?expand[]=data.default_payment_method")
        .await;
    assert_eq!(list["data"][0]["default_payment_method"]["card"]["last4"], "4242");
    assert!(!list.to_string().contains("_sandbox"));
    for wrong in ["status", "nothing", "a.b.c.d.e"] {
        assert_eq!(
            world.call("GET", &path, &[("expand[]", wrong)]).await.status,
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_lookup_key_is_unique_until_it_is_transferred() {
    let world = start().await;
    let product = text(&world.post("/v1/products", &[("name", "Pro")]).await["id"]);
    let terms = [
        ("product", &*product),
        ("currency", "USD"),
        ("unit_amount", "900"),
        ("lookup_key", "pro"),
    ];
    let first = world.post("/v1/prices", &terms).await;
    assert_eq!(first["currency"], "usd");
    assert_eq!(world.call("POST", "/v1/prices", &terms).await.status, 400);
    let second = world
        .post("/v1/prices", &[&terms[..], &[("transfer_lookup_key", "true")]].concat())
        .await;
    let found = world.get("/v1/prices?lookup_keys[]=pro&lookup_keys[]=other").await;
    assert_eq!(
        (&found["data"][0]["id"], found["data"].as_array().unwrap().len()),
        (&second["id"], 1)
    );
}

#[tokio::test]
async fn the_key_chooses_the_mode() {
    let live = Config {
        secret_key: "sk_live_sandbox".to_owned(),
        ..config()
    };
    let world = start_with(live).await;
    let customer = world.customer().await;
    let session = world.session(&customer).await;
    assert_eq!(session["livemode"], true);
    assert!(text(&session["id"]).starts_with("cs_live_"));
}

#[tokio::test]
async fn the_same_seed_and_calls_give_the_same_world() {
    let (one, other) = (start().await, start().await);
    let different = start_with(Config { seed: 2, ..config() }).await;
    let ids = (
        one.subscription().await,
        other.subscription().await,
        different.subscription().await,
    );
    assert_eq!(ids.0, ids.1);
    assert_ne!(ids.0["id"], ids.2["id"]);
    one.advance(40 * 86_400).await;
    other.advance(40 * 86_400).await;
    assert_eq!(one.look("world").await, other.look("world").await);
}

#[tokio::test]
async fn tax_depends_on_place_and_business() {
    let world = start().await;
    let calculate = async |details: &[(&str, &str)]| {
        let lines = [
            ("currency", "eur"),
            ("line_items[0][amount]", "10000"),
            ("line_items[0][reference]", "L1"),
        ];
        world
            .post("/v1/tax/calculations", &[&lines[..], details].concat())
            .await
    };
    let consumer = calculate(&[("customer_details[address][country]", "DE")]).await;
    assert_eq!(
        (&consumer["amount_total"], &consumer["tax_amount_exclusive"]),
        (&json!(11_900), &json!(1_900))
    );
    let inclusive = calculate(&[
        ("customer_details[address][country]", "DE"),
        ("line_items[0][tax_behavior]", "inclusive"),
    ])
    .await;
    assert_eq!(
        (&inclusive["amount_total"], &inclusive["tax_amount_inclusive"]),
        (&json!(10_000), &json!(1_597))
    );
    let business = calculate(&[
        ("customer_details[address][country]", "DE"),
        ("customer_details[tax_ids][0][type]", "eu_vat"),
        ("customer_details[tax_ids][0][value]", "DE123456789"),
    ])
    .await;
    assert_eq!(business["tax_breakdown"][0]["taxability_reason"], "reverse_charge");
    let swiss = calculate(&[("customer_details[address][country]", "CH")]).await;
    assert_eq!(swiss["tax_breakdown"][0]["taxability_reason"], "not_collecting");
    let nowhere = [
        ("currency", "usd"),
        ("line_items[0][amount]", "1"),
        ("customer_details[address][country]", "US"),
    ];
    let refused = world.call("POST", "/v1/tax/calculations", &nowhere).await;
    assert_eq!(refused.json()["error"]["code"], "customer_tax_location_invalid");
}

#[tokio::test]
async fn a_payment_intent_is_declined_then_paid_and_not_paid_twice() {
    let world = start().await;
    let declined = world
        .call(
            "POST",
            "/v1/payment_intents",
            &[
                ("amount", "1500"),
                ("currency", "eur"),
                ("confirm", "true"),
                ("payment_method", "pm_card_chargeDeclined"),
            ],
        )
        .await;
    assert_eq!(declined.status, 402);
    let error = declined.json()["error"].clone();
    assert_eq!(
        (&error["code"], &error["decline_code"]),
        (&json!("card_declined"), &json!("generic_decline"))
    );
    let path = format!("/v1/payment_intents/{}", text(&error["payment_intent"]["id"]));
    assert_eq!(world.get(&path).await["status"], "requires_payment_method");
    let confirm = [("payment_method", "pm_card_visa")];
    let paid = world.post(&format!("{path}/confirm"), &confirm).await;
    assert_eq!(
        (&paid["status"], &paid["amount_received"]),
        (&json!("succeeded"), &json!(1500))
    );
    let again = world.call("POST", &format!("{path}/confirm"), &confirm).await;
    assert_eq!(again.json()["error"]["code"], "payment_intent_unexpected_state");
    assert_eq!(world.get("/v1/charges").await["data"].as_array().unwrap().len(), 2);
    let small = world
        .call("POST", "/v1/payment_intents", &[("amount", "49"), ("currency", "usd")])
        .await;
    assert_eq!(small.json()["error"]["code"], "amount_too_small");
    let nothing = world
        .call("POST", "/v1/payment_intents", &[("amount", "0"), ("currency", "usd")])
        .await;
    assert_eq!(nothing.json()["error"]["code"], "parameter_invalid_integer");
}
