//! Subscriptions.

use super::{
    Call, Operation, collection, copy_texts, list_of, merge_metadata, payment_method, pending_update, retrieve, search,
    subscription_item::{
        Items, change_item, checked, commit_change, how_asked, item_discounts_asked, items_of, new_item, presence,
    },
    subscription_start,
};
use crate::{
    billing::{
        cancellation,
        change::{self, no_payment_method},
        discounts::Purchase,
        earliest_period_end, finalization, has_ended, invoicing, latest_period_end, pausing, pricing,
        redemptions::{self, Asked},
        renewal, schedules,
        start::{self, NewSubscription},
        test_clock, trials,
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    json::{Value, json},
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
        path: "/v1/subscriptions/search",
        run: |world, call| search::run(world, "subscription", "/v1/subscriptions/search", &call.params),
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
    Operation {
        method: "POST",
        path: "/v1/subscriptions/{id}/migrate",
        run: migrate,
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let behavior = params.text("payment_behavior").unwrap_or("allow_incomplete").to_owned();
    if behavior == "pending_if_incomplete" {
        let message =
            "`pending_if_incomplete` is only used with updates and cannot be passed when creating a Subscription.";
        return Err(ApiError::invalid(message).param("payment_behavior"));
    }
    let new = asked(world, params)?;
    let (id, invoice) = start::begin(world, &new);
    let subscription = world.get("subscription", &id, "id")?;
    plan_end(world, &subscription, params)?;
    let is_open = |id: &String| world.find(id).is_some_and(|one| field::text(one, "status") == "open");
    let open = invoice.filter(is_open);
    if let Some(invoice) = open.filter(|_| behavior != "default_incomplete") {
        let Some(method) = payment_method::responsible(world, &subscription) else {
            return Err(no_payment_method());
        };
        if let Err(mut error) = invoicing::pay(world, &invoice, &method, presence(params)) {
            if behavior == "error_if_incomplete" {
                error.keeps_effects = false;
                return Err(error);
            }
            renewal::fail_first(world, &invoice);
        }
    }
    retrieve(world, "subscription", &id)
}

/// The new subscription that is asked for.
pub(crate) fn asked(world: &mut World, params: &Params) -> Result<NewSubscription, ApiError> {
    let customer = world.get("customer", params.required("customer")?, "customer")?;
    test_clock::has_room_for_subscription(world, &customer)?;
    let customer_id = field::text(&customer, "id").to_owned();
    let days_until_due = collection::days_until_due(params, &Value::Null, &customer)?;
    if params.boolean("automatic_tax[enabled]") == Some(true) && !finalization::is_located(world, &customer_id) {
        return Err(finalization::location_unknown());
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
        items.push(new_item(world, line, &format!("items[{index}]"))?);
    }
    let items = checked(items, "items")?;
    subscription_start::check_currency(params, &items)?;
    let mut item_discounts = Vec::new();
    for (index, (line, item)) in params.list("items").iter().zip(&items).enumerate() {
        let asked = item_discounts_asked(world, line, &customer_id, item);
        item_discounts.push(
            asked
                .map_err(|error| error.within(&format!("items[{index}]")))?
                .unwrap_or_default(),
        );
    }
    let discounts = discounts_asked(world, params, &customer_id, &items)?.unwrap_or_default();
    let trial_end = trial_end(params, world.now)?;
    let first = subscription_start::first_period(params, &items, trial_end, world.now)?;
    let currency = items
        .first()
        .map(|(price, ..)| field::text(price, "currency").to_owned());
    let once = subscription_start::once(world, params, &customer_id, &currency.unwrap_or_default())?;
    Ok(NewSubscription {
        items,
        item_discounts,
        once,
        first,
        metadata: merge_metadata(&json!({}), params, "metadata")?,
        description: params.text("description").map(str::to_owned),
        default_payment_method,
        billing_mode: params.text("billing_mode[type]").unwrap_or("flexible").to_owned(),
        automatic_tax: params.boolean("automatic_tax[enabled]").unwrap_or(false),
        trial_end,
        missing_payment_method: params
            .text("trial_settings[end_behavior][missing_payment_method]")
            .unwrap_or("create_invoice")
            .to_owned(),
        save_default_payment_method: params.text("payment_settings[save_default_payment_method]")
            == Some("on_subscription"),
        days_until_due,
        customer: customer_id,
        discounts,
        intent: None,
        schedule: None,
    })
}

/// The discounts asked for a subscription with these items, if any were sent.
fn discounts_asked(
    world: &World,
    params: &Params,
    customer: &str,
    items: &Items,
) -> Result<Option<Vec<Asked>>, ApiError> {
    let first = items.first().map(|(price, ..)| price);
    let purchase = Purchase {
        customer: Some(customer),
        currency: first.map_or("", |price| field::text(price, "currency")),
        subtotal: items
            .iter()
            .map(|(price, quantity, _)| pricing::amount_at(world, price, *quantity))
            .sum(),
    };
    redemptions::asked(world, params, "discounts", &purchase)
}

/// When the trial ends that is asked for, if one is.
fn trial_end(params: &Params, now: i64) -> Result<Option<i64>, ApiError> {
    if params.has("trial_end") && params.has("trial_period_days") {
        let message = "You may only specify one of these parameters: trial_end, trial_period_days.";
        return Err(ApiError::invalid(message).param("trial_end"));
    }
    from_plan(params)?;
    let days = trial_days(params, "trial_period_days")?;
    match params.text("trial_end") {
        None => Ok((days > 0).then(|| now + days * 86_400)),
        Some("now") => Ok(None),
        Some(_) => checked_trial_end(params, now).map(Some),
    }
}

/// `trial_from_plan` asks for the trial of a price. None has one here: `recurring[trial_period_days]` is refused.
fn from_plan(params: &Params) -> Result<(), ApiError> {
    if params.boolean("trial_from_plan") == Some(true) && params.has("trial_end") {
        let message = "You may only specify one of these parameters: trial_end, trial_from_plan.";
        return Err(ApiError::invalid(message).param("trial_from_plan"));
    }
    Ok(())
}

/// The moment sent as `trial_end`, at most two years ahead.
fn checked_trial_end(params: &Params, now: i64) -> Result<i64, ApiError> {
    let end = params.integer("trial_end").unwrap_or_default();
    if end <= now {
        let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
        return Err(ApiError::invalid(message).param("trial_end"));
    }
    if end > now + 730 * 86_400 {
        let message = "Invalid timestamp: can be no more than two years in the future.";
        return Err(ApiError::invalid(message).param("trial_end"));
    }
    Ok(end)
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
    test_clock::check_filter(world, params)?;
    let status = params.text("status");
    let price = params.text("price");
    list_of(world, "subscription", "/v1/subscriptions", params, |one| {
        let is = field::text(one, "status");
        let wanted = match status {
            None => is != "canceled",
            Some("all") => true,
            Some("ended") => has_ended(one),
            Some(status) => is == status,
        };
        wanted
            && matches(one, params, &["customer", "collection_method"])
            && test_clock::is_listed(one, params, &["customer"])
            && price.is_none_or(|id| {
                field::elements(one, "items.data")
                    .iter()
                    .any(|item| field::text(item, "price.id") == id)
            })
    })
}

pub(crate) fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let subscription = match changeable(world, call.id(), "id") {
        Err(_) if is_over(world, call.id()) && says_only(params, &["metadata", "cancellation_details", "expand"]) => {
            return annotate(world, call);
        }
        other => other?,
    };
    pending_update::check(&subscription, params)?;
    let customer = field::text(&subscription, "customer").to_owned();
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
        let method = payment_method::of_customer(world, id, &customer, "default_payment_method")?;
        field::set(&mut changed, "default_payment_method", field::at(&method, "id").clone());
    }
    if params.has("discounts") {
        let asked = discounts_asked(world, params, &customer, &items_of(&subscription))?.unwrap_or_default();
        let on = json!({ "customer": customer, "subscription": call.id() });
        let granted = redemptions::grant(world, &asked, &on);
        field::set(&mut changed, "discounts", granted);
    }
    copy_texts(&mut changed, params, DETAILS);
    from_plan(params)?;
    let plans_end = params.has("cancel_at") || params.has("cancel_at_period_end");
    if let Some(schedule) = schedules::of(world, &subscription).filter(|_| plans_end) {
        let message = format!(
            "The subscription is managed by the subscription schedule `{}`, and updating any cancelation behavior directly is \
             not allowed. Please update the schedule instead.",
            field::text(schedule, "id")
        );
        return Err(ApiError::invalid(message));
    }
    write_end(&mut changed, params, world.now)?;
    if params.has("collection_method") || params.has("days_until_due") {
        let customer = world.get("customer", &customer, "customer")?;
        let days = collection::days_until_due(params, &subscription, &customer)?;
        collection::write(&mut changed, days);
    }
    if params.clears("pause_collection") {
        field::set(&mut changed, "pause_collection", Value::Null);
    } else if let Some(behavior) = params.text("pause_collection[behavior]") {
        let resumes_at = params.integer("pause_collection[resumes_at]");
        let paused = pausing::paused_collection(behavior, resumes_at, world.now)?;
        field::set(&mut changed, "pause_collection", paused);
    }
    for (index, line) in params.list("items").iter().enumerate() {
        change_item(world, &mut changed, line, &format!("items[{index}]"))?;
    }
    if let Some(behavior) = params.text("trial_settings[end_behavior][missing_payment_method]") {
        let path = "trial_settings.end_behavior.missing_payment_method";
        field::set(&mut changed, path, behavior);
    }
    subscription_start::add_once(world, params, &changed)?;
    match (params.text("trial_end"), field::text(&subscription, "status")) {
        (Some("now"), "trialing") => {
            let how = how_asked(world, &subscription, params)?;
            trials::end_now(world, changed, how.unpaid, how.presence)?;
        }
        (Some("now") | None, _) => commit_change(world, &subscription, changed, params)?,
        (Some(_), "trialing") => {
            let end = checked_trial_end(params, world.now)?;
            trials::move_end(&mut changed, world.now, end);
            commit_change(world, &subscription, changed, params)?;
        }
        (Some(_), "active" | "past_due" | "unpaid") => {
            let mut how = how_asked(world, &subscription, params)?;
            how.trial_end = Some(checked_trial_end(params, world.now)?);
            change::apply(world, &subscription, changed, &how)?;
        }
        (Some(_), status) => {
            let message = format!("A subscription that is {status} cannot begin a trial.");
            return Err(ApiError::invalid(message).param("trial_end"));
        }
    }
    schedules::follow_change(world, call.id());
    retrieve(world, "subscription", call.id())
}

