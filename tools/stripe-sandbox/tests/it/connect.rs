use reqwest::Method;
use serde_json::json;

use crate::{
    client::{send, start, text},
    receiver::Receiver,
};

#[tokio::test]
async fn onboarding_on_its_page_enables_the_account_and_tells_connect_endpoints_only() {
    let world = start().await;
    let (platform, connect) = (Receiver::start().await, Receiver::start().await);
    platform.register(&world, json!({})).await;
    connect.register(&world, json!({ "connect": true })).await;
    let form = [
        ("country", "DE"),
        ("controller[losses][payments]", "application"),
        ("controller[fees][payer]", "application"),
        ("controller[requirement_collection]", "stripe"),
        ("controller[stripe_dashboard][type]", "express"),
        ("capabilities[transfers][requested]", "true"),
    ];
    let account = world.post("/v1/accounts", &form).await;
    assert_eq!(
        (&account["type"], &account["details_submitted"]),
        (&json!("express"), &json!(false))
    );
    assert_eq!(account["capabilities"]["transfers"], "inactive");
    let id = text(&account["id"]);
    let form = [
        ("account", &*id),
        ("type", "account_onboarding"),
        ("refresh_url", "https://example.com/again"),
        ("return_url", "https://example.com/back"),
    ];
    let link = text(&world.post("/v1/account_links", &form).await["url"]);
    assert_eq!(send(world.http.get(&link)).await.status, 200);
    assert_eq!(
        send(world.http.get(&link)).await.header("location"),
        "https://example.com/again"
    );
    let done = send(world.http.post(&link).form(&[("action", "submit")])).await;
    assert_eq!(
        (done.status, done.header("location")),
        (303, "https://example.com/back")
    );
    let account = world.get(&format!("/v1/accounts/{id}")).await;
    for name in ["details_submitted", "charges_enabled", "payouts_enabled"] {
        assert_eq!(account[name], true, "{name}");
    }
    assert_eq!(account["requirements"]["currently_due"], json!([]));

    world.settle().await;
    let told = connect.events();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["type"], &told[0]["account"]),
        (&json!("account.updated"), &json!(id))
    );
    assert_eq!(told[0]["data"]["previous_attributes"]["charges_enabled"], false);
    assert!(platform.events().is_empty());
}

#[tokio::test]
async fn an_accounts_data_is_its_own() {
    let world = start().await;
    let account = text(
        &world
            .post("/v1/accounts", &[("type", "standard"), ("country", "US")])
            .await["id"],
    );
    let theirs = world
        .request(Method::POST, "/v1/customers")
        .header("stripe-account", &account);
    let theirs = text(&send(theirs.form(&[("email", "a@example.com")])).await.json()["id"]);
    let path = format!("/v1/customers/{theirs}");
    assert_eq!(world.call("GET", &path, &[]).await.status, 404);
    assert_eq!(
        send(world.request(Method::GET, &path).header("stripe-account", &account))
            .await
            .status,
        200
    );
    let unknown = send(
        world
            .request(Method::GET, &path)
            .header("stripe-account", "acct_unknown"),
    )
    .await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (403, &json!("account_invalid"))
    );
    assert_eq!(world.get("/v1/customers").await["data"], json!([]));
    assert_eq!(world.get("/v1/accounts").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_charge_of_a_connected_account_is_disputed_there() {
    let world = start().await;
    let account = text(&world.post("/v1/accounts", &[("country", "GB")]).await["id"]);
    let own = async |method: Method, path: &str, form: &[(&str, &str)]| {
        let request = world.request(method, path).header("stripe-account", &account);
        send(request.form(form)).await.json()
    };
    let form = [
        ("amount", "10000"),
        ("currency", "gbp"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
    ];
    let charge = own(Method::POST, "/v1/payment_intents", &form).await["latest_charge"].clone();
    let wanted = json!({ "charge": charge, "reason": "unrecognized" });
    assert_eq!(world.control("disputes", wanted).await.status, 400);
    let wanted = json!({ "charge": charge, "reason": "unrecognized", "account": account });
    let dispute = world.control("disputes", wanted).await.json();
    let path = format!("disputes/{}", text(&dispute["id"]));
    assert_eq!(world.control(&path, json!({ "status": "lost" })).await.status, 404);
    let lost = json!({ "status": "lost", "account": account });
    assert_eq!(world.control(&path, lost).await.json()["status"], "lost");
    let balance = own(Method::GET, "/v1/balance", &[]).await;
    assert_eq!(balance["available"][0]["amount"], -11_500);
    let told = own(Method::GET, "/v1/events?type=charge.dispute.closed", &[]).await;
    assert_eq!(told["data"][0]["account"], account);
}
