//! The balance: every movement of money is a balance transaction, pending until its day and then available.
//!
//! Each currency is settled in itself, so there is one balance for each. Sources: <https://docs.stripe.com/api/balance>,
//! <https://docs.stripe.com/api/balance_transactions>, <https://docs.stripe.com/reports/balance-transaction-types>.

use super::{payout_schedule, payouts, test_clock};
use crate::{
    field,
    json::{Value, json},
    shapes,
    world::{PRIVATE, World, rendered},
};

/// The card whose payments are available at once. Source: <https://docs.stripe.com/testing#available-balance>.
const BYPASSES_PENDING: &str = "bypassPending";

/// The balance of an account is one object, kept under this id, which is never answered and which no caller can choose.
const ID: &str = "/balance";

/// What moves money, on the way to its balance transaction.
struct Posting<'a> {
    kind: &'a str,
    /// Where reports count it: mostly with its kind.
    category: &'a str,
    /// In minor units: positive comes in, negative goes out.
    amount: i64,
    /// What Stripe keeps of it, and what for; negative where it is given back.
    fee: i64,
    fee_for: &'a str,
    currency: &'a str,
    source: &'a str,
    description: Option<&'a str>,
    available_on: i64,
}

/// Posts a charge whose money was taken, and names the transaction in it. The charge need not be stored yet.
pub(crate) fn post_charge(world: &mut World, charge: &mut Value) {
    let amount = field::integer(charge, "amount_captured");
    let at_once = world
        .find(field::text(charge, "payment_method"))
        .is_some_and(|method| field::text(method, "_sandbox.card") == BYPASSES_PENDING);
    let posting = Posting {
        kind: "charge",
        category: "charge",
        amount,
        fee: fee(amount),
        fee_for: "Stripe processing fees",
        currency: field::text(charge, "currency"),
        source: field::text(charge, "id"),
        description: field::some_text(charge, "description"),
        available_on: if at_once {
            world.now
        } else {
            world.now + payout_schedule::delay(world)
        },
    };
    let id = post(world, &posting);
    field::set(charge, "balance_transaction", id);
}

/// Takes the money of a refund out of the balance, from what its charge brought in: not before that is available.
pub(crate) fn post_refund(world: &mut World, refund: &Value) -> String {
    let settled_on = world
        .find(field::text(refund, "charge"))
        .and_then(|charge| world.find(field::text(charge, "balance_transaction")))
        .map(|transaction| field::integer(transaction, "available_on"));
    let posting = Posting {
        kind: "refund",
        category: "refund",
        amount: -field::integer(refund, "amount"),
        fee: 0,
        fee_for: "",
        currency: field::text(refund, "currency"),
        source: field::text(refund, "id"),
        description: Some("REFUND FOR CHARGE"),
        available_on: settled_on.unwrap_or_default().max(world.now),
    };
    post(world, &posting)
}

/// Puts the money of a refund that failed or was canceled back into the balance.
pub(crate) fn post_refund_failure(world: &mut World, refund: &Value) -> String {
    let posting = Posting {
        kind: "refund_failure",
        category: "refund_failure",
        amount: field::integer(refund, "amount"),
        fee: 0,
        fee_for: "",
        currency: field::text(refund, "currency"),
        source: field::text(refund, "id"),
        description: Some("REFUND FAILURE"),
        available_on: world.now,
    };
    post(world, &posting)
}

/// What Stripe takes for a dispute, in minor units of its currency. Source: <https://stripe.com/pricing> (15.00).
pub(crate) const DISPUTE_FEE: i64 = 1500;

/// Takes what is disputed, and a fee, out of the balance at once. Gives the transaction.
pub(crate) fn post_dispute(world: &mut World, dispute: &Value) -> Value {
    let description = format!("Chargeback withdrawal for {}", field::text(dispute, "charge"));
    let amount = -field::integer(dispute, "amount");
    post_adjustment(world, dispute, "dispute", amount, DISPUTE_FEE, &description)
}

/// Puts back into the balance what a dispute took: the bank decided against its customer. Gives the transaction.
pub(crate) fn post_dispute_reversal(world: &mut World, dispute: &Value) -> Value {
    let description = format!("Chargeback reversal for {}", field::text(dispute, "charge"));
    let amount = field::integer(dispute, "amount");
    post_adjustment(world, dispute, "dispute_reversal", amount, -DISPUTE_FEE, &description)
}

fn post_adjustment(
    world: &mut World,
    dispute: &Value,
    category: &str,
    amount: i64,
    fee: i64,
    description: &str,
) -> Value {
    let posting = Posting {
        kind: "adjustment",
        category,
        amount,
        fee,
        fee_for: "Dispute fee",
        currency: field::text(dispute, "currency"),
        source: field::text(dispute, "id"),
        description: Some(description),
        available_on: world.now,
    };
    let id = post(world, &posting);
    world.find(&id).map(rendered).unwrap_or_default()
}

/// Takes what is paid out, out of the balance at once; what a reversal brings back is there when it has arrived.
pub(crate) fn post_payout(world: &mut World, payout: &Value) -> String {
    let amount = -field::integer(payout, "amount");
    let arrives = field::integer(payout, "arrival_date");
    let posting = Posting {
        kind: "payout",
        category: "payout",
        amount,
        fee: 0,
        fee_for: "",
        currency: field::text(payout, "currency"),
        source: field::text(payout, "id"),
        description: Some(field::some_text(payout, "description").unwrap_or("STRIPE PAYOUT")),
        available_on: if amount > 0 { arrives } else { world.now },
    };
    post(world, &posting)
}

