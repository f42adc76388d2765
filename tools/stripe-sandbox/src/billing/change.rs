//! A change of a subscription's items, with its prorations and the invoice for them.
//!
//! Sources: <https://docs.stripe.com/billing/subscriptions/change>, <https://docs.stripe.com/billing/subscriptions/prorations>.

use super::{
    authentication::Presence,
    invoice_items::{self, Sweep},
    invoicing::{self, Draft},
    latest_period_end,
    lines::{self, Line},
    pausing, pending, period, proration, redemptions, renewal, sent_invoices, trials,
};
use crate::{field, http::error::ApiError, json::Value, world::World};

/// What becomes of prorations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prorations {
    /// They wait for the next invoice.
    Wait,
    /// They are invoiced at once.
    Invoice,
    /// There are none.
    None,
}

/// What becomes of a change whose invoice cannot be paid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpaid {
    /// It stands, and the subscription is past due.
    Allowed,
    /// As [`Unpaid::Allowed`], and payment is not even tried.
    Awaited,
    /// As [`Unpaid::Allowed`], and the invoice is a draft for an hour first: nobody waits for it.
    DraftedFirst,
    /// It is undone.
    Refused,
    /// It waits until the invoice is paid.
    Pending,
    /// It is not tried at all: the invoice stays a draft, of which there is a preview only.
    Previewed,
}

/// What a preview says as `payment_behavior`, for [`Unpaid::Previewed`]. No caller can: the table of operations does not have it.
pub(crate) const PREVIEWED: &str = "previewed";

/// How items are changed.
pub(crate) struct How {
    pub(crate) prorations: Prorations,
    pub(crate) unpaid: Unpaid,
    /// The moment from which it counts; it lies within the present period.
    pub(crate) at: i64,
    /// Whether a new period begins now.
    pub(crate) resets_anchor: bool,
    /// Whether what was used in a period that ends so is billed. In a trial it is free.
    pub(crate) bills_usage: bool,
    /// Whether whoever pays can be asked to authenticate.
    pub(crate) presence: Presence,
    /// When a trial ends that begins now, or goes on, instead of a period.
    pub(crate) trial_end: Option<i64>,
}

/// Makes a subscription into `changed`, which is the same with other items and fields, and tells of it. Where its period is
/// over at this moment it renews as what it becomes.
pub(crate) fn apply(world: &mut World, subscription: &Value, mut changed: Value, how: &How) -> Result<(), ApiError> {
    let id = field::text(subscription, "id").to_owned();
    let now = world.now;
    pending::give_way(world, &mut changed, how);
    redemptions::end_those_over(world, &mut changed);
    let is_running = matches!(field::text(subscription, "status"), "active" | "past_due" | "unpaid");
    let resets =
        is_running && (how.resets_anchor || how.trial_end.is_some() || resets_by_itself(subscription, &changed));
    let renews = how.trial_end.is_none() && world.find(&id).is_some_and(|stored| renewal::is_due(stored, now));
    if renews {
        await_renewal(&mut changed, now);
    }
    let mut billed = match resets && how.bills_usage {
        true => lines::of_all_usage(world, &cut_short(subscription, renews, now)),
        false => Vec::new(),
    };
    end_with_period(&mut changed);
    lines::count_anew(subscription, &mut changed, now);
    let prorated = match how.prorations {
        Prorations::None => Vec::new(),
        _ if resets => {
            // What was paid for is given back of the items as they were.
            let mut ended = changed.clone();
            for name in ["items", "cancel_at"] {
                field::set(&mut ended, name, field::at(subscription, name).clone());
            }
            proration::of_rest(world, &mut ended, how.at)
        }
        _ => proration::of_change(world, subscription, &mut changed, how.at),
    };
    if resets {
        let opened = begin_anew(world, &mut changed, how.trial_end);
        if renews {
            await_renewal(&mut changed, now);
        } else {
            billed.extend(opened);
        }
    }
    // In classic mode what waits for the next invoice is reason enough for one, where prorations are invoiced at once.
    // Source: <https://docs.stripe.com/billing/subscriptions/billing-mode/compare#invoice-one-time-charges>.
    let is_classic = field::text(&changed, "billing_mode.type") == "classic";
    let invoices = resets || how.prorations == Prorations::Invoice && (is_classic || !prorated.is_empty());
    for item in &prorated {
        invoice_items::add_pending(world, item);
    }
    if renews {
        renewal::renew(world, subscription, changed, billed);
        return Ok(());
    }
    let mut invoice = None;
    let advances = how.unpaid == Unpaid::DraftedFirst && field::text(&changed, "status") != "unpaid";
    let draft = Draft {
        sweep: Sweep::Only(&id),
        finalizes_at: advances.then_some(now + invoicing::DRAFT_LIFE),
        ..Draft::of(&changed, "subscription_update", billed)
    };
    if invoices && !draft.is_empty(world) {
        let drafted = invoicing::draft(world, draft);
        if how.unpaid == Unpaid::Pending {
            proration::remember(&mut changed, &drafted);
            return pending::pay_or_wait(world, changed, &drafted);
        }
        redemptions::end_those_used(world, &mut changed, &drafted);
        proration::remember(&mut changed, &drafted);
        field::set(&mut changed, "latest_invoice", field::at(&drafted, "id").clone());
        invoice = field::some_text(&drafted, "id").map(str::to_owned);
    }
    world.update(&id, "customer.subscription.updated", |one| *one = changed);
    match invoice {
        Some(invoice) => collect(world, &id, &invoice, how),
        None => Ok(()),
    }
}

