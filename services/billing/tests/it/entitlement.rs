//! `EntitlementService`.

use counterfoil_proto::billing::v1 as pb;
use counterfoil_test_support::told;

use crate::world::World;

#[tokio::test]
async fn access_begins_with_payment_and_ends_with_the_subscription() {
    let world = World::new().await;
    let before = world.access("ada", "reports").await;
    assert_eq!(
        (before.allowed, before.reason()),
        (false, pb::AccessReason::NoSubscription)
    );

    let id = world.subscription("ada").await;
    insta::assert_debug_snapshot!(world.access("ada", "reports").await);
    assert!(world.access("ada", "exports").await.allowed);
    assert!(!world.access("ada", "another").await.allowed);
    assert!(!world.access("grace", "reports").await.allowed);

    world
        .stripe
        .call("DELETE", &format!("/v1/subscriptions/{id}"), &[])
        .await;
    world.feed_all().await;
    let after = world.access("ada", "reports").await;
    assert_eq!(
        (after.allowed, after.reason()),
        (false, pb::AccessReason::SubscriptionInactive)
    );
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let world = World::new().await;
    let request = pb::CheckAccessRequest {
        user_id: String::new(),
        feature: "Reports!".to_owned(),
    };
    let error = world.entitlements.clone().check_access(request).await.unwrap_err();
    insta::assert_snapshot!(told(&error));
}
