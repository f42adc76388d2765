//! Invoices that are sent to be paid: the notices around their due date, and what follows when they are not paid.
//!
//! Source: <https://docs.stripe.com/billing/collection-method>. What is planned for an invoice is what the setting says when
//! it is finalized.

use super::{
    dunning, renewal,
    settings::{self, Fate, Outcome, Remains},
};
use crate::{
    field,
    json::{Value, json},
    world::World,
};

/// Where an open invoice keeps what is still to come, in order.
const STEPS: &str = "_sandbox.steps";

/// When the next step of an open invoice is due, if there is one.
pub(crate) fn next_step(invoice: &Value) -> Option<i64> {
    let steps = field::elements(invoice, STEPS);
    steps.first().map(|step| field::integer(step, "at"))
}

/// Whether an invoice, or a subscription's, is sent and not charged.
pub(crate) fn is_sent(object: &Value) -> bool {
    field::text(object, "collection_method") == "send_invoice"
}

/// Writes what is to come for an invoice that is open from now on.
pub(crate) fn plan(world: &mut World, id: &str) {
    let Some(invoice) = world.find(id).cloned() else { return };
    let Some(due) = field::at(&invoice, "due_date").as_i64() else {
        return;
    };
    let settings = settings::of(world).sent_invoices;
    let now = world.now;
    let days = |days: i64| days.saturating_mul(86_400);
    let gives_up = settings.subscription != Fate::PastDue || settings.invoice != Remains::Open;
    let notice = settings.will_be_due_days.map(|before| due.saturating_sub(days(before)));
    let steps = [
        // Notice that comes too late is none.
        ("will_be_due", notice.filter(|at| *at > now)),
        ("past_due", Some(due)),
        (
            "overdue",
            settings.overdue_days.map(|after| due.saturating_add(days(after))),
        ),
        ("give_up", gives_up.then(|| due.saturating_add(days(settings.days)))),
    ];
    let mut planned: Vec<(i64, &str)> = steps
        .into_iter()
        .filter_map(|(step, at)| Some((at?.max(now.saturating_add(1)), step)))
        .collect();
    planned.sort_by_key(|(at, _)| *at);
    let planned: Vec<Value> = planned
        .into_iter()
        .map(|(at, step)| json!({ "at": at, "step": step }))
        .collect();
    world.edit(id, |one| field::set(one, STEPS, planned));
}

/// Tells that an invoice was sent.
pub(crate) fn send(world: &mut World, id: &str) {
    if let Some(invoice) = world.find(id).cloned() {
        world.emit("invoice.sent", &invoice, None);
    }
}

/// Does all steps of an open invoice that are due.
pub(crate) fn run(world: &mut World, id: &str) {
    while let Some(invoice) = world.find(id).cloned() {
        let Some((step, left)) = field::elements(&invoice, STEPS).split_first() else {
            return;
        };
        let is_open = field::text(&invoice, "status") == "open";
        if !is_open || field::integer(step, "at") > world.now {
            return;
        }
        let left = left.to_vec();
        world.edit(id, |one| field::set(one, STEPS, left));
        let subscription = field::text(&invoice, "parent.subscription_details.subscription");
        match field::text(step, "step") {
            "will_be_due" => {
                world.emit("invoice.will_be_due", &invoice, None);
            }
            "overdue" => {
                world.emit("invoice.overdue", &invoice, None);
            }
            "past_due" => renewal::fall_behind(world, subscription),
            _ => {
                let settings = settings::of(world).sent_invoices;
                let outcome = Outcome {
                    subscription: settings.subscription,
                    invoice: settings.invoice,
                };
                dunning::give_up(world, id, subscription, &outcome, "payment_not_received");
            }
        }
    }
}
