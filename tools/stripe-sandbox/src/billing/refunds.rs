//! Giving the money of a charge back, at once or later, or trying to.
//!
//! Source: <https://docs.stripe.com/refunds>, and for the cards <https://docs.stripe.com/testing#refunds>.

use std::sync::Arc;

use super::{balance, disputes, fraud_warnings, payment};
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    shapes,
    world::World,
};

/// The card whose refunds are pending at first, and the one whose refunds succeed and fail later.
const PENDING: &str = "pendingRefund";
const FAILING: &str = "refundFail";
/// How much later. Stripe says "some time later".
const LATER: i64 = 3600;

/// What of a refund the caller decides.
pub(crate) struct NewRefund<'a> {
    /// All that is left where it is not said.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) metadata: Value,
    pub(crate) instructions_email: Option<&'a str>,
}

/// What of a charge can still be refunded: what is kept of it, less what a dispute took away.
pub(crate) fn refundable(charge: &Value) -> i64 {
    kept(charge) - field::integer(charge, "_sandbox.disputed")
}

/// What of a charge was taken, less its refunds that stand.
fn kept(charge: &Value) -> i64 {
    let taken = if field::flag(charge, "captured") {
        field::integer(charge, "amount_captured")
    } else {
        field::integer(charge, "amount")
    };
    taken - field::integer(charge, "_sandbox.refunded")
}

/// Refunds a charge that succeeded. One that is not captured yet is released, which moves no money.
pub(crate) fn create(world: &mut World, charge: &Value, new: &NewRefund<'_>) -> Result<Value, ApiError> {
    let amount = amount(charge, new.amount)?;
    let card = world
        .find(field::text(charge, "payment_method"))
        .map(|method| field::text(method, "_sandbox.card").to_owned());
    let captured = field::flag(charge, "captured");
    let mut refund = shapes::refund();
    field::set(&mut refund, "id", world.id("re_", 24));
    field::set(&mut refund, "created", world.now);
    field::set(&mut refund, "amount", amount);
    field::set(&mut refund, "charge", field::at(charge, "id").clone());
    for name in ["currency", "payment_intent"] {
        field::set(&mut refund, name, field::at(charge, name).clone());
    }
    field::set(&mut refund, "metadata", new.metadata.clone());
    field::set(&mut refund, "reason", new.reason);
    if let Some(email) = new.instructions_email {
        field::set(&mut refund, "instructions_email", email);
    }
    if captured {
        let posted = balance::post_refund(world, &refund);
        field::set(&mut refund, "balance_transaction", posted);
    } else {
        field::set(&mut refund, "destination_details.card", json!({ "type": "reversal" }));
    }
    match card.as_deref().filter(|_| captured) {
        Some(PENDING) => {
            field::set(&mut refund, "status", "pending");
            field::set(&mut refund, "pending_reason", "processing");
            field::set(&mut refund, "_sandbox.due_at", world.now + LATER);
        }
        Some(FAILING) => field::set(&mut refund, "_sandbox.due_at", world.now + LATER),
        _ => {}
    }
    world.put(&refund);
    count(world, &refund, amount, "charge.refunded");
    world.emit("refund.created", &refund, None);
    tell_of_charge(world, field::text(charge, "id"));
    if !captured {
        cancel_intent(world, charge);
    }
    Ok(refund)
}

fn amount(charge: &Value, wanted: Option<i64>) -> Result<i64, ApiError> {
    let id = field::text(charge, "id");
    let left = refundable(charge);
    if field::text(charge, "status") != "succeeded" {
        let message = format!("Charge {id} has not succeeded, so there is nothing to refund.");
        return Err(ApiError::invalid(message).param("charge"));
    }
    if left <= 0 && kept(charge) > 0 {
        let message = format!("Charge {id} has been charged back; cannot issue a refund.");
        return Err(ApiError::invalid(message).code("charge_disputed"));
    }
    if left <= 0 {
        let message = format!("Charge {id} has already been refunded.");
        return Err(ApiError::invalid(message).code("charge_already_refunded"));
    }
    match wanted {
        None => Ok(left),
        Some(amount) if amount < 1 => Err(ApiError::not_positive("amount")),
        Some(amount) if amount > left => {
            let of_what = if left == field::integer(charge, "amount") {
                "charge amount"
            } else {
                "unrefunded amount on charge"
            };
            let currency = field::text(charge, "currency");
            let (amount, left) = (
                super::start::symbolic(amount, currency),
                super::start::symbolic(left, currency),
            );
            let message = format!("Refund amount ({amount}) is greater than {of_what} ({left})");
            Err(ApiError::invalid(message).param("amount"))
        }
        Some(amount) if amount < left && !field::flag(charge, "captured") => {
            let message = format!("Charge {id} is not captured: it can only be released whole.");
            Err(ApiError::invalid(message).param("amount"))
        }
        Some(amount) => Ok(amount),
    }
}

