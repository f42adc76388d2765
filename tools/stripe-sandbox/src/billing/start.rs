//! Beginning a subscription: the object, its items and its first invoice.

use super::{
    cancellation,
    first_period::{self, FirstPeriod},
    invoice_items::{self, NewItem},
    invoicing::{self, Draft},
    pricing, proration,
    redemptions::{self, Asked},
    sent_invoices, trials, upcoming,
};
use crate::{
    field,
    json::{Value, json},
    resources::{collection, price},
    shapes,
    world::{World, rendered},
};

/// What a new subscription is made of; all of it is checked already.
pub(crate) struct NewSubscription {
    pub(crate) customer: String,
    /// Recurring prices with their quantities and item metadata.
    pub(crate) items: Vec<(Value, i64, Value)>,
    /// The discounts of each item, in their order; those after the last have none.
    pub(crate) item_discounts: Vec<Vec<Asked>>,
    /// Sold once, on the first invoice.
    pub(crate) once: Vec<Once>,
    pub(crate) first: FirstPeriod,
    pub(crate) metadata: Value,
    pub(crate) description: Option<String>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) billing_mode: String,
    pub(crate) automatic_tax: bool,
    /// When the trial ends that it begins with, if it does.
    pub(crate) trial_end: Option<i64>,
    /// What a trial's end comes to where nobody can be charged.
    pub(crate) missing_payment_method: String,
    pub(crate) save_default_payment_method: bool,
    /// After how many days its invoices are due, where they are sent.
    pub(crate) days_until_due: Option<i64>,
    pub(crate) discounts: Vec<Asked>,
    /// A payment intent begun on a hosted page, to be used for the first invoice.
    pub(crate) intent: Option<String>,
    /// The schedule that begins it, if one does.
    pub(crate) schedule: Option<Scheduled>,
}

/// What a schedule begins a subscription with.
pub(crate) struct Scheduled {
    /// The schedule's id.
    pub(crate) id: String,
    /// When the schedule cancels the subscription, if it does.
    pub(crate) cancel_at: Option<i64>,
}

/// Something sold once with a subscription.
pub(crate) struct Once {
    pub(crate) price: Value,
    pub(crate) quantity: i64,
    pub(crate) discountable: bool,
    pub(crate) metadata: Value,
    /// `start` and `end` as they were sent; null is now.
    pub(crate) period: Value,
    pub(crate) discounts: Vec<Asked>,
}

/// Creates the subscription, `incomplete` or `trialing`, and finalizes its first invoice; nothing is charged yet unless
/// nothing is due. One whose invoices are sent, or that a schedule begins, is `active`, and its first invoice a draft for an
/// hour. Gives the ids of both. Where there is nothing to invoice it is `active` at once.
pub(crate) fn begin(world: &mut World, new: &NewSubscription) -> (String, Option<String>) {
    let (id, invoice) = draft(world, new);
    let is_awaited = new.days_until_due.is_none() && new.schedule.is_none();
    if let Some(invoice) = invoice.as_deref().filter(|_| is_awaited) {
        invoicing::finalize_with(world, invoice, new.intent.as_deref());
    }
    (id, invoice)
}

