//! Signing up and looking up.

use std::collections::HashSet;

use counterfoil_customer::model::signup::NewCustomer;
use counterfoil_customer::{store, stripe};
use counterfoil_proto::customer::v1 as pb;
use counterfoil_test_support::{SANDBOX_TIME, told};
use counterfoil_types::UserId;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::join_all;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::world::{Client, World};

async fn sign_up(client: &mut Client, user_id: &str) -> Result<pb::Customer, Status> {
    let request = pb::GetOrCreateCustomerRequest {
        user_id: user_id.to_owned(),
        email: "ada@example.com".to_owned(),
        name: "Ada".to_owned(),
    };
    let reply = client.get_or_create_customer(request).await?;
    Ok(reply.into_inner().customer.unwrap())
}

async fn look_up(client: &mut Client, id: pb::get_customer_request::Id) -> Result<pb::Customer, Status> {
    let reply = client.get_customer(pb::GetCustomerRequest { id: Some(id) }).await?;
    Ok(reply.into_inner().customer.unwrap())
}

fn user(id: &str) -> pb::get_customer_request::Id {
    pb::get_customer_request::Id::UserId(id.to_owned())
}

fn stripe_customer(id: &str) -> pb::get_customer_request::Id {
    pb::get_customer_request::Id::StripeCustomerId(id.to_owned())
}

#[tokio::test]
async fn the_first_call_makes_a_customer_and_later_ones_find_it() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let made = sign_up(&mut client, "ada").await.unwrap();
    insta::assert_debug_snapshot!(made);
    let mut other = world.serve().await;
    assert_eq!(sign_up(&mut other, "ada").await.unwrap(), made);
    assert_eq!(look_up(&mut other, user("ada")).await.unwrap(), made);
    assert_eq!(
        look_up(&mut other, stripe_customer(&made.stripe_customer_id))
            .await
            .unwrap(),
        made
    );
    let customers = world.customers().await;
    assert_eq!(customers.len(), 1);
    insta::assert_json_snapshot!("metadata_at_stripe", customers[0]["metadata"]);
}

#[tokio::test]
async fn two_hundred_calls_at_once_on_three_instances_make_one_customer() {
    let world = World::new().await;
    let clients = [world.serve().await, world.serve().await, world.serve().await];
    let calls = (0..200).map(|call| {
        let mut client = clients[call % 3].clone();
        tokio::spawn(async move { sign_up(&mut client, "ada").await })
    });
    let mut ids = HashSet::new();
    for call in join_all(calls).await {
        ids.insert(call.unwrap().unwrap().stripe_customer_id);
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(world.customers().await.len(), 1);
}

#[tokio::test]
async fn users_are_told_apart_however_odd_their_ids() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let longest = "ü".repeat(255);
    let mut ids = HashSet::new();
    for user_id in ["ada", "Ada", "ada:1", "4242424242424242", "ada@example.com", &longest] {
        let made = sign_up(&mut client, user_id).await.unwrap();
        assert_eq!(made.user_id, user_id);
        assert!(ids.insert(made.stripe_customer_id), "{user_id}");
    }
}

#[tokio::test]
async fn all_violations_of_a_request_are_told_at_once() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let request = pb::GetOrCreateCustomerRequest {
        user_id: "ada lovelace".to_owned(),
        email: "x".repeat(513),
        name: "A\u{0}da".to_owned(),
    };
    let status = client.get_or_create_customer(request).await.unwrap_err();
    insta::assert_snapshot!("violations", told(&status));
    let status = client
        .get_customer(pb::GetCustomerRequest { id: None })
        .await
        .unwrap_err();
    insta::assert_snapshot!("id_missing", told(&status));
    let status = look_up(&mut client, stripe_customer("sub_1")).await.unwrap_err();
    insta::assert_snapshot!("id_of_another_kind", told(&status));
    assert!(world.customers().await.is_empty());
}

