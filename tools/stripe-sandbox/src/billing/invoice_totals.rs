//! What an invoice comes to: its lines, less their discounts, tax on what is left, and what the customer's balance bears.
//!
//! Sources: <https://docs.stripe.com/billing/subscriptions/coupons>, <https://docs.stripe.com/billing/customer/balance>.

use super::{
    discounts::{self, Discountable},
    lines, redemptions,
};
use crate::{
    field,
    json::{Value, json},
    resources::{payment_intent, tax_rates},
    world::World,
};

/// Writes the amounts of a draft anew from its lines and discounts.
pub(crate) fn write(world: &World, invoice: &mut Value) {
    let currency = field::text(invoice, "currency").to_owned();
    let customer = world
        .find(field::text(invoice, "customer"))
        .cloned()
        .unwrap_or_default();
    let mut lines = field::elements(invoice, "lines.data").to_vec();
    let taken = taken(world, &lines, &currency, field::elements(invoice, "discounts"));
    let mut by_discount: Vec<(Value, i64)> = Vec::new();
    for (line, taken) in lines.iter_mut().zip(&taken) {
        let amounts: Vec<Value> = taken
            .iter()
            .map(|(discount, amount)| json!({ "amount": amount, "discount": discount }))
            .collect();
        field::set(line, "discount_amounts", amounts);
        for (discount, amount) in taken {
            match by_discount.iter_mut().find(|(one, _)| one == discount) {
                Some((_, sum)) => *sum += amount,
                None => by_discount.push((discount.clone(), *amount)),
            }
        }
    }
    let subtotal: i64 = lines.iter().map(|line| field::integer(line, "amount")).sum();
    let off: i64 = by_discount.iter().map(|(_, amount)| amount).sum();
    let net = subtotal - off;
    field::set(invoice, "lines.data", lines);
    let amounts: Vec<Value> = by_discount
        .into_iter()
        .map(|(discount, amount)| json!({ "amount": amount, "discount": discount }))
        .collect();
    field::set(invoice, "total_discount_amounts", amounts);
    let mut tax = 0;
    if field::flag(invoice, "automatic_tax.enabled") {
        let breakdown = tax_rates::on(&customer, net);
        tax = breakdown.amount;
        let status = if breakdown.known_location {
            "complete"
        } else {
            "requires_location_inputs"
        };
        field::set(invoice, "automatic_tax.status", status);
        field::set(
            invoice,
            "total_taxes",
            json!([{
                "amount": tax, "tax_behavior": "exclusive", "tax_rate_details": null,
                "taxability_reason": breakdown.reason, "taxable_amount": breakdown.taxable(net), "type": "tax_rate_details",
            }]),
        );
    }
    for (name, amount) in [
        ("subtotal", subtotal),
        ("subtotal_excluding_tax", subtotal),
        ("total", net + tax),
        ("total_excluding_tax", net),
    ] {
        field::set(invoice, name, amount);
    }
    bear(invoice, field::integer(&customer, "balance"));
}

/// Writes what is due once a balance has borne what it can: nothing, if it is too little to be charged. Gives what is left of
/// the balance, and what was too little.
pub(crate) fn bear(invoice: &mut Value, balance: i64) -> i64 {
    let sum = field::integer(invoice, "total") + balance;
    let least = payment_intent::least_charge(field::text(invoice, "currency"));
    let due = if sum < least { 0 } else { sum };
    field::set(invoice, "starting_balance", balance);
    field::set(invoice, "amount_due", due);
    field::set(invoice, "amount_remaining", due);
    sum - due
}

/// What each discount takes off each line: a line's own first, then those of the invoice.
pub(crate) fn taken(world: &World, all: &[Value], currency: &str, of_invoice: &[Value]) -> Vec<Vec<(Value, i64)>> {
    let mut left: Vec<i64> = all
        .iter()
        .map(|line| match field::flag(line, "discountable") {
            true => field::integer(line, "amount"),
            false => 0,
        })
        .collect();
    let mut taken = vec![Vec::new(); all.len()];
    let mut take = |discount: &Value, only: Option<usize>| {
        let Some(coupon) = redemptions::coupon_of(world, discount) else {
            return;
        };
        // Of a subscription that began earlier some periods may lie behind a discount's end.
        let ends = discount
            .as_str()
            .and_then(|id| field::at(world.find(id)?, "end").as_i64());
        let is_over = |line: &Value| {
            let of_period = lines::item_of(line).is_some() && lines::invoice_item_of(line).is_none();
            of_period && ends.is_some_and(|end| field::integer(line, "period.start") >= end)
        };
        let sold: Vec<Discountable<'_>> = all
            .iter()
            .zip(&left)
            .enumerate()
            .map(|(place, (line, left))| Discountable {
                product: field::text(line, "pricing.price_details.product"),
                amount: if only.is_none_or(|only| only == place) && !is_over(line) {
                    *left
                } else {
                    0
                },
            })
            .collect();
        let off = discounts::taken_off(coupon, currency, &sold);
        for ((taken, left), off) in taken.iter_mut().zip(left.iter_mut()).zip(off) {
            if off > 0 {
                *left -= off;
                taken.push((discount.clone(), off));
            }
        }
    };
    for (place, line) in all.iter().enumerate() {
        for discount in field::elements(line, "discounts") {
            take(discount, Some(place));
        }
    }
    for discount in of_invoice {
        take(discount, None);
    }
    taken
}
