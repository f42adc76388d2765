//! The items of subscriptions, and changes of them.

use std::{collections::BTreeSet, sync::Arc};

use super::{Call, Operation, merge_metadata, pending_update, price, subscription::changeable};
use crate::{
    billing::{
        authentication::Presence,
        change::{self, How, Prorations, Unpaid},
        discounts::Purchase,
        earliest_period_end, period, pricing,
        redemptions::{self, Asked},
        schedules, start,
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list,
    },
    json::{Value, json},
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/subscription_items",
        run: |world, call| {
            let subscription = world.get("subscription", call.params.required("subscription")?, "subscription")?;
            let mut items = field::elements(&subscription, "items.data").to_vec();
            items.reverse();
            list::page("/v1/subscription_items", &call.params, items)
        },
    },
    Operation {
        method: "POST",
        path: "/v1/subscription_items",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/subscription_items/{item}",
        run: |world, call| found(world, call.id()).map(|(_, item)| item),
    },
    Operation {
        method: "POST",
        path: "/v1/subscription_items/{item}",
        run: |world, call| changed(world, call, &call.params),
    },
    Operation {
        method: "DELETE",
        path: "/v1/subscription_items/{item}",
        run: |world, call| {
            changed(world, call, &call.params.clone().with("deleted", "true"))?;
            Ok(json!({ "id": call.id(), "object": "subscription_item", "deleted": true }))
        },
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let subscription = changeable(world, call.params.required("subscription")?, "subscription")?;
    change_one(world, &subscription, &call.params)
}

/// The item `id` and its subscription.
fn found(world: &World, id: &str) -> Result<(Value, Value), ApiError> {
    let found = world.with_item(&world.account, id).and_then(|subscription| {
        let mut items = field::elements(&subscription, "items.data").iter();
        let item = items.find(|item| field::text(item, "id") == id).cloned()?;
        Some((Arc::unwrap_or_clone(subscription), item))
    });
    found.ok_or_else(|| ApiError::missing("subscription_item", id, "id"))
}

/// Changes the item that the call names as the parameters say.
fn changed(world: &mut World, call: &Call, params: &Params) -> Answer {
    let (subscription, _) = found(world, call.id())?;
    let subscription = changeable(world, field::text(&subscription, "id"), "id")?;
    change_one(world, &subscription, &params.clone().with("id", call.id()))
}

fn change_one(world: &mut World, subscription: &Value, params: &Params) -> Answer {
    pending_update::check(subscription, params)?;
    let mut changed = subscription.clone();
    let id = change_item(world, &mut changed, params, "")?;
    commit_change(world, subscription, changed, params)?;
    schedules::follow_change(world, field::text(subscription, "id"));
    let now = world.get("subscription", field::text(subscription, "id"), "id")?;
    let items = field::elements(&now, "items.data").iter();
    // An item that is to be added waits with the rest of its update.
    let items = items.chain(field::elements(&now, "pending_update.subscription_items"));
    let item = items.into_iter().find(|item| field::text(item, "id") == id);
    Ok(item.cloned().unwrap_or_default())
}

pub(crate) fn new_item(world: &mut World, line: &Params, within: &str) -> Result<(Value, i64, Value), ApiError> {
    let price = price::of_line(world, line, within)?;
    if field::text(&price, "type") != "recurring" {
        let message =
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.";
        return Err(ApiError::invalid(message).param(format!("{within}[price]")));
    }
    let quantity = quantity_of(&price, line, within)?;
    Ok((price, quantity, merge_metadata(&json!({}), line, "metadata")?))
}

/// The quantity of an item, which may be none of what is sold.
fn quantity_of(price: &Value, line: &Params, within: &str) -> Result<i64, ApiError> {
    match line.integer("quantity") {
        Some(0) if !price::is_metered(price) => Ok(0),
        _ => price::quantity_of_line(price, line, within),
    }
}

pub(crate) type Items = Vec<(Value, i64, Value)>;