#[tokio::test]
async fn a_customer_who_is_not_there_is_not_found() {
    let world = World::new().await;
    let mut client = world.serve().await;
    insta::assert_snapshot!(
        "unknown_user",
        told(&look_up(&mut client, user("ada")).await.unwrap_err())
    );
    insta::assert_snapshot!(
        "unknown_id",
        told(&look_up(&mut client, stripe_customer("cus_1")).await.unwrap_err())
    );
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_may_be_repeated_and_makes_no_second_customer() {
    let world = World::new().await;
    let mut client = world.serve().await;
    // The try and its one retry.
    world.spoil(2, json!({"kind": "reset_after"})).await;
    let status = sign_up(&mut client, "ada").await.unwrap_err();
    insta::assert_snapshot!("outcome_unknown", told(&status));
    let made = sign_up(&mut client, "ada").await.unwrap();
    let customers = world.customers().await;
    assert_eq!(customers.len(), 1);
    assert_eq!(customers[0]["id"], made.stripe_customer_id.as_str());
}

#[tokio::test]
async fn stripes_limit_and_its_absence_are_told_apart_and_harm_nothing() {
    let world = World::new().await;
    let mut client = world.serve().await;
    world.spoil(2, json!({"kind": "status", "status": 429})).await;
    let status = sign_up(&mut client, "ada").await.unwrap_err();
    insta::assert_snapshot!("rate_limited", told(&status));
    world.spoil(1, json!({"kind": "status", "status": 401})).await;
    let status = sign_up(&mut client, "ada").await.unwrap_err();
    // The key is ours, so the caller learns nothing but an id.
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
    sign_up(&mut client, "ada").await.unwrap();
    assert_eq!(world.customers().await.len(), 1);
}

/// What a process that dies leaves behind: a signup, and perhaps Stripe's answer in the ledger.
async fn begin(conn: &mut AsyncPgConnection, user_id: &str) -> counterfoil_customer::model::signup::Signup {
    let user_id = UserId::parse(user_id).unwrap();
    let new = NewCustomer {
        user_id: user_id.clone(),
        email: Some("first@example.com".to_owned()),
        name: None,
    };
    let now = chrono::DateTime::from_timestamp(SANDBOX_TIME, 0).unwrap();
    store::signup::begin(conn, &new, now).await.unwrap();
    store::signup::live(conn, &user_id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_crash_before_stripe_was_called_is_resumed() {
    let world = World::new().await;
    let mut client = world.serve().await;
    begin(&mut world.db().conn().await.unwrap(), "ada").await;
    let made = sign_up(&mut client, "ada").await.unwrap();
    assert_eq!(made.email, "first@example.com");
    assert_eq!(world.customers().await.len(), 1);
}

#[tokio::test]
async fn a_crash_after_stripe_answered_is_resumed_with_the_customer_as_it_is_now() {
    let world = World::new().await;
    let db = world.db();
    let mut client = world.serve().await;
    let signup = begin(&mut db.conn().await.unwrap(), "ada").await;
    world
        .stripe
        .client()
        .step(&db, &signup.op_key, &stripe::create_customer(&signup), None)
        .await
        .unwrap();
    let id = world.customers().await[0]["id"].as_str().unwrap().to_owned();
    world
        .stripe
        .call(
            "POST",
            &format!("/v1/customers/{id}"),
            &[("email", "later@example.com")],
        )
        .await;

    let made = sign_up(&mut client, "ada").await.unwrap();
    assert_eq!(
        (made.stripe_customer_id, made.email.as_str()),
        (id, "later@example.com")
    );
    assert_eq!(world.customers().await.len(), 1);
}

#[tokio::test]
async fn a_customer_deleted_before_it_was_recorded_is_followed_by_a_new_one() {
    let world = World::new().await;
    let db = world.db();
    let mut client = world.serve().await;
    let signup = begin(&mut db.conn().await.unwrap(), "ada").await;
    world
        .stripe
        .client()
        .step(&db, &signup.op_key, &stripe::create_customer(&signup), None)
        .await
        .unwrap();
    let id = world.customers().await[0]["id"].as_str().unwrap().to_owned();
    world.stripe.call("DELETE", &format!("/v1/customers/{id}"), &[]).await;

    let made = sign_up(&mut client, "ada").await.unwrap();
    assert_ne!(made.stripe_customer_id, id);
    assert!(look_up(&mut client, stripe_customer(&id)).await.unwrap().deleted);
}

#[tokio::test]
async fn a_deleted_customer_stays_to_be_seen_and_the_user_gets_a_new_one() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let first = sign_up(&mut client, "ada").await.unwrap();
    world
        .stripe
        .call("DELETE", &format!("/v1/customers/{}", first.stripe_customer_id), &[])
        .await;
    for event in world.stripe.events().await {
        world.feed(&event).await;
    }
    assert!(look_up(&mut client, user("ada")).await.unwrap().deleted);
    let second = sign_up(&mut client, "ada").await.unwrap();
    assert_ne!(second.stripe_customer_id, first.stripe_customer_id);
    assert_eq!(look_up(&mut client, user("ada")).await.unwrap(), second);
    let first = look_up(&mut client, stripe_customer(&first.stripe_customer_id))
        .await
        .unwrap();
    assert!(first.deleted && first.user_id == "ada");
}

#[tokio::test]
async fn the_app_role_may_not_change_tables() {
    let world = World::new().await;
    let mut conn = world.db().conn().await.unwrap();
    assert!(diesel::sql_query("drop table signup").execute(&mut conn).await.is_err());
    assert!(
        diesel::sql_query("create table other (id int)")
            .execute(&mut conn)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_email_stripe_refuses_names_our_field_and_the_next_call_starts_afresh() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let mut request = pb::GetOrCreateCustomerRequest {
        user_id: "ada".to_owned(),
        email: "no address".to_owned(),
        name: String::new(),
    };
    let status = client.get_or_create_customer(request.clone()).await.unwrap_err();
    insta::assert_snapshot!("email_refused", told(&status));
    request.email = "ada@example.com".to_owned();
    let made = client
        .get_or_create_customer(request)
        .await
        .unwrap()
        .into_inner()
        .customer
        .unwrap();
    assert_eq!(made.email, "ada@example.com");
    assert_eq!(world.customers().await.len(), 1);
}

#[tokio::test]
async fn migrations_run_up_down_and_up() {
    let world = World::new().await;
    let migrated = world.migrate_again().await;
    assert!(migrated.iter().any(|name| name == "20261123150000"), "{migrated:?}");
}

/// Makes the ledger's rows as old as the sandbox's clock is behind, which is more than 23 hours.
async fn age(world: &World) {
    let mut conn = world.db().conn().await.unwrap();
    let aged = diesel::sql_query(format!(
        "update stripe_request set first_sent_at = to_timestamp({SANDBOX_TIME})"
    ));
    assert_eq!(aged.execute(&mut conn).await.unwrap(), 1);
}

#[tokio::test]
async fn a_creation_that_was_lost_for_a_day_before_its_effect_is_followed_by_another() {
    let world = World::new().await;
    let mut client = world.serve().await;
    world.spoil(2, json!({"kind": "reset_before"})).await;
    let status = sign_up(&mut client, "ada").await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "OUTCOME_UNKNOWN");
    assert!(world.customers().await.is_empty());
    age(&world).await;
    let made = sign_up(&mut client, "ada").await.unwrap();
    let customers = world.customers().await;
    assert_eq!(customers.len(), 1);
    assert_eq!(customers[0]["id"], made.stripe_customer_id.as_str());
    assert_eq!(sign_up(&mut client, "ada").await.unwrap(), made);
}

#[tokio::test]
async fn a_creation_that_was_lost_for_a_day_after_its_effect_is_found_among_those_of_its_time() {
    let world = World::new().await;
    let mut client = world.serve().await;
    world.spoil(2, json!({"kind": "reset_after"})).await;
    sign_up(&mut client, "ada").await.unwrap_err();
    let id = world.customers().await[0]["id"].as_str().unwrap().to_owned();
    // A hundred are a page.
    for _ in 0..100 {
        world.stripe.call("POST", "/v1/customers", &[("name", "Grace")]).await;
    }
    age(&world).await;
    let made = sign_up(&mut client, "ada").await.unwrap();
    assert_eq!(made.stripe_customer_id, id);
    assert_eq!(sign_up(&mut client, "ada").await.unwrap(), made);
}

#[tokio::test]
async fn a_creation_that_was_lost_for_a_day_and_whose_customer_was_deleted_is_followed_by_another() {
    let world = World::new().await;
    let mut client = world.serve().await;
    world.spoil(2, json!({"kind": "reset_after"})).await;
    sign_up(&mut client, "ada").await.unwrap_err();
    let id = world.customers().await[0]["id"].as_str().unwrap().to_owned();
    world.stripe.call("DELETE", &format!("/v1/customers/{id}"), &[]).await;
    age(&world).await;
    let made = sign_up(&mut client, "ada").await.unwrap();
    assert_ne!(made.stripe_customer_id, id);
    assert_eq!(world.customers().await.len(), 1);
}
