use serde_json::json;

use crate::{
    client::{START, start, text},
    receiver::Receiver,
};

#[tokio::test]
async fn any_event_is_made_with_the_fields_that_are_given() {
    let world = start().await;
    let receiver = Receiver::start().await;
    receiver.register(&world, json!({})).await;
    let data =
        json!({ "status": "past_due", "customer": "cus_1", "cancellation_details": { "reason": "payment_failed" } });
    let wanted =
        json!({ "type": "customer.subscription.updated", "data": data, "previous_attributes": { "status": "active" } });
    let event = world.control("trigger", wanted).await.json();
    world.settle().await;
    let delivered = &receiver.events()[0];
    assert_eq!((&delivered["id"], &delivered["data"]), (&event["id"], &event["data"]));
    let object = &event["data"]["object"];
    assert!(text(&object["id"]).starts_with("sub_"));
    assert_eq!(
        (&object["status"], &object["created"], &object["billing_mode"]["type"]),
        (&json!("past_due"), &json!(START), &json!("flexible"))
    );
    assert_eq!(
        object["cancellation_details"],
        json!({ "comment": null, "feedback": null, "reason": "payment_failed" })
    );
    assert_eq!(event["data"]["previous_attributes"]["status"], "active");
    let read = world.get(&format!("/v1/events/{}", text(&event["id"]))).await;
    assert_eq!(read["data"], event["data"]);
    let missing = world
        .call("GET", &format!("/v1/subscriptions/{}", text(&object["id"])), &[])
        .await;
    assert_eq!(missing.status, 404, "only the event was made");
}

#[tokio::test]
async fn an_event_may_be_about_what_there_is_and_about_what_the_sandbox_does_not_serve() {
    let world = start().await;
    let customer = world.customer().await;
    let wanted = json!({ "type": "customer.updated", "data": { "id": customer, "name": "New" } });
    let event = world.control("trigger", wanted).await.json();
    let object = &event["data"]["object"];
    assert_eq!(
        (&object["email"], &object["name"], object.get("_sandbox")),
        (&json!("jenny@example.com"), &json!("New"), None)
    );
    let wanted = json!({ "type": "charge.dispute.created", "data": { "amount": 900 } });
    let event = world.control("trigger", wanted).await.json();
    let object = &event["data"]["object"];
    assert!(text(&object["id"]).starts_with("dp_"));
    assert_eq!((&object["object"], &object["amount"]), (&json!("dispute"), &json!(900)));
    assert_eq!(
        world.events().await,
        ["customer.created", "customer.updated", "charge.dispute.created"]
    );
}

#[tokio::test]
async fn an_event_of_a_connected_account_goes_where_those_go() {
    let world = start().await;
    let (own, connected) = (Receiver::start().await, Receiver::start().await);
    own.register(&world, json!({})).await;
    connected.register(&world, json!({ "connect": true })).await;
    let account = text(
        &world
            .post("/v1/accounts", &[("type", "express"), ("country", "US")])
            .await["id"],
    );
    let wanted = json!({ "type": "payout.paid", "account": account });
    let event = world.control("trigger", wanted).await.json();
    assert_eq!(event["account"], json!(account));
    world.settle().await;
    assert!(connected.types().contains(&"payout.paid".to_owned()));
    assert!(!own.types().contains(&"payout.paid".to_owned()));
    for wrong in [
        json!({ "type": "customer.exploded" }),
        json!({ "type": "*" }),
        json!({ "type": "payout.paid", "data": [] }),
        json!({ "event": "payout.paid" }),
    ] {
        assert_eq!(world.control("trigger", wrong).await.status, 400);
    }
    let elsewhere = json!({ "type": "payout.paid", "account": "acct_x" });
    assert_eq!(world.control("trigger", elsewhere).await.status, 403);
}
