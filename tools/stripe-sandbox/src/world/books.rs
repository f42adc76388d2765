//! What must be true of every world, for tests that make one by any calls.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::{
    billing::{balance::DISPUTE_FEE, credit_note_lines, refunds},
    field,
    json::Value,
    resources::payment_intent,
};

/// What is wrong with the world's books: nothing, however it came about.
///
/// Every object of Stripe's stands in the ledger with what made it; every event tells of an object there is; the balance of each
/// account and currency is the sum of its transactions; no charge gave back more than it took; what a dispute took is what it
/// says; a customer's balance is the sum of its changes, and no refund belongs to more credit notes than it gave back; a payout
/// took its amount, gave it back where it did not arrive, and one by a schedule is what it is made of; an invoice asks for what it
/// comes to, less what its credit notes credited, which is no more than that, and for nothing if that is too little to be charged;
/// it knows what was paid of it, and what remains.
pub(crate) fn problems(world: &World) -> Vec<String> {
    let mut problems = Vec::new();
    let created: BTreeSet<(String, String)> = world
        .effects()
        .filter(|effect| effect.effect == "created")
        .map(|effect| (effect.account, effect.id))
        .collect();
    let mut moved: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut changed: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut linked: BTreeMap<(String, String), i64> = BTreeMap::new();
    for number in world.store.numbers() {
        let (account, object, id) = world.store.named(number).unwrap();
        let value = world.found(account, id).unwrap();
        if object == "event" {
            problems.extend(told_of_nothing(world, account, value));
        } else if !object.starts_with(super::PRIVATE) && !created.contains(&(account.to_owned(), id.to_owned())) {
            problems.push(format!("{object} {id} stands in no ledger"));
        }
        match object {
            "balance_transaction" => {
                let currency = field::text(value, "currency");
                *moved.entry((account.to_owned(), currency.to_owned())).or_default() += field::integer(value, "net");
            }
            "charge" if refunds::refundable(value) < 0 => {
                problems.push(format!("{id} gave back more than it took"));
            }
            "dispute" => problems.extend(took_wrongly(world, account, value)),
            "payout" => problems.extend(paid_out_wrongly(world, account, value)),
            "invoice" => {
                problems.extend(credited_wrongly(world, account, value));
                problems.extend(paid_wrongly(world, account, value));
            }
            "customer_balance_transaction" => {
                let customer = field::text(value, "customer");
                *changed.entry((account.to_owned(), customer.to_owned())).or_default() +=
                    field::integer(value, "amount");
            }
            "credit_note" => {
                problems.extend(gives_wrongly(world, account, value));
                if field::text(value, "status") == "issued" {
                    for one in field::elements(value, "refunds") {
                        let refund = (account.to_owned(), field::text(one, "refund").to_owned());
                        *linked.entry(refund).or_default() += field::integer(one, "amount_refunded");
                    }
                }
            }
            _ => {}
        }
    }
    for ((account, id), sum) in changed {
        let balance = world.found(&account, &id).filter(|one| !field::flag(one, "deleted"));
        if balance.is_some_and(|one| field::integer(one, "balance") != sum) {
            problems.push(format!("the balance of {id} is not the {sum} it was changed by"));
        }
    }
    for ((account, id), sum) in linked {
        if world
            .found(&account, &id)
            .is_none_or(|one| field::integer(one, "amount") < sum)
        {
            problems.push(format!("credit notes have {sum} of {id}, which is less"));
        }
    }
    for ((account, currency), sum) in moved {
        let balance = held(world, &account, &currency);
        if balance != sum {
            problems.push(format!("{account:?} holds {balance} {currency}, and {sum} were moved"));
        }
    }
    problems
}

/// An event of an object that is not there. A balance has no id.
fn told_of_nothing(world: &World, account: &str, event: &Value) -> Option<String> {
    let id = field::some_text(event, "data.object.id")?;
    let there = world.store.number(account, id).is_some()
        // An account is told of in its own events and kept by its platform.
        || world.store.number("", id).is_some();
    (!there).then(|| format!("{} tells of {id}, which is not there", field::text(event, "type")))
}

/// A dispute that took, or gave back, what its status does not say, or whose charge knows otherwise.
fn took_wrongly(world: &World, account: &str, dispute: &Value) -> Option<String> {
    let (id, status) = (field::text(dispute, "id"), field::text(dispute, "status"));
    let amount = field::integer(dispute, "amount");
    let (taken, returned) = ((-amount, DISPUTE_FEE), (amount, -DISPUTE_FEE));
    let expected = match status {
        "won" => vec![taken, returned],
        "needs_response" | "under_review" | "lost" => vec![taken],
        _ => Vec::new(),
    };
    let posted = field::elements(dispute, "balance_transactions").iter().map(|shown| {
        let stored = world.found(account, field::text(shown, "id"));
        stored.map(|one| (field::integer(one, "amount"), field::integer(one, "fee")))
    });
    if posted.collect::<Option<Vec<_>>>().as_ref() != Some(&expected) {
        return Some(format!("{id} is {status}, and did not move {expected:?}"));
    }
    let gone: i64 = expected.iter().map(|(amount, _)| -amount).sum();
    let charge = world.found(account, field::text(dispute, "charge"))?;
    if !field::flag(charge, "disputed") || field::integer(charge, "_sandbox.disputed") != gone {
        return Some(format!("the charge of {id} does not know that it took {gone}"));
    }
    let closed = matches!(status, "won" | "lost" | "warning_closed");
    (closed != field::at(dispute, "_sandbox.due_at").is_null())
        .then(|| format!("{id} is {status}, and what is to come of it does not fit"))
}

