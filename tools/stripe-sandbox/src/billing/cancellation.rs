//! The ends of a subscription.
//!
//! Source: <https://docs.stripe.com/billing/subscriptions/cancel>.

use super::{
    invoice_items::{self, Sweep},
    invoicing::{self, Draft},
    lines, pausing, pending, proration, renewal, schedules,
};
use crate::{
    field,
    json::{Value, json},
    world::World,
};

/// Writes that a subscription is to end at a moment, or is not to end.
pub(crate) fn plan(changed: &mut Value, end: Option<i64>, now: i64) {
    field::set(changed, "cancel_at", json!(end));
    if end.is_some() {
        if field::at(changed, "canceled_at").is_null() {
            field::set(changed, "canceled_at", now);
        }
        field::set(changed, "cancellation_details.reason", "cancellation_requested");
    } else {
        field::set(changed, "canceled_at", Value::Null);
        field::set(changed, "cancellation_details.reason", Value::Null);
    }
}

/// Cancels a subscription at once, with a credit for the time that was paid for, and a last invoice, if they are asked for.
pub(crate) fn cancel_with(world: &mut World, subscription: &Value, prorates: bool, invoices_now: bool) {
    let id = field::text(subscription, "id");
    let mut changed = subscription.clone();
    if prorates {
        let now = world.now;
        for credit in proration::of_rest(world, &mut changed, now) {
            invoice_items::add_pending(world, &credit);
        }
    }
    world.put(&changed);
    if invoices_now {
        invoice_rest(world, id);
    }
    cancel_now(world, id, None);
}

/// Ends a subscription whose planned end has come.
pub(crate) fn end(world: &mut World, id: &str) {
    let now = world.now;
    pending::end(world, id);
    // While it is paused there are no invoices.
    if world.find(id).is_some_and(|one| field::text(one, "status") != "paused") {
        invoice_rest(world, id);
    }
    let ended = world.edit(id, |one| {
        write_end(one, now);
        if field::at(one, "canceled_at").is_null() {
            field::set(one, "canceled_at", now);
        }
        if field::at(one, "cancellation_details.reason").is_null() {
            field::set(one, "cancellation_details.reason", "cancellation_requested");
        }
    });
    stop_collection(world, id);
    world.emit("customer.subscription.deleted", &ended, None);
    schedules::follow_end(world, &ended);
}

/// Writes that a subscription has ended; that it was paused before is not told of it any more.
fn write_end(subscription: &mut Value, now: i64) {
    field::set(subscription, "status", "canceled");
    field::set(subscription, "status_details", Value::Null);
    field::set(subscription, "ended_at", now);
}

/// Cancels a subscription at once; `reason` is `cancellation_requested` unless said otherwise.
pub(crate) fn cancel_now(world: &mut World, id: &str, reason: Option<&str>) {
    let now = world.now;
    let Some(subscription) = world.find(id).cloned() else {
        return;
    };
    if super::has_ended(&subscription) {
        return;
    }
    pending::end(world, id);
    let canceled = world.edit(id, |one| {
        write_end(one, now);
        field::set(one, "canceled_at", now);
        field::set(one, "cancel_at", Value::Null);
        field::set(one, "cancel_at_period_end", false);
        field::set(
            one,
            "cancellation_details.reason",
            reason.unwrap_or("cancellation_requested"),
        );
    });
    stop_collection(world, id);
    world.emit("customer.subscription.deleted", &canceled, None);
    schedules::follow_end(world, &canceled);
}

/// Invoices at once what was used in the present period and what waits for the subscription's next invoice, of which there
/// will be none.
pub(crate) fn invoice_rest(world: &mut World, id: &str) {
    if let Some(invoice) = draft_rest(world, id)
        && !pausing::hold(world, &invoice)
    {
        renewal::advance(world, &invoice);
    }
}

/// Drafts the invoice of [`invoice_rest`], if there is anything to invoice, and gives its id.
pub(crate) fn draft_rest(world: &mut World, id: &str) -> Option<String> {
    let subscription = world.find(id).cloned()?;
    let draft = Draft {
        sweep: Sweep::Only(id),
        ..Draft::of(
            &subscription,
            "subscription_update",
            lines::of_all_usage(world, &subscription),
        )
    };
    if draft.is_empty(world) {
        return None;
    }
    let invoice = field::text(&invoicing::draft(world, draft), "id").to_owned();
    world.edit(id, |one| field::set(one, "latest_invoice", invoice.clone()));
    Some(invoice)
}

/// Open invoices and drafts of a subscription that has ended, or is unpaid, stay as they are but are not advanced any more.
pub(crate) fn stop_collection(world: &mut World, subscription: &str) {
    for invoice in world.of(subscription, "invoice") {
        if matches!(field::text(&invoice, "status"), "draft" | "open") {
            world.update(field::text(&invoice, "id"), "invoice.updated", |one| {
                field::set(one, "auto_advance", false);
                field::set(one, "next_payment_attempt", Value::Null);
                field::set(one, "automatically_finalizes_at", Value::Null);
            });
        }
    }
}

/// The first payment never came: the subscription expires and what is open of its invoices is voided.
pub(crate) fn expire_incomplete(world: &mut World, id: &str) {
    let now = world.now;
    world.update(id, "customer.subscription.updated", |one| {
        field::set(one, "status", "incomplete_expired");
        field::set(one, "ended_at", now);
    });
    // The latest invoice may be that of an update, and paid.
    for invoice in world.of(id, "invoice") {
        if field::text(&invoice, "status") == "open" {
            invoicing::void(world, field::text(&invoice, "id"));
        }
    }
}