/// The items if there are any, not too many, each with a price of its own, and all in one currency.
pub(crate) fn checked(items: Items, param: &str) -> Result<Items, ApiError> {
    let Some((first, ..)) = items.first() else {
        return Err(ApiError::parameter_missing(param));
    };
    if items.len() > 20 {
        return Err(ApiError::invalid("A subscription can have at most 20 items.").param(param));
    }
    let currency = field::text(first, "currency");
    if items
        .iter()
        .any(|(price, ..)| field::text(price, "currency") != currency)
    {
        return Err(ApiError::invalid("All prices on a subscription must have the same `currency`.").param(param));
    }
    let mut prices = BTreeSet::new();
    for (place, (price, ..)) in items.iter().enumerate() {
        let id = field::text(price, "id");
        if !prices.insert(id) {
            let message = format!("Cannot add multiple subscription items with the same plan: `{id}`.");
            return Err(ApiError::invalid(message).param(format!("{param}[{place}][price]")));
        }
    }
    Ok(items)
}

/// Stores a changed subscription, with prorations and payment as the parameters say.
pub(crate) fn commit_change(
    world: &mut World,
    subscription: &Value,
    changed: Value,
    params: &Params,
) -> Result<(), ApiError> {
    let how = how_asked(world, subscription, params)?;
    change::apply(world, subscription, changed, &how)
}

/// How a change is to be made, as the parameters say.
pub(crate) fn how_asked(world: &World, subscription: &Value, params: &Params) -> Result<How, ApiError> {
    Ok(How {
        prorations: match params.text("proration_behavior") {
            Some("none") => Prorations::None,
            Some("always_invoice") => Prorations::Invoice,
            _ => Prorations::Wait,
        },
        unpaid: match params.text("payment_behavior") {
            Some("default_incomplete") => Unpaid::Awaited,
            Some("error_if_incomplete") => Unpaid::Refused,
            Some(change::PREVIEWED) => Unpaid::Previewed,
            Some("pending_if_incomplete") => Unpaid::Pending,
            _ => Unpaid::Allowed,
        },
        presence: presence(params),
        at: prorated_from(params, subscription, world.now)?,
        resets_anchor: params.text("billing_cycle_anchor[type]") == Some("now"),
        bills_usage: true,
        trial_end: None,
    })
}

/// Whether whoever pays can be asked to authenticate: they are there unless `off_session` says otherwise.
pub(crate) fn presence(params: &Params) -> Presence {
    match params.boolean("off_session") {
        Some(true) => Presence::AskedLater,
        _ => Presence::Present,
    }
}

/// The moment that prorations count from: within the present period.
fn prorated_from(params: &Params, subscription: &Value, now: i64) -> Result<i64, ApiError> {
    let Some(at) = params.integer("proration_date") else {
        return Ok(now);
    };
    let items = field::elements(subscription, "items.data");
    let start = items
        .iter()
        .map(|item| field::integer(item, "current_period_start"))
        .max();
    let end = earliest_period_end(subscription);
    if start.is_some_and(|start| at < start) || end.is_some_and(|end| at > end) {
        let message = "Cannot specify a proration date outside of the current billing period.";
        return Err(ApiError::invalid(message).param("proration_date"));
    }
    Ok(at)
}

