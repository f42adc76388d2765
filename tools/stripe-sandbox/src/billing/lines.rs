//! The lines of an invoice: what they are made of, and as they stand on it.
//!
//! Source: <https://docs.stripe.com/api/invoice-line-item/object>.

use chrono::DateTime;

use super::{
    decimal, period, pricing,
    start::{product_name, worded},
    usage,
};
use crate::{
    field,
    json::{Value, json},
    resources::price,
    shapes,
    world::World,
};

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

/// The line that bills an item of `subscription` for its current period, in part where that is shorter than what its price is
/// for. Of what is metered nothing is used yet.
pub(crate) fn of_item(world: &World, subscription: &Value, item: &Value) -> Line {
    let price = field::at(item, "price").clone();
    let quantity = field::integer(item, "quantity");
    let (start, end) = period::billed(subscription, item);
    let whole = period::whole(subscription, item);
    let name = product_name(world, &price);
    let is_part = end - start != whole && !price::is_metered(&price);
    let amount = match price::is_metered(&price) {
        true => 0,
        false => pricing::amount_at(world, &price, quantity),
    };
    let (amount, description) = if is_part {
        let part = i128::from(amount) * i128::from(end - start);
        let (from, until) = (day(start), day(end));
        (
            decimal::divided(part, i128::from(whole)),
            format!("Time on {quantity} × {name} from {from} until {until}"),
        )
    } else {
        (amount, format!("{quantity} × {name} (at {})", worded(&price)))
    };
    Line {
        amount,
        quantity: decimal::whole(quantity),
        description,
        price,
        period: (start, end),
        discountable: true,
        discounts: field::at(item, "discounts").clone(),
        metadata: field::at(subscription, "metadata").clone(),
        parent: json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null, "proration": is_part, "proration_details": { "credited_items": null },
                "subscription": field::at(subscription, "id"), "subscription_item": field::at(item, "id"),
            },
            "type": "subscription_item_details",
        }),
    }
}

/// Where a subscription keeps from when on usage of an item counts, if that is not its period's start.
pub(crate) const USAGE_SINCE: &str = "_sandbox.usage_since";

/// Has usage count from now for the items of `after` that got a metered price since `before`. What was used until now is not
/// theirs. Source: <https://docs.stripe.com/billing/subscriptions/usage-based/manage-billing-setup>.
pub(crate) fn count_anew(before: &Value, after: &mut Value, now: i64) {
    let had = field::elements(before, "items.data");
    let is_same = |item: &&Value, one: &Value| {
        field::at(one, "id") == field::at(item, "id") && field::at(one, "price.id") == field::at(item, "price.id")
    };
    let items = field::elements(after, "items.data").iter();
    let fresh: Vec<String> = items
        .filter(|item| price::is_metered(field::at(item, "price")) && !had.iter().any(|one| is_same(item, one)))
        .map(|item| field::text(item, "id").to_owned())
        .collect();
    for id in fresh {
        count_from(after, &id, now);
    }
}

/// Has usage of an item count from a moment on: what was used before is billed.
pub(crate) fn count_from(subscription: &mut Value, item: &str, moment: i64) {
    field::set(subscription, &format!("{USAGE_SINCE}.{item}"), moment);
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

/// The lines for what was used of a subscription's items in a period that ends now.
pub(crate) fn of_all_usage(world: &World, subscription: &Value) -> Vec<Line> {
    let items = field::elements(subscription, "items.data").iter();
    let metered = items.filter(|item| price::is_metered(field::at(item, "price")));
    metered
        .map(|item| of_usage(world, subscription, item))
        .filter(|line| line.amount != 0)
        .collect()
}

/// As [`of_item`], for an item that is on trial.
/// Source of its words: <https://docs.stripe.com/billing/subscriptions/billing-mode/compare>.
pub(crate) fn of_trial(world: &World, subscription: &Value, item: &Value) -> Line {
    let line = of_item(world, subscription, item);
    let name = product_name(world, &line.price);
    Line {
        amount: 0,
        description: match field::text(subscription, "billing_mode.type") {
            "classic" => format!("Trial period for {name}"),
            _ => format!("Free trial for {} × {name}", decimal::written(line.quantity)),
        },
        period: (
            field::integer(item, "current_period_start"),
            field::integer(item, "current_period_end"),
        ),
        parent: of_whole(&line.parent),
        ..line
    }
}

/// What a line of an item says of where it comes from, where nothing is prorated.
fn of_whole(parent: &Value) -> Value {
    let mut parent = parent.clone();
    field::set(&mut parent, "subscription_item_details.proration", false);
    parent
}

/// A day in words: `15 Jan 2027`.
pub(crate) fn day(at: i64) -> String {
    DateTime::from_timestamp(at, 0).map_or_else(String::new, |time| time.format("%d %b %Y").to_string())
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