/// Has the periods of all items begin now, or a trial, and gives the lines for them.
fn begin_anew(world: &World, changed: &mut Value, trial_end: Option<i64>) -> Vec<Line> {
    let now = world.now;
    field::set(changed, "billing_cycle_anchor", now);
    proration::forget(changed);
    if let Value::Array(items) = field::place(changed, "items.data") {
        for item in items {
            let end = period::next_end(now, now, field::at(item, "price"));
            field::set(item, "current_period_start", now);
            field::set(item, "current_period_end", end);
        }
    }
    if let Some(end) = trial_end {
        trials::write(changed, now, end);
    }
    end_with_period(changed);
    let line_of = match trial_end {
        Some(_) => lines::of_trial,
        None => lines::of_item,
    };
    let items = field::elements(changed, "items.data").iter();
    let opened = items.filter(|item| lines::opens(changed, item));
    opened.map(|item| line_of(world, changed, item)).collect()
}

/// A subscription that ends with its period ends with another, if it has another.
/// Source: <https://docs.stripe.com/billing/subscriptions/billing-mode/compare>.
fn end_with_period(changed: &mut Value) {
    if field::flag(changed, "cancel_at_period_end") {
        let end = latest_period_end(changed);
        field::set(changed, "cancel_at", end);
    }
}

/// The subscription with the items only whose periods a change cuts short. What is over the renewal bills.
fn cut_short(subscription: &Value, renews: bool, now: i64) -> Value {
    let mut cut = subscription.clone();
    if let Some(items) = field::place(&mut cut, "items.data").as_array_mut() {
        items.retain(|item| !renews || field::integer(item, "current_period_end") > now);
    }
    cut
}

/// Leaves the items whose period begins now to the renewal, which begins it.
fn await_renewal(changed: &mut Value, now: i64) {
    let items = field::place(changed, "items.data").as_array_mut();
    let begun = |item: &&mut Value| field::integer(item, "current_period_start") == now;
    for item in items.into_iter().flatten().filter(begun) {
        field::set(item, "current_period_end", now);
    }
}

/// In classic mode a period of another length, or the first price that costs something, begins a new period.
fn resets_by_itself(subscription: &Value, changed: &Value) -> bool {
    let first = |one| field::at(one, "items.data.0.price");
    let is_free = |one: &Value| {
        let mut items = field::elements(one, "items.data").iter();
        items.all(|item| field::at(item, "price.unit_amount").as_i64() == Some(0))
    };
    field::text(subscription, "billing_mode.type") == "classic"
        && (!period::same_length(first(subscription), first(changed)) || (is_free(subscription) && !is_free(changed)))
}

/// Finalizes the invoice of a change and collects it now.
fn collect(world: &mut World, subscription: &str, invoice: &str, how: &How) -> Result<(), ApiError> {
    let unpaid = how.unpaid;
    if unpaid == Unpaid::Previewed || pausing::hold(world, invoice) || unpaid == Unpaid::DraftedFirst {
        return Ok(());
    }
    if world.find(invoice).is_some_and(sent_invoices::is_sent) {
        renewal::advance(world, invoice);
        return Ok(());
    }
    invoicing::finalize(world, invoice);
    let is_open = world
        .find(invoice)
        .is_some_and(|one| field::text(one, "status") == "open");
    if !is_open {
        return Ok(());
    }
    let method = world.find(invoice).and_then(|one| invoicing::payer(world, one));
    let paid = match (unpaid, method) {
        (Unpaid::Awaited, _) => {
            renewal::fall_behind(world, subscription);
            return Ok(());
        }
        (_, Some(method)) => invoicing::pay(world, invoice, &method, how.presence),
        (_, None) => Err(no_payment_method()),
    };
    match paid {
        Err(mut error) if unpaid == Unpaid::Refused => {
            error.keeps_effects = false;
            Err(error)
        }
        Err(_) => {
            renewal::fail(world, invoice, subscription);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Nobody can be charged for a subscription.
pub(crate) fn no_payment_method() -> ApiError {
    let message = "This customer has no attached payment source or default payment method. Please consider adding a \
        default payment method.";
    ApiError::invalid(message).code("resource_missing")
}

#[cfg(test)]
pub(crate) mod tests;
