//! What happens as time passes: subscriptions renew or end, invoices are finalized and collected, sessions and holds expire,
//! money becomes available, refunds come through or do not, disputes are decided.

pub(crate) mod authentication;
pub(crate) mod balance;
pub(crate) mod bank_accounts;
pub(crate) mod cancellation;
pub(crate) mod cards;
pub(crate) mod change;
pub(crate) mod charges;
pub(crate) mod checkout;
pub(crate) mod confirmation;
pub(crate) mod credit_note_lines;
pub(crate) mod credit_notes;
pub(crate) mod customer_credit;
pub(crate) mod decimal;
pub(crate) mod discounts;
pub(crate) mod disputes;
pub(crate) mod dunning;
pub(crate) mod finalization;
pub(crate) mod first_period;
pub(crate) mod fraud_warnings;
pub(crate) mod invoice_items;
pub(crate) mod invoice_payments;
pub(crate) mod invoice_totals;
pub(crate) mod invoicing;
pub(crate) mod lines;
pub(crate) mod links;
pub(crate) mod pausing;
pub(crate) mod payment;
pub(crate) mod payout_schedule;
pub(crate) mod payouts;
pub(crate) mod pending;
pub(crate) mod period;
pub(crate) mod phases;
pub(crate) mod portal;
pub(crate) mod preview;
pub(crate) mod pricing;
pub(crate) mod proration;
pub(crate) mod recovery;
pub(crate) mod redemptions;
pub(crate) mod refunds;
pub(crate) mod renewal;
pub(crate) mod schedules;
pub(crate) mod sent_invoices;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod start;
pub(crate) mod test_clock;
pub(crate) mod totals;
pub(crate) mod trials;
pub(crate) mod upcoming;
pub(crate) mod usage;

use crate::{
    field,
    json::Value,
    resources::{checkout_session, tax_id},
    world::World,
};

/// How long an incomplete subscription may wait for its first payment.
/// Source: <https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses> (23 hours).
pub(crate) const INCOMPLETE_LIFE: i64 = 23 * 3600;

/// When `object` next has something to do, in virtual time, if ever.
pub(crate) fn due_at(object: &Value) -> Option<i64> {
    let timestamp = |path: &str| field::at(object, path).as_i64();
    match (field::text(object, "object"), field::text(object, "status")) {
        ("subscription", "active" | "trialing" | "past_due" | "unpaid") => [
            timestamp("cancel_at"),
            timestamp("_sandbox.trial_notice_at"),
            timestamp("pending_update.expires_at"),
            timestamp("pause_collection.resumes_at"),
            upcoming::due_at(object),
            earliest_period_end(object),
        ]
        .into_iter()
        .flatten()
        .min(),
        ("subscription", "incomplete") => Some(field::integer(object, "created") + INCOMPLETE_LIFE),
        ("subscription", "paused") => timestamp("cancel_at"),
        ("subscription_schedule", _) => schedules::due_at(object),
        ("invoice", "draft") => timestamp("automatically_finalizes_at"),
        ("invoice", "open") => [
            timestamp("next_payment_attempt"),
            timestamp("_sandbox.voids_at"),
            sent_invoices::next_step(object),
        ]
        .into_iter()
        .flatten()
        .min(),
        ("checkout.session", "open") => timestamp("expires_at"),
        ("coupon", _) if field::flag(object, "valid") => timestamp("redeem_by"),
        ("promotion_code", _) if field::flag(object, "active") => timestamp("expires_at"),
        ("tax_id", _) => timestamp("_sandbox.verified_at"),
        ("dispute" | "payout" | "refund", _) => timestamp("_sandbox.due_at"),
        ("balance", _) => timestamp("_sandbox.payout_at"),
        ("balance_transaction", "pending") => timestamp("available_on"),
        ("payment_intent", "requires_capture") => timestamp("_sandbox.hold_ends"),
        (test_clock::KIND, _) => test_clock::due_at(object),
        _ => None,
    }
}

/// Does what has come due for the object `id`.
pub(crate) fn run_due(world: &mut World, id: &str) {
    let Some(object) = world.shared(id) else { return };
    match (field::text(&object, "object"), field::text(&object, "status")) {
        ("subscription", "incomplete") => cancellation::expire_incomplete(world, id),
        ("subscription", _) => {
            // A phase that begins when a period does begins first, and may have begun the period, too.
            schedules::run_of(world, &object);
            let object = world.shared(id).unwrap_or_default();
            if due_at(&object).is_some_and(|at| at <= world.now) {
                renewal::run(world, &object);
            }
        }
        ("subscription_schedule", _) => schedules::run(world, &object),
        ("invoice", "draft") => renewal::advance(world, id),
        ("invoice", _) => dunning::run(world, &object),
        ("checkout.session", _) => checkout_session::expire_now(world, id),
        ("coupon", _) => discounts::expire_coupon(world, id),
        ("promotion_code", _) => discounts::deactivate(world, id),
        ("tax_id", _) => tax_id::verify(world, &object),
        ("dispute", _) => disputes::run(world, &object),
        ("refund", _) => refunds::run(world, &object),
        ("payout", _) => payouts::run(world, &object),
        ("balance", _) => payouts::run_schedule(world, &object),
        ("balance_transaction", _) => balance::settle(world, &object),
        ("payment_intent", _) => payment::expire(world, &object),
        (test_clock::KIND, _) => drop(test_clock::delete(world, &object)),
        _ => {}
    }
}

/// Whether a subscription has ended for good.
pub(crate) fn has_ended(subscription: &Value) -> bool {
    matches!(field::text(subscription, "status"), "canceled" | "incomplete_expired")
}

/// The end of the item period that ends first.
pub(crate) fn earliest_period_end(subscription: &Value) -> Option<i64> {
    field::elements(subscription, "items.data")
        .iter()
        .map(|item| field::integer(item, "current_period_end"))
        .min()
}

/// The end of the item period that ends last.
pub(crate) fn latest_period_end(subscription: &Value) -> Option<i64> {
    field::elements(subscription, "items.data")
        .iter()
        .map(|item| field::integer(item, "current_period_end"))
        .max()
}
