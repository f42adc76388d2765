//! Taking money: a payment intent, the attempts to pay it, and what it holds.
//!
//! Source: <https://docs.stripe.com/payments/paymentintents/lifecycle>.

use std::sync::Arc;

use super::{
    authentication::{self, Confirmation, Presence},
    cards::{self, Refusal},
    charges, disputes, invoice_payments,
};
use crate::{
    field,
    http::error::{Answer, ApiError},
    json::{Value, json},
    resources::payment_method,
    shapes,
    world::{World, rendered},
};

/// What a new payment intent is for.
#[derive(Default)]
pub(crate) struct NewIntent<'a> {
    pub(crate) amount: i64,
    pub(crate) currency: &'a str,
    pub(crate) customer: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
    pub(crate) metadata: Value,
    pub(crate) receipt_email: Option<&'a str>,
}

/// A new payment intent that waits for a payment method.
pub(crate) fn new_intent(world: &mut World, new: &NewIntent<'_>) -> Value {
    let id = world.id("pi_", 24);
    let secret = world.id("secret_", 25);
    let mut intent = shapes::payment_intent();
    field::set(&mut intent, "client_secret", format!("{id}_{secret}"));
    field::set(&mut intent, "id", id);
    field::set(&mut intent, "created", world.now);
    field::set(&mut intent, "livemode", world.livemode);
    field::set(&mut intent, "amount", new.amount);
    field::set(&mut intent, "currency", new.currency);
    field::set(&mut intent, "customer", new.customer);
    field::set(&mut intent, "description", new.description);
    field::set(&mut intent, "receipt_email", new.receipt_email);
    if new.metadata.is_object() {
        field::set(&mut intent, "metadata", new.metadata.clone());
    }
    intent
}

/// Without a payer who could authenticate. Source: <https://docs.stripe.com/declines/codes>.
const AUTHENTICATION_REQUIRED: Refusal = Refusal {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    advice_code: None,
    message: "Your card was declined. This transaction requires authentication.",
};
/// Source: <https://docs.stripe.com/payments/without-card-authentication>.
const AUTHENTICATION_NOT_HANDLED: Refusal = Refusal {
    code: "card_declined",
    decline_code: Some("authentication_not_handled"),
    advice_code: None,
    message: "This payment required an authentication action to complete, but `error_on_requires_action` was set.",
};

/// Confirms the intent `id` with `method`: it is charged, or waits for the payer to authenticate. A refusal is a 402 whose
/// effects (the failed charge) stay.
pub(crate) fn confirm(world: &mut World, id: &str, method: &Value, how: &Confirmation) -> Answer {
    let intent = world.get("payment_intent", id, "intent")?;
    let requested = field::text(&intent, "payment_method_options.card.request_three_d_secure");
    if !authentication::is_needed(method, how.presence, requested) {
        return charge(world, &intent, method, false);
    }
    if how.presence == Presence::Absent {
        return decline(world, &intent, method, AUTHENTICATION_REQUIRED, false);
    }
    if how.error_on_requires_action {
        return decline(world, &intent, method, AUTHENTICATION_NOT_HANDLED, false);
    }
    let waiting = world.edit(id, |one| {
        field::set(one, "status", "requires_action");
        field::set(one, "payment_method", field::at(method, "id").clone());
        field::set(one, "next_action", authentication::next_action(id, how));
        field::set(one, "_sandbox.return_url", how.return_url.clone());
    });
    world.emit("payment_intent.requires_action", &waiting, None);
    Ok(rendered(&waiting))
}

/// As [`confirm`], unless the intent was paid already, or its money is held.
pub(crate) fn pay(world: &mut World, id: &str, method: &Value, how: &Confirmation) -> Answer {
    match world.find(id) {
        Some(intent) if matches!(field::text(intent, "status"), "succeeded" | "requires_capture") => {
            Ok(rendered(intent))
        }
        _ => confirm(world, id, method, how),
    }
}

/// Charges `intent` to `method`, or holds the money where it is captured later.
pub(crate) fn charge(world: &mut World, intent: &Value, method: &Value, authenticated: bool) -> Answer {
    let card = cards::by_token(field::text(method, "_sandbox.card"));
    if let Some(refusal) = card.and_then(|card| card.refusal) {
        return decline(world, intent, method, refusal, authenticated);
    }
    let captures = field::text(intent, "capture_method") != "manual";
    save(world, intent, method, authenticated);
    let charge = charges::approve(world, intent, method, card, authenticated, captures);
    let amount = field::integer(intent, "amount");
    let hold_ends = world.now + charges::HOLD;
    let paid = world.edit(field::text(intent, "id"), |one| {
        field::set(one, "latest_charge", field::at(&charge, "id").clone());
        field::set(one, "payment_method", field::at(method, "id").clone());
        field::set(one, "review", field::at(&charge, "review").clone());
        field::set(one, "last_payment_error", Value::Null);
        field::set(one, "next_action", Value::Null);
        if captures {
            field::set(one, "status", "succeeded");
            field::set(one, "amount_received", amount);
        } else {
            field::set(one, "status", "requires_capture");
            field::set(one, "amount_capturable", amount);
            field::set(one, "_sandbox.hold_ends", hold_ends);
        }
    });
    let event = if captures {
        "payment_intent.succeeded"
    } else {
        "payment_intent.amount_capturable_updated"
    };
    world.emit(event, &paid, None);
    if captures {
        disputes::follow_payment(world, field::text(&charge, "id"));
        invoice_payments::credit(world, &paid);
    }
    Ok(rendered(&paid))
}

