//! A phase of a subscription schedule: what it makes of the subscription. What it does not say comes from the schedule's
//! default settings.
//!
//! Source: <https://docs.stripe.com/api/subscription_schedules/object#subscription_schedule_object-phases>.

use super::{
    change::Prorations,
    earliest_period_end, period,
    redemptions::{self, Asked},
    start::{self, Once},
};
use crate::{
    field,
    json::{Map, Value, json},
    resources::{collection, price},
    shapes,
    world::World,
};

/// What a subscription begins with.
pub(crate) struct Begun {
    /// Recurring prices with their quantities and metadata.
    pub(crate) items: Vec<(Value, i64, Value)>,
    /// The discounts of each of them.
    pub(crate) discounts: Vec<Vec<Asked>>,
    pub(crate) description: Option<String>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) automatic_tax: bool,
}

/// What a phase begins a subscription with.
pub(crate) fn begun(world: &World, schedule: &Value, phase: &Value) -> Begun {
    let text = |name: &str| setting(schedule, phase, name).as_str().map(str::to_owned);
    let items = field::elements(phase, "items").iter().map(|item| {
        let metadata = patched(&json!({}), field::at(item, "metadata"));
        (price_of(world, item), field::integer(item, "quantity"), metadata)
    });
    let of_items = field::elements(phase, "items").iter();
    Begun {
        items: items.collect(),
        discounts: of_items.map(|item| discounts(world, item, &[])).collect(),
        description: text("description"),
        default_payment_method: text("default_payment_method"),
        automatic_tax: setting(schedule, phase, "automatic_tax.enabled") == &json!(true),
    }
}

fn price_of(world: &World, item: &Value) -> Value {
    world.find(field::text(item, "price")).cloned().unwrap_or_default()
}

/// Where a schedule keeps after how many days invoices are due, where they are sent.
pub(crate) const DAYS: &str = "default_settings.invoice_settings.days_until_due";

/// What a phase says, or else the schedule's default settings.
fn setting<'a>(schedule: &'a Value, phase: &'a Value, name: &str) -> &'a Value {
    match field::at(phase, name) {
        Value::Null => field::at(field::at(schedule, "default_settings"), name),
        own => own,
    }
}

/// Metadata with the keys of another put in; an empty value takes its key out.
pub(crate) fn patched(current: &Value, patch: &Value) -> Value {
    let mut merged: Map = current.as_object().cloned().unwrap_or_default();
    for (key, value) in patch.as_object().into_iter().flatten() {
        match value.as_str() {
            Some("") => merged.shift_remove(key),
            _ => merged.insert(key.clone(), value.clone()),
        };
    }
    Value::Object(merged)
}

/// What a phase sells once.
pub(crate) fn once(world: &World, phase: &Value) -> Vec<Once> {
    let items = field::elements(phase, "add_invoice_items").iter();
    items
        .map(|item| Once {
            price: price_of(world, item),
            quantity: field::integer(item, "quantity"),
            discountable: true,
            metadata: json!({}),
            period: Value::Null,
            discounts: Vec::new(),
        })
        .collect()
}

/// When the trial of a phase ends, if it has one that is not over.
pub(crate) fn trial_end(phase: &Value, now: i64) -> Option<i64> {
    field::at(phase, "trial_end").as_i64().filter(|end| *end > now)
}

/// Writes until when a phase is on trial, and whether all of it is.
pub(crate) fn write_trial(phase: &mut Value, end: i64) {
    let is_whole = field::integer(phase, "end_date") == end;
    field::set(phase, "trial", is_whole);
    field::set(phase, "trial_end", end);
}

/// What becomes of prorations under a `proration_behavior`.
pub(crate) fn prorations(behavior: &str) -> Prorations {
    match behavior {
        "none" => Prorations::None,
        "always_invoice" => Prorations::Invoice,
        _ => Prorations::Wait,
    }
}