/// As [`begin`], with a first invoice that is a draft yet.
pub(crate) fn draft(world: &mut World, new: &NewSubscription) -> (String, Option<String>) {
    let now = world.now;
    let id = world.id("sub_", 24);
    let trial_end = new.trial_end.filter(|end| *end > now);
    let mut subscription = shapes::subscription();
    field::set(&mut subscription, "id", id.clone());
    field::set(&mut subscription, "created", now);
    field::set(&mut subscription, "livemode", world.livemode);
    field::set(&mut subscription, "test_clock", world.test_clock.clone());
    field::set(&mut subscription, "customer", new.customer.clone());
    field::set(&mut subscription, "metadata", new.metadata.clone());
    field::set(&mut subscription, "description", new.description.clone());
    field::set(
        &mut subscription,
        "default_payment_method",
        new.default_payment_method.clone(),
    );
    if new.billing_mode == "classic" {
        field::set(
            &mut subscription,
            "billing_mode",
            json!({ "type": "classic", "flexible": null }),
        );
    }
    collection::write(&mut subscription, new.days_until_due);
    first_period::write(&mut subscription, &new.first, trial_end, now);
    if new.automatic_tax {
        field::set(&mut subscription, "automatic_tax", automatic_tax(true));
    }
    if new.save_default_payment_method {
        field::set(
            &mut subscription,
            "payment_settings.save_default_payment_method",
            "on_subscription",
        );
    }
    let currency = new
        .items
        .first()
        .map(|(price, ..)| field::text(price, "currency").to_owned())
        .unwrap_or_default();
    field::set(&mut subscription, "currency", currency);
    let start = field::at(&subscription, "start_date");
    let on = json!({ "customer": new.customer, "subscription": id, "start": start });
    let discounts = redemptions::grant(world, &new.discounts, &on);
    field::set(&mut subscription, "discounts", discounts);
    let mut items = Vec::new();
    for (price, quantity, metadata) in &new.items {
        let period = match trial_end {
            Some(end) => (now, end),
            None => first_period::of(&subscription, price, now),
        };
        let mut item = new_item(world, &id, price, *quantity, metadata, period);
        if let Some(asked) = new.item_discounts.get(items.len()) {
            let start = field::integer(&subscription, "start_date");
            discount_item(world, &subscription, &mut item, asked, start);
        }
        items.push(item);
    }
    let billed = first_period::lines(world, &mut subscription, &items, &new.first, trial_end);
    field::set(&mut subscription, "items.data", items);
    field::set(
        &mut subscription,
        "items.url",
        format!("/v1/subscription_items?subscription={id}"),
    );
    field::set(
        &mut subscription,
        "trial_settings.end_behavior.missing_payment_method",
        new.missing_payment_method.clone(),
    );
    // Nobody waits for the first invoice of one whose invoices are sent, or that a schedule begins.
    let is_active = sent_invoices::is_sent(&subscription) || new.schedule.is_some();
    if is_active {
        field::set(&mut subscription, "status", "active");
    }
    upcoming::write(world, &mut subscription);
    if let Some(scheduled) = &new.schedule {
        field::set(&mut subscription, "schedule", scheduled.id.clone());
        if scheduled.cancel_at.is_some() {
            cancellation::plan(&mut subscription, scheduled.cancel_at, now);
        }
    }
    if let Some(end) = trial_end {
        trials::write(&mut subscription, now, end);
    }
    world.put(&subscription);
    for once in &new.once {
        add_once(world, &subscription, once);
    }
    let draft = Draft {
        finalizes_at: is_active.then_some(now + invoicing::DRAFT_LIFE),
        ..Draft::of(&subscription, "subscription_create", billed)
    };
    if draft.is_empty(world) {
        if trial_end.is_none() {
            field::set(&mut subscription, "status", "active");
            world.put(&subscription);
        }
        world.emit("customer.subscription.created", &subscription, None);
        return (id, None);
    }
    let invoice = invoicing::draft(world, draft);
    redemptions::end_those_used(world, &mut subscription, &invoice);
    proration::remember(&mut subscription, &invoice);
    let invoice = field::text(&invoice, "id").to_owned();
    field::set(&mut subscription, "latest_invoice", invoice.clone());
    world.put(&subscription);
    world.emit("customer.subscription.created", &subscription, None);
    (id, Some(invoice))
}

/// Redeems discounts for an item of a subscription from `start` on, in place of those it has.
pub(crate) fn discount_item(world: &mut World, subscription: &Value, item: &mut Value, asked: &[Asked], start: i64) {
    let on = json!({
        "customer": field::at(subscription, "customer"), "subscription": field::at(subscription, "id"),
        "subscription_item": field::at(item, "id"),
        "start": start,
    });
    let granted = redemptions::grant(world, asked, &on);
    field::set(item, "discounts", granted);
}