/// Keeps the method with the intent's customer where that was asked for; otherwise it has served its turn.
/// Source: <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-setup_future_usage>.
fn save(world: &mut World, intent: &Value, method: &Value, authenticated: bool) {
    let id = field::text(method, "id");
    let pays_invoice = field::some_text(intent, "_sandbox.invoice").is_some();
    let usage = field::some_text(intent, "setup_future_usage");
    if let Some(customer) = field::some_text(intent, "customer").filter(|_| usage.is_some()) {
        payment_method::keep(world, id, customer);
    }
    if authenticated && (pays_invoice || usage == Some("off_session")) {
        world.edit(id, |one| field::set(one, "_sandbox.set_up", true));
    }
    let belongs_to_nobody = world.find(id).is_some_and(|one| field::at(one, "customer").is_null());
    if belongs_to_nobody && !pays_invoice {
        world.edit(id, |one| field::set(one, "_sandbox.used_up", true));
    }
}

fn decline(world: &mut World, intent: &Value, method: &Value, refusal: Refusal, authenticated: bool) -> Answer {
    let card = cards::by_token(field::text(method, "_sandbox.card"));
    let charge = charges::refuse(world, intent, method, card, refusal, authenticated);
    let error = refused(refusal).with("charge", field::at(&charge, "id").clone());
    world.edit(field::text(intent, "id"), |one| {
        field::set(one, "latest_charge", field::at(&charge, "id").clone());
    });
    Err(fail(world, intent, method, error))
}

/// The payer did not authenticate. Source: <https://docs.stripe.com/error-codes#payment-intent-authentication-failure>.
pub(crate) fn fail_authentication(world: &mut World, intent: &Value, method: &Value) -> ApiError {
    let message =
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.";
    let error = ApiError::invalid(message).code("payment_intent_authentication_failure");
    fail(world, intent, method, error)
}

/// Writes down that an attempt failed with `error`: the intent waits for another payment method.
fn fail(world: &mut World, intent: &Value, method: &Value, error: ApiError) -> ApiError {
    let failed = world.edit(field::text(intent, "id"), |one| {
        let mut last = Value::Object(error.fields.clone());
        field::set(&mut last, "payment_method", rendered(method));
        field::set(one, "status", "requires_payment_method");
        field::set(one, "payment_method", Value::Null);
        field::set(one, "next_action", Value::Null);
        field::set(one, "last_payment_error", last);
    });
    world.emit("payment_intent.payment_failed", &failed, None);
    let mut error = error
        .with("payment_intent", rendered(&failed))
        .with("payment_method", rendered(method));
    error.keeps_effects = true;
    error
}

/// The 402 for a refusal.
pub(crate) fn refused(refusal: Refusal) -> ApiError {
    let mut error = ApiError::new(402, "card_error", refusal.message).code(refusal.code);
    if let Some(advice_code) = refusal.advice_code {
        error = error.with("advice_code", advice_code);
    }
    if refusal.decline_code == Some("generic_decline") {
        error = error.with("network_decline_code", "01");
    }
    match (refusal.decline_code, refusal.code) {
        (Some(decline_code), _) => error.with("decline_code", decline_code),
        (None, "incorrect_number") => error.param("number"),
        (None, "incorrect_cvc") => error.param("cvc"),
        (None, "expired_card") => error.param("exp_month"),
        _ => error,
    }
}

/// Captures `amount` of what the intent holds; the rest is given back.
pub(crate) fn capture(world: &mut World, intent: &Value, amount: i64, edit: impl FnOnce(&mut Value)) -> Arc<Value> {
    charges::capture(world, field::text(intent, "latest_charge"), amount, edit);
    let captured = world.edit(field::text(intent, "id"), |one| {
        field::set(one, "status", "succeeded");
        field::set(one, "amount_capturable", 0);
        field::set(one, "amount_received", amount);
    });
    world.emit("payment_intent.succeeded", &captured, None);
    if let Some(session) = field::some_text(&captured, "_sandbox.session") {
        world.edit(session, |one| field::set(one, "payment_status", "paid"));
    }
    disputes::follow_payment(world, field::text(intent, "latest_charge"));
    invoice_payments::credit(world, &captured);
    captured
}

/// Cancels an intent that is neither paid nor canceled, and gives back what it holds.
pub(crate) fn cancel(world: &mut World, intent: &Value, reason: Option<&str>) -> Value {
    cancel_because(world, intent, reason, "charge.refunded")
}

/// The bank gives back what was held too long.
pub(crate) fn expire(world: &mut World, intent: &Value) {
    cancel_because(world, intent, Some("automatic"), "charge.expired");
}

fn cancel_because(world: &mut World, intent: &Value, reason: Option<&str>, release: &str) -> Value {
    if field::text(intent, "status") == "requires_capture" {
        charges::release(world, field::text(intent, "latest_charge"), release);
    }
    end(world, field::text(intent, "id"), reason)
}

/// The intent `id` is canceled, and holds nothing any more.
pub(crate) fn end(world: &mut World, id: &str, reason: Option<&str>) -> Value {
    let now = world.now;
    let canceled = world.edit(id, |one| {
        field::set(one, "status", "canceled");
        field::set(one, "amount_capturable", 0);
        field::set(one, "next_action", Value::Null);
        field::set(one, "canceled_at", now);
        field::set(one, "cancellation_reason", json!(reason));
    });
    world.emit("payment_intent.canceled", &canceled, None);
    invoice_payments::follow(world, &canceled);
    Arc::unwrap_or_clone(canceled)
}

#[cfg(test)]
mod tests;