/// Adds, changes or removes the item that a line of parameters is about. Gives its id.
pub(crate) fn change_item(
    world: &mut World,
    changed: &mut Value,
    line: &Params,
    within: &str,
) -> Result<String, ApiError> {
    let at = |name: &str| match within {
        "" => name.to_owned(),
        within => format!("{within}[{name}]"),
    };
    let anchor = field::integer(changed, "billing_cycle_anchor");
    let Some(id) = line.text("id") else {
        let (price, quantity, metadata) = new_item(world, line, within)?;
        check_price(changed, &price, None, &at("price"))?;
        let period = period::joined(changed, &price, world.now);
        let subscription = field::text(changed, "id").to_owned();
        let mut item = start::new_item(world, &subscription, &price, quantity, &metadata, period);
        discount(world, changed, &mut item, line, within)?;
        let id = field::text(&item, "id").to_owned();
        let mut items = field::elements(changed, "items.data").to_vec();
        items.push(item);
        field::set(changed, "items.data", items);
        checked(items_of(changed), &at("price"))?;
        return Ok(id);
    };
    let mut items = field::elements(changed, "items.data").to_vec();
    let Some(place) = items.iter().position(|one| field::text(one, "id") == id) else {
        return Err(ApiError::missing("subscription_item", id, &at("id")));
    };
    if line.boolean("deleted") == Some(true) {
        items.remove(place);
        if items.is_empty() {
            let message = "A subscription must have at least one item. Cancel the subscription instead.";
            return Err(ApiError::invalid(message).param(at("deleted")));
        }
        field::set(changed, "items.data", items);
        return Ok(id.to_owned());
    }
    let path = |name: &str| format!("items.data.{place}.{name}");
    let mut price = field::at(changed, &path("price")).clone();
    if line.has("price") || line.has("price_data") {
        price = new_item(world, line, within)?.0;
        check_price(changed, &price, Some(id), &at("price"))?;
        let on_trial = field::text(changed, "status") == "trialing";
        if !on_trial && !period::same_length(&price, field::at(changed, &path("price"))) {
            let (start, end) = period::around(anchor, world.now, &price);
            field::set(changed, &path("current_period_start"), start);
            field::set(changed, &path("current_period_end"), end);
        }
    }
    let quantity = match field::at(changed, &path("quantity")).as_i64() {
        Some(had) if !line.has("quantity") => had,
        _ => quantity_of(&price, line, within)?,
    };
    start::sell(field::place(changed, &format!("items.data.{place}")), &price, quantity);
    let metadata = merge_metadata(field::at(changed, &path("metadata")), line, "metadata")?;
    field::set(changed, &path("metadata"), metadata);
    let mut item = field::at(changed, &format!("items.data.{place}")).clone();
    discount(world, changed, &mut item, line, within)?;
    field::set(changed, &format!("items.data.{place}"), item);
    checked(items_of(changed), &at("price"))?;
    Ok(id.to_owned())
}

/// The discounts asked for an item, if any were sent.
pub(crate) fn item_discounts_asked(
    world: &World,
    line: &Params,
    customer: &str,
    (price, quantity, _): &(Value, i64, Value),
) -> Result<Option<Vec<Asked>>, ApiError> {
    let purchase = Purchase {
        customer: Some(customer),
        currency: field::text(price, "currency"),
        subtotal: pricing::amount_at(world, price, *quantity),
    };
    redemptions::asked(world, line, "discounts", &purchase)
}

/// Redeems the discounts that a line of parameters asks for its item, if any.
fn discount(world: &mut World, changed: &Value, item: &mut Value, line: &Params, within: &str) -> Result<(), ApiError> {
    let sold = (
        field::at(item, "price").clone(),
        field::integer(item, "quantity"),
        Value::Null,
    );
    let asked = item_discounts_asked(world, line, field::text(changed, "customer"), &sold);
    if let Some(asked) = asked.map_err(|error| error.within(within))? {
        let now = world.now;
        start::discount_item(world, changed, item, &asked, now);
    }
    Ok(())
}

/// Refuses a price in another currency than the subscription's, and one that another item has.
fn check_price(changed: &Value, price: &Value, but: Option<&str>, param: &str) -> Result<(), ApiError> {
    price::check_currency(price, field::text(changed, "currency"), param)?;
    let items = field::elements(changed, "items.data");
    let second = items
        .iter()
        .find(|item| field::text(item, "price.id") == field::text(price, "id") && but != field::some_text(item, "id"));
    match second {
        None => Ok(()),
        Some(item) => {
            let message = format!(
                "Cannot add multiple subscription items with the same plan: `{}`. Existing Subscription Item: `{}`.",
                field::text(price, "id"),
                field::text(item, "id")
            );
            Err(ApiError::invalid(message).param(param))
        }
    }
}

pub(crate) fn items_of(subscription: &Value) -> Items {
    let items = field::elements(subscription, "items.data");
    items
        .iter()
        .map(|item| {
            (
                field::at(item, "price").clone(),
                field::integer(item, "quantity"),
                Value::Null,
            )
        })
        .collect()
}
