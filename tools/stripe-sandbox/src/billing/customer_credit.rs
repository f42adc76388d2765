//! Changes of a customer's balance, each with its transaction: a credit is negative.
//!
//! Source: <https://docs.stripe.com/billing/customer/balance>.

use crate::{field, json::Value, shapes, world::World};

/// Why a balance changes.
pub(crate) struct Reason<'a> {
    /// The `type` of the transaction.
    pub(crate) kind: &'a str,
    pub(crate) invoice: Option<&'a str>,
    pub(crate) description: Value,
    pub(crate) metadata: Value,
}

/// Adds `amount` to the balance of a customer, in the currency that is theirs from now on. Gives the transaction.
pub(crate) fn apply(world: &mut World, customer: &str, amount: i64, currency: &str, reason: Reason<'_>) -> Value {
    let balance = world.find(customer).map_or(0, |one| field::integer(one, "balance")) + amount;
    let mut made = shapes::customer_balance_transaction();
    field::set(&mut made, "id", world.id("cbtxn_", 24));
    field::set(&mut made, "created", world.now);
    field::set(&mut made, "livemode", world.livemode);
    field::set(&mut made, "customer", customer);
    field::set(&mut made, "amount", amount);
    field::set(&mut made, "currency", currency);
    field::set(&mut made, "ending_balance", balance);
    field::set(&mut made, "type", reason.kind);
    field::set(&mut made, "invoice", reason.invoice);
    field::set(&mut made, "description", reason.description);
    field::set(&mut made, "metadata", reason.metadata);
    world.put(&made);
    world.update(customer, "customer.updated", |one| {
        field::set(one, "balance", balance);
        field::set(one, "currency", currency);
    });
    made
}
