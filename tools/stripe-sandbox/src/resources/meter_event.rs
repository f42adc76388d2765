//! Meter events, which report usage, and adjustments, which take one back.
//!
//! Sources: <https://docs.stripe.com/api/billing/meter-event>, <https://docs.stripe.com/api/billing/meter-event-adjustment>.

use super::{Call, Operation, meter};
use crate::{
    billing::{decimal, usage},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/billing/meter_events",
        run: create,
    },
    Operation {
        method: "POST",
        path: "/v1/billing/meter_event_adjustments",
        run: adjust,
    },
];

/// For so long an identifier is not taken again, and an event can be canceled.
const MEMORY: i64 = 86_400;
/// How far in the past, and in the future, usage may lie.
const OLDEST: i64 = 35 * 86_400;
const NEWEST: i64 = 300;
/// Source: <https://docs.stripe.com/api/v2/core/events/event-types> (`meter_event_value_too_many_digits`).
const MOST_DIGITS: usize = 15;
/// Which event has an identifier; not an object of Stripe's.
const NAMED: &str = "_sandbox.meter_event_identifier";

/// Stripe reports some of what is wrong later, in a thin event of `/v2`; here all of it is told at once.
fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let name = params.given("event_name");
    let Some(meter) = meter::counting(world, name) else {
        let message = format!("No active meter found for event name \"{name}\".");
        return Err(ApiError::invalid(message).code("resource_missing").param("event_name"));
    };
    let customer = customer(world, &meter, params)?;
    let value = value(&meter, params)?;
    let timestamp = params.integer("timestamp").unwrap_or(world.now);
    if !(world.now - OLDEST..=world.now + NEWEST).contains(&timestamp) {
        let message =
            "Invalid timestamp: it must be within the past 35 calendar days and at most 5 minutes in the future.";
        return Err(ApiError::invalid(message).param("timestamp"));
    }
    let identifier = match params.text("identifier") {
        Some(identifier) => identifier.to_owned(),
        None => world.id("mtrevt_", 24),
    };
    if named(world, &identifier).is_some() {
        let message = format!("An event already exists with identifier {identifier}.");
        return Err(ApiError::invalid(message));
    }
    let place = usage::place(&meter, &customer, timestamp);
    let at_once = world
        .between(&place, &usage::place(&meter, &customer, timestamp + 1))
        .count();
    let event = json!({
        "id": format!("{place}_{at_once:06}"), "object": "billing.meter_event", "created": world.now, "event_name": name,
        "identifier": identifier, "livemode": world.livemode, "payload": params.at("payload"), "timestamp": timestamp,
        "_sandbox": { "value": value },
    });
    world.put(&event);
    world.put(&json!({
        "id": key(&identifier), "object": NAMED, "event": field::at(&event, "id"),
    }));
    Ok(without_id(&event))
}

fn key(identifier: &str) -> String {
    format!("{NAMED} {identifier}")
}

/// The event that has an identifier, while that is remembered.
fn named(world: &World, identifier: &str) -> Option<Value> {
    let named = world.find(&key(identifier))?;
    let event = world.find(field::text(named, "event"))?;
    (world.now < field::integer(event, "created") + MEMORY).then(|| event.clone())
}

/// Stripe gives events and adjustments no id.
fn without_id(stored: &Value) -> Value {
    let mut out = rendered(stored);
    if let Value::Object(fields) = &mut out {
        fields.shift_remove("id");
    }
    out
}

/// What the payload has where a meter looks: its key, and the text there, if any.
fn payload<'a>(meter: &Value, setting: &str, params: &'a Params) -> (String, Option<&'a str>) {
    let key = field::text(meter, &format!("{setting}.event_payload_key"));
    let sent = params.at("payload").get(key).and_then(Value::as_str);
    (key.to_owned(), sent.filter(|sent| !sent.is_empty()))
}

fn customer(world: &World, meter: &Value, params: &Params) -> Result<String, ApiError> {
    let (key, sent) = payload(meter, "customer_mapping", params);
    let param = format!("payload[{key}]");
    let Some(id) = sent else {
        return Err(ApiError::parameter_missing(&param));
    };
    world.get("customer", id, &param)?;
    Ok(id.to_owned())
}

/// The number that is reported; where only events are counted there need be none.
fn value(meter: &Value, params: &Params) -> Result<String, ApiError> {
    let (key, sent) = payload(meter, "value_settings", params);
    let param = format!("payload[{key}]");
    let sent = match sent {
        Some(sent) => sent,
        None if field::text(meter, "default_aggregation.formula") == "count" => "1",
        None => return Err(ApiError::parameter_missing(&param)),
    };
    let digits = sent.bytes().filter(u8::is_ascii_digit).count();
    let is_plain = sent.bytes().all(|one| one.is_ascii_digit() || b"-.".contains(&one)) && !sent.ends_with('.');
    if let Some(number) = decimal::parse(sent).filter(|_| is_plain && digits <= MOST_DIGITS) {
        return Ok(decimal::written(number));
    }
    let message = format!("Invalid value: {sent}; it must be a number of at most {MOST_DIGITS} digits.");
    Err(ApiError::invalid(message).param(param))
}

fn adjust(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let Some(identifier) = params.text("cancel[identifier]") else {
        return Err(ApiError::parameter_missing("cancel[identifier]"));
    };
    let name = params.given("event_name");
    if let Some(named) = world.find(&key(identifier)) {
        let event = field::text(named, "event").to_owned();
        world.go_by_clock_of(&event, true)?;
    }
    let event = named(world, identifier).filter(|event| field::text(event, "event_name") == name);
    let Some(event) = event else {
        let message = format!(
            "No meter event `{name}` was received with the identifier {identifier} within the last 24 hours: only such \
             events can be canceled."
        );
        return Err(ApiError::invalid(message)
            .code("resource_missing")
            .param("cancel[identifier]"));
    };
    if field::flag(&event, "_sandbox.canceled") {
        let message = format!("The meter event with the identifier {identifier} is canceled already.");
        return Err(ApiError::invalid(message).param("cancel[identifier]"));
    }
    world.edit(field::text(&event, "id"), |one| {
        field::set(one, "_sandbox.canceled", true)
    });
    let adjustment = json!({
        "id": world.id("mtr_event_adj_", 24), "object": "billing.meter_event_adjustment",
        "cancel": { "identifier": identifier }, "event_name": name, "livemode": world.livemode, "status": "complete",
        "type": "cancel",
    });
    world.put(&adjustment);
    Ok(without_id(&adjustment))
}
