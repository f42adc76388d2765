//! Setting up a card for later payments: a setup intent, and a setup attempt for each try.
//!
//! Source: <https://docs.stripe.com/payments/setupintents/lifecycle>.

use std::sync::Arc;

use super::{
    authentication::{self, Confirmation, Presence},
    cards, charges,
    payment::refused,
};
use crate::{
    field,
    http::error::{Answer, ApiError},
    json::{Value, json},
    resources::payment_method,
    shapes,
    world::{World, rendered},
};

/// A new setup intent that waits for a payment method.
pub(crate) fn new_intent(world: &mut World, customer: Option<&str>) -> Value {
    let id = world.id("seti_", 24);
    let secret = world.id("secret_", 31);
    let mut intent = shapes::setup_intent();
    field::set(&mut intent, "client_secret", format!("{id}_{secret}"));
    field::set(&mut intent, "id", id);
    field::set(&mut intent, "created", world.now);
    field::set(&mut intent, "livemode", world.livemode);
    field::set(&mut intent, "customer", customer);
    intent
}

/// Confirms the intent `id` with `method`: the card is set up, or its owner has to authenticate first.
pub(crate) fn confirm(world: &mut World, id: &str, method: &Value, how: &Confirmation) -> Answer {
    let intent = world.get("setup_intent", id, "intent")?;
    let attempt = new_attempt(world, &intent, method);
    world.put(&attempt);
    let intent = world.edit(id, |one| {
        field::set(one, "latest_attempt", field::at(&attempt, "id").clone())
    });
    let requested = field::text(&intent, "payment_method_options.card.request_three_d_secure");
    if !authentication::is_needed(method, Presence::Present, requested) {
        return complete(world, &intent, method, false);
    }
    let waiting = world.edit(id, |one| {
        field::set(one, "status", "requires_action");
        field::set(one, "payment_method", field::at(method, "id").clone());
        field::set(one, "next_action", authentication::next_action(id, how));
        field::set(one, "_sandbox.return_url", how.return_url.clone());
    });
    end_attempt(world, &intent, "requires_action", Value::Null);
    world.emit("setup_intent.requires_action", &waiting, None);
    Ok(rendered(&waiting))
}

/// Sets the card up, unless its bank refuses even that.
pub(crate) fn complete(world: &mut World, intent: &Value, method: &Value, authenticated: bool) -> Answer {
    let card = cards::by_token(field::text(method, "_sandbox.card"));
    if let Some(refusal) = card.filter(|card| !card.attaches).and_then(|card| card.refusal) {
        return Err(fail(world, intent, method, refused(refusal)));
    }
    if let Some(customer) = field::some_text(intent, "customer") {
        payment_method::keep(world, field::text(method, "id"), customer);
    }
    if field::text(intent, "usage") == "off_session" {
        world.edit(field::text(method, "id"), |one| {
            field::set(one, "_sandbox.set_up", true)
        });
    }
    world.edit(field::text(intent, "latest_attempt"), |one| {
        let details = charges::three_d_secure(method, authenticated);
        field::set(one, "payment_method_details.card.three_d_secure", details);
    });
    end_attempt(world, intent, "succeeded", Value::Null);
    let done = world.edit(field::text(intent, "id"), |one| {
        field::set(one, "status", "succeeded");
        field::set(one, "payment_method", field::at(method, "id").clone());
        field::set(one, "next_action", Value::Null);
        field::set(one, "last_setup_error", Value::Null);
    });
    world.emit("setup_intent.succeeded", &done, None);
    Ok(rendered(&done))
}

/// The owner of the card did not authenticate. Source: <https://docs.stripe.com/error-codes#setup-intent-authentication-failure>.
pub(crate) fn fail_authentication(world: &mut World, intent: &Value, method: &Value) -> ApiError {
    let message =
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.";
    let error = ApiError::invalid(message).code("setup_intent_authentication_failure");
    fail(world, intent, method, error)
}

/// Cancels an intent that is neither done nor canceled.
pub(crate) fn cancel(world: &mut World, intent: &Value, reason: Option<&str>) -> Arc<Value> {
    if field::text(intent, "status") == "requires_action" {
        end_attempt(world, intent, "abandoned", Value::Null);
    }
    let canceled = world.edit(field::text(intent, "id"), |one| {
        field::set(one, "status", "canceled");
        field::set(one, "next_action", Value::Null);
        field::set(one, "cancellation_reason", json!(reason));
    });
    world.emit("setup_intent.canceled", &canceled, None);
    canceled
}

fn fail(world: &mut World, intent: &Value, method: &Value, error: ApiError) -> ApiError {
    let mut last = Value::Object(error.fields.clone());
    field::set(&mut last, "payment_method", rendered(method));
    end_attempt(world, intent, "failed", last.clone());
    let failed = world.edit(field::text(intent, "id"), |one| {
        field::set(one, "status", "requires_payment_method");
        field::set(one, "payment_method", Value::Null);
        field::set(one, "next_action", Value::Null);
        field::set(one, "last_setup_error", last);
    });
    world.emit("setup_intent.setup_failed", &failed, None);
    let mut error = error
        .with("payment_method", rendered(method))
        .with("setup_intent", rendered(&failed));
    error.keeps_effects = true;
    error
}

fn new_attempt(world: &mut World, intent: &Value, method: &Value) -> Value {
    let mut attempt = shapes::setup_attempt();
    field::set(&mut attempt, "id", world.id("setatt_", 24));
    field::set(&mut attempt, "created", world.now);
    field::set(&mut attempt, "livemode", world.livemode);
    field::set(&mut attempt, "setup_intent", field::at(intent, "id").clone());
    field::set(&mut attempt, "payment_method", field::at(method, "id").clone());
    for name in ["customer", "usage"] {
        field::set(&mut attempt, name, field::at(intent, name).clone());
    }
    let mut card = json!({ "three_d_secure": null, "wallet": null });
    charges::copy_card(&mut card, method);
    field::set(
        &mut attempt,
        "payment_method_details",
        json!({ "card": card, "type": "card" }),
    );
    attempt
}

/// An attempt is told of by no event of its own.
fn end_attempt(world: &mut World, intent: &Value, status: &str, error: Value) {
    world.edit(field::text(intent, "latest_attempt"), |one| {
        field::set(one, "status", status);
        field::set(one, "setup_error", error);
    });
}
