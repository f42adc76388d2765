//! Events: twice, late, out of order, in the same second.

use counterfoil_connect::model::connected_account::ConnectedAccount;
use counterfoil_connect::store;
use counterfoil_events::Event;
use counterfoil_test_support::{SANDBOX_TIME, event};
use counterfoil_types::AccountId;
use serde_json::json;

use crate::world::World;

/// An event that shows the account as usable or not.
pub(crate) fn updated(id: &str, created: i64, usable: bool) -> Event {
    event(&json!({
        "id": format!("evt_{created}_{usable}"), "object": "event", "type": "account.updated", "created": created,
        "api_version": counterfoil_stripe::API_VERSION, "account": id,
        "data": {"object": {"id": id, "object": "account", "country": "DE", "details_submitted": usable,
            "charges_enabled": usable, "payouts_enabled": usable}},
    }))
}

async fn stored(world: &World, id: &str) -> Option<ConnectedAccount> {
    let id = AccountId::parse(id).unwrap();
    store::connected_account::get(&mut world.db().conn().await.unwrap(), &id)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_later_event_replaces_an_earlier_one_and_not_the_reverse() {
    let world = World::new().await;
    assert!(world.feed(&updated("acct_1", SANDBOX_TIME, false)).await);
    assert!(world.feed(&updated("acct_1", SANDBOX_TIME + 4, true)).await);
    assert!(!world.feed(&updated("acct_1", SANDBOX_TIME + 2, false)).await);
    assert!(!world.feed(&updated("acct_1", SANDBOX_TIME, false)).await);
    assert!(stored(&world, "acct_1").await.unwrap().charges_enabled);
    // What was enabled may be disabled again.
    assert!(world.feed(&updated("acct_1", SANDBOX_TIME + 6, false)).await);
    assert!(!stored(&world, "acct_1").await.unwrap().charges_enabled);
}

#[tokio::test]
async fn the_platforms_own_account_is_no_connected_account() {
    let world = World::new().await;
    let mut event = updated("acct_1", SANDBOX_TIME, true);
    event.account = String::new();
    assert!(!world.feed(&event).await);
    assert_eq!(stored(&world, "acct_1").await, None);
}

#[tokio::test]
async fn events_of_one_second_end_at_stripes_state_in_either_order() {
    let world = World::new().await;
    let made = world
        .stripe
        .call("POST", "/v1/accounts", &[("country", "DE"), ("type", "express")])
        .await;
    let id = made["id"].as_str().unwrap();
    let at_stripe = made["charges_enabled"].as_bool().unwrap();
    for first in [at_stripe, !at_stripe] {
        assert!(world.feed(&updated(id, SANDBOX_TIME, first)).await);
        world.feed(&updated(id, SANDBOX_TIME, !first)).await;
        assert_eq!(stored(&world, id).await.unwrap().charges_enabled, at_stripe);
        forget(&world).await;
    }
}

async fn forget(world: &World) {
    use diesel_async::RunQueryDsl;
    let mut conn = world.db().conn().await.unwrap();
    diesel::sql_query("delete from connected_account")
        .execute(&mut conn)
        .await
        .unwrap();
}
