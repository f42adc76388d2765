use serde_json::json;

use crate::{
    client::{start, text},
    receiver::Receiver,
};

#[tokio::test]
async fn a_delivery_is_signed_and_tried_again_until_it_is_accepted() {
    let world = start().await;
    let receiver = Receiver::failing(2).await;
    receiver.register(&world, json!({})).await;
    let customer = world.customer().await;
    world.settle().await;
    let events = receiver.events();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["type"], &events[0]["data"]["object"]["id"]),
        (&json!("customer.created"), &json!(customer))
    );
    assert_eq!(
        (&events[0]["api_version"], &events[0]["pending_webhooks"]),
        (&json!("2026-09-30.endive"), &json!(1))
    );
    assert!(text(&events[0]["request"]["id"]).starts_with("req_"));
    assert_eq!(receiver.signatures().len(), 3);
    assert_eq!(world.look("deliveries").await["attempts"], 3);
    let event = world.get(&format!("/v1/events/{}", text(&events[0]["id"]))).await;
    assert_eq!(event["pending_webhooks"], 0);
    assert_eq!(world.get("/v1/events?delivery_success=false").await["data"], json!([]));
}

#[tokio::test]
async fn an_endpoint_gets_the_types_it_asked_for() {
    let world = start().await;
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    all.register(&world, json!({})).await;
    some.register(
        &world,
        json!({ "enabled_events": ["checkout.session.completed", "invoice.paid"] }),
    )
    .await;
    world.subscription().await;
    world.settle().await;
    let mut wanted = some.types();
    wanted.sort();
    assert_eq!(wanted, ["checkout.session.completed", "invoice.paid"]);
    assert_eq!(all.types().len(), world.events().await.len());
}

#[tokio::test]
async fn an_endpoint_made_by_the_api_shows_its_secret_once_and_is_gone_when_deleted() {
    let world = start().await;
    let form = [("url", "http://127.0.0.1:1/hook"), ("enabled_events[]", "*")];
    let endpoint = world.post("/v1/webhook_endpoints", &form).await;
    assert!(text(&endpoint["secret"]).starts_with("whsec_"));
    let path = format!("/v1/webhook_endpoints/{}", text(&endpoint["id"]));
    assert_eq!(world.get(&path).await.get("secret"), None);
    world.customer().await;
    assert_eq!(world.look("deliveries").await["pending"], 1);
    assert_eq!(world.call("DELETE", &path, &[]).await.json()["deleted"], true);
    world.settle().await;
    assert_eq!(world.look("deliveries").await["abandoned"], 1);
    assert_eq!(world.get("/v1/webhook_endpoints").await["data"], json!([]));
}

#[tokio::test]
async fn registering_again_changes_the_endpoint_there_is() {
    let world = start().await;
    let receiver = Receiver::start().await;
    let first = receiver.register(&world, json!({ "secret": "whsec_other" })).await;
    world.customer().await;
    while receiver.signatures().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(receiver.events().is_empty(), "signed with another secret");
    assert_eq!(receiver.register(&world, json!({})).await["id"], first["id"]);
    world.settle().await;
    assert_eq!(receiver.types(), ["customer.created"]);

    let named = world
        .control(
            "webhook_endpoints",
            json!({ "name": "n", "url": "http://127.0.0.1:1/" }),
        )
        .await
        .json();
    let moved = world
        .control(
            "webhook_endpoints",
            json!({ "name": "n", "url": "http://127.0.0.1:2/" }),
        )
        .await
        .json();
    assert_eq!(named, moved);
    for wrong in [
        json!({ "url": "ftp://x/" }),
        json!({ "url": "http://x/", "secret": " " }),
        json!({ "uri": "http://x/" }),
    ] {
        assert_eq!(world.control("webhook_endpoints", wrong).await.status, 400);
    }
}
