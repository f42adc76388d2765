//! Notice of an invoice that is to come: `invoice.upcoming`, some days before a subscription's period ends.
//!
//! Source: <https://docs.stripe.com/billing/subscriptions/webhooks#additional-subscription-events>; other days count from the
//! next period on.

use std::sync::Arc;

use super::{
    earliest_period_end, invoice_totals,
    invoicing::{self, Draft},
    pausing, renewal, schedules, sent_invoices, settings,
};
use crate::{field, json::Value, world::World};

/// Where a subscription keeps how many days before the end of its period notice is given.
const DAYS: &str = "_sandbox.upcoming_days";
/// Where it keeps the end of which notice was given.
const TOLD: &str = "_sandbox.upcoming_told";

/// Writes how long before the end of the period that begins notice is given.
pub(crate) fn write(world: &World, subscription: &mut Value) {
    field::set(subscription, DAYS, settings::of(world).upcoming_days);
}

/// When notice is given next, if it is: not of a period as short as that, nor where no invoice follows or none is collected.
pub(crate) fn due_at(subscription: &Value) -> Option<i64> {
    let end = earliest_period_end(subscription)?;
    let ends = field::elements(subscription, "items.data").iter();
    let start = ends
        .filter(|item| field::integer(item, "current_period_end") == end)
        .map(|item| field::integer(item, "current_period_start"))
        .min()?;
    let at = end.saturating_sub(field::at(subscription, DAYS).as_i64()?.saturating_mul(86_400));
    let is_last = field::at(subscription, "cancel_at")
        .as_i64()
        .is_some_and(|at| at <= end);
    let is_told = field::at(subscription, TOLD).as_i64() == Some(end);
    let is_idle = field::text(subscription, "status") == "unpaid" || pausing::is_collection_paused(subscription);
    (at > start && !is_last && !is_told && !is_idle).then_some(at)
}

/// Tells of the invoice that comes when the period ends, as it would be by now. It has no id.
/// Source: <https://docs.stripe.com/api/events/types#event_types-invoice.upcoming>.
pub(crate) fn tell(world: &mut World, subscription: &Value) -> Arc<Value> {
    let Some(end) = earliest_period_end(subscription) else {
        return Arc::default();
    };
    let id = field::text(subscription, "id");
    let told = world.edit(id, |one| field::set(one, TOLD, end));
    let phase = schedules::of(world, subscription).and_then(schedules::due_at);
    let invoice = match phase.is_some_and(|at| at <= end) {
        true => world.as_if(|world| after_phases(world, id, end)),
        false => built(world, subscription, end),
    };
    let Some(mut invoice) = invoice else {
        return told;
    };
    let end = field::integer(&invoice, "created");
    if sent_invoices::is_sent(&invoice) {
        let days = field::integer(subscription, "days_until_due");
        field::set(
            &mut invoice,
            "due_date",
            end.saturating_add(days.saturating_mul(86_400)),
        );
    } else {
        field::set(&mut invoice, "next_payment_attempt", end + invoicing::DRAFT_LIFE);
    }
    invoice_totals::write(world, &mut invoice);
    if let Value::Object(fields) = &mut invoice {
        fields.shift_remove("id");
    }
    field::set(&mut invoice, "lines.url", "/v1/invoices/upcoming/lines");
    if let Value::Array(lines) = field::place(&mut invoice, "lines.data") {
        for line in lines {
            field::set(line, "invoice", Value::Null);
        }
    }
    world.emit("invoice.upcoming", &invoice, None);
    told
}

/// The invoice for the next period of a subscription, without its amounts, if there is anything to invoice.
fn built(world: &mut World, subscription: &Value, end: i64) -> Option<Value> {
    let mut renewed = subscription.clone();
    drop_discounts_over(world, &mut renewed, end);
    let billed = renewal::next_period(world, subscription, &mut renewed, end);
    let draft = Draft::of(&renewed, "upcoming", billed);
    if draft.is_empty(world) {
        return None;
    }
    let mut invoice = invoicing::build(world, draft);
    field::set(&mut invoice, "created", end);
    field::set(&mut invoice, "period_end", end);
    Some(invoice)
}

/// As [`built`], of a subscription with a schedule, with the phases that begin by then: one of them may make the invoice.
fn after_phases(world: &mut World, id: &str, end: i64) -> Option<Value> {
    let latest = field::at(world.find(id)?, "latest_invoice").clone();
    loop {
        let subscription = world.shared(id)?;
        let made = field::at(&subscription, "latest_invoice");
        if *made != latest {
            let mut invoice = world.find(made.as_str()?).cloned()?;
            field::set(&mut invoice, "billing_reason", "upcoming");
            field::set(&mut invoice, "automatically_finalizes_at", Value::Null);
            return Some(invoice);
        }
        let schedule = schedules::of(world, &subscription).cloned();
        let next = schedule.and_then(|one| Some((schedules::due_at(&one).filter(|at| *at <= end)?, one)));
        let Some((at, schedule)) = next else {
            return built(world, &subscription, end);
        };
        world.now = world.now.max(at);
        schedules::run(world, &schedule);
    }
}

/// Leaves out the discounts that will have ended by `end`.
fn drop_discounts_over(world: &World, subscription: &mut Value, end: i64) {
    let kept = |holder: &Value| -> Vec<Value> {
        let ids = field::elements(holder, "discounts").iter();
        let lasts = |id: &&Value| {
            let discount = id.as_str().and_then(|id| world.find(id));
            discount.is_some_and(|one| field::at(one, "end").as_i64().is_none_or(|at| at > end))
        };
        ids.filter(lasts).cloned().collect()
    };
    let discounts = kept(subscription);
    field::set(subscription, "discounts", discounts);
    if let Value::Array(items) = field::place(subscription, "items.data") {
        for item in items {
            let discounts = kept(item);
            field::set(item, "discounts", discounts);
        }
    }
}
