//! Tax ids, and the balance of customers.

use serde_json::{Value, json};

use crate::client::{START, World, has_in_order, start, text};

async fn tax_id(world: &World, customer: &str, kind: &str, value: &str) -> Value {
    let path = format!("/v1/customers/{customer}/tax_ids");
    world.post(&path, &[("type", kind), ("value", value)]).await
}

#[tokio::test]
async fn a_tax_id_is_verified_by_the_clock_or_not_at_all() {
    let world = start().await;
    let customer = world.customer().await;
    for (kind, value, country, at_first, later) in [
        ("eu_vat", "DE123456789", json!("DE"), "pending", "verified"),
        ("eu_vat", "EL123456789", json!("GR"), "pending", "verified"),
        ("eu_vat", "000000000", json!(null), "pending", "verified"),
        ("gb_vat", "GB111111111", json!("GB"), "pending", "unverified"),
        ("eu_vat", "111111111", json!(null), "pending", "unverified"),
        ("au_abn", "222222222", json!("AU"), "pending", "pending"),
        ("us_ein", "12-3456789", json!("US"), "unavailable", "unavailable"),
    ] {
        let made = tax_id(&world, &customer, kind, value).await;
        assert_eq!(
            (&made["country"], &made["verification"]["status"]),
            (&country, &json!(at_first)),
            "{value}"
        );
        world.advance(10).await;
        let now = world
            .get(&format!("/v1/customers/{customer}/tax_ids/{}", text(&made["id"])))
            .await;
        assert_eq!(now["verification"]["status"], later, "{value}");
        assert_eq!(now.get("_sandbox"), None);
    }
    let events = world.events().await;
    let story = ["customer.tax_id.created", "customer.tax_id.updated"];
    assert!(has_in_order(&events, &story), "{events:?}");
    let form = [("type", "eu_vat"), ("value", "XX1")];
    let wrong = world
        .call("POST", &format!("/v1/customers/{customer}/tax_ids"), &form)
        .await;
    assert_eq!(
        (wrong.status, &wrong.json()["error"]["code"]),
        (400, &json!("tax_id_invalid"))
    );
}

#[tokio::test]
async fn tax_ids_belong_to_a_customer_or_to_the_account_itself() {
    let world = start().await;
    let form = [
        ("email", "a@b.c"),
        ("tax_id_data[0][type]", "eu_vat"),
        ("tax_id_data[0][value]", "DE123456789"),
    ];
    let customer = text(&world.post("/v1/customers", &form).await["id"]);
    let expanded = world.get(&format!("/v1/customers/{customer}?expand[]=tax_ids")).await;
    let listed = world.get(&format!("/v1/customers/{customer}/tax_ids")).await;
    assert_eq!(expanded["tax_ids"]["data"], listed["data"]);
    assert_eq!(listed["data"][0]["owner"]["customer"], customer);
    let own = world
        .post("/v1/tax_ids", &[("type", "eu_vat"), ("value", "IE1234567A")])
        .await;
    assert_eq!(
        (&own["owner"], &own["customer"]),
        (&json!({ "type": "self" }), &json!(null))
    );
    for (query, ids) in [
        (String::new(), vec![&own["id"]]),
        (
            format!("owner[type]=customer&owner[customer]={customer}"),
            vec![&listed["data"][0]["id"]],
        ),
    ] {
        let found = world.get(&format!("/v1/tax_ids?{query}")).await;
        let found: Vec<&Value> = found["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert_eq!(found, ids, "{query}");
    }
    let id = text(&listed["data"][0]["id"]);
    let path = format!("/v1/customers/{customer}/tax_ids/{id}");
    let other = world.customer().await;
    let misplaced = world
        .call("GET", &format!("/v1/customers/{other}/tax_ids/{id}"), &[])
        .await;
    assert_eq!(misplaced.status, 404);
    let gone = world.call("DELETE", &path, &[]).await;
    assert_eq!(gone.json(), json!({ "id": id, "object": "tax_id", "deleted": true }));
    assert_eq!(world.call("GET", &path, &[]).await.status, 404);
    assert!(world.events().await.contains(&"customer.tax_id.deleted".to_owned()));
}

#[tokio::test]
async fn a_business_abroad_is_not_charged_tax_as_long_as_its_tax_id_stands() {
    let world = start().await;
    let form = [("email", "a@b.c"), ("address[country]", "DE")];
    let customer = text(&world.post("/v1/customers", &form).await["id"]);
    let tax = async || {
        let price = world.price().await;
        let form = [
            ("mode", "subscription"),
            ("customer", &*customer),
            ("automatic_tax[enabled]", "true"),
            ("success_url", "https://example.com"),
            ("line_items[0][price]", &*price),
            ("line_items[0][quantity]", "1"),
        ];
        let session = world.post("/v1/checkout/sessions", &form).await;
        session["total_details"]["amount_tax"].clone()
    };
    assert_eq!(tax().await, 551);
    let made = tax_id(&world, &customer, "eu_vat", "DE123456789").await;
    assert_eq!(tax().await, 0);
    world
        .call("DELETE", &format!("/v1/tax_ids/{}", text(&made["id"])), &[])
        .await;
    assert_eq!(tax().await, 551);
}

#[tokio::test]
async fn a_customers_balance_follows_its_transactions() {
    let world = start().await;
    let customer = world.customer().await;
    let path = format!("/v1/customers/{customer}/balance_transactions");
    let credit = [
        ("amount", "-500"),
        ("currency", "usd"),
        ("description", "sorry"),
        ("metadata[a]", "b"),
    ];
    let credit = world.post(&path, &credit).await;
    assert_eq!(
        (&credit["amount"], &credit["ending_balance"], &credit["type"]),
        (&json!(-500), &json!(-500), &json!("adjustment"))
    );
    assert_eq!(credit["created"], START);
    let debit = world.post(&path, &[("amount", "200"), ("currency", "USD")]).await;
    assert_eq!(debit["ending_balance"], -300);
    let after = world.get(&format!("/v1/customers/{customer}")).await;
    assert_eq!((&after["balance"], &after["currency"]), (&json!(-300), &json!("usd")));
    let other = world.call("POST", &path, &[("amount", "1"), ("currency", "eur")]).await;
    assert_eq!(
        (other.status, &other.json()["error"]["param"]),
        (400, &json!("currency"))
    );
    let one = format!("{path}/{}", text(&credit["id"]));
    let changed = world.post(&one, &[("description", "very sorry")]).await;
    assert_eq!(
        (&changed["description"], &changed["metadata"]["a"], &changed["amount"]),
        (&json!("very sorry"), &json!("b"), &json!(-500))
    );
    assert_eq!(world.get(&one).await, changed);
    assert_eq!(world.get(&path).await["data"].as_array().unwrap().len(), 2);
}
