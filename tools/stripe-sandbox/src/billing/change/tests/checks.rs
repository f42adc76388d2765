//! What must be true after every step.

use std::collections::{BTreeMap, BTreeSet};

use crate::{billing::lines, field, json::Value, world::World};

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
    ("active", &["trialing", "past_due", "canceled", "unpaid"]),
    ("past_due", &["active", "canceled", "unpaid"]),
    ("unpaid", &["active", "canceled"]),
    ("paused", &["active", "canceled"]),
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
    /// Which invoice has a subscription item's whole period.
    billed: BTreeMap<(String, bool, i64, i64), String>,
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
        for object in touched.iter().filter_map(|id| world.find(id)) {
            match field::text(object, "object") {
                "invoice" if !field::flag(object, "deleted") => {
                    problems.extend(of_invoice(object));
                    problems.extend(self.moved(INVOICE, object));
                    problems.extend(self.billed_twice(object));
                }
                "subscription" => {
                    problems.extend(of_subscription(object));
                    problems.extend(self.moved(SUBSCRIPTION, object));
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

    /// A whole period of an item stands on one invoice. One that begins anew in the second it began is billed again.
    fn billed_twice(&mut self, invoice: &Value) -> Vec<String> {
        let id = field::text(invoice, "id");
        if field::text(invoice, "billing_reason") != "subscription_cycle" {
            return Vec::new();
        }
        let mut twice = Vec::new();
        for line in field::elements(invoice, "lines.data") {
            let Some(item) = lines::item_of(line) else { continue };
            if field::flag(line, "parent.subscription_item_details.proration") || lines::invoice_item_of(line).is_some()
            {
                continue;
            }
            let (start, end) = (field::integer(line, "period.start"), field::integer(line, "period.end"));
            // What is used is billed when its period is over, what is licensed before.
            let is_over = end <= field::integer(invoice, "created");
            let on = self
                .billed
                .entry((item.to_owned(), is_over, start, end))
                .or_insert_with(|| id.to_owned());
            if on != id {
                twice.push(format!("{item} is invoiced for {start}-{end} on {on} and on {id}"));
            }
        }
        twice
    }
}

/// An invoice is what its lines say, and what is due of it is what no balance bears.
fn of_invoice(invoice: &Value) -> Vec<String> {
    let sum = |list: &str, name: &str| -> i64 {
        let all = field::elements(invoice, list).iter();
        all.map(|one| field::integer(one, name)).sum()
    };
    let number = |name: &str| field::integer(invoice, name);
    let (lines, off, tax) = (
        sum("lines.data", "amount"),
        sum("total_discount_amounts", "amount"),
        sum("total_taxes", "amount"),
    );
    let of_lines: i64 = field::elements(invoice, "lines.data")
        .iter()
        .map(|line| {
            let amounts = field::elements(line, "discount_amounts").iter();
            amounts.map(|one| field::integer(one, "amount")).sum::<i64>()
        })
        .sum();
    let (total, due, start) = (number("total"), number("amount_due"), number("starting_balance"));
    let paid = field::text(invoice, "status") == "paid";
    let mut claims = vec![
        ("subtotal", number("subtotal"), lines),
        ("discounts", off, of_lines),
        ("total", total, lines - off + tax),
        // Half a dollar is the least that is charged.
        ("amount_due", due, if total + start < 50 { 0 } else { total + start }),
        ("amount_paid", number("amount_paid"), if paid { due } else { 0 }),
        (
            "amount_remaining",
            number("amount_remaining"),
            if paid { 0 } else { due },
        ),
    ];
    if let Some(end) = field::at(invoice, "ending_balance").as_i64() {
        claims.push(("ending_balance", end, total + start - due));
    }
    let mut problems: Vec<String> = claims
        .into_iter()
        .filter(|(_, is, should)| is != should)
        .map(|(name, is, should)| format!("{name} is {is} and not {should} of {invoice}"))
        .collect();
    let overdone = field::elements(invoice, "lines.data").iter().any(|line| {
        let off = field::elements(line, "discount_amounts").iter();
        off.map(|one| field::integer(one, "amount")).sum::<i64>() > field::integer(line, "amount").max(0)
    });
    if overdone {
        problems.push(format!("more is taken off a line than there is of {invoice}"));
    }
    problems
}

/// A subscription's periods end after they start, and it ends once.
fn of_subscription(subscription: &Value) -> Option<String> {
    let items = field::elements(subscription, "items.data");
    let is_over = matches!(field::text(subscription, "status"), "canceled" | "incomplete_expired");
    let forward = items
        .iter()
        .all(|item| field::integer(item, "current_period_start") < field::integer(item, "current_period_end"));
    let ended = !field::at(subscription, "ended_at").is_null();
    (items.is_empty() || !forward || is_over != ended).then(|| format!("not sound: {subscription}"))
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_found() {
        let sound = json!({
            "id": "in_1", "object": "invoice", "status": "open", "subtotal": 200, "total": 190, "amount_due": 140,
            "amount_remaining": 140, "amount_paid": 0, "starting_balance": -50, "ending_balance": 0, "total_taxes": [],
            "total_discount_amounts": [{ "amount": 10 }],
            "lines": { "data": [{ "amount": 200, "discount_amounts": [{ "amount": 10 }] }] },
        });
        assert_eq!(of_invoice(&sound), Vec::<String>::new());
        for name in [
            "subtotal",
            "total",
            "amount_due",
            "amount_remaining",
            "amount_paid",
            "starting_balance",
            "ending_balance",
        ] {
            let mut wrong = sound.clone();
            wrong[name] = json!(field::integer(&wrong, name) + 1);
            assert_ne!(of_invoice(&wrong), Vec::<String>::new(), "{name}");
        }
        let mut seen = Seen::default();
        for (status, is_wrong) in [
            ("open", false),
            ("draft", true),
            ("open", false),
            ("paid", false),
            ("void", true),
        ] {
            let mut next = sound.clone();
            next["status"] = json!(status);
            assert_eq!(seen.moved(INVOICE, &next).is_some(), is_wrong, "{status}");
        }
        let line = json!({
            "period": { "start": 1, "end": 2 },
            "parent": { "subscription_item_details": { "subscription_item": "si_1", "proration": false } },
        });
        let renewal =
            |id: &str| json!({ "id": id, "billing_reason": "subscription_cycle", "lines": { "data": [line] } });
        assert_eq!(seen.billed_twice(&renewal("in_1")).len(), 0);
        assert_eq!(seen.billed_twice(&renewal("in_1")).len(), 0);
        assert_eq!(seen.billed_twice(&renewal("in_2")).len(), 1);
    }
}
