//! `SubscriptionService`.

use counterfoil_proto::billing::v1 as pb;
use counterfoil_test_support::told;
use tonic::Code;

use crate::world::{KEY, OTHER_KEY, World};

fn cancel(subscription_id: &str, key: &str) -> pb::CancelSubscriptionRequest {
    pb::CancelSubscriptionRequest {
        idempotency_key: key.to_owned(),
        subscription_id: subscription_id.to_owned(),
    }
}

#[tokio::test]
async fn a_subscription_is_shown_as_its_events_built_it() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    insta::assert_debug_snapshot!(world.get(&id).await);
}

#[tokio::test]
async fn cancelling_at_period_end_is_seen_at_once_and_a_repeat_is_told_the_same() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    let mut client = world.subscriptions.clone();
    let first = client
        .cancel_subscription(cancel(&id, OTHER_KEY))
        .await
        .unwrap()
        .into_inner()
        .subscription
        .unwrap();
    assert_eq!(first.cancel_time, first.items[0].current_period_end_time);
    assert_eq!(first.status(), pb::SubscriptionStatus::Active);
    // Read before any event about it: the call's own answer was stored.
    assert_eq!(world.get(&id).await, first);
    let again = client
        .cancel_subscription(cancel(&id, OTHER_KEY))
        .await
        .unwrap()
        .into_inner()
        .subscription
        .unwrap();
    assert_eq!(again, first);
    assert!(world.access("ada", "reports").await.allowed);
}

#[tokio::test]
async fn a_subscription_that_has_ended_cannot_be_canceled() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    world
        .stripe
        .call("DELETE", &format!("/v1/subscriptions/{id}"), &[])
        .await;
    world.feed_all().await;
    let error = world
        .subscriptions
        .clone()
        .cancel_subscription(cancel(&id, KEY))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("has ended"));
}

#[tokio::test]
async fn an_unknown_subscription_is_not_found() {
    let world = World::new().await;
    let get = pb::GetSubscriptionRequest {
        subscription_id: "sub_unknown".to_owned(),
    };
    let error = world.subscriptions.clone().get_subscription(get).await.unwrap_err();
    insta::assert_snapshot!(told(&error));
    let error = world
        .subscriptions
        .clone()
        .cancel_subscription(cancel("sub_unknown", KEY))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn ids_and_tokens_that_are_none_are_refused() {
    let world = World::new().await;
    let mut client = world.subscriptions.clone();
    let get = pb::GetSubscriptionRequest {
        subscription_id: "cus_1".to_owned(),
    };
    let list = pb::ListSubscriptionsRequest {
        user_id: String::new(),
        page_size: -1,
        page_token: "!".to_owned(),
    };
    let errors = [
        client.get_subscription(get).await.unwrap_err(),
        client.list_subscriptions(list).await.unwrap_err(),
        client.cancel_subscription(cancel("", "")).await.unwrap_err(),
    ];
    insta::assert_snapshot!(errors.iter().map(told).collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn a_users_subscriptions_are_listed_newest_first_page_by_page() {
    let world = World::new().await;
    let customer_id = world.customer("ada").await;
    let method = world
        .stripe
        .call(
            "POST",
            "/v1/payment_methods/pm_card_visa/attach",
            &[("customer", &customer_id)],
        )
        .await;
    let method = method["id"].as_str().unwrap();
    let mut made = Vec::new();
    for _ in 0..5 {
        world.stripe.advance(60).await;
        let form = [
            ("customer", customer_id.as_str()),
            ("items[0][price]", &world.price_id),
            ("default_payment_method", method),
        ];
        let subscription = world.stripe.call("POST", "/v1/subscriptions", &form).await;
        made.push(subscription["id"].as_str().unwrap().to_owned());
    }
    world.feed_all().await;
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListSubscriptionsRequest {
            user_id: "ada".to_owned(),
            page_size: 2,
            page_token,
        };
        let page = world
            .subscriptions
            .clone()
            .list_subscriptions(request)
            .await
            .unwrap()
            .into_inner();
        assert!(page.subscriptions.len() <= 2);
        listed.extend(
            page.subscriptions
                .into_iter()
                .map(|subscription| subscription.subscription_id),
        );
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    made.reverse();
    assert_eq!(listed, made);
}
