//! Events twice, late, and in every order: what is stored in the end is what Stripe has.

use counterfoil_events::Event;
use counterfoil_proto::billing::v1 as pb;

use crate::world::World;

/// All orders of `events`.
fn orders(events: &[Event]) -> Vec<Vec<Event>> {
    let Some((first, rest)) = events.split_first() else {
        return vec![Vec::new()];
    };
    let insert = |order: Vec<Event>| {
        (0..=order.len()).map(move |place| {
            let mut longer = order.clone();
            longer.insert(place, first.clone());
            longer
        })
    };
    orders(rest).into_iter().flat_map(insert).collect()
}

/// A subscription that was created, canceled at its period's end, kept after all, and ended: all in one second.
async fn history(world: &World) -> (String, Vec<Event>) {
    let customer_id = world.customer("ada").await;
    let method = world
        .stripe
        .call(
            "POST",
            "/v1/payment_methods/pm_card_visa/attach",
            &[("customer", &customer_id)],
        )
        .await;
    let form = [
        ("customer", customer_id.as_str()),
        ("items[0][price]", &world.price_id),
        ("default_payment_method", method["id"].as_str().unwrap()),
    ];
    let subscription = world.stripe.call("POST", "/v1/subscriptions", &form).await;
    let id = subscription["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/subscriptions/{id}");
    for cancel in ["true", "false"] {
        world
            .stripe
            .call("POST", &path, &[("cancel_at_period_end", cancel)])
            .await;
    }
    world.stripe.call("DELETE", &path, &[]).await;
    let mut events = world.events().await;
    events.retain(|event| event.object_id == id);
    (id, events)
}

#[tokio::test]
async fn every_order_of_one_seconds_events_each_twice_ends_as_stripe_has_it() {
    let world = World::new().await;
    let (id, events) = history(&world).await;
    assert!(events.len() >= 4, "{} events", events.len());
    for order in orders(&events[..4.min(events.len())]) {
        world.forget().await;
        for event in order.iter().chain(&order) {
            world.feed(event).await;
        }
        let stored = world.get(&id).await;
        assert_eq!(stored.status(), pb::SubscriptionStatus::Canceled);
        assert!(stored.end_time.is_some());
    }
}

#[tokio::test]
async fn an_event_known_already_writes_nothing() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    let customer_id = world.get(&id).await.stripe_customer_id;
    let old = world.events().await;
    // What happened in the last second that is known would be read at Stripe once more, so both have a later one.
    world.stripe.advance(60).await;
    for (path, field) in [("subscriptions", &id), ("customers", &customer_id)] {
        let path = format!("/v1/{path}/{field}");
        world.stripe.call("POST", &path, &[("metadata[a]", "b")]).await;
    }
    world.feed_all().await;
    let rows = world.rows().await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(old.len() > 2);
    for event in &old {
        assert!(!world.feed(event).await, "{}", event.event_type);
    }
    assert_eq!(world.rows().await, rows);
}

#[tokio::test]
async fn a_late_event_does_not_bring_a_subscription_back() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    let active = world
        .events()
        .await
        .into_iter()
        .rfind(|event| event.object_id == id)
        .unwrap();
    world.stripe.advance(29 * 86_400).await;
    world
        .stripe
        .call("DELETE", &format!("/v1/subscriptions/{id}"), &[])
        .await;
    world.feed_all().await;
    assert!(!world.feed(&active).await);
    assert_eq!(world.get(&id).await.status(), pb::SubscriptionStatus::Canceled);
}

#[tokio::test]
async fn an_event_in_another_api_version_is_not_trusted_but_fetched() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    world.forget().await;
    let mut old = world
        .events()
        .await
        .into_iter()
        .rfind(|event| event.object_id == id)
        .unwrap();
    old.api_version = "2024-12-18.acacia".to_owned();
    old.body = String::from_utf8(old.body.to_vec())
        .unwrap()
        .replace("\"active\"", "\"past_due\"")
        .into();
    assert!(world.feed(&old).await);
    assert_eq!(world.get(&id).await.status(), pb::SubscriptionStatus::Active);
}

#[tokio::test]
async fn a_subscription_finds_its_user_though_the_customers_event_comes_last() {
    let world = World::new().await;
    world.subscription("ada").await;
    world.forget().await;
    let mut events = world.events().await;
    events.reverse();
    for event in &events {
        world.feed(event).await;
    }
    assert!(world.access("ada", "reports").await.allowed);
}

#[tokio::test]
async fn a_deleted_customer_keeps_its_user_but_is_sold_nothing_more() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    let customer_id = world.get(&id).await.stripe_customer_id;
    world
        .stripe
        .call("DELETE", &format!("/v1/customers/{customer_id}"), &[])
        .await;
    world.feed_all().await;
    assert_eq!(world.get(&id).await.user_id, "ada");
    assert!(!world.access("ada", "reports").await.allowed);
    let mut request = world.checkout_of("ada");
    request.idempotency_key = crate::world::OTHER_KEY.to_owned();
    // Billing knows of no living customer any more and asks the customer service, which is not there.
    assert_eq!(
        world
            .checkout
            .clone()
            .create_checkout_session(request)
            .await
            .unwrap_err()
            .code(),
        tonic::Code::Unavailable
    );
}

#[tokio::test]
async fn an_event_of_a_connected_account_is_none_of_the_platforms_business() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    world.forget().await;
    for mut event in world.events().await {
        event.account = "acct_1".to_owned();
        assert!(!world.feed(&event).await);
    }
    let get = pb::GetSubscriptionRequest { subscription_id: id };
    assert_eq!(
        world
            .subscriptions
            .clone()
            .get_subscription(get)
            .await
            .unwrap_err()
            .code(),
        tonic::Code::NotFound
    );
}

#[tokio::test]
async fn an_event_of_an_object_stripe_does_not_have_any_more_is_passed_over() {
    let world = World::new().await;
    let id = world.subscription("ada").await;
    let customer_id = world.get(&id).await.stripe_customer_id;
    let events = world.events().await;
    for (id, gone) in [(&id, "sub_gone"), (&customer_id, "cus_gone")] {
        let mut event = events.iter().rfind(|event| event.object_id == **id).unwrap().clone();
        // Not believed as it stands, so the object is fetched.
        event.api_version = "2024-12-18.acacia".to_owned();
        event.object_id = gone.to_owned();
        event.body = String::from_utf8(event.body.to_vec()).unwrap().replace(id, gone).into();
        assert!(!world.feed(&event).await, "{gone}");
    }
}
