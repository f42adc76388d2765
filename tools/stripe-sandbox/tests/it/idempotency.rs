use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::client::{Answer, DAY, World, send, start, text};

async fn with_key(world: &World, key: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    send(
        world
            .request(Method::POST, path)
            .header("idempotency-key", key)
            .form(form),
    )
    .await
}

#[tokio::test]
async fn a_key_replays_its_first_answer_for_a_day() {
    let world = start().await;
    let form = [("email", "a@example.com"), ("metadata[user_id]", "u1")];
    let first = with_key(&world, "k1", "/v1/customers", &form).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let turned = [form[1], form[0]];
    let second = with_key(&world, "k1", "/v1/customers", &turned).await;
    assert_eq!(
        (second.header("idempotent-replayed"), &second.text),
        ("true", &first.text)
    );
    world.advance(DAY).await;
    let later = with_key(&world, "k1", "/v1/customers", &form).await;
    assert_ne!(later.json()["id"], first.json()["id"]);
}

#[tokio::test]
async fn a_key_with_other_parameters_is_an_error_and_leaves_the_first_answer() {
    let world = start().await;
    let first = with_key(&world, "k1", "/v1/customers", &[("email", "a@example.com")]).await;
    let other = with_key(&world, "k1", "/v1/customers", &[("email", "b@example.com")]).await;
    assert_eq!(
        (other.status, &other.json()["error"]["type"]),
        (400, &json!("idempotency_error"))
    );
    let elsewhere = with_key(&world, "k1", "/v1/products", &[("name", "P")]).await;
    assert_eq!(elsewhere.status, 400);
    assert_eq!(
        with_key(&world, "k1", "/v1/customers", &[("email", "a@example.com")])
            .await
            .text,
        first.text
    );
}

#[tokio::test]
async fn a_refusal_after_execution_began_is_replayed_and_one_before_it_is_not() {
    let world = start().await;
    let form = [
        ("amount", "900"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method", "pm_card_chargeDeclined"),
    ];
    let declined = with_key(&world, "k1", "/v1/payment_intents", &form).await;
    let again = with_key(&world, "k1", "/v1/payment_intents", &form).await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed"), &again.text),
        (402, "true", &declined.text)
    );
    assert_eq!(world.get("/v1/charges").await["data"].as_array().unwrap().len(), 1);

    assert_eq!(with_key(&world, "k2", "/v1/products", &[]).await.status, 400);
    assert_eq!(
        with_key(&world, "k2", "/v1/products", &[("name", "P")]).await.status,
        200
    );
}

#[tokio::test]
async fn a_key_in_use_is_refused_until_its_call_has_ended() {
    let world = start().await;
    let hang = json!({ "answers": [{ "method": "POST", "path": "/v1/customers", "kind": "hang" }] });
    assert_eq!(world.control("faults", hang).await.status, 200);
    let hanging = tokio::spawn(
        world
            .request(Method::POST, "/v1/customers")
            .header("idempotency-key", "k1")
            .form(&[("email", "a@example.com")])
            .timeout(Duration::from_secs(60))
            .send(),
    );
    // The call has had its effect, so it is at work and holds its key.
    while world.get("/v1/customers").await["data"].as_array().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let meanwhile = with_key(&world, "k1", "/v1/customers", &[("email", "a@example.com")]).await;
    assert_eq!(
        (meanwhile.status, &meanwhile.json()["error"]["code"]),
        (409, &json!("idempotency_key_in_use"))
    );
    assert_eq!(meanwhile.header("stripe-should-retry"), "true");
    hanging.abort();
    loop {
        let answer = with_key(&world, "k1", "/v1/customers", &[("email", "a@example.com")]).await;
        if answer.status != 409 {
            assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, "true"));
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(world.get("/v1/customers").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn twenty_calls_with_one_key_make_one_customer() {
    let world = start().await;
    let calls = (0..20).map(|_| async {
        loop {
            let answer = with_key(&world, "k1", "/v1/customers", &[("email", "a@example.com")]).await;
            if answer.status != 409 {
                return text(&answer.json()["id"]);
            }
        }
    });
    let ids = futures_all(calls).await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(world.get("/v1/customers").await["data"].as_array().unwrap().len(), 1);
    let ledger = world.look("ledger").await;
    let by_key: Vec<_> = ledger["effects"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|effect| effect["idempotency_key"] == "k1")
        .collect();
    assert_eq!(by_key.len(), 1, "{by_key:?}");
    assert_eq!(
        (&by_key[0]["object"], &by_key[0]["effect"]),
        (&json!("customer"), &json!("created"))
    );
}

/// All of them at once, on this task.
async fn futures_all<F: Future<Output = String>>(futures: impl Iterator<Item = F>) -> Vec<String> {
    let mut waiting: Vec<_> = futures.map(Box::pin).map(|future| (future, None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in waiting.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if waiting.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().map(|(_, done)| done.unwrap()).collect()
}
