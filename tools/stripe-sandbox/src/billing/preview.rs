//! What invoices will be: the very functions that make them, run as if, and the draft they come to.
//!
//! Sources: <https://docs.stripe.com/invoicing/preview>, <https://docs.stripe.com/api/invoices/create_preview>.

use super::{
    cancellation, due_at,
    invoice_items::Sweep,
    invoicing::{self, DRAFT_LIFE, Draft},
    lines, period, redemptions, run_due, schedules,
};
use crate::{field, json::Value, world::World};

/// So often at most something else comes due before the next invoice: a notice, a pending change that expires, a trial.
const STEPS: usize = 8;
/// And so often for each phase of a schedule: it begins, and has a trial and notices.
const STEPS_OF_PHASE: usize = 4;

/// The draft of the next invoice of a subscription, if there will be one. Time passes until then for this subscription only.
pub(crate) fn next(world: &mut World, id: &str) -> Option<Value> {
    let schedule = schedules::of(world, world.find(id)?);
    let phases = schedule.map_or(0, |schedule| field::elements(schedule, "phases").len());
    for _ in 0..STEPS + phases * STEPS_OF_PHASE {
        let subscription = world.find(id).cloned()?;
        if !is_invoiced(&subscription) {
            return None;
        }
        let due = due_at(&subscription)?;
        let phase = schedules::of(world, &subscription).and_then(|schedule| Some((id_of(schedule), due_at(schedule)?)));
        let phase = phase.filter(|(_, at)| *at < due);
        world.now = world.now.max(phase.as_ref().map_or(due, |(_, at)| *at));
        let ends = field::at(&subscription, "cancel_at").as_i64();
        if ends.is_some_and(|at| at <= world.now) {
            let last = cancellation::draft_rest(world, id)?;
            return world.find(&last).cloned();
        }
        run_due(world, phase.as_ref().map_or(id, |(schedule, _)| schedule));
        let latest = field::at(world.find(id)?, "latest_invoice").clone();
        if latest != *field::at(&subscription, "latest_invoice") {
            return world.find(latest.as_str()?).cloned();
        }
    }
    None
}

/// As [`next`], of the subscription of a schedule, or the first invoice of one that it has yet to begin. `latest` is the
/// invoice that the subscription had before the schedule was changed.
pub(crate) fn next_of_schedule(world: &mut World, id: &str, latest: &Value) -> Option<Value> {
    let subscription = subscribed(world, id)?;
    let made = field::at(world.find(&subscription)?, "latest_invoice").clone();
    match made.as_str() {
        Some(invoice) if made != *latest => world.find(invoice).cloned(),
        _ => next(world, &subscription),
    }
}

/// As [`recurring`], of the subscription of a schedule.
pub(crate) fn recurring_of_schedule(world: &mut World, id: &str) -> Option<Value> {
    let subscription = subscribed(world, id)?;
    recurring(world, &subscription)
}

/// The subscription of a schedule, which is begun if it is not yet.
fn subscribed(world: &mut World, id: &str) -> Option<String> {
    if field::text(world.find(id)?, "status") == "not_started" {
        world.now = world.now.max(due_at(world.find(id)?)?);
        run_due(world, id);
    }
    let schedule = world.find(id)?;
    let names = ["subscription", "released_subscription"];
    let mut subscriptions = names.iter().filter_map(|name| field::some_text(schedule, name));
    subscriptions.next().map(str::to_owned)
}

/// The draft of an invoice for each item of a subscription over the period after its present one, and for nothing that comes
/// once: no invoice items, no trial, no discount for one invoice.
pub(crate) fn recurring(world: &mut World, id: &str) -> Option<Value> {
    let mut subscription = world.find(id).cloned()?;
    if !is_invoiced(&subscription) && field::text(&subscription, "status") != "incomplete" {
        return None;
    }
    redemptions::end_those_for_once(world, &mut subscription);
    let anchor = field::integer(&subscription, "billing_cycle_anchor");
    let mut billed = Vec::new();
    for item in field::elements(&subscription, "items.data") {
        let mut item = item.clone();
        let start = field::integer(&item, "current_period_end");
        let end = period::next_end(anchor, start, field::at(&item, "price"));
        field::set(&mut item, "current_period_start", start);
        field::set(&mut item, "current_period_end", end);
        billed.push(lines::of_item(world, &subscription, &item));
    }
    let draft = Draft {
        sweep: Sweep::None,
        ..Draft::of(&subscription, "subscription_cycle", billed)
    };
    Some(invoicing::draft(world, draft))
}

fn id_of(object: &Value) -> String {
    field::text(object, "id").to_owned()
}

fn is_invoiced(subscription: &Value) -> bool {
    matches!(
        field::text(subscription, "status"),
        "active" | "trialing" | "past_due" | "unpaid"
    )
}

/// A draft as a preview shows it. Its id tells which invoice it would be, were it made next.
pub(crate) fn shown(draft: &Value) -> Value {
    let mut preview = draft.clone();
    let id = format!("upcoming_{}", field::text(draft, "id"));
    field::set(&mut preview, "billing_reason", "upcoming");
    field::set(&mut preview, "lines.url", format!("/v1/invoices/{id}/lines"));
    if let Value::Array(lines) = field::place(&mut preview, "lines.data") {
        for line in lines {
            field::set(line, "invoice", id.clone());
        }
    }
    if field::text(draft, "collection_method") == "charge_automatically" {
        let waits = !field::at(draft, "automatically_finalizes_at").is_null();
        let attempt = field::integer(draft, "created") + if waits { DRAFT_LIFE } else { 0 };
        field::set(&mut preview, "next_payment_attempt", attempt);
    }
    field::set(&mut preview, "id", id);
    preview
}

#[cfg(test)]
mod tests;
