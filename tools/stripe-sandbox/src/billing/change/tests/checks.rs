//! What must be true after every step.

mod invoices;

use std::collections::{BTreeMap, BTreeSet};

use self::invoices::Billed;
use super::draw;
use crate::{
    billing::{has_ended, schedules, test_clock},
    field,
    json::Value,
    world::World,
};

/// What a status may become. Sources: <https://docs.stripe.com/invoicing/overview#invoice-statuses>,
/// <https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>,
/// <https://docs.stripe.com/billing/subscriptions/pause>.
const INVOICE: &[(&str, &[&str])] = &[
    ("", &["draft"]),
    ("draft", &["open", "paid"]),
    ("open", &["paid", "void", "uncollectible"]),
    ("uncollectible", &["paid", "void"]),
];
const SUBSCRIPTION: &[(&str, &[&str])] = &[
    ("", &["incomplete", "trialing", "active"]),
    ("incomplete", &["active", "incomplete_expired", "canceled"]),
    ("trialing", &["active", "past_due", "paused", "canceled"]),
    ("active", &["trialing", "past_due", "canceled", "unpaid", "paused"]),
    ("past_due", &["active", "trialing", "canceled", "unpaid"]),
    ("unpaid", &["active", "trialing", "canceled"]),
    ("paused", &["active", "past_due", "canceled"]),
];

/// Whether `to` is reached from `from`: a step may go several ways at once, as time passes.
fn reaches(machine: &[(&str, &[&str])], from: &str, to: &str) -> bool {
    let mut reached = vec![from];
    let mut looked = 0;
    while let Some(here) = reached.get(looked).copied() {
        looked += 1;
        let next = machine.iter().find(|(status, _)| *status == here);
        for next in next.into_iter().flat_map(|(_, next)| *next) {
            if !reached.contains(next) {
                reached.push(next);
            }
        }
    }
    reached.contains(&to)
}

/// What has been seen of a world so far.
#[derive(Default)]
pub(super) struct Seen {
    /// How much of the ledger.
    effects: usize,
    statuses: BTreeMap<String, String>,
    billed: Billed,
    /// What moved a customer's balance.
    balances: BTreeMap<String, i64>,
}

impl Seen {
    /// The objects that were created, and all that were touched, since the last time.
    pub(super) fn new_effects(&mut self, world: &World) -> (Vec<String>, BTreeSet<String>) {
        let fresh: Vec<_> = world.effects_after(self.effects).collect();
        self.effects += fresh.len();
        let created = fresh.iter().filter(|one| one.effect == "created");
        let created = created.map(|one| one.id.clone()).collect();
        (created, fresh.into_iter().map(|one| one.id).collect())
    }

    /// What is wrong with the objects that a step touched.
    pub(super) fn problems(&mut self, world: &World, touched: &BTreeSet<String>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut customers = BTreeSet::new();
        let there = touched.iter().filter_map(|id| world.find(id));
        for object in there.filter(|one| !field::flag(one, "deleted")) {
            match field::text(object, "object") {
                "invoice" => {
                    problems.extend(invoices::amounts(object));
                    problems.extend(invoices::payment(world, object));
                    problems.extend(self.moved(INVOICE, object));
                    problems.extend(self.billed.twice(world, object));
                }
                "subscription" => {
                    problems.extend(of_subscription(world, object));
                    problems.extend(self.moved(SUBSCRIPTION, object));
                }
                schedules::KIND => {
                    let now = draw::now(world, field::text(object, "id"));
                    let wrong = schedules::tests::check_schedule(world, object, now).err();
                    problems.extend(wrong.map(|error| error.to_string()));
                }
                "customer_balance_transaction" => {
                    let sum = self
                        .balances
                        .entry(field::text(object, "customer").to_owned())
                        .or_default();
                    *sum += field::integer(object, "amount");
                    if self
                        .statuses
                        .insert(field::text(object, "id").to_owned(), String::new())
                        .is_some()
                    {
                        problems.push("a movement of a balance has changed".to_owned());
                    }
                }
                "customer" => {
                    customers.insert(field::text(object, "id").to_owned());
                }
                _ => {}
            }
        }
        // What is left undone touches nothing.
        let clocks = world.each(test_clock::KIND);
        problems.extend(clocks.filter_map(|clock| of_clock(world, &clock)));
        for customer in customers {
            let balance = world.find(&customer).map_or(0, |one| field::integer(one, "balance"));
            let moved = self.balances.get(&customer).copied().unwrap_or_default();
            if balance != moved {
                problems.push(format!("{customer} has a balance of {balance}, and {moved} were moved"));
            }
        }
        problems
    }

    fn moved(&mut self, machine: &[(&str, &[&str])], object: &Value) -> Option<String> {
        let (id, status) = (field::text(object, "id"), field::text(object, "status"));
        let was = self
            .statuses
            .insert(id.to_owned(), status.to_owned())
            .unwrap_or_default();
        (!reaches(machine, &was, status)).then(|| format!("{id} was {was:?} and is {status}"))
    }
}

/// A subscription's periods end after they start, and while it runs now lies in them; it ends once, and at its time.
fn of_subscription(world: &World, subscription: &Value) -> Option<String> {
    let items = field::elements(subscription, "items.data");
    let now = draw::now(world, field::text(subscription, "id"));
    let status = field::text(subscription, "status");
    let runs = matches!(status, "trialing" | "active" | "past_due" | "unpaid");
    let lies_well = |item: &Value| {
        let (start, end) = (
            field::integer(item, "current_period_start"),
            field::integer(item, "current_period_end"),
        );
        // What is due in this very second may be done in the next step.
        start < end && (!runs || start <= now && now <= end)
    };
    let ended = !field::at(subscription, "ended_at").is_null();
    let is_late = runs && field::at(subscription, "cancel_at").as_i64().is_some_and(|at| at < now);
    let says = field::at(subscription, "status_details.paused").is_object();
    let is_sound = !items.is_empty()
        && items.iter().all(lies_well)
        && has_ended(subscription) == ended
        && !is_late
        && says == (status == "paused");
    (!is_sound).then(|| format!("not sound at {now}: {subscription}"))
}

/// A clock that stands has nothing left to do, and none fails.
fn of_clock(world: &World, clock: &Value) -> Option<String> {
    let id = field::text(clock, "id");
    let left = test_clock::shown(world, "", id).and_then(|now| world.next_due(id, now));
    let failed = field::text(clock, "status") == "internal_failure";
    (failed || left.is_some()).then(|| format!("{left:?} is left on {clock}"))
}

/// The changes of a status that events tell of and that there are not.
pub(super) fn wrong_ways(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for event in world.all("event") {
        let object = field::at(&event, "data.object");
        let machine = match field::text(object, "object") {
            "invoice" => INVOICE,
            "subscription" => SUBSCRIPTION,
            _ => continue,
        };
        let Some(was) = field::some_text(&event, "data.previous_attributes.status") else {
            continue;
        };
        let is = field::text(object, "status");
        let next = machine.iter().find(|(status, _)| *status == was);
        if next.is_none_or(|(_, next)| !next.contains(&is)) {
            wrong.push(format!("{} went from {was} to {is}", field::text(object, "id")));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn a_status_goes_its_ways_only() {
        let mut seen = Seen::default();
        for (status, is_wrong) in [
            ("open", false),
            ("draft", true),
            ("open", false),
            ("paid", false),
            ("void", true),
        ] {
            let next = json!({ "id": "in_1", "status": status });
            assert_eq!(seen.moved(INVOICE, &next).is_some(), is_wrong, "{status}");
        }
    }
}