/// A payout whose money did not move as it says, or one by a schedule that is not the sum of its transactions.
fn paid_out_wrongly(world: &World, account: &str, payout: &Value) -> Option<String> {
    let (id, amount) = (field::text(payout, "id"), field::integer(payout, "amount"));
    let moved = |name: &str| {
        let posted = world.found(account, field::text(payout, name));
        posted.map(|one| field::integer(one, "net"))
    };
    let status = field::text(payout, "status");
    let returned = matches!(status, "failed" | "canceled").then_some(amount);
    if moved("balance_transaction") != Some(-amount) || moved("failure_balance_transaction") != returned {
        return Some(format!("{id} is {status}, and its {amount} did not move so"));
    }
    let over = matches!(status, "failed" | "canceled" | "paid");
    if over != field::at(payout, "_sandbox.due_at").is_null() {
        return Some(format!("{id} is {status}, and what is to come of it does not fit"));
    }
    let transactions = world.all_of(account, "balance_transaction").into_iter();
    let made_of = transactions.filter(|one| field::text(one, "_sandbox.payout") == id);
    // With that of the payout itself, which takes out what the others brought in.
    let sum: i64 = made_of.map(|one| field::integer(&one, "net")).sum();
    (field::flag(payout, "automatic") && (sum != 0 || amount < 1))
        .then(|| format!("{id} pays out {amount}, and its transactions leave {sum}"))
}

/// An invoice that does not know what its credit notes credited, or was credited more than it came to.
fn credited_wrongly(world: &World, account: &str, invoice: &Value) -> Option<String> {
    let id = field::text(invoice, "id");
    let notes = field::elements(invoice, "_sandbox.credit_notes");
    let notes = notes.iter().filter_map(|id| world.found(account, id.as_str()?));
    let standing: Vec<&Value> = notes.filter(|note| field::text(note, "status") == "issued").collect();
    let sum = |name: &str| standing.iter().map(|note| field::integer(note, name)).sum::<i64>();
    for half in ["pre_payment", "post_payment"] {
        let (said, credited) = (
            field::integer(invoice, &format!("{half}_credit_notes_amount")),
            sum(&format!("{half}_amount")),
        );
        if said != credited {
            return Some(format!(
                "{id} says {said}, and its {half} credit notes come to {credited}"
            ));
        }
    }
    let total = field::integer(invoice, "total");
    let tax = field::integer(invoice, "total_taxes.0.amount");
    if sum("total") > total.max(0) || sum("total_taxes.0.amount") > tax.max(0) {
        return Some(format!("{id} was credited more than it came to"));
    }
    let least = payment_intent::least_charge(field::text(invoice, "currency"));
    let asked = total + field::integer(invoice, "starting_balance");
    let due = if asked < least { 0 } else { asked } - sum("pre_payment_amount");
    (field::integer(invoice, "amount_due") != due).then(|| {
        format!(
            "{id} asks for {}, and {due} is due",
            field::integer(invoice, "amount_due")
        )
    })
}

/// An invoice that was not paid what it says, or of which something else remains.
fn paid_wrongly(world: &World, account: &str, invoice: &Value) -> Option<String> {
    let id = field::text(invoice, "id");
    let own = world.store.of(account, id, "invoice_payment");
    let own = own.filter(|one| field::text(one, "status") == "paid");
    let sum: i64 = own.map(|one| field::integer(&one, "amount_paid")).sum();
    let amount = |name: &str| field::integer(invoice, name);
    let (paid, remains) = (amount("amount_paid"), amount("amount_remaining"));
    let said = paid + amount("amount_overpaid") - amount("amount_paid_off_stripe");
    let is_paid = field::text(invoice, "status") == "paid";
    (sum != said || paid + remains != amount("amount_due") || remains < 0 || is_paid && remains > 0)
        .then(|| format!("{id} says that {said} was paid and {remains} remains, and its payments come to {sum}"))
}

/// A credit note that does not give back what it says.
fn gives_wrongly(world: &World, account: &str, note: &Value) -> Option<String> {
    let id = field::text(note, "id");
    let total = field::integer(note, "total");
    let lines = field::elements(note, "lines.data").iter();
    let of_lines: i64 = lines.map(credit_note_lines::total).sum();
    let refunds = field::elements(note, "refunds").iter();
    let refunded: i64 = refunds.map(|one| field::integer(one, "amount_refunded")).sum();
    let credit = world
        .found(account, field::text(note, "customer_balance_transaction"))
        .map_or(0, |one| -field::integer(one, "amount"));
    let given = refunded + credit + field::integer(note, "out_of_band_amount");
    let after = field::integer(note, "post_payment_amount");
    (of_lines != total || field::integer(note, "pre_payment_amount") + after != total || given != after)
        .then(|| format!("{id} comes to {total}, its lines to {of_lines}, and it gives back {given} of {after}"))
}

/// What an account has of a currency, available and pending.
fn held(world: &World, account: &str, currency: &str) -> i64 {
    world
        .all_of(account, "balance")
        .iter()
        .flat_map(|balance| ["available", "pending"].map(|part| field::elements(balance, part).to_vec()))
        .flatten()
        .filter(|one| field::text(one, "currency") == currency)
        .map(|one| field::integer(&one, "amount"))
        .sum()
}