/// Puts the money of a payout that failed, or was canceled, back into the balance: `payout_failure` or `payout_cancel`.
pub(crate) fn post_payout_return(world: &mut World, payout: &Value, kind: &str) -> String {
    let posting = Posting {
        kind,
        category: "payout_reversal",
        amount: field::integer(payout, "amount"),
        fee: 0,
        fee_for: "",
        currency: field::text(payout, "currency"),
        source: field::text(payout, "id"),
        description: Some(if kind == "payout_cancel" {
            "PAYOUT CANCEL"
        } else {
            "PAYOUT FAILURE"
        }),
        available_on: world.now,
    };
    post(world, &posting)
}

/// What is available of a currency.
pub(crate) fn available(world: &World, currency: &str) -> i64 {
    let balance = of(world);
    let amounts = field::elements(&balance, "available").iter();
    let own = amounts.filter(|one| field::text(one, "currency") == currency);
    own.map(|one| field::integer(one, "amount")).sum()
}

/// Notes that all that is available of a currency, and that no payout by a schedule took before, is in this one.
pub(crate) fn claim(world: &mut World, payout: &str, currency: &str) {
    for one in world.all("balance_transaction") {
        let is_free = field::at(&one, "_sandbox.payout").is_null() && field::text(&one, "status") == "available";
        if is_free && field::text(&one, "currency") == currency {
            world.edit(field::text(&one, "id"), |one| {
                field::set(one, "_sandbox.payout", payout)
            });
        }
    }
}

/// What Stripe keeps of a charge: 2.9 % and 30 minor units, rounded half up.
fn fee(amount: i64) -> i64 {
    (amount * 29 + 500) / 1000 + 30
}

/// Writes a balance transaction and moves the balance by its net.
fn post(world: &mut World, posting: &Posting<'_>) -> String {
    let id = world.id("txn_", 24);
    let mut transaction = shapes::balance_transaction();
    let net = posting.amount - posting.fee;
    let available = posting.available_on <= world.now;
    field::set(&mut transaction, "id", id.clone());
    field::set(&mut transaction, "created", world.now);
    field::set(&mut transaction, "available_on", posting.available_on);
    field::set(&mut transaction, "amount", posting.amount);
    field::set(&mut transaction, "fee", posting.fee);
    field::set(&mut transaction, "net", net);
    field::set(&mut transaction, "currency", posting.currency);
    field::set(&mut transaction, "source", posting.source);
    field::set(&mut transaction, "description", posting.description);
    field::set(&mut transaction, "type", posting.kind);
    field::set(&mut transaction, "reporting_category", posting.category);
    if posting.fee != 0 {
        let kept = json!({
            "amount": posting.fee, "application": null, "currency": posting.currency,
            "description": posting.fee_for, "type": "stripe_fee",
        });
        field::set(&mut transaction, "fee_details", json!([kept]));
    }
    if available {
        field::set(&mut transaction, "status", "available");
    }
    world.put(&transaction);
    let half = if available { "available" } else { "pending" };
    let mut balance = of(world);
    add(&mut balance, half, posting.currency, net);
    payouts::plan(world, &mut balance);
    world.put(&balance);
    id
}

/// The day of a pending transaction has come: its net is available, which is told once for all that come at a moment.
pub(crate) fn settle(world: &mut World, transaction: &Value) {
    let (currency, net) = (field::text(transaction, "currency"), field::integer(transaction, "net"));
    world.edit(field::text(transaction, "id"), |one| {
        field::set(one, "status", "available")
    });
    let mut balance = of(world);
    add(&mut balance, "pending", currency, -net);
    add(&mut balance, "available", currency, net);
    payouts::plan(world, &mut balance);
    world.put(&balance);
    let next = world.next_due(test_clock::queue(transaction), world.now);
    let more_follow = next.is_some_and(|(_, account, id)| account == world.account && id.starts_with("txn_"));
    if !more_follow {
        let told = answered(&balance, currency);
        world.emit("balance.available", &told, None);
    }
}

/// The balance of the account at work, as it is stored.
pub(crate) fn of(world: &World) -> Value {
    let none = json!({ "id": ID, "object": "balance", "available": [], "livemode": world.livemode, "pending": [] });
    world.find(ID).cloned().unwrap_or(none)
}

fn add(balance: &mut Value, half: &str, currency: &str, amount: i64) {
    for each in ["available", "pending"] {
        let amount = if each == half { amount } else { 0 };
        let Value::Array(amounts) = field::place(balance, each) else {
            continue;
        };
        match amounts.iter_mut().find(|one| field::text(one, "currency") == currency) {
            Some(one) => {
                let sum = field::integer(one, "amount") + amount;
                *one = in_currency(currency, sum);
            }
            None => amounts.push(in_currency(currency, amount)),
        }
    }
}

fn in_currency(currency: &str, amount: i64) -> Value {
    json!({ "amount": amount, "currency": currency, "source_types": { "card": amount } })
}

/// A balance as it is answered; one that nothing has moved yet is zero in the account's own currency.
pub(crate) fn answered(balance: &Value, own_currency: &str) -> Value {
    let mut balance = balance.clone();
    if field::elements(&balance, "available").is_empty() {
        add(&mut balance, "available", own_currency, 0);
    }
    if let Value::Object(fields) = &mut balance {
        fields.shift_remove("id");
        fields.shift_remove(PRIVATE);
    }
    balance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fee_is_rounded_half_up() {
        for (amount, kept) in [
            (10_000, 320),
            (2900, 114),
            (50, 31),
            (500, 45),
            (1, 30),
            (17, 30),
            (18, 31),
            (99_999_999, 2_900_030),
        ] {
            assert_eq!(fee(amount), kept, "of {amount}");
        }
    }
}
