//! kill -9 of one process in the middle of the story, each in turn.

use std::time::Duration;

use counterfoil_dev::story::{Hop, Options, Story, Stripe};
use serde_json::json;
use uuid::Uuid;

use counterfoil_journeys::Fleet;

const TEST_KEY: &str = "sk_test_journeys";

fn options() -> Options {
    Options {
        run: Uuid::from_u128(7),
        spoiled: None,
        patience: Duration::from_secs(30),
    }
}

/// Plays the story; before each hop of `kills` the named process is killed, and started again while the hop is played.
async fn play_with_kills(test: &str, kills: &[(Hop, &'static str)]) {
    let mut fleet = Fleet::start(test, TEST_KEY).await;
    let mut story = Story::new(&fleet.addresses, options()).await.unwrap();
    for hop in Hop::ALL {
        let killed: Vec<_> = kills
            .iter()
            .filter(|(at, _)| *at == hop)
            .map(|(_, name)| *name)
            .collect();
        for name in &killed {
            fleet.kill(name).await;
        }
        let restart = async {
            for name in killed {
                fleet.start_process(name).await;
            }
        };
        let (told, ()) = tokio::join!(story.play(hop), restart);
        told.unwrap_or_else(|error| panic!("{error:#}"));
    }
    fleet.stop().await;
}

#[tokio::test]
async fn the_story_ends_right_though_the_gateway_is_killed() {
    play_with_kills(
        "gateway",
        &[(Hop::Payment, "webhook-gateway"), (Hop::Clock, "webhook-gateway")],
    )
    .await;
}

#[tokio::test]
async fn the_story_ends_right_though_the_customer_service_is_killed() {
    play_with_kills("customer", &[(Hop::Signup, "customer"), (Hop::Checkout, "customer")]).await;
}

#[tokio::test]
async fn the_story_ends_right_though_billing_is_killed() {
    let hops = [Hop::Checkout, Hop::Webhooks, Hop::Cancel, Hop::Revoke];
    play_with_kills("billing", &hops.map(|hop| (hop, "billing"))).await;
}

#[tokio::test]
async fn the_story_ends_right_though_tax_and_connect_are_killed() {
    play_with_kills(
        "taxconnect",
        &[(Hop::Tax, "tax"), (Hop::Seller, "connect"), (Hop::Seller, "tax")],
    )
    .await;
}

#[tokio::test]
async fn the_story_ends_right_though_the_sandbox_is_killed() {
    play_with_kills("sandbox", &[(Hop::Webhooks, "sandbox"), (Hop::Books, "sandbox")]).await;
}

/// Stripe has done it, its answer is on the way, and the service dies: the harshest moment.
async fn play_with_a_kill_before_the_answer(test: &str, at: Hop, service: &'static str, path: &str) {
    let mut fleet = Fleet::start(test, TEST_KEY).await;
    let mut story = Story::new(&fleet.addresses, options()).await.unwrap();
    for hop in Hop::ALL {
        if hop != at {
            story.play(hop).await.unwrap_or_else(|error| panic!("{error:#}"));
            continue;
        }
        let stripe = story.stripe().clone();
        let faults = json!({"seed": 1, "deliveries": {"copies": 2, "swap": true},
            "answers": [{"method": "POST", "path": path, "times": 1, "kind": "hang"}]});
        stripe.control("/_sandbox/faults", &faults).await.unwrap();
        let operation = format!("POST {path}");
        let kill = async {
            // The effect is in Stripe's books, and nobody was told.
            while !effects(&stripe).await?.contains(&operation) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            fleet.kill(service).await;
            fleet.start_process(service).await;
            anyhow::Ok(())
        };
        tokio::try_join!(story.play(hop), kill).unwrap_or_else(|error| panic!("{error:#}"));
    }
    fleet.stop().await;
}

/// The operations whose effects Stripe's books hold.
async fn effects(stripe: &Stripe) -> anyhow::Result<Vec<String>> {
    let ledger = stripe.get("/_sandbox/ledger").await?;
    let effects = ledger["effects"].as_array().cloned().unwrap_or_default();
    Ok(effects
        .iter()
        .filter_map(|effect| effect["operation"].as_str().map(str::to_owned))
        .collect())
}

#[tokio::test]
async fn one_customer_though_the_service_is_killed_before_stripes_answer() {
    play_with_a_kill_before_the_answer("hangcustomer", Hop::Signup, "customer", "/v1/customers").await;
}

#[tokio::test]
async fn one_checkout_session_though_billing_is_killed_before_stripes_answer() {
    play_with_a_kill_before_the_answer("hangcheckout", Hop::Checkout, "billing", "/v1/checkout/sessions").await;
}

#[tokio::test]
async fn one_account_though_connect_is_killed_before_stripes_answer() {
    play_with_a_kill_before_the_answer("hangaccount", Hop::Seller, "connect", "/v1/accounts").await;
}
