//! Payment pages: a checkout session as its hosted page, and the Stripe CLI in place of it, sees and confirms it.
//!
//! Stripe's reference does not have them. Source: the fixtures of <https://github.com/stripe/stripe-cli>
//! (`checkout.session.completed`).

use super::{Call, Operation, payment_method};
use crate::{
    billing::checkout,
    field,
    http::error::{Answer, ApiError},
    json::Value,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/payment_pages/{id}",
        run: |world, call| page(world, call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/payment_pages/{id}/init",
        run: |world, call| page(world, call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/payment_pages/{id}/confirm",
        run: confirm,
    },
];

/// Pays the session with a payment method, as submitting its page does.
fn confirm(world: &mut World, call: &Call) -> Answer {
    let session = world.get("checkout.session", call.id(), "session")?;
    let expected = call.params.integer("expected_amount");
    let amount = field::at(&session, "amount_total").as_i64();
    if expected.is_some() && expected != amount {
        let message = "The expected amount is not what the session comes to.";
        return Err(ApiError::invalid(message).param("expected_amount"));
    }
    let method = payment_method::named(world, call.params.given("payment_method"), "payment_method")?;
    payment_method::check_usable(&method, field::some_text(&session, "customer"))?;
    checkout::pay_with(world, call.id(), &method)?;
    page(world, call.id())
}

/// The session with an id of the page's own, and its intent whole.
fn page(world: &World, id: &str) -> Answer {
    let session = world.get("checkout.session", id, "session")?;
    let mut page = rendered(&session);
    let tail: String = id.chars().rev().take(24).collect();
    field::set(&mut page, "id", format!("ppage_{tail}"));
    field::set(&mut page, "session_id", id);
    for (name, intent) in [
        ("payment_intent", "_sandbox.payment_intent"),
        ("setup_intent", "setup_intent"),
    ] {
        let intent = world.find(field::text(&session, intent)).map(rendered);
        field::set(&mut page, name, intent.unwrap_or(Value::Null));
    }
    Ok(page)
}
