//! Test clocks: a time of their own for customers and all that is theirs.
//!
//! A clock stands still until it is told to advance. Then all that its objects wait for happens in order of time, each as a
//! change of its own, at the moment it was due, while the clock is `advancing`; with the last it is `ready`.
//!
//! Source: <https://docs.stripe.com/billing/testing/test-clocks/api-advanced-usage>.

use std::sync::Arc;

use chrono::DateTime;

use super::{has_ended, period, schedules};
use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    resources::customer,
    world::World,
};

pub(crate) const KIND: &str = "test_helpers.test_clock";

/// The queue of what goes by virtual time.
pub(crate) const PRESENT: &str = "";
/// The queue of the clocks that are advancing.
pub(crate) const ADVANCING: &str = "advancing";

/// A clock is deleted after so many seconds of virtual time: 30 days.
pub(crate) const LIFE: i64 = 30 * 86_400;
/// Most customers of a clock, and most subscriptions of each that have not ended.
pub(crate) const MOST_CUSTOMERS: usize = 3;
pub(crate) const MOST_SUBSCRIPTIONS: usize = 3;

/// The queue that an object waits in: its test clock's, or that of what goes by virtual time.
pub(crate) fn queue(object: &Value) -> &str {
    match (field::text(object, "object"), field::text(object, "status")) {
        (KIND, "advancing") => ADVANCING,
        _ => field::text(object, "_sandbox.test_clock"),
    }
}

/// When a clock next has something to do: at once while it advances, and else when it is to be deleted.
pub(crate) fn due_at(clock: &Value) -> Option<i64> {
    match field::text(clock, "status") {
        "advancing" => Some(0),
        _ => field::at(clock, "deletes_after").as_i64(),
    }
}

/// The clock `id`. Stripe calls it a `billingclock` where it is missing.
pub(crate) fn get(world: &World, id: &str, param: &str) -> Result<Value, ApiError> {
    let clock = world.get(KIND, id, param).ok();
    clock.ok_or_else(|| ApiError::missing("billingclock", id, param))
}

/// What a clock of `account` shows, while it stands.
pub(crate) fn shown(world: &World, account: &str, id: &str) -> Option<i64> {
    let clock = world.found(account, id)?;
    let stands = matches!(field::text(clock, "status"), "ready" | "internal_failure");
    stands.then(|| field::integer(clock, "frozen_time"))
}

/// The test clock that a call is about, in the data set of `account`: that of the object in its path, or of the one that a
/// parameter names.
pub(crate) fn concerned(world: &World, account: &str, ids: &[String], params: &Params) -> Option<String> {
    const NAMES: &[&str] = &[
        "charge",
        "customer",
        "from_subscription",
        "invoice",
        "owner[customer]",
        "payment_intent",
        "payment_method",
        "schedule",
        "setup_intent",
        "subscription",
        "test_clock",
    ];
    let named = NAMES.iter().filter_map(|name| params.text(name));
    // Which field of its payload names the customer is said by the meter that an event is for.
    let payload = params
        .at("payload")
        .as_object()
        .into_iter()
        .flat_map(|map| map.values());
    let mut all = ids
        .iter()
        .map(String::as_str)
        .chain(named)
        .chain(payload.filter_map(Value::as_str));
    let clock = all.find_map(|id| match id.starts_with("si_") {
        true => world.clock_of(account, field::text(&*world.with_item(account, id)?, "id")),
        false => world.clock_of(account, id),
    })?;
    Some(field::text(clock, "id").to_owned())
}

/// Refuses a change of a clock that advances, or of what belongs to it.
/// Source: <https://github.com/calcom/cal.com> (the message), told of as a 429.
pub(crate) fn refuse_while_advancing(clock: &Value) -> Result<(), ApiError> {
    if field::text(clock, "status") != "advancing" {
        return Ok(());
    }
    let message = format!(
        "Test clock advancement underway - cannot perform modifications: {}",
        field::text(clock, "id")
    );
    Err(ApiError::new(429, "invalid_request_error", message).before_execution())
}

/// The latest moment that a clock can be advanced to at once: two intervals of the shortest subscription that has not ended,
/// or that a schedule is to begin, by the calendar, or two years.
fn furthest(world: &World, clock: &Value) -> i64 {
    let now = field::integer(clock, "frozen_time");
    let id = field::text(clock, "id");
    let mut running = world.all("subscription");
    running.retain(|one| field::text(one, "test_clock") == id && !has_ended(one));
    let items = running.iter().flat_map(|one| field::elements(one, "items.data"));
    let mut prices: Vec<&Value> = items.map(|item| field::at(item, "price")).collect();
    let mut waiting = world.all(schedules::KIND);
    waiting.retain(|one| field::text(one, "test_clock") == id && field::text(one, "status") == "not_started");
    let to_come = waiting.iter().flat_map(|one| field::elements(one, "phases.0.items"));
    prices.extend(to_come.filter_map(|item| world.find(field::text(item, "price"))));
    let ends = prices.into_iter().map(|price| period::later(now, price, 2));
    let two_years = json!({ "recurring": { "interval": "year", "interval_count": 1 } });
    ends.min().unwrap_or_else(|| period::later(now, &two_years, 2))
}