/// Adds `amount` to what of the refund's charge is refunded, and tells of the charge.
fn count(world: &mut World, refund: &Value, amount: i64, event: &str) {
    world.update(field::text(refund, "charge"), event, |charge| {
        for name in ["_sandbox.refunded", "amount_refunded"] {
            let sum = field::integer(charge, name) + amount;
            field::set(charge, name, sum);
        }
        let nothing_left = kept(charge) <= 0;
        field::set(charge, "refunded", nothing_left);
    });
}

/// What is refunded, or is not any more, changes what a dispute and a warning of fraud can be about.
fn tell_of_charge(world: &mut World, charge: &str) {
    disputes::charge_refunded(world, charge);
    fraud_warnings::reconsider(world, charge);
}

/// What was to be taken is released, so the payment that asked for it is over.
fn cancel_intent(world: &mut World, charge: &Value) {
    let id = field::text(charge, "payment_intent");
    let waits = world
        .find(id)
        .is_some_and(|intent| field::text(intent, "status") == "requires_capture");
    if waits {
        payment::end(world, id, None);
    }
}

/// The bank has answered: a pending refund has succeeded, one that had succeeded fails.
pub(crate) fn run(world: &mut World, refund: &Value) {
    let id = field::text(refund, "id");
    if field::text(refund, "status") == "pending" {
        change(world, id, |one| {
            field::set(one, "status", "succeeded");
            field::set(one, "_sandbox.due_at", Value::Null);
            remove(one, "pending_reason");
        });
        return;
    }
    let failed = give_up(world, refund, "failed", "expired_or_canceled_card");
    world.emit("refund.failed", &failed, None);
}

/// Cancels a refund that is still pending.
pub(crate) fn cancel(world: &mut World, refund: &Value) -> Result<Value, ApiError> {
    let status = field::text(refund, "status");
    if !matches!(status, "pending" | "requires_action") {
        let message = format!("You can't cancel this refund because it has a status of {status}.");
        return Err(ApiError::invalid(message));
    }
    Ok(give_up(world, refund, "canceled", "merchant_request"))
}

/// The refund did not come to be: its money is back in the balance, and can be refunded again.
fn give_up(world: &mut World, refund: &Value, status: &str, reason: &str) -> Value {
    let returned = balance::post_refund_failure(world, refund);
    let given_up = change(world, field::text(refund, "id"), |one| {
        field::set(one, "status", status);
        field::set(one, "failure_reason", reason);
        field::set(one, "failure_balance_transaction", returned);
        field::set(one, "_sandbox.due_at", Value::Null);
        remove(one, "pending_reason");
    });
    count(world, refund, -field::integer(refund, "amount"), "charge.updated");
    tell_of_charge(world, field::text(refund, "charge"));
    Arc::unwrap_or_clone(given_up)
}

/// Changes a refund and tells of it, in the new manner and in the old.
/// Source: <https://docs.stripe.com/api/events/types#event_types-charge.refund.updated>.
pub(crate) fn change(world: &mut World, id: &str, edit: impl FnOnce(&mut Value)) -> Arc<Value> {
    let before = world.shared(id);
    let changed = world.update(id, "refund.updated", edit);
    if before.as_ref() != Some(&changed) {
        world.emit("charge.refund.updated", &changed, None);
    }
    changed
}

fn remove(refund: &mut Value, name: &str) {
    if let Value::Object(fields) = refund {
        fields.shift_remove(name);
    }
}

#[cfg(test)]
mod tests;