/// Writes what may be said of a subscription that has ended.
fn annotate(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("subscription", call.id(), "id")?;
    let metadata = merge_metadata(field::at(&changed, "metadata"), &call.params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    copy_texts(&mut changed, &call.params, DETAILS);
    world.update(call.id(), "customer.subscription.updated", |one| *one = changed);
    retrieve(world, "subscription", call.id())
}

fn is_over(world: &World, id: &str) -> bool {
    let subscription = world.find(id);
    subscription.is_some_and(has_ended)
}

/// Whether nothing but these parameters is sent.
fn says_only(params: &Params, names: &[&str]) -> bool {
    let sent = params.tree().as_object();
    sent.is_none_or(|sent| sent.keys().all(|name| names.contains(&name.as_str())))
}

/// The subscription `id`, if it can still be changed.
pub(crate) fn changeable(world: &World, id: &str, param: &str) -> Answer {
    let subscription = world.get("subscription", id, param)?;
    if has_ended(&subscription) {
        let message = "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(ApiError::invalid(message));
    }
    Ok(subscription)
}

/// What a customer may say of why they cancel.
const DETAILS: &[&str] = &["cancellation_details.comment", "cancellation_details.feedback"];

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
        Some("max_billed_until") => {
            let message = "The sandbox has no billing schedules, which bill beyond a period.";
            return Err(ApiError::unserved("cancel_at", message));
        }
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
    field::set(changed, "cancel_at_period_end", at_period_end == Some(true));
    cancellation::plan(changed, end, now);
    Ok(())
}

