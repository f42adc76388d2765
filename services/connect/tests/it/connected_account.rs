//! Creating and looking up.

use std::collections::HashSet;

use counterfoil_connect::store;
use counterfoil_proto::connect::v1 as pb;
use counterfoil_test_support::{SANDBOX_TIME, told};
use counterfoil_types::AccountId;
use futures::future::join_all;
use serde_json::json;
use tonic::{Code, Status};

use crate::world::{Client, World};

const KEY: &str = "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d";

pub(crate) fn request() -> pb::CreateConnectedAccountRequest {
    pb::CreateConnectedAccountRequest {
        idempotency_key: KEY.to_owned(),
        country_code: "DE".to_owned(),
        email: "seller@example.com".to_owned(),
        refresh_url: "https://sellers.example/again".to_owned(),
        return_url: "https://sellers.example/done?seller=1".to_owned(),
    }
}

pub(crate) async fn create(client: &mut Client) -> Result<(pb::ConnectedAccount, pb::OnboardingLink), Status> {
    let reply = client.create_connected_account(request()).await?.into_inner();
    Ok((reply.connected_account.unwrap(), reply.onboarding_link.unwrap()))
}

async fn get(client: &mut Client, id: &str) -> Result<pb::ConnectedAccount, Status> {
    let request = pb::GetConnectedAccountRequest {
        account_id: id.to_owned(),
    };
    Ok(client
        .get_connected_account(request)
        .await?
        .into_inner()
        .connected_account
        .unwrap())
}

#[tokio::test]
async fn a_seller_gets_an_express_account_and_a_link_to_its_onboarding() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let (account, link) = create(&mut client).await.unwrap();
    insta::assert_debug_snapshot!(account);
    assert!(link.url.starts_with("http") && link.expire_time.is_some());
    assert_eq!(get(&mut client, &account.account_id).await.unwrap(), account);

    let at_stripe = world
        .stripe
        .call("GET", &format!("/v1/accounts/{}", account.account_id), &[])
        .await;
    insta::assert_json_snapshot!(
        "account_at_stripe",
        json!({
            "controller": at_stripe["controller"], "capabilities": at_stripe["capabilities"],
            "country": at_stripe["country"], "email": at_stripe["email"],
            "source": at_stripe["metadata"]["source"],
        })
    );
}

#[tokio::test]
async fn a_repeat_gets_the_same_account_and_a_fresh_link() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let mut other = world.serve().await;
    let (first, first_link) = create(&mut client).await.unwrap();
    let (second, second_link) = create(&mut other).await.unwrap();
    assert_eq!(first, second);
    assert_ne!(first_link.url, second_link.url);
    assert_eq!(world.accounts().await, [first.account_id]);
}

#[tokio::test]
async fn fifty_repeats_at_once_on_two_instances_make_one_account() {
    let world = World::new().await;
    let clients = [world.serve().await, world.serve().await];
    let calls = (0..50).map(|call| {
        let mut client = clients[call % 2].clone();
        tokio::spawn(async move { create(&mut client).await })
    });
    let mut ids = HashSet::new();
    for call in join_all(calls).await {
        ids.insert(call.unwrap().unwrap().0.account_id);
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(world.accounts().await.len(), 1);
}

#[tokio::test]
async fn a_key_used_with_another_request_is_refused() {
    let world = World::new().await;
    let mut client = world.serve().await;
    create(&mut client).await.unwrap();
    let other = pb::CreateConnectedAccountRequest {
        country_code: "FR".to_owned(),
        ..request()
    };
    let status = client.create_connected_account(other).await.unwrap_err();
    insta::assert_snapshot!("key_reused", told(&status));
    assert_eq!(world.accounts().await.len(), 1);
}

#[tokio::test]
async fn all_violations_of_a_request_are_told_at_once() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let wrong = pb::CreateConnectedAccountRequest {
        idempotency_key: "once".to_owned(),
        country_code: "de".to_owned(),
        email: format!("{}\n", "x".repeat(512)),
        refresh_url: "https://evil.example/again".to_owned(),
        return_url: "javascript:alert(1)".to_owned(),
    };
    let status = client.create_connected_account(wrong).await.unwrap_err();
    insta::assert_snapshot!("violations", told(&status));
    let status = get(&mut client, "cus_1").await.unwrap_err();
    insta::assert_snapshot!("id_of_another_kind", told(&status));
    assert!(world.accounts().await.is_empty());
}