/// Begins to advance a clock: it is on its way to `target`.
///
/// # Errors
/// When `target` is not ahead or too far ahead, or the clock has failed once. How the first and the last are worded is ours.
/// Source: <https://docs.stripe.com/api/test_clocks/advance>.
pub(crate) fn set_out(world: &mut World, clock: &Value, target: i64) -> Result<Value, ApiError> {
    let refused = |message: String| Err(ApiError::invalid(message).param("frozen_time"));
    let stands_at = told(field::integer(clock, "frozen_time"));
    if field::text(clock, "status") == "internal_failure" {
        return refused("This test clock has failed to advance and cannot be advanced any more.".to_owned());
    }
    if target <= field::integer(clock, "frozen_time") {
        let message = format!("The frozen time of this clock is {stands_at}. You can only advance it to a later time.");
        return refused(message);
    }
    let furthest = furthest(world, clock);
    if target > furthest {
        return refused(format!(
            "The frozen time of this clock is {stands_at}. You can only advance it up to {}. You can only advance a test clock \
             up to two intervals from the current frozen time at a time, based on the shortest subscription interval in the \
             test clock. For example, if a test clock has a monthly and yearly subscription, you may only advance up to two \
             months at a time. If the test clock has no subscriptions or subscription schedules, you can advance up to 2 years \
             from the current frozen time.",
            told(furthest)
        ));
    }
    world.return_to_present();
    let clock = world.edit(field::text(clock, "id"), |one| {
        field::set(one, "status", "advancing");
        let details = json!({ "advancing": { "target_frozen_time": target } });
        field::set(one, "status_details", details);
    });
    world.emit("test_helpers.test_clock.advancing", &clock, None);
    Ok(Arc::unwrap_or_clone(clock))
}

/// A moment as Stripe tells it: `1732320000 (2024-11-23 00:00:00 UTC)`.
fn told(at: i64) -> String {
    match DateTime::from_timestamp(at, 0) {
        Some(time) => format!("{at} ({} UTC)", time.format("%Y-%m-%d %H:%M:%S")),
        None => at.to_string(),
    }
}

/// Ends the advance of a clock: it stands at its target, or, where it `failed`, where it stood.
pub(crate) fn arrive(world: &mut World, id: &str, failed: bool) {
    let clock = world.edit(id, |one| {
        if !failed {
            let target = field::at(one, "status_details.advancing.target_frozen_time").clone();
            field::set(one, "frozen_time", target);
        }
        field::set(one, "status", if failed { "internal_failure" } else { "ready" });
        field::set(one, "status_details", json!({}));
    });
    world.emit(&format!("{KIND}.{}", field::text(&clock, "status")), &clock, None);
}

/// Deletes a clock with its customers, whose subscriptions are canceled. What else is theirs stays as it is: nothing that it
/// waited for comes any more.
pub(crate) fn delete(world: &mut World, clock: &Value) -> Value {
    let id = field::text(clock, "id");
    world.go_by(id, field::integer(clock, "frozen_time"));
    for customer in customers(world, id) {
        customer::remove(world, &customer);
    }
    world.return_to_present();
    world.emit("test_helpers.test_clock.deleted", clock, None);
    let stub = json!({ "id": id, "object": KIND, "deleted": true });
    world.put(&stub);
    stub
}

fn customers(world: &World, clock: &str) -> Vec<Value> {
    let mut all = world.all("customer");
    all.retain(|one| field::text(one, "test_clock") == clock);
    all
}

/// Refuses a fourth customer of a clock. How it is worded is ours.
/// Source: <https://docs.stripe.com/billing/testing/test-clocks/api-advanced-usage#restrictions>.
pub(crate) fn has_room_for_customer(world: &World, clock: &str) -> Result<(), ApiError> {
    if customers(world, clock).len() < MOST_CUSTOMERS {
        return Ok(());
    }
    let message = format!("A test clock can have at most {MOST_CUSTOMERS} customers: {clock} has reached this limit.");
    Err(ApiError::invalid(message).param("test_clock"))
}

/// Refuses a fourth subscription of a customer of a test clock. How it is worded is ours.
/// Source: as [`has_room_for_customer`].
pub(crate) fn has_room_for_subscription(world: &World, customer: &Value) -> Result<(), ApiError> {
    if field::at(customer, "test_clock").is_null() {
        return Ok(());
    }
    let id = field::text(customer, "id");
    let mut running = world.all("subscription");
    running.retain(|one| field::text(one, "customer") == id && !has_ended(one));
    if running.len() < MOST_SUBSCRIPTIONS {
        return Ok(());
    }
    let message = format!(
        "A customer with a test clock can have at most {MOST_SUBSCRIPTIONS} subscriptions: {id} has reached this limit."
    );
    Err(ApiError::invalid(message).param("customer"))
}

/// Whether a list has an object in it: one that belongs to a test clock only where `test_clock` asks for that clock's, or
/// where it was asked by one of the parameters `parents`.
/// Source: <https://docs.stripe.com/api/subscriptions/list#list_subscriptions-test_clock>.
pub(crate) fn is_listed(object: &Value, params: &Params, parents: &[&str]) -> bool {
    match params.text("test_clock") {
        Some(wanted) => field::text(object, "test_clock") == wanted,
        None => field::at(object, "test_clock").is_null() || parents.iter().any(|parent| params.text(parent).is_some()),
    }
}

/// Refuses a list filtered by a test clock that there is not.
pub(crate) fn check_filter(world: &World, params: &Params) -> Result<(), ApiError> {
    match params.text("test_clock") {
        Some(id) => get(world, id, "test_clock").map(drop),
        None => Ok(()),
    }
}
