//! Products, and prices of every kind.

use serde_json::{Value, json};

use crate::client::{World, has_in_order, start, text};

async fn product(world: &World) -> String {
    text(&world.post("/v1/products", &[("name", "Fonts")]).await["id"])
}

async fn price(world: &World, product: &str, terms: &[(&str, &str)]) -> Value {
    let mut form = vec![("product", product), ("currency", "usd")];
    form.extend(terms);
    world.post("/v1/prices", &form).await
}

const GRADUATED: &[(&str, &str)] = &[
    ("recurring[interval]", "month"),
    ("billing_scheme", "tiered"),
    ("tiers_mode", "graduated"),
    ("tiers[0][up_to]", "5"),
    ("tiers[0][unit_amount]", "700"),
    ("tiers[1][up_to]", "10"),
    ("tiers[1][unit_amount_decimal]", "650.5"),
    ("tiers[2][up_to]", "inf"),
    ("tiers[2][flat_amount]", "600"),
];

#[tokio::test]
async fn a_price_in_tiers_shows_them_when_asked_and_is_billed_by_them() {
    let world = start().await;
    let product = product(&world).await;
    let made = price(&world, &product, GRADUATED).await;
    assert_eq!(
        (&made["billing_scheme"], &made["tiers_mode"], &made["unit_amount"]),
        (&json!("tiered"), &json!("graduated"), &json!(null))
    );
    assert_eq!((made.get("tiers"), made.get("_sandbox")), (None, None));
    let shown = world
        .get(&format!("/v1/prices/{}?expand[]=tiers", text(&made["id"])))
        .await;
    assert_eq!(
        shown["tiers"][1],
        json!({
            "flat_amount": null, "flat_amount_decimal": null, "unit_amount": null, "unit_amount_decimal": "650.5", "up_to": 10,
        })
    );
    assert_eq!(
        (&shown["tiers"][2]["up_to"], &shown["tiers"][0]["unit_amount_decimal"]),
        (&json!(null), &json!("700"))
    );
    let customer = world.customer().await;
    let form = [
        ("customer", &*customer),
        ("items[0][price]", &*text(&made["id"])),
        ("items[0][quantity]", "7"),
        ("payment_behavior", "default_incomplete"),
        ("expand[]", "latest_invoice"),
    ];
    let subscription = world.post("/v1/subscriptions", &form).await;
    assert_eq!(subscription["latest_invoice"]["amount_due"], 5 * 700 + 1301);
    let item = &subscription["items"]["data"][0];
    assert_eq!(item["price"].get("_sandbox"), None, "{item}");
    assert_eq!(item["plan"]["tiers_mode"], "graduated");
    // A list of prices with and without tiers can be asked for them.
    price(&world, &product, &[("unit_amount", "900")]).await;
    let listed = world.get("/v1/prices?expand[]=data.tiers").await;
    assert_eq!(
        (listed["data"][0].get("tiers"), listed["data"][1]["tiers"].is_array()),
        (None, true)
    );
}

#[tokio::test]
async fn prices_by_the_package_in_decimals_in_currencies_and_of_the_payers_choice() {
    let world = start().await;
    let product = product(&world).await;
    let decimal = price(&world, &product, &[("unit_amount_decimal", "0.50")]).await;
    assert_eq!(
        (&decimal["unit_amount"], &decimal["unit_amount_decimal"]),
        (&json!(null), &json!("0.5"))
    );
    let terms = [
        ("unit_amount", "1000"),
        ("transform_quantity[divide_by]", "5"),
        ("transform_quantity[round]", "up"),
        ("tax_behavior", "exclusive"),
        ("currency_options[eur][unit_amount]", "950"),
    ];
    let package = price(&world, &product, &terms).await;
    assert_eq!(package["transform_quantity"], json!({ "divide_by": 5, "round": "up" }));
    let path = format!("/v1/prices/{}", text(&package["id"]));
    world
        .post(&path, &[("currency_options[GBP][unit_amount_decimal]", "800.5")])
        .await;
    let options = world.get(&format!("{path}?expand[]=currency_options")).await["currency_options"].clone();
    assert_eq!(
        (
            &options["usd"]["unit_amount"],
            &options["eur"]["unit_amount"],
            &options["gbp"]["unit_amount_decimal"]
        ),
        (&json!(1000), &json!(950), &json!("800.5"))
    );
    let terms = [
        ("custom_unit_amount[enabled]", "true"),
        ("custom_unit_amount[minimum]", "500"),
        ("custom_unit_amount[preset]", "900"),
    ];
    let custom = price(&world, &product, &terms).await;
    assert_eq!(
        custom["custom_unit_amount"],
        json!({ "maximum": null, "minimum": 500, "preset": 900 })
    );
    assert_eq!(custom["unit_amount_decimal"], json!(null));
    let total = async |price: &Value, quantity: &str| {
        let form = [
            ("mode", "payment"),
            ("success_url", "https://example.com"),
            ("line_items[0][price]", &*text(&price["id"])),
            ("line_items[0][quantity]", quantity),
        ];
        let answer = world.call("POST", "/v1/checkout/sessions", &form).await.json();
        answer["amount_total"].clone()
    };
    assert_eq!(
        (
            total(&package, "6").await,
            total(&decimal, "1001").await,
            total(&custom, "1").await
        ),
        (json!(2000), json!(501), json!(null))
    );
}

