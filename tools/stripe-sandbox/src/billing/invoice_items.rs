//! Invoice items: what waits to be put on a customer's next invoice.
//!
//! Source: <https://docs.stripe.com/billing/invoices/subscription#adding-upcoming-invoice-items>.

use super::{
    decimal,
    lines::{self, Line},
    redemptions::{self, Asked},
};
use crate::{
    field,
    json::{Value, json},
    shapes,
    world::World,
};

/// What a new invoice item is made of.
#[derive(Default)]
pub(crate) struct NewItem<'a> {
    pub(crate) customer: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) amount: i64,
    pub(crate) quantity: i64,
    pub(crate) price: Value,
    pub(crate) description: Option<String>,
    pub(crate) period: (i64, i64),
    pub(crate) metadata: Value,
    pub(crate) subscription: Option<&'a str>,
    /// The subscription item it prorates.
    pub(crate) prorates: Option<&'a str>,
    /// The subscription item whose usage it bills.
    pub(crate) bills: Option<&'a str>,
    /// The invoice and its lines that it gives back, for a credit.
    pub(crate) credited: Value,
}

/// An invoice item, not stored yet.
pub(crate) fn build(world: &mut World, new: &NewItem<'_>) -> Value {
    let mut item = shapes::invoiceitem();
    field::set(&mut item, "id", world.id("ii_", 24));
    field::set(&mut item, "date", world.now);
    field::set(&mut item, "livemode", world.livemode);
    field::set(&mut item, "test_clock", world.test_clock.clone());
    field::set(&mut item, "customer", new.customer);
    field::set(&mut item, "currency", new.currency);
    field::set(&mut item, "amount", new.amount);
    // Stripe's description says null for what discounts can be taken off, and allows no null.
    field::set(&mut item, "net_amount", new.amount);
    field::set(&mut item, "quantity", new.quantity);
    field::set(&mut item, "quantity_decimal", new.quantity.to_string());
    field::set(&mut item, "description", new.description.clone());
    field::set(
        &mut item,
        "period",
        json!({ "start": new.period.0, "end": new.period.1 }),
    );
    if new.metadata.is_object() {
        field::set(&mut item, "metadata", new.metadata.clone());
    }
    let pricing = lines::pricing_of(&new.price);
    field::set(&mut item, "pricing", pricing);
    if let Some(subscription) = new.subscription {
        let mut details = json!({ "subscription": subscription });
        if let Some(item) = new.prorates.or(new.bills) {
            field::set(&mut details, "subscription_item", item);
        }
        let parent = json!({ "subscription_details": details, "type": "subscription_details" });
        field::set(&mut item, "parent", parent);
    }
    if new.prorates.is_some() {
        // Prorations have no discount taken off: it is in them already.
        field::set(&mut item, "proration", true);
        field::set(&mut item, "discountable", false);
        if !new.credited.is_null() {
            let credited = json!({ "invoice_line_item_details": new.credited, "type": "invoice_line_items" });
            field::set(&mut item, "proration_details.credited_items", credited);
        }
    }
    item
}

/// The invoice item for what was used of an item of `subscription`, not stored yet.
pub(crate) fn of_usage(world: &mut World, subscription: &Value, line: &Line) -> Value {
    let whole = line.quantity / decimal::ONE;
    let made = NewItem {
        customer: field::text(subscription, "customer"),
        currency: field::text(subscription, "currency"),
        amount: line.amount,
        quantity: i64::try_from(whole).unwrap_or(i64::MAX),
        price: line.price.clone(),
        description: Some(line.description.clone()),
        period: line.period,
        metadata: line.metadata.clone(),
        subscription: field::some_text(subscription, "id"),
        bills: field::some_text(&line.parent, "subscription_item_details.subscription_item"),
        ..NewItem::default()
    };
    let mut item = build(world, &made);
    field::set(&mut item, "quantity_decimal", decimal::written(line.quantity));
    item
}

/// Redeems discounts for an invoice item, in place of those it has.
pub(crate) fn discount(world: &mut World, item: &mut Value, asked: &[Asked]) {
    let on = json!({ "customer": field::at(item, "customer"), "invoice_item": field::at(item, "id") });
    let granted = redemptions::grant(world, asked, &on);
    field::set(item, "discounts", granted);
}

/// Stores a new invoice item that belongs to no invoice yet.
pub(crate) fn add_pending(world: &mut World, item: &Value) {
    world.create("invoiceitem.created", item);
    wait(world, item);
}

/// Puts an invoice item among those that wait for their customer's next invoice.
pub(crate) fn wait(world: &mut World, item: &Value) {
    let id = field::at(item, "id").clone();
    world.edit(field::text(item, "customer"), |one| {
        let mut waiting = field::elements(one, "_sandbox.pending_items").to_vec();
        waiting.push(id);
        field::set(one, "_sandbox.pending_items", waiting);
    });
}

/// An invoice item waits no more: it is gone or stands on an invoice.
pub(crate) fn stop_waiting(world: &mut World, customer: &str, gone: &[Value]) {
    world.edit(customer, |one| {
        let mut waiting = field::elements(one, "_sandbox.pending_items").to_vec();
        waiting.retain(|id| !gone.contains(id));
        field::set(one, "_sandbox.pending_items", waiting);
    });
}

/// Which of the waiting items an invoice takes up.
#[derive(Clone, Copy)]
pub(crate) enum Sweep<'a> {
    /// Those of the subscription and those of none: its next invoice.
    Next(&'a str),
    /// Those of the subscription alone.
    Only(&'a str),
    /// Those of no subscription.
    Loose,
    None,
}

/// The items of a customer that wait for an invoice in this currency, oldest first.
pub(crate) fn waiting(world: &World, customer: &str, currency: &str, sweep: Sweep<'_>) -> Vec<Value> {
    let Some(customer) = world.find(customer) else {
        return Vec::new();
    };
    field::elements(customer, "_sandbox.pending_items")
        .iter()
        .filter_map(|id| world.find(id.as_str()?))
        .filter(|item| field::text(item, "currency") == currency)
        .filter(|item| {
            let of = field::some_text(item, "parent.subscription_details.subscription");
            match sweep {
                Sweep::Next(subscription) => of.is_none_or(|of| of == subscription),
                Sweep::Only(subscription) => of == Some(subscription),
                Sweep::Loose => of.is_none(),
                Sweep::None => false,
            }
        })
        .cloned()
        .collect()
}

/// The lines that items become.
pub(crate) fn lines(world: &World, items: &[Value]) -> Vec<Line> {
    items.iter().map(|item| lines::of_invoice_item(world, item)).collect()
}

/// Marks the items on the invoice's lines as its own.
pub(crate) fn attach(world: &mut World, invoice: &Value) {
    let id = field::text(invoice, "id");
    let own: Vec<Value> = field::elements(invoice, "lines.data")
        .iter()
        .filter_map(lines::invoice_item_of)
        .map(Value::from)
        .collect();
    if own.is_empty() {
        return;
    }
    for item in own.iter().filter_map(Value::as_str) {
        world.edit(item, |one| field::set(one, "invoice", id));
    }
    stop_waiting(world, field::text(invoice, "customer"), &own);
}
