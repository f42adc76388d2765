//! The lines of an invoice: what they are made of, and as they stand on it.
//!
//! Source: <https://docs.stripe.com/api/invoice-line-item/object>.

use serde_json::{Value, json};

use super::{
    decimal, pricing,
    start::{product_name, worded},
    usage,
};
use crate::{field, resources::price, shapes, world::World};

/// One line to be invoiced.
pub(crate) struct Line {
    pub(crate) amount: i64,
    /// In decimals, as usage has them.
    pub(crate) quantity: i128,
    /// Null where an amount alone is billed.
    pub(crate) price: Value,
    pub(crate) period: (i64, i64),
    pub(crate) description: String,
    pub(crate) discountable: bool,
    /// The line's own discounts, taken off before those of the invoice.
    pub(crate) discounts: Value,
    pub(crate) metadata: Value,
    pub(crate) parent: Value,
}

/// The line that bills an item of `subscription` for its current period. Of what is metered nothing is used yet.
pub(crate) fn of_item(world: &World, subscription: &Value, item: &Value) -> Line {
    let price = field::at(item, "price").clone();
    let quantity = field::integer(item, "quantity");
    let amount = match price::is_metered(&price) {
        true => 0,
        false => pricing::amount_at(world, &price, quantity),
    };
    Line {
        amount,
        quantity: decimal::whole(quantity),
        description: format!("{quantity} × {} (at {})", product_name(world, &price), worded(&price)),
        price,
        period: (
            field::integer(item, "current_period_start"),
            field::integer(item, "current_period_end"),
        ),
        discountable: true,
        discounts: field::at(item, "discounts").clone(),
        metadata: field::at(subscription, "metadata").clone(),
        parent: json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null, "proration": false, "proration_details": { "credited_items": null },
                "subscription": field::at(subscription, "id"), "subscription_item": field::at(item, "id"),
            },
            "type": "subscription_item_details",
        }),
    }
}

/// Where a subscription keeps from when on usage of an item is not billed yet, if that is not its period's start.
const USAGE_SINCE: &str = "_sandbox.usage_since";

/// Keeps in mind that what was used of an item until now is billed.
pub(crate) fn usage_is_billed(subscription: &mut Value, item: &str, now: i64) {
    field::set(subscription, &format!("{USAGE_SINCE}.{item}"), now);
}

/// Whether there is a line for an item's period that begins. In flexible mode there is none for what is metered.
/// Source: <https://docs.stripe.com/billing/subscriptions/billing-mode/compare>.
pub(crate) fn opens(subscription: &Value, item: &Value) -> bool {
    field::text(subscription, "billing_mode.type") == "classic" || !price::is_metered(field::at(item, "price"))
}

/// The line that bills what was used of a metered item in its current period so far.
pub(crate) fn of_usage(world: &World, subscription: &Value, item: &Value) -> Line {
    let line = of_item(world, subscription, item);
    let since = field::integer(subscription, &format!("{USAGE_SINCE}.{}", field::text(item, "id")));
    let end = line.period.1.min(world.now);
    let start = line.period.0.max(since).min(end);
    let used = usage::of(world, &line.price, field::text(subscription, "customer"), start, end);
    let (name, price) = (product_name(world, &line.price), worded(&line.price));
    Line {
        amount: pricing::amount_of_usage(world, &line.price, used),
        quantity: used,
        description: format!("{} × {name} (at {price})", decimal::written(used)),
        period: (start, end),
        ..line
    }
}

/// As [`of_item`], for an item that is on trial.
pub(crate) fn of_trial(world: &World, subscription: &Value, item: &Value) -> Line {
    let line = of_item(world, subscription, item);
    Line {
        amount: 0,
        description: format!("Trial period for {}", product_name(world, &line.price)),
        ..line
    }
}

/// The line that an invoice item becomes.
pub(crate) fn of_invoice_item(world: &World, item: &Value) -> Line {
    let subscription = field::at(item, "parent.subscription_details.subscription");
    let of_subscription = field::at(item, "parent.subscription_details.subscription_item");
    let credited = field::at(item, "proration_details.credited_items.invoice_line_item_details");
    let details = json!({
        "invoice_item": field::at(item, "id"), "proration": field::at(item, "proration"),
        "proration_details": { "credited_items": credited },
        "subscription": subscription,
    });
    let parent = if of_subscription.is_null() {
        json!({ "invoice_item_details": details, "subscription_item_details": null, "type": "invoice_item_details" })
    } else {
        let mut details = details;
        field::set(&mut details, "subscription_item", of_subscription.clone());
        json!({ "invoice_item_details": null, "subscription_item_details": details, "type": "subscription_item_details" })
    };
    let price = world
        .find(field::text(item, "pricing.price_details.price"))
        .cloned()
        .unwrap_or_default();
    Line {
        amount: field::integer(item, "amount"),
        quantity: decimal::of(field::at(item, "quantity_decimal")).unwrap_or_default(),
        price,
        period: (field::integer(item, "period.start"), field::integer(item, "period.end")),
        description: field::text(item, "description").to_owned(),
        discountable: field::flag(item, "discountable"),
        discounts: field::at(item, "discounts").clone(),
        metadata: field::at(item, "metadata").clone(),
        parent,
    }
}

/// The line as it stands on the invoice `invoice`.
pub(crate) fn written(world: &mut World, invoice: &str, currency: &str, line: &Line) -> Value {
    let mut out = shapes::invoice_line_item();
    field::set(&mut out, "id", world.id("il_", 24));
    field::set(&mut out, "invoice", invoice);
    field::set(&mut out, "livemode", world.livemode);
    field::set(&mut out, "amount", line.amount);
    field::set(&mut out, "subtotal", line.amount);
    let whole = i64::try_from(line.quantity / decimal::ONE).unwrap_or(i64::MAX);
    field::set(&mut out, "quantity", whole);
    field::set(&mut out, "quantity_decimal", decimal::written(line.quantity));
    field::set(&mut out, "currency", currency);
    let described = Some(line.description.as_str()).filter(|text| !text.is_empty());
    field::set(&mut out, "description", described);
    field::set(&mut out, "discountable", line.discountable);
    field::set(&mut out, "discounts", line.discounts.clone());
    field::set(
        &mut out,
        "period",
        json!({ "start": line.period.0, "end": line.period.1 }),
    );
    field::set(&mut out, "metadata", line.metadata.clone());
    field::set(&mut out, "pricing", pricing_of(&line.price));
    field::set(&mut out, "parent", line.parent.clone());
    out
}

/// The `pricing` of a line or an invoice item; null where there is no price.
pub(crate) fn pricing_of(price: &Value) -> Value {
    if price.is_null() {
        return Value::Null;
    }
    json!({
        "price_details": { "price": field::at(price, "id"), "product": field::at(price, "product") },
        "type": "price_details",
        "unit_amount_decimal": field::at(price, "unit_amount_decimal"),
    })
}

/// The subscription item that a line bills, if it does.
pub(crate) fn item_of(line: &Value) -> Option<&str> {
    field::some_text(line, "parent.subscription_item_details.subscription_item")
}

/// The invoice item that a line came from, if it did.
pub(crate) fn invoice_item_of(line: &Value) -> Option<&str> {
    field::some_text(line, "parent.invoice_item_details.invoice_item")
        .or_else(|| field::some_text(line, "parent.subscription_item_details.invoice_item"))
}
