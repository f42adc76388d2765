//! The same binaries with another URL and key: nothing but the mode differs.

use std::time::Duration;

use counterfoil_dev::story::{Hop, Options, Story};
use tokio_postgres::NoTls;
use uuid::Uuid;

use counterfoil_journeys::Fleet;

/// Plays the story in the mode of `secret_key`; the rows it left, without what tells of wall time.
async fn play(test: &str, secret_key: &str) -> Vec<String> {
    let fleet = Fleet::start(test, secret_key).await;
    let options = Options {
        run: Uuid::from_u128(9),
        spoiled: None,
        patience: Duration::from_secs(30),
    };
    let mut story = Story::new(&fleet.addresses, options).await.unwrap();
    for hop in Hop::ALL {
        story.play(hop).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
    let (client, connection) = tokio_postgres::connect(&fleet.addresses.postgres.url, NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut rows = Vec::new();
    for query in [
        "select 'customer', user_id, stripe_customer_id, email, deleted::text from customer.customer order by 3",
        "select 'signup', user_id, stripe_customer_id, state, generation::text from customer.signup order by 2",
        "select 'customer_user', customer_id, user_id, deleted::text, '' from billing.customer_user order by 2",
        "select 'subscription', subscription_id, customer_id, status, (cancel_at is not null)::text
           from billing.subscription order by 2",
        "select 'claim', method, state, caller, convert_from(response, 'UTF8')::jsonb #>> '{Done,checkout_session_id}'
           from billing.claim order by 2",
        "select 'account', account_id, charges_enabled::text, payouts_enabled::text, details_submitted::text
           from connect.connected_account order by 2",
        "select 'calculation', calculation_id, currency_code, total::text, '' from tax.calculation order by 2",
        "select 'event', event_id, type, object_id, account from webhook_gateway.event_log order by 2",
    ] {
        for row in client.query(query, &[]).await.unwrap() {
            let columns = (0..row.len()).map(|column| row.get::<_, Option<String>>(column).unwrap_or_default());
            rows.push(columns.collect::<Vec<_>>().join(" "));
        }
    }
    fleet.stop().await;
    rows
}

#[tokio::test]
async fn the_databases_are_equal_in_both_modes() {
    let (test, live) = tokio::join!(play("test", "sk_test_journeys"), play("live", "sk_live_journeys"));
    assert!(test.len() > 25, "a story leaves more than {} rows", test.len());
    // A checkout session's id says its mode.
    let live: Vec<_> = live.iter().map(|row| row.replace("cs_live_", "cs_test_")).collect();
    assert_eq!(test, live);
}
