//! What must be true of an invoice, and of all that bill one thing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    billing::{invoicing, lines},
    field,
    json::Value,
    resources::price,
    world::World,
};

/// A time for which something is billed.
struct Span {
    invoice: String,
    from: i64,
    until: i64,
    /// Whether a new period begins with it in the midst of another: a change asked for that or for the trial that it follows, or
    /// a phase of a schedule has periods counted from its start.
    resets: bool,
}

/// What is billed of what, by what it is: an item with its price, or the usage of a subscription by one.
#[derive(Default)]
pub(super) struct Billed(BTreeMap<(String, String), Vec<Span>>);

impl Billed {
    /// The time that an invoice bills twice, itself or after another. A void one bills nothing.
    pub(super) fn twice(&mut self, world: &World, invoice: &Value) -> Vec<String> {
        let id = field::text(invoice, "id");
        // What periods are counted from may be another moment later.
        let mut resets = BTreeSet::new();
        for spans in self.0.values_mut() {
            for span in spans
                .extract_if(.., |span| span.invoice == id)
                .filter(|span| span.resets)
            {
                resets.insert(span.from);
            }
        }
        if field::text(invoice, "status") == "void" {
            return Vec::new();
        }
        let mut twice = Vec::new();
        for line in field::elements(invoice, "lines.data") {
            let Some((what, mut span)) = billed(world, invoice, line) else {
                continue;
            };
            span.resets |= resets.contains(&span.from);
            let spans = self.0.entry(what).or_default();
            for other in spans.iter().filter(|other| !is_void(world, &other.invoice)) {
                let overlaps = span.from < other.until && other.from < span.until;
                let resets = span.resets && other.from <= span.from || other.resets && span.from <= other.from;
                if overlaps && !resets {
                    let (one, other) = ((span.from, span.until), (&other.invoice, other.from, other.until));
                    twice.push(format!("billed twice: ({one:?} on {id} and on {other:?}: {line}"));
                }
            }
            spans.push(span);
        }
        twice
    }
}

/// One may have become void since it was looked at.
fn is_void(world: &World, invoice: &str) -> bool {
    world
        .find(invoice)
        .is_some_and(|one| field::text(one, "status") == "void")
}

/// What a line bills, and the time. What it is asked for beside a period, as prorations are, is no time of its own.
fn billed(world: &World, invoice: &Value, line: &Value) -> Option<((String, String), Span)> {
    let (from, until) = (field::integer(line, "period.start"), field::integer(line, "period.end"));
    let id = field::text(line, "pricing.price_details.price");
    let is_usage = world.find(id).is_some_and(price::is_metered);
    let of = match is_usage {
        true => ["subscription_item_details", "invoice_item_details"]
            .iter()
            .find_map(|details| field::some_text(line, &format!("parent.{details}.subscription")))?,
        false if lines::invoice_item_of(line).is_some() => return None,
        false => lines::item_of(line)?,
    };
    let subscription = world.find(field::text(invoice, "parent.subscription_details.subscription"));
    let is_counted_anew = subscription.is_some_and(|one| {
        let moments = ["billing_cycle_anchor", "trial_end"];
        moments.iter().any(|name| field::at(one, name).as_i64() == Some(from))
    });
    let is_asked_for = field::text(invoice, "billing_reason") == "subscription_update";
    let span = Span {
        invoice: field::text(invoice, "id").to_owned(),
        from,
        until,
        resets: !is_usage && from == field::integer(invoice, "created") && (is_asked_for || is_counted_anew),
    };
    (field::integer(line, "amount") != 0 && from < until).then(|| ((of.to_owned(), id.to_owned()), span))
}

