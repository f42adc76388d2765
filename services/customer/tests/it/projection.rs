//! Events: twice, late, out of order, before the answer to the call that caused them.

use counterfoil_customer::model::customer::Customer;
use counterfoil_customer::model::signup::{NewCustomer, State};
use counterfoil_customer::store;
use counterfoil_events::Event;
use counterfoil_test_support::{SANDBOX_TIME, event};
use counterfoil_types::UserId;
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use crate::world::World;

fn customer_event(kind: &str, created: i64, object: Value) -> Event {
    event(&json!({
        "id": format!("evt_{kind}_{created}"), "object": "event", "type": format!("customer.{kind}"), "created": created,
        "api_version": counterfoil_stripe::API_VERSION, "data": {"object": object},
    }))
}

async fn stored(world: &World, id: &str) -> Option<Customer> {
    store::customer::get(&mut world.db().conn().await.unwrap(), id)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_later_event_replaces_an_earlier_one_and_not_the_reverse() {
    let world = World::new().await;
    let object =
        |email: &str| json!({"id": "cus_1", "created": SANDBOX_TIME, "email": email, "metadata": {"user_id": "ada"}});
    let created = customer_event("created", SANDBOX_TIME, object("1@example.com"));
    let second = customer_event("updated", SANDBOX_TIME + 2, object("2@example.com"));
    let third = customer_event("updated", SANDBOX_TIME + 4, object("3@example.com"));
    assert!(world.feed(&created).await);
    assert!(world.feed(&third).await);
    assert!(!world.feed(&second).await);
    assert!(!world.feed(&created).await);
    let customer = stored(&world, "cus_1").await.unwrap();
    assert_eq!(customer.email.as_deref(), Some("3@example.com"));
    assert_eq!(customer.user_id.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_deletion_is_final_whatever_comes_after_it() {
    let world = World::new().await;
    let object = json!({"id": "cus_1", "created": SANDBOX_TIME, "email": "ada@example.com"});
    assert!(
        world
            .feed(&customer_event("deleted", SANDBOX_TIME, object.clone()))
            .await
    );
    for created in [SANDBOX_TIME - 5, SANDBOX_TIME, SANDBOX_TIME + 5] {
        assert!(!world.feed(&customer_event("updated", created, object.clone())).await);
        assert!(!world.feed(&customer_event("deleted", created, object.clone())).await);
    }
    assert!(stored(&world, "cus_1").await.unwrap().deleted);
}

#[tokio::test]
async fn a_customer_of_a_connected_account_is_passed_over() {
    let world = World::new().await;
    let mut event = customer_event("created", SANDBOX_TIME, json!({"id": "cus_1", "created": SANDBOX_TIME}));
    event.account = "acct_1".to_owned();
    assert!(!world.feed(&event).await);
    assert_eq!(stored(&world, "cus_1").await, None);
}

#[tokio::test]
async fn an_event_in_another_api_version_is_not_believed_but_fetched() {
    let world = World::new().await;
    let made = world
        .stripe
        .call("POST", "/v1/customers", &[("email", "now@example.com")])
        .await;
    let id = made["id"].as_str().unwrap();
    let mut event = customer_event("updated", SANDBOX_TIME, json!({"id": id, "email": "other@example.com"}));
    event.api_version = "2020-08-27".to_owned();
    assert!(world.feed(&event).await);
    assert_eq!(
        stored(&world, id).await.unwrap().email.as_deref(),
        Some("now@example.com")
    );
}

#[tokio::test]
async fn an_event_that_comes_before_the_answer_completes_the_signup() {
    let world = World::new().await;
    let db = world.db();
    let mut conn = db.conn().await.unwrap();
    let user_id = UserId::parse("ada").unwrap();
    let new = NewCustomer {
        user_id: user_id.clone(),
        email: None,
        name: None,
    };
    let now = chrono::DateTime::from_timestamp(SANDBOX_TIME, 0).unwrap();
    store::signup::begin(&mut conn, &new, now).await.unwrap();
    let signup = store::signup::live(&mut conn, &user_id).await.unwrap().unwrap();

    // Somebody copied the metadata of another user's customer: the operation's key decides.
    let copied = json!({"id": "cus_2", "created": SANDBOX_TIME, "metadata": {"user_id": "ada"}});
    assert!(world.feed(&customer_event("created", SANDBOX_TIME, copied)).await);
    assert_eq!(
        store::signup::live(&mut conn, &user_id).await.unwrap().unwrap().state,
        State::Creating
    );

    let object =
        json!({"id": "cus_1", "created": SANDBOX_TIME, "metadata": {"user_id": "ada", "op_key": signup.op_key}});
    assert!(
        world
            .feed(&customer_event("created", SANDBOX_TIME, object.clone()))
            .await
    );
    let state = store::signup::live(&mut conn, &user_id).await.unwrap().unwrap().state;
    assert!(matches!(state, State::Active(id) if id.as_str() == "cus_1"));

    assert!(world.feed(&customer_event("deleted", SANDBOX_TIME, object)).await);
    assert_eq!(store::signup::live(&mut conn, &user_id).await.unwrap(), None);
}

#[tokio::test]
async fn a_deletion_that_comes_before_the_creation_ends_the_signup() {
    let world = World::new().await;
    let db = world.db();
    let mut conn = db.conn().await.unwrap();
    let user_id = UserId::parse("ada").unwrap();
    let new = NewCustomer {
        user_id: user_id.clone(),
        email: None,
        name: None,
    };
    let now = chrono::DateTime::from_timestamp(SANDBOX_TIME, 0).unwrap();
    store::signup::begin(&mut conn, &new, now).await.unwrap();
    let signup = store::signup::live(&mut conn, &user_id).await.unwrap().unwrap();

    let object =
        json!({"id": "cus_1", "created": SANDBOX_TIME, "metadata": {"user_id": "ada", "op_key": signup.op_key}});
    assert!(
        world
            .feed(&customer_event("deleted", SANDBOX_TIME, object.clone()))
            .await
    );
    assert!(!world.feed(&customer_event("created", SANDBOX_TIME, object)).await);
    assert_eq!(store::signup::live(&mut conn, &user_id).await.unwrap(), None);
    assert_eq!(
        store::signup::last_customer(&mut conn, &user_id)
            .await
            .unwrap()
            .as_deref(),
        Some("cus_1")
    );
}

/// Every event of this history has the same second, so nothing but what Stripe says now tells which is the newest.
#[tokio::test]
async fn every_order_of_a_second_full_of_events_each_twice_ends_at_stripes_state() {
    let world = World::new().await;
    let made = world
        .stripe
        .call(
            "POST",
            "/v1/customers",
            &[("email", "1@example.com"), ("metadata[user_id]", "ada")],
        )
        .await;
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/customers/{id}");
    for email in ["2@example.com", "3@example.com"] {
        world.stripe.call("POST", &path, &[("email", email)]).await;
    }
    let alive = world.stripe.events().await;
    world.stripe.call("DELETE", &path, &[]).await;
    let all = world.stripe.events().await;
    assert_eq!((alive.len(), all.len()), (3, 4));

    for order in orders(all.len()) {
        forget(&world).await;
        for index in order.iter().chain(order.iter().rev()) {
            world.feed(&all[*index]).await;
        }
        let customer = stored(&world, &id).await.unwrap();
        assert!(customer.deleted, "{order:?}");
        assert_eq!(customer.user_id.as_deref(), Some("ada"), "{order:?}");
    }
}

#[tokio::test]
async fn every_order_of_a_living_customers_events_ends_at_stripes_state() {
    let world = World::new().await;
    let made = world
        .stripe
        .call(
            "POST",
            "/v1/customers",
            &[("email", "1@example.com"), ("metadata[user_id]", "ada")],
        )
        .await;
    let id = made["id"].as_str().unwrap().to_owned();
    for email in ["2@example.com", "1@example.com", "3@example.com"] {
        world
            .stripe
            .call("POST", &format!("/v1/customers/{id}"), &[("email", email)])
            .await;
    }
    let events = world.stripe.events().await;
    assert_eq!(events.len(), 4);
    for order in orders(events.len()) {
        forget(&world).await;
        for index in order.iter().chain(&order) {
            world.feed(&events[*index]).await;
        }
        assert_eq!(
            stored(&world, &id).await.unwrap().email.as_deref(),
            Some("3@example.com"),
            "{order:?}"
        );
    }
}

async fn forget(world: &World) {
    let mut conn = world.db().conn().await.unwrap();
    diesel::sql_query("delete from customer")
        .execute(&mut conn)
        .await
        .unwrap();
}

/// All orders of `count` things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = orders(count - 1);
    let place = |order: &Vec<usize>, at: usize| {
        let mut longer = order.clone();
        longer.insert(at, count - 1);
        longer
    };
    shorter
        .iter()
        .flat_map(|order| (0..count).map(move |at| place(order, at)))
        .collect()
}
