//! Subscriptions.

use serde_json::{Value, json};

use super::{Call, Operation, copy_texts, list_of, merge_metadata, payment_method, price, quantity, retrieve};
use crate::{
    billing::{
        authentication::Presence,
        cancellation, earliest_period_end, invoicing, latest_period_end, period, renewal,
        start::{self, NewSubscription},
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/subscriptions",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/subscriptions",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/subscriptions/{id}",
        run: |world, call| retrieve(world, "subscription", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/subscriptions/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/subscriptions/{id}",
        run: cancel,
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let customer = world.get("customer", params.required("customer")?, "customer")?;
    let customer_id = field::text(&customer, "id").to_owned();
    if params
        .text("collection_method")
        .is_some_and(|how| how != "charge_automatically")
    {
        let message = "The sandbox collects automatically only.";
        return Err(ApiError::unserved("collection_method", message));
    }
    let behavior = params.text("payment_behavior").unwrap_or("allow_incomplete").to_owned();
    if behavior == "pending_if_incomplete" {
        let message = "The sandbox makes no pending updates.";
        return Err(ApiError::unserved("payment_behavior", message));
    }
    let default_payment_method = match params.text("default_payment_method") {
        Some(id) => {
            let method = payment_method::of_customer(world, id, &customer_id, "default_payment_method")?;
            Some(field::text(&method, "id").to_owned())
        }
        None => None,
    };
    let mut items = Vec::new();
    for (index, line) in params.list("items").iter().enumerate() {
        items.push(new_item(world, line, index)?);
    }
    let new = NewSubscription {
        items: checked(items, "items")?,
        once: Vec::new(),
        metadata: merge_metadata(&json!({}), params, "metadata")?,
        description: params.text("description").map(str::to_owned),
        default_payment_method,
        billing_mode: params.text("billing_mode[type]").unwrap_or("flexible").to_owned(),
        automatic_tax: params.boolean("automatic_tax[enabled]").unwrap_or(false),
        trial_days: trial_days(params, "trial_period_days")?,
        save_default_payment_method: params.text("payment_settings[save_default_payment_method]")
            == Some("on_subscription"),
        customer: customer_id,
        intent: None,
    };
    let (id, invoice) = start::begin(world, &new);
    let subscription = world.get("subscription", &id, "id")?;
    plan_end(world, &subscription, params)?;
    let open = world
        .find(&invoice)
        .is_some_and(|one| field::text(one, "status") == "open");
    if open && behavior != "default_incomplete" {
        let Some(method) = payment_method::responsible(world, &subscription) else {
            let message = "This customer has no attached payment source or default payment method. Please consider adding \
                a default payment method.";
            return Err(ApiError::invalid(message).code("resource_missing"));
        };
        if let Err(mut error) = invoicing::pay(world, &invoice, &method, Presence::Present) {
            if behavior == "error_if_incomplete" {
                error.keeps_effects = false;
                return Err(error);
            }
            renewal::fail_first(world, &invoice);
        }
    }
    retrieve(world, "subscription", &id)
}

fn new_item(world: &mut World, line: &Params, index: usize) -> Result<(Value, i64, Value), ApiError> {
    let within = format!("items[{index}]");
    let price = price::of_line(world, line, &within)?;
    if field::text(&price, "type") != "recurring" {
        let message =
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.";
        return Err(ApiError::invalid(message).param(format!("{within}[price]")));
    }
    Ok((
        price,
        quantity(line, "quantity")?,
        merge_metadata(&json!({}), line, "metadata")?,
    ))
}

type Items = Vec<(Value, i64, Value)>;

/// The items if there are any, not too many, and all in one currency.
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
    Ok(items)
}

/// Days of trial, at most two years.
pub(crate) fn trial_days(params: &Params, name: &str) -> Result<i64, ApiError> {
    match params.integer(name).unwrap_or(0) {
        days @ 0..=730 => Ok(days),
        days => Err(ApiError::invalid(format!("Invalid number of trial days: {days}")).param(name)),
    }
}

fn list(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let status = params.text("status");
    let price = params.text("price");
    list_of(world, "subscription", "/v1/subscriptions", params, |one| {
        let is = field::text(one, "status");
        let wanted = match status {
            None => is != "canceled",
            Some("all") => true,
            Some("ended") => matches!(is, "canceled" | "incomplete_expired"),
            Some(status) => is == status,
        };
        wanted
            && matches(one, params, &["customer", "collection_method"])
            && price.is_none_or(|id| {
                field::elements(one, "items.data")
                    .iter()
                    .any(|item| field::text(item, "price.id") == id)
            })
    })
}

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let subscription = world.get("subscription", call.id(), "id")?;
    if matches!(field::text(&subscription, "status"), "canceled" | "incomplete_expired") {
        let message = "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(ApiError::invalid(message));
    }
    let mut changed = subscription.clone();
    copy_texts(&mut changed, params, &["description"]);
    let metadata = merge_metadata(field::at(&changed, "metadata"), params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    if let Some(save) = params.text("payment_settings[save_default_payment_method]") {
        field::set(&mut changed, "payment_settings.save_default_payment_method", save);
    }
    if params.clears("default_payment_method") {
        field::set(&mut changed, "default_payment_method", Value::Null);
    } else if let Some(id) = params.text("default_payment_method") {
        let method = payment_method::of_customer(
            world,
            id,
            field::text(&subscription, "customer"),
            "default_payment_method",
        )?;
        field::set(&mut changed, "default_payment_method", field::at(&method, "id").clone());
    }
    if params.has("items") {
        change_items(world, &mut changed, params)?;
    }
    write_details(&mut changed, params)?;
    write_end(&mut changed, params, world.now)?;
    Ok(rendered(&world.update(
        call.id(),
        "customer.subscription.updated",
        |one| *one = changed,
    )))
}

/// Changes quantities and prices without proration, the only way the sandbox has so far.
fn change_items(world: &mut World, changed: &mut Value, params: &Params) -> Result<(), ApiError> {
    if params.text("proration_behavior") != Some("none") {
        let message = "The sandbox does not prorate yet: send proration_behavior=none with items.";
        return Err(ApiError::unserved("proration_behavior", message));
    }
    let id = field::text(changed, "id").to_owned();
    let anchor = field::integer(changed, "billing_cycle_anchor");
    for (index, line) in params.list("items").iter().enumerate() {
        let Some(item) = line.text("id") else {
            let (price, quantity, metadata) = new_item(world, line, index)?;
            let period = (world.now, period::next_end(anchor, world.now, &price));
            let item = start::new_item(world, &id, &price, quantity, &metadata, period);
            if let Value::Array(items) = field::place(changed, "items.data") {
                items.push(item);
            }
            continue;
        };
        let place = field::elements(changed, "items.data")
            .iter()
            .position(|one| field::text(one, "id") == item);
        let Some(place) = place else {
            return Err(ApiError::missing(
                "subscription_item",
                item,
                &format!("items[{index}][id]"),
            ));
        };
        let path = |name: &str| format!("items.data.{place}.{name}");
        if line.has("quantity") {
            field::set(changed, &path("quantity"), quantity(line, "quantity")?);
        }
        if line.has("price") {
            let (price, ..) = new_item(world, line, index)?;
            field::set(changed, &path("plan"), price::plan(&price));
            field::set(changed, &path("price"), rendered(&price));
        }
        let metadata = merge_metadata(field::at(changed, &path("metadata")), line, "metadata")?;
        field::set(changed, &path("metadata"), metadata);
    }
    Ok(())
}

fn write_details(changed: &mut Value, params: &Params) -> Result<(), ApiError> {
    if let Some(feedback) = params.text("cancellation_details[feedback]") {
        field::set(changed, "cancellation_details.feedback", feedback);
    }
    if params.has("cancellation_details[comment]") {
        field::set(
            changed,
            "cancellation_details.comment",
            params.text("cancellation_details[comment]"),
        );
    }
    Ok(())
}

/// Writes when the subscription is to end, as `cancel_at_period_end` or `cancel_at` ask.
fn write_end(changed: &mut Value, params: &Params, now: i64) -> Result<(), ApiError> {
    let at_period_end = params.boolean("cancel_at_period_end");
    if at_period_end == Some(true) && params.text("cancel_at").is_some() {
        return Err(ApiError::invalid(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
        ));
    }
    let at = match params.text("cancel_at") {
        Some("min_period_end") => earliest_period_end(changed),
        Some("max_period_end") => latest_period_end(changed),
        Some(_) => params.integer("cancel_at"),
        None => None,
    };
    if at.is_some_and(|at| at <= now) {
        return Err(ApiError::invalid("The cancel_at must be in the future.").param("cancel_at"));
    }
    let end = match (at_period_end, at) {
        (Some(true), _) => latest_period_end(changed),
        (_, Some(at)) => Some(at),
        (Some(false), None) => None,
        (None, None) if params.clears("cancel_at") => None,
        (None, None) => return Ok(()),
    };
    field::set(changed, "cancel_at", json!(end));
    field::set(changed, "cancel_at_period_end", at_period_end == Some(true));
    if end.is_some() {
        if field::at(changed, "canceled_at").is_null() {
            field::set(changed, "canceled_at", now);
        }
        field::set(changed, "cancellation_details.reason", "cancellation_requested");
    } else {
        field::set(changed, "canceled_at", Value::Null);
        field::set(changed, "cancellation_details.reason", Value::Null);
    }
    Ok(())
}

/// As [`write_end`], for a subscription just begun.
fn plan_end(world: &mut World, subscription: &Value, params: &Params) -> Result<(), ApiError> {
    let mut changed = subscription.clone();
    write_end(&mut changed, params, world.now)?;
    if changed != *subscription {
        world.update(
            field::text(subscription, "id"),
            "customer.subscription.updated",
            |one| *one = changed,
        );
    }
    Ok(())
}

fn cancel(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let subscription = world.get("subscription", call.id(), "id")?;
    if matches!(field::text(&subscription, "status"), "canceled" | "incomplete_expired") {
        return Err(ApiError::missing("subscription", call.id(), "id"));
    }
    for name in ["invoice_now", "prorate"] {
        if params.boolean(name) == Some(true) {
            let message = format!("The sandbox does not prorate yet: send {name}=false.");
            return Err(ApiError::unserved(name, message));
        }
    }
    let mut changed = subscription.clone();
    write_details(&mut changed, params)?;
    world.put(&changed);
    cancellation::cancel_now(world, call.id(), None);
    retrieve(world, "subscription", call.id())
}