/// As [`write_end`], for a subscription just begun.
pub(crate) fn plan_end(world: &mut World, subscription: &Value, params: &Params) -> Result<(), ApiError> {
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

pub(crate) fn cancel(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let subscription = world.get("subscription", call.id(), "id")?;
    if has_ended(&subscription) {
        return Err(ApiError::missing("subscription", call.id(), "id"));
    }
    let mut changed = subscription.clone();
    copy_texts(&mut changed, params, DETAILS);
    let asked = |name: &str| params.boolean(name) == Some(true);
    cancellation::cancel_with(world, &changed, asked("prorate"), asked("invoice_now"));
    retrieve(world, "subscription", call.id())
}

/// Has a subscription billed in flexible mode from now on. There is no way back.
/// Source: <https://docs.stripe.com/api/subscriptions/migrate>.
fn migrate(world: &mut World, call: &Call) -> Answer {
    let subscription = changeable(world, call.id(), "id")?;
    if field::text(&subscription, "billing_mode.type") == "flexible" {
        let message = "This subscription is already in flexible billing mode.";
        return Err(ApiError::invalid(message).param("billing_mode[type]"));
    }
    let mode = json!({
        "type": "flexible", "flexible": { "proration_discounts": "included" }, "updated_at": world.now,
    });
    let migrated = world.update(call.id(), "customer.subscription.updated", |one| {
        field::set(one, "billing_mode", mode);
    });
    Ok(rendered(&migrated))
}