/// The discounts that a phase, or an item of one, asks for. One that was redeemed before is asked for only while the
/// subscription, or its item, `had` it.
pub(crate) fn discounts(world: &World, phase: &Value, had: &[Value]) -> Vec<Asked> {
    let asked = field::elements(phase, "discounts").iter().filter_map(|one| {
        if let Some(id) = field::some_text(one, "discount") {
            return had.contains(&json!(id)).then(|| Asked::Discount(id.to_owned()));
        }
        let code = field::some_text(one, "promotion_code");
        let coupon = match code {
            Some(code) => field::some_text(world.find(code)?, "promotion.coupon")?,
            None => field::some_text(one, "coupon")?,
        };
        let coupon = world.find(coupon).filter(|coupon| !field::flag(coupon, "deleted"))?;
        Some(Asked::Coupon(Box::new(coupon.clone()), code.map(str::to_owned)))
    });
    asked.collect()
}

/// The subscription as a phase has it. An item goes on where the phase sells its price, too; the others are new.
pub(crate) fn configured(world: &mut World, subscription: &Value, schedule: &Value, phase: &Value) -> Value {
    let mut changed = subscription.clone();
    for name in ["description", "default_payment_method"] {
        field::set(&mut changed, name, setting(schedule, phase, name).clone());
    }
    let is_sent = setting(schedule, phase, "collection_method") == "send_invoice";
    let days = field::at(schedule, DAYS).as_i64().filter(|_| is_sent);
    collection::write(&mut changed, days);
    let taxes = setting(schedule, phase, "automatic_tax.enabled") == &json!(true);
    if taxes != field::flag(subscription, "automatic_tax.enabled") {
        field::set(&mut changed, "automatic_tax", start::automatic_tax(taxes));
    }
    let metadata = patched(field::at(subscription, "metadata"), field::at(phase, "metadata"));
    field::set(&mut changed, "metadata", metadata);
    let had = field::elements(subscription, "discounts").to_vec();
    let asked = discounts(world, phase, &had);
    let on = json!({ "customer": field::at(subscription, "customer"), "subscription": field::at(subscription, "id") });
    let discounts = redemptions::replace(world, &had, &asked, &on);
    field::set(&mut changed, "discounts", discounts);
    let items: Vec<Value> = field::elements(phase, "items")
        .iter()
        .map(|item| sold(world, subscription, item))
        .collect();
    for gone in field::elements(subscription, "items.data") {
        if items.iter().all(|item| field::at(item, "id") != field::at(gone, "id")) {
            redemptions::replace(world, field::elements(gone, "discounts"), &[], &on);
        }
    }
    field::set(&mut changed, "items.data", items);
    changed
}

/// The item of the subscription that an item of a phase is, with its discounts.
fn sold(world: &mut World, subscription: &Value, item: &Value) -> Value {
    let mut sold = undiscounted(world, subscription, item);
    let had = field::elements(&sold, "discounts").to_vec();
    let asked = discounts(world, item, &had);
    let on = json!({
        "customer": field::at(subscription, "customer"), "subscription": field::at(subscription, "id"),
        "subscription_item": field::at(&sold, "id"),
    });
    let discounts = redemptions::replace(world, &had, &asked, &on);
    field::set(&mut sold, "discounts", discounts);
    sold
}

fn undiscounted(world: &mut World, subscription: &Value, item: &Value) -> Value {
    let quantity = field::integer(item, "quantity");
    let metadata = field::at(item, "metadata");
    let mut own = field::elements(subscription, "items.data").iter();
    if let Some(there) = own.find(|one| field::at(one, "price.id") == field::at(item, "price")) {
        let mut there = there.clone();
        let price = field::at(&there, "price").clone();
        start::sell(&mut there, &price, quantity);
        let metadata = patched(field::at(&there, "metadata"), metadata);
        field::set(&mut there, "metadata", metadata);
        return there;
    }
    let price = price_of(world, item);
    let joined = period::joined(subscription, &price, world.now);
    let metadata = patched(&json!({}), metadata);
    start::new_item(
        world,
        field::text(subscription, "id"),
        &price,
        quantity,
        &metadata,
        joined,
    )
}

/// An item of a phase.
pub(crate) fn item(price: &Value, quantity: i64, metadata: &Value, discounts: Vec<Value>) -> Value {
    let id = field::at(price, "id");
    let mut item = json!({
        "billing_thresholds": null, "discounts": discounts, "metadata": metadata, "plan": id, "price": id, "tax_rates": [],
    });
    if !price::is_metered(price) {
        field::set(&mut item, "quantity", quantity);
    }
    item
}

