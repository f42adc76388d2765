//! The currency of a subscription: that of its prices.

use serde_json::{Value, json};

use crate::client::{World, start, text};

async fn price(world: &World, product: &str, more: &[(&str, &str)]) -> String {
    let terms = [
        ("product", product),
        ("unit_amount", "1000"),
        ("recurring[interval]", "month"),
    ];
    text(&world.post("/v1/prices", &[&terms[..], more].concat()).await["id"])
}

async fn refused(world: &World, path: &str, form: &[(&str, &str)]) -> Value {
    let answer = world.call("POST", path, form).await;
    assert_eq!(answer.status, 400, "{path} {form:?}: {}", answer.text);
    answer.json()["error"].clone()
}

#[tokio::test]
async fn a_subscription_is_in_the_currency_of_its_prices() {
    let world = start().await;
    let customer = world.customer().await;
    world.give_card(&customer, "visa").await;
    let product = text(&world.post("/v1/products", &[("name", "Pro")]).await["id"]);
    let dollars = price(
        &world,
        &product,
        &[("currency", "usd"), ("currency_options[gbp][unit_amount]", "800")],
    )
    .await;
    let euros = price(&world, &product, &[("currency", "eur")]).await;
    let form = |price| vec![("customer", &*customer), ("items[0][price]", price)];
    let of = |price, currency| [&form(price)[..], &[("currency", currency)]].concat();
    let create = "/v1/subscriptions";
    let begun = world.post(create, &of(&dollars, "USD")).await;
    assert_eq!(begun["currency"], "usd");
    let error = refused(&world, create, &of(&dollars, "eur")).await;
    let message = "The price specified only supports `usd`. This doesn't match the expected currency: `eur`.";
    assert_eq!(
        (&error["message"], &error["param"], &error["code"]),
        (&json!(message), &json!("currency"), &Value::Null)
    );
    let error = refused(&world, create, &of(&dollars, "gbp")).await;
    assert_eq!(
        error["code"], "sandbox_unsupported_parameter",
        "it does not know the second"
    );
    let error = refused(&world, create, &of(&dollars, "dollars")).await;
    assert_eq!(error["param"], "currency");

    // No item changes it.
    let path = format!("{create}/{}", text(&begun["id"]));
    let item = text(&begun["items"]["data"][0]["id"]);
    let message = "The price specified only supports `eur`. This doesn't match the expected currency: `usd`.";
    for form in [
        vec![("items[0][id]", &*item), ("items[0][price]", &*euros)],
        vec![("items[0][price]", &*euros)],
        vec![
            ("items[1][id]", &*item),
            ("items[1][deleted]", "true"),
            ("items[0][price]", &*euros),
        ],
    ] {
        let error = refused(&world, &path, &form).await;
        assert_eq!(
            (&error["message"], &error["param"]),
            (&json!(message), &json!("items[0][price]"))
        );
    }
    let by_item = format!("/v1/subscription_items/{item}");
    let error = refused(&world, &by_item, &[("price", &*euros)]).await;
    assert_eq!((&error["message"], &error["param"]), (&json!(message), &json!("price")));
    assert_eq!(world.get(&path).await, begun);
}
