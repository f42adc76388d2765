//! `CheckoutService`.

use counterfoil_proto::billing::v1 as pb;
use counterfoil_test_support::{eventually, told};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde_json::json;
use tonic::Code;

use crate::world::{KEY, OTHER_KEY, World};

#[tokio::test]
async fn a_repeat_with_the_same_key_gets_the_same_session_and_its_page() {
    let world = World::new().await;
    let customer_id = world.customer("ada").await;
    let mut client = world.checkout.clone();
    let first = client
        .create_checkout_session(world.checkout_of("ada"))
        .await
        .unwrap()
        .into_inner();
    let again = client
        .create_checkout_session(world.checkout_of("ada"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);
    let session = first.checkout_session.unwrap();
    assert_eq!(session.stripe_customer_id, customer_id);
    assert_eq!(world.stripe.list("/v1/checkout/sessions").await.len(), 1);

    let made = &world.stripe.list("/v1/checkout/sessions").await[0];
    assert_eq!(made["metadata"], json!({"user_id": "ada", "source": "counterfoil"}));
    assert_eq!(made["mode"], "subscription");

    let other = pb::CreateCheckoutSessionRequest {
        idempotency_key: OTHER_KEY.to_owned(),
        ..world.checkout_of("ada")
    };
    let other = client
        .create_checkout_session(other)
        .await
        .unwrap()
        .into_inner()
        .checkout_session
        .unwrap();
    assert_ne!(other.checkout_session_id, session.checkout_session_id);
}

#[tokio::test]
async fn the_same_key_with_another_request_is_refused() {
    let world = World::new().await;
    world.customer("ada").await;
    let mut client = world.checkout.clone();
    client.create_checkout_session(world.checkout_of("ada")).await.unwrap();
    let other = pb::CreateCheckoutSessionRequest {
        quantity: 2,
        ..world.checkout_of("ada")
    };
    let error = client.create_checkout_session(other).await.unwrap_err();
    insta::assert_snapshot!(told(&error));
}

#[tokio::test]
async fn all_that_is_wrong_with_a_request_is_told_at_once() {
    let world = World::new().await;
    let request = pb::CreateCheckoutSessionRequest {
        idempotency_key: "again".to_owned(),
        user_id: "a b".to_owned(),
        price_id: "prod_1".to_owned(),
        quantity: -1,
        success_url: "https://evil.example/".to_owned(),
        cancel_url: "https://shop.example@evil.example/".to_owned(),
    };
    let error = world
        .checkout
        .clone()
        .create_checkout_session(request)
        .await
        .unwrap_err();
    insta::assert_snapshot!(told(&error));
    assert!(world.stripe.list("/v1/checkout/sessions").await.is_empty());
}

#[tokio::test]
async fn a_price_stripe_does_not_have_is_not_found_and_stays_so_for_the_key() {
    let world = World::new().await;
    world.customer("ada").await;
    let request = pb::CreateCheckoutSessionRequest {
        price_id: "price_unknown".to_owned(),
        ..world.checkout_of("ada")
    };
    let mut client = world.checkout.clone();
    let error = client.create_checkout_session(request.clone()).await.unwrap_err();
    insta::assert_snapshot!(told(&error));
    let again = client.create_checkout_session(request).await.unwrap_err();
    assert_eq!(told(&again), told(&error));
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_makes_no_second_session() {
    let world = World::new().await;
    world.customer("ada").await;
    world
        .stripe
        .spoil("/v1/checkout/sessions", 2, json!({"kind": "reset_after"}))
        .await;
    let mut client = world.checkout.clone();
    let error = client
        .create_checkout_session(world.checkout_of("ada"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    insta::assert_snapshot!(error.message());
    client.create_checkout_session(world.checkout_of("ada")).await.unwrap();
    assert_eq!(world.stripe.list("/v1/checkout/sessions").await.len(), 1);
}

#[tokio::test]
async fn a_user_nobody_has_told_of_waits_for_the_customer_service() {
    let world = World::new().await;
    let error = world
        .checkout
        .clone()
        .create_checkout_session(world.checkout_of("nobody"))
        .await
        .unwrap_err();
    insta::assert_snapshot!(told(&error));
}

#[tokio::test]
async fn a_user_whose_id_is_too_long_for_stripes_reference_can_buy() {
    let world = World::new().await;
    let mut client = world.checkout.clone();
    let longest = "u".repeat(200);
    for (user_id, reference, key) in [
        (longest.clone(), json!(longest), KEY),
        ("ü".repeat(201), json!(null), OTHER_KEY),
    ] {
        world.customer(&user_id).await;
        let request = pb::CreateCheckoutSessionRequest {
            idempotency_key: key.to_owned(),
            ..world.checkout_of(&user_id)
        };
        client.create_checkout_session(request).await.unwrap();
        let made = &world.stripe.list("/v1/checkout/sessions").await[0];
        assert_eq!(made["client_reference_id"], reference);
        assert_eq!(made["metadata"]["user_id"], user_id);
    }
}

#[tokio::test]
async fn an_owner_whose_work_was_taken_over_gets_the_same_answer_as_its_heir() {
    let world = World::new().await;
    world.customer("ada").await;
    let call = || {
        let (mut client, request) = (world.checkout.clone(), world.checkout_of("ada"));
        tokio::spawn(async move { client.create_checkout_session(request).await })
    };
    let db = world.db();
    let mut gate = db.conn().await.unwrap();
    // Nobody comes past the claim to the ledger.
    gate.batch_execute("begin; lock table stripe_request in share mode")
        .await
        .unwrap();
    let first = call();
    let lapse = "update claim set lease_until = clock_timestamp() where generation = 1";
    eventually("the first to own the claim", async || {
        let lapsed = diesel::sql_query(lapse).execute(&mut db.conn().await.unwrap()).await;
        (lapsed.unwrap() == 1).then_some(())
    })
    .await;
    let heir = call();
    eventually("the heir to own the claim", async || {
        let lapsed = diesel::sql_query(lapse).execute(&mut db.conn().await.unwrap()).await;
        (lapsed.unwrap() == 0).then_some(())
    })
    .await;
    gate.batch_execute("commit").await.unwrap();
    let first = first.await.unwrap().unwrap().into_inner();
    assert_eq!(heir.await.unwrap().unwrap().into_inner(), first);
    assert_eq!(world.stripe.list("/v1/checkout/sessions").await.len(), 1);
}