/// The items that a subscription has, as a phase would say it.
fn items_of(subscription: &Value) -> Vec<Value> {
    let items = field::elements(subscription, "items.data").iter();
    items
        .map(|one| {
            item(
                field::at(one, "price"),
                field::integer(one, "quantity"),
                field::at(one, "metadata"),
                discounts_of(one),
            )
        })
        .collect()
}

/// The discounts that a subscription, or an item of one, has, as a phase would say it.
pub(crate) fn discounts_of(holder: &Value) -> Vec<Value> {
    let discounts = field::elements(holder, "discounts").iter();
    discounts
        .map(|id| json!({ "coupon": null, "discount": id, "promotion_code": null }))
        .collect()
}

/// The phase that a subscription is in without a schedule: as it is, until it ends or its period does. Of a paused one the
/// period is over: the next one is taken.
pub(crate) fn present(subscription: &Value, now: i64) -> Value {
    let mut phase = shapes::subscription_schedule_phase();
    let items = field::elements(subscription, "items.data").iter();
    let start = items.map(|item| field::integer(item, "current_period_start")).max();
    let end = field::at(subscription, "cancel_at")
        .as_i64()
        .or(earliest_period_end(subscription));
    let anchor = field::integer(subscription, "billing_cycle_anchor");
    let next = period::next_end(anchor, now, field::at(subscription, "items.data.0.price"));
    field::set(&mut phase, "currency", field::at(subscription, "currency").clone());
    field::set(&mut phase, "start_date", start);
    field::set(&mut phase, "end_date", end.filter(|end| *end > now).unwrap_or(next));
    field::set(&mut phase, "items", items_of(subscription));
    field::set(&mut phase, "discounts", discounts_of(subscription));
    if field::text(subscription, "status") == "trialing" {
        write_trial(&mut phase, field::integer(subscription, "trial_end"));
    }
    phase
}

/// Writes into the phase at `place` of a schedule what its subscription has become. What the phase says as well stays as it is
/// said, and what it leaves to the default settings is written there.
pub(crate) fn rewrite(world: &World, subscription: &Value, schedule: &mut Value, place: &str) {
    let phase = field::at(schedule, place).clone();
    let said = field::elements(&phase, "items");
    let are = field::elements(subscription, "items.data").to_vec();
    let items = items_of(subscription).into_iter().zip(are).map(|(mut item, is)| {
        let own = said
            .iter()
            .find(|one| field::at(one, "price") == field::at(&item, "price"));
        if let Some(own) = own {
            field::set(&mut item, "metadata", field::at(own, "metadata").clone());
            if holds(world, &is, own) {
                field::set(&mut item, "discounts", field::at(own, "discounts").clone());
            }
        }
        item
    });
    let items: Vec<Value> = items.collect();
    field::set(schedule, &format!("{place}.items"), items);
    field::set(schedule, DAYS, field::at(subscription, "days_until_due").clone());
    for name in ["collection_method", "description", "default_payment_method"] {
        let holder = match field::at(&phase, name) {
            Value::Null => "default_settings",
            _ => place,
        };
        field::set(
            schedule,
            &format!("{holder}.{name}"),
            field::at(subscription, name).clone(),
        );
    }
    if !holds(world, subscription, &phase) {
        field::set(schedule, &format!("{place}.discounts"), discounts_of(subscription));
    }
    // The trial that the phase has may be over before its time.
    let start = field::integer(&phase, "start_date");
    let has_trial = !field::at(&phase, "trial_end").is_null();
    let trial_end = field::at(subscription, "trial_end").as_i64();
    if let Some(end) = trial_end.filter(|end| *end > start || has_trial && *end == start) {
        write_trial(field::place(schedule, place), end);
    }
}

/// Whether the discounts of a subscription, or of an item, are still those that a phase says.
fn holds(world: &World, holder: &Value, said: &Value) -> bool {
    let id_of = |coupon: &Value| field::at(coupon, "id").clone();
    let coupon_of = |id: &Value| redemptions::coupon_of(world, id).map(id_of);
    let has = field::elements(holder, "discounts");
    let asked = discounts(world, said, has);
    let asked = asked.iter().map(|asked| match asked {
        Asked::Discount(id) => coupon_of(&json!(id)),
        Asked::Coupon(coupon, _) => Some(id_of(coupon)),
    });
    has.iter().map(coupon_of).eq(asked)
}