/// Has what is sold once wait for the next invoice of a subscription.
pub(crate) fn add_once(world: &mut World, subscription: &Value, once: &Once) {
    let now = world.now;
    let items = || field::elements(subscription, "items.data").iter();
    let start = match field::text(&once.period, "start.type") {
        "timestamp" => field::at(&once.period, "start.timestamp").as_i64(),
        "max_item_period_start" => items().map(|item| field::integer(item, "current_period_start")).max(),
        _ => Some(now),
    };
    let end = match field::text(&once.period, "end.type") {
        "timestamp" => field::at(&once.period, "end.timestamp").as_i64(),
        "min_item_period_end" => items().map(|item| field::integer(item, "current_period_end")).min(),
        _ => start,
    };
    let start = start.unwrap_or(now);
    let mut item = invoice_items::build(
        world,
        &NewItem {
            customer: field::text(subscription, "customer"),
            currency: field::text(&once.price, "currency"),
            amount: pricing::amount_at(world, &once.price, once.quantity),
            quantity: once.quantity,
            price: once.price.clone(),
            description: Some(product_name(world, &once.price)),
            period: (start, end.unwrap_or(start).max(start)),
            metadata: once.metadata.clone(),
            subscription: field::some_text(subscription, "id"),
            ..NewItem::default()
        },
    );
    field::set(&mut item, "discountable", once.discountable);
    invoice_items::discount(world, &mut item, &once.discounts);
    invoice_items::add_pending(world, &item);
}

/// The `automatic_tax` of a subscription.
pub(crate) fn automatic_tax(enabled: bool) -> Value {
    let liability = enabled.then(|| json!({ "type": "self" }));
    json!({ "disabled_reason": null, "enabled": enabled, "liability": liability })
}

/// A new item over its first period.
pub(crate) fn new_item(
    world: &mut World,
    subscription: &str,
    price: &Value,
    quantity: i64,
    metadata: &Value,
    period: (i64, i64),
) -> Value {
    let mut item = shapes::subscription_item();
    field::set(&mut item, "id", world.id("si_", 14));
    field::set(&mut item, "created", world.now);
    field::set(&mut item, "subscription", subscription);
    sell(&mut item, price, quantity);
    field::set(&mut item, "current_period_start", period.0);
    field::set(&mut item, "current_period_end", period.1);
    if metadata.is_object() {
        field::set(&mut item, "metadata", metadata.clone());
    }
    item
}

/// Writes what an item sells. What is metered has no quantity.
pub(crate) fn sell(item: &mut Value, price: &Value, quantity: i64) {
    field::set(item, "price", rendered(price));
    field::set(item, "plan", price::plan(price));
    if !price::is_metered(price) {
        field::set(item, "quantity", quantity);
    } else if let Value::Object(fields) = item {
        fields.shift_remove("quantity");
    }
}

/// The name of the product that a price is for.
pub(crate) fn product_name(world: &World, price: &Value) -> String {
    world
        .find(field::text(price, "product"))
        .map(|product| field::text(product, "name").to_owned())
        .unwrap_or_default()
}

/// A price in words: `20.00 usd / month`.
pub(crate) fn worded(price: &Value) -> String {
    let currency = field::text(price, "currency");
    let amount = match field::at(price, "unit_amount").as_i64() {
        Some(amount) => money(amount, currency),
        None => match field::some_text(price, "unit_amount_decimal") {
            Some(decimal) => format!("{decimal} minor units {currency}"),
            None => format!("tiered prices in {currency}"),
        },
    };
    let count = field::integer(price, "recurring.interval_count");
    match (field::some_text(price, "recurring.interval"), count) {
        (None, _) => amount,
        (Some(interval), 1) => format!("{amount} / {interval}"),
        (Some(interval), count) => format!("{amount} every {count} {interval}s"),
    }
}

/// Currencies without minor units and with three digits of them. Source: <https://docs.stripe.com/currencies>.
const NO_DECIMALS: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
];
const THREE_DECIMALS: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];

/// An amount in words: `20.00 usd`.
pub(crate) fn money(minor_units: i64, currency: &str) -> String {
    format!("{} {currency}", decimal(minor_units, currency))
}

/// An amount as Stripe's messages have it: `$20.00`.
pub(crate) fn symbolic(minor_units: i64, currency: &str) -> String {
    let amount = decimal(minor_units, currency);
    match currency {
        "usd" => format!("${amount}"),
        "eur" => format!("€{amount}"),
        "gbp" => format!("£{amount}"),
        "jpy" => format!("¥{amount}"),
        other => format!("{amount} {}", other.to_uppercase()),
    }
}

fn decimal(minor_units: i64, currency: &str) -> String {
    let (unit, digits) = match currency {
        none if NO_DECIMALS.contains(&none) => return minor_units.to_string(),
        three if THREE_DECIMALS.contains(&three) => (1000, 3),
        _ => (100, 2),
    };
    format!("{}.{:0digits$}", minor_units / unit, (minor_units % unit).abs())
}