#[tokio::test]
async fn an_account_that_is_not_there_is_not_found() {
    let world = World::new().await;
    let mut client = world.serve().await;
    insta::assert_snapshot!("not_found", told(&get(&mut client, "acct_1").await.unwrap_err()));
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_may_be_repeated_at_once_and_makes_no_second_account() {
    let world = World::new().await;
    let mut client = world.serve().await;
    // The try and its one retry.
    world
        .stripe
        .spoil("/v1/accounts", 2, json!({"kind": "reset_after"}))
        .await;
    let status = create(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(told(&status).contains("OUTCOME_UNKNOWN"), "{}", told(&status));
    let (account, _) = create(&mut client).await.unwrap();
    assert_eq!(world.accounts().await, [account.account_id]);
}

#[tokio::test]
async fn a_call_that_stripe_limited_may_be_repeated_at_once() {
    let world = World::new().await;
    let mut client = world.serve().await;
    world
        .stripe
        .spoil("/v1/accounts", 2, json!({"kind": "status", "status": 429}))
        .await;
    assert_eq!(create(&mut client).await.unwrap_err().code(), Code::ResourceExhausted);
    create(&mut client).await.unwrap();
    assert_eq!(world.accounts().await.len(), 1);
}

#[tokio::test]
async fn an_account_whose_link_could_not_be_made_is_there_for_the_repeat() {
    let world = World::new().await;
    let mut client = world.serve().await;
    world
        .stripe
        .spoil("/v1/account_links", 2, json!({"kind": "status", "status": 429}))
        .await;
    assert_eq!(create(&mut client).await.unwrap_err().code(), Code::ResourceExhausted);
    let accounts = world.accounts().await;
    let (account, _) = create(&mut client).await.unwrap();
    assert_eq!(accounts, std::slice::from_ref(&account.account_id));
    assert_eq!(world.accounts().await, accounts);
}

#[tokio::test]
async fn no_link_is_kept_anywhere() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let (_, link) = create(&mut client).await.unwrap();
    let answers = claim_answers(&world).await;
    assert!(answers.contains("acct_") && !answers.contains(&link.url), "{answers}");
}

async fn claim_answers(world: &World) -> String {
    use diesel_async::RunQueryDsl;
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        all: String,
    }
    let sql = "select (select coalesce(string_agg(convert_from(response, 'utf8'), ' '), '') from claim)
        || (select coalesce(string_agg(convert_from(response, 'utf8'), ' '), '') from stripe_request) as all";
    let mut conn = world.db().conn().await.unwrap();
    diesel::sql_query(sql).get_result::<Row>(&mut conn).await.unwrap().all
}

#[tokio::test]
async fn an_account_is_read_from_our_own_table_as_the_last_event_showed_it() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let (account, _) = create(&mut client).await.unwrap();
    let id = AccountId::parse(account.account_id.clone()).unwrap();
    let known = store::connected_account::known(&mut world.db().conn().await.unwrap(), &id)
        .await
        .unwrap()
        .unwrap();
    assert!(known.known_from < known.known_to);
    let later = crate::projection::updated(&account.account_id, SANDBOX_TIME + 60, true);
    assert!(world.feed(&later).await);
    let now = get(&mut client, &account.account_id).await.unwrap();
    assert!(now.charges_enabled && now.payouts_enabled && now.details_submitted);
    assert_eq!(create(&mut client).await.unwrap().0, now);
}

#[tokio::test]
async fn migrations_run_up_down_and_up() {
    let world = World::new().await;
    let migrated = world.migrate_again().await;
    assert!(migrated.iter().any(|name| name == "20261123150000"), "{migrated:?}");
}

#[tokio::test]
async fn a_seller_who_ends_onboarding_can_take_payments_though_an_event_of_that_second_says_otherwise() {
    let world = World::new().await;
    let mut client = world.serve().await;
    let (account, link) = create(&mut client).await.unwrap();
    let answer = world.stripe.submit(&link.url, &[("action", "submit")]).await;
    assert_eq!(answer, 303);
    let early = crate::projection::updated(&account.account_id, SANDBOX_TIME, false);
    assert!(world.feed(&early).await);
    let now = get(&mut client, &account.account_id).await.unwrap();
    assert!(now.charges_enabled && now.payouts_enabled && now.details_submitted);
}
