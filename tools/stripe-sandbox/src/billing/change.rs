//! A change of a subscription's items, with its prorations and the invoice for them.
//!
//! Sources: <https://docs.stripe.com/billing/subscriptions/change>, <https://docs.stripe.com/billing/subscriptions/prorations>.

use serde_json::Value;

use super::{
    authentication::Presence,
    invoice_items::{self, Sweep},
    invoicing::{self, Draft},
    lines, pausing, pending, period, proration, redemptions, renewal, sent_invoices,
};
use crate::{field, http::error::ApiError, resources::price, world::World};

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
    /// It is undone.
    Refused,
    /// It waits until the invoice is paid.
    Pending,
    /// It is not tried at all: the invoice stays a draft, of which there is a preview only.
    Drafted,
}

/// What a preview says as `payment_behavior`, for [`Unpaid::Drafted`]. No caller can: the table of operations does not have it.
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
}

/// Makes a subscription into `changed`, which is the same with other items and fields, and tells of it.
pub(crate) fn apply(world: &mut World, subscription: &Value, mut changed: Value, how: &How) -> Result<(), ApiError> {
    let id = field::text(subscription, "id").to_owned();
    let now = world.now;
    pending::give_way(world, &mut changed, how);
    redemptions::end_those_over(world, &mut changed);
    let is_running = matches!(field::text(subscription, "status"), "active" | "past_due" | "unpaid");
    let resets = is_running && (how.resets_anchor || resets_by_itself(subscription, &changed));
    let mut billed = Vec::new();
    let mut prorated = Vec::new();
    if !resets {
        prorated = proration::of_usage(world, subscription, &mut changed);
    } else if how.bills_usage {
        let items = field::elements(subscription, "items.data").iter();
        let metered = items.filter(|item| price::is_metered(field::at(item, "price")));
        billed.extend(metered.map(|item| lines::of_usage(world, subscription, item)));
        billed.retain(|line| line.amount != 0);
    }
    prorated.extend(match how.prorations {
        Prorations::None => Vec::new(),
        _ if resets => {
            // What was paid for is given back of the items as they were.
            let items = field::at(&changed, "items").clone();
            field::set(&mut changed, "items", field::at(subscription, "items").clone());
            let credits = proration::of_rest(world, &mut changed, how.at);
            field::set(&mut changed, "items", items);
            credits
        }
        _ => proration::of_change(world, subscription, &mut changed, how.at),
    });
    if resets {
        field::set(&mut changed, "billing_cycle_anchor", now);
        proration::forget(&mut changed);
        let mut items = field::elements(&changed, "items.data").to_vec();
        for item in &mut items {
            let end = period::next_end(now, now, field::at(item, "price"));
            field::set(item, "current_period_start", now);
            field::set(item, "current_period_end", end);
            if lines::opens(&changed, item) {
                billed.push(lines::of_item(world, &changed, item));
            }
        }
        field::set(&mut changed, "items.data", items);
    }
    let invoices = resets || (how.prorations == Prorations::Invoice && !prorated.is_empty());
    for item in &prorated {
        invoice_items::add_pending(world, item);
    }
    let mut invoice = None;
    let draft = Draft {
        sweep: Sweep::Only(&id),
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
        Some(invoice) => collect(world, &id, &invoice, how.unpaid),
        None => Ok(()),
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
fn collect(world: &mut World, subscription: &str, invoice: &str, unpaid: Unpaid) -> Result<(), ApiError> {
    if unpaid == Unpaid::Drafted || pausing::hold(world, invoice) {
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
        (_, Some(method)) => invoicing::pay(world, invoice, &method, Presence::Present),
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
mod tests;