#[tokio::test]
async fn terms_that_make_no_sense_are_refused() {
    let world = start().await;
    let product = product(&world).await;
    let tiered = |more: &[(&'static str, &'static str)]| {
        let mut terms = vec![("billing_scheme", "tiered"), ("tiers_mode", "volume")];
        terms.extend(more);
        terms
    };
    for (terms, param) in [
        (vec![], json!("unit_amount")),
        (vec![("unit_amount", "1"), ("unit_amount_decimal", "1")], json!(null)),
        (vec![("unit_amount", "-1")], json!("unit_amount")),
        (vec![("unit_amount", "100000000")], json!("unit_amount")),
        (
            vec![("tiers_mode", "volume"), ("unit_amount", "1")],
            json!("tiers_mode"),
        ),
        (tiered(&[]), json!("tiers")),
        (tiered(&[("unit_amount", "1")]), json!("unit_amount")),
        (
            tiered(&[("tiers[0][up_to]", "5"), ("tiers[0][unit_amount]", "1")]),
            json!("tiers"),
        ),
        (tiered(&[("tiers[0][up_to]", "inf")]), json!("tiers[0][unit_amount]")),
        (
            tiered(&[
                ("tiers[0][up_to]", "5"),
                ("tiers[0][unit_amount]", "1"),
                ("tiers[1][up_to]", "5"),
                ("tiers[1][unit_amount]", "1"),
            ]),
            json!("tiers[1][up_to]"),
        ),
        (
            vec![("custom_unit_amount[enabled]", "false")],
            json!("custom_unit_amount"),
        ),
        (
            vec![
                ("unit_amount", "1"),
                ("transform_quantity[divide_by]", "0"),
                ("transform_quantity[round]", "up"),
            ],
            json!("transform_quantity[divide_by]"),
        ),
        (
            vec![("unit_amount", "1"), ("currency_options[usd][unit_amount]", "1")],
            json!("currency_options[usd]"),
        ),
    ] {
        let mut form = vec![("product", &*product), ("currency", "usd")];
        form.extend(terms);
        let answer = world.call("POST", "/v1/prices", &form).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &param),
            "{form:?}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn products_keep_their_looks_and_go_when_they_have_no_prices() {
    let world = start().await;
    let form = [
        ("name", "Box"),
        ("marketing_features[0][name]", "Red"),
        ("package_dimensions[height]", "1.50"),
        ("package_dimensions[length]", "2"),
        ("package_dimensions[weight]", "3"),
        ("package_dimensions[width]", "4"),
        ("shippable", "true"),
        ("url", "https://example.com/box"),
    ];
    let made = world.post("/v1/products", &form).await;
    assert_eq!(
        made["package_dimensions"],
        json!({ "height": 1.5, "length": 2, "weight": 3, "width": 4 })
    );
    assert_eq!(made["marketing_features"], json!([{ "name": "Red" }]));
    let path = format!("/v1/products/{}", text(&made["id"]));
    let cleared = [("marketing_features", ""), ("package_dimensions", ""), ("url", "")];
    let cleared = world.post(&path, &cleared).await;
    assert_eq!(
        (
            &cleared["marketing_features"],
            &cleared["package_dimensions"],
            &cleared["url"]
        ),
        (&json!([]), &json!(null), &json!(null))
    );
    let other = product(&world).await;
    let own = price(
        &world,
        &text(&made["id"]),
        &[("unit_amount", "900"), ("lookup_key", "box")],
    )
    .await;
    let foreign = price(&world, &other, &[("unit_amount", "900")]).await;
    let refused = world
        .call("POST", &path, &[("default_price", &text(&foreign["id"]))])
        .await;
    assert_eq!(refused.json()["error"]["param"], "default_price");
    world.post(&path, &[("default_price", &text(&own["id"]))]).await;
    let archived = world
        .call(
            "POST",
            &format!("/v1/prices/{}", text(&own["id"])),
            &[("active", "false")],
        )
        .await;
    assert_eq!(archived.status, 400, "{}", archived.text);
    assert_eq!(world.call("DELETE", &path, &[]).await.status, 400);

    for (query, count) in [
        ("products/search?query=name:'Box'", 1),
        ("products/search?query=active:'true'", 2),
        ("products/search?query=shippable:'true' AND name~'o'", 1),
        ("prices/search?query=lookup_key:'box'", 1),
        ("prices?lookup_keys[]=box", 1),
        ("prices?currency=USD", 2),
        ("products?shippable=true", 1),
    ] {
        let found = world.get(&format!("/v1/{query}")).await;
        assert_eq!(found["data"].as_array().unwrap().len(), count, "{query}");
    }
    let alone = product(&world).await;
    let gone = world.call("DELETE", &format!("/v1/products/{alone}"), &[]).await;
    assert_eq!(
        gone.json(),
        json!({ "id": alone, "object": "product", "deleted": true })
    );
    let events = world.events().await;
    assert!(has_in_order(
        &events,
        &["product.created", "product.updated", "price.created", "product.deleted"]
    ));
}
