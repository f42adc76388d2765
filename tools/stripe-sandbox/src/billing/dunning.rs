//! What follows when an invoice is not paid: the next try, and what the setting says once there is none.
//!
//! Source: <https://docs.stripe.com/billing/revenue-recovery/smart-retries>.

use std::sync::Arc;

use super::{
    cancellation, invoicing, pausing, renewal, sent_invoices,
    settings::{Fate, Outcome, Remains},
};
use crate::{
    field,
    json::{Value, json},
    world::World,
};

/// Refusals after which a card is not charged again for an invoice; the tries go on without it.
/// Source: <https://docs.stripe.com/billing/revenue-recovery/smart-retries#non-retryable-decline-codes>.
const HARD: &[&str] = &[
    "authentication_required",
    "highest_risk_level",
    "incorrect_number",
    "lost_card",
    "pickup_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "transaction_not_allowed",
];

/// Whether `method` was refused for this invoice in a way that makes another try with it useless, or waits for its owner
/// to authenticate.
pub(crate) fn is_refused_for_good(world: &World, invoice: &str, method: &Value) -> bool {
    let Some(payment) = invoicing::payment_of(world, invoice) else {
        return false;
    };
    let Some(intent) = world.find(field::text(&payment, "payment.payment_intent")) else {
        return false;
    };
    let id = field::at(method, "id");
    if field::text(intent, "status") == "requires_action" {
        return field::at(intent, "payment_method") == id;
    }
    let error = field::at(intent, "last_payment_error");
    let charge = world.find(field::text(intent, "latest_charge"));
    let reasons = [
        field::text(error, "decline_code"),
        field::text(error, "code"),
        charge.map_or("", |charge| field::text(charge, "outcome.reason")),
    ];
    field::at(error, "payment_method.id") == id && reasons.iter().any(|reason| HARD.contains(reason))
}

/// Does what is due for an open invoice.
pub(crate) fn run(world: &mut World, invoice: &Value) {
    let id = field::text(invoice, "id");
    let is_past = |name: &str| field::at(invoice, name).as_i64().is_some_and(|at| at <= world.now);
    if is_past("_sandbox.voids_at") {
        invoicing::void(world, id);
    } else if is_past("next_payment_attempt") {
        renewal::collect(world, id);
    } else {
        sent_invoices::run(world, id);
    }
}

/// Does what `outcome` says with an invoice that was not paid, for `reason`, and with its subscription.
pub(crate) fn give_up(world: &mut World, id: &str, subscription: &str, outcome: &Outcome, reason: &str) {
    if world.find(id).is_some_and(|one| pausing::resumes(world, one)) {
        // The subscription stays paused; that its invoice does not stay open is ours.
        invoicing::void(world, id);
        return;
    }
    if outcome.invoice == Remains::Uncollectible {
        write_off(world, id, reason);
    }
    let is_behind = world
        .find(subscription)
        .is_some_and(|one| field::text(one, "status") == "past_due");
    if !is_behind {
        return;
    }
    match outcome.subscription {
        Fate::Canceled => cancellation::cancel_now(world, subscription, Some("payment_failed")),
        Fate::Unpaid => {
            cancellation::stop_collection(world, subscription);
            world.update(subscription, "customer.subscription.updated", |one| {
                field::set(one, "status", "unpaid");
            });
        }
        Fate::PastDue => {}
    }
}

/// Marks an open invoice as uncollectible; `reason` is one of those of its `status_details`.
pub(crate) fn write_off(world: &mut World, id: &str, reason: &str) -> Arc<Value> {
    let now = world.now;
    let marked = world.update(id, "invoice.updated", |one| {
        field::set(one, "status", "uncollectible");
        field::set(one, "auto_advance", false);
        field::set(one, "next_payment_attempt", Value::Null);
        field::set(one, "status_details", json!({ "uncollectible": { "reason": reason } }));
        field::set(one, "status_transitions.marked_uncollectible_at", now);
    });
    world.emit("invoice.marked_uncollectible", &marked, None);
    if pausing::resumes(world, &marked) {
        pausing::complete(world, &marked, "active");
    }
    marked
}