/// An invoice is what its lines say, and what is due of it is what no balance bears and no credit note takes away.
pub(super) fn amounts(invoice: &Value) -> Vec<String> {
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
    let credited = number("pre_payment_credit_notes_amount");
    let paid = field::text(invoice, "status") == "paid";
    let mut claims = vec![
        ("subtotal", number("subtotal"), lines),
        ("discounts", off, of_lines),
        ("total", total, lines - off + tax),
        // Half a dollar is the least that is charged.
        (
            "amount_due",
            due,
            if total + start < 50 { 0 } else { total + start } - credited,
        ),
        ("amount_paid", number("amount_paid"), if paid { due } else { 0 }),
        (
            "amount_remaining",
            number("amount_remaining"),
            if paid { 0 } else { due },
        ),
    ];
    if let Some(end) = field::at(invoice, "ending_balance").as_i64() {
        claims.push(("ending_balance", end, total + start - due - credited));
    }
    let mut problems: Vec<String> = claims
        .into_iter()
        .filter(|(_, is, should)| is != should)
        .map(|(name, is, should)| format!("{name} is {is} and not {should}: {invoice}"))
        .collect();
    let overdone = field::elements(invoice, "lines.data").iter().any(|line| {
        let off = field::elements(line, "discount_amounts").iter();
        off.map(|one| field::integer(one, "amount")).sum::<i64>() > field::integer(line, "amount").max(0)
    });
    let credited = credited + number("post_payment_credit_notes_amount");
    if credited > total.max(0) {
        problems.push(format!("{credited} is credited of {invoice}"));
    }
    if overdone {
        problems.push(format!("more is taken off a line than there is of {invoice}"));
    }
    problems
}

/// What was paid of an invoice is what its payment took, or came from elsewhere.
pub(super) fn payment(world: &World, invoice: &Value) -> Option<String> {
    let (id, paid) = (field::text(invoice, "id"), field::integer(invoice, "amount_paid"));
    let elsewhere = field::integer(invoice, "amount_paid_off_stripe");
    let taken = invoicing::payment_of(world, id).map_or(0, |payment| {
        let intent = world.find(field::text(&payment, "payment.payment_intent"));
        let received = intent.map_or(0, |intent| field::integer(intent, "amount_received"));
        match field::integer(&payment, "amount_paid") {
            // The two tell of the same money.
            amount if amount == received => amount,
            amount => -amount - received - 1,
        }
    });
    (taken + elsewhere != paid)
        .then(|| format!("{id} says {paid} was paid, and {taken} and {elsewhere} were: {invoice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::in_process::InProcess, json::json};

    #[test]
    fn amounts_that_do_not_fit_are_found() {
        let sound = json!({
            "id": "in_1", "object": "invoice", "status": "open", "subtotal": 200, "total": 190, "amount_due": 120,
            "amount_remaining": 120, "amount_paid": 0, "starting_balance": -50, "ending_balance": 0, "total_taxes": [],
            "pre_payment_credit_notes_amount": 20, "total_discount_amounts": [{ "amount": 10 }],
            "lines": { "data": [{ "amount": 200, "discount_amounts": [{ "amount": 10 }] }] },
        });
        assert_eq!(amounts(&sound), Vec::<String>::new());
        for name in [
            "subtotal",
            "total",
            "amount_due",
            "amount_remaining",
            "amount_paid",
            "starting_balance",
            "ending_balance",
            "pre_payment_credit_notes_amount",
        ] {
            let mut wrong = sound.clone();
            wrong[name] = json!(field::integer(&wrong, name) + 1);
            assert_ne!(amounts(&wrong), Vec::<String>::new(), "{name}");
        }
        let mut overdone = sound;
        overdone["post_payment_credit_notes_amount"] = json!(171);
        assert_ne!(amounts(&overdone), Vec::<String>::new());
    }

    #[test]
    fn what_is_billed_twice_is_found() {
        let stripe = InProcess::new();
        let world = stripe.app.world();
        let invoice = |id: &str, (start, end): (i64, i64), reason: &str, status: &str| {
            let line = json!({
                "amount": 1, "period": { "start": start, "end": end },
                "parent": { "subscription_item_details": { "subscription_item": "si_1" } },
            });
            json!({ "id": id, "status": status, "created": start, "billing_reason": reason, "lines": { "data": [line] } })
        };
        let mut billed = Billed::default();
        for (id, span, reason, status, wrong) in [
            ("in_1", (1, 3), "subscription_cycle", "paid", 0),
            ("in_1", (1, 3), "subscription_cycle", "paid", 0),
            ("in_2", (3, 5), "subscription_cycle", "paid", 0),
            ("in_3", (4, 6), "subscription_update", "open", 0),
            ("in_4", (5, 7), "subscription_cycle", "open", 1),
            ("in_4", (5, 7), "subscription_cycle", "void", 0),
            ("in_5", (6, 8), "subscription_cycle", "draft", 0),
        ] {
            let twice = billed.twice(&world, &invoice(id, span, reason, status));
            assert_eq!(twice.len(), wrong, "{id}: {twice:?}");
        }
    }
}
