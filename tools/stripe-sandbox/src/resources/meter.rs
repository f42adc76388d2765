//! Meters: which events are counted, and how. And what was counted of a customer.
//!
//! Source: <https://docs.stripe.com/api/billing/meter>.

use super::{Call, Operation, copy_texts, list_of, retrieve};
use crate::{
    billing::{decimal, usage},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list, matches,
    },
    json::{Value, json},
    shapes,
    world::{World, ids::letters, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/billing/meters",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/billing/meters",
        run: |world, call| {
            list_of(world, "billing.meter", "/v1/billing/meters", &call.params, |one| {
                matches(one, &call.params, &["status"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/billing/meters/{id}",
        run: |world, call| retrieve(world, "billing.meter", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/billing/meters/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/billing/meters/{id}/deactivate",
        run: deactivate,
    },
    Operation {
        method: "POST",
        path: "/v1/billing/meters/{id}/reactivate",
        run: reactivate,
    },
    Operation {
        method: "GET",
        path: "/v1/billing/meters/{id}/event_summaries",
        run: summaries,
    },
];

/// The active meter of events of this name.
pub(crate) fn counting(world: &World, event: &str) -> Option<Value> {
    let meters = world.all("billing.meter");
    let mut active = meters.into_iter().filter(|one| field::text(one, "status") == "active");
    active.find(|one| field::text(one, "event_name") == event)
}

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    refuse_second(world, params.given("event_name"))?;
    let mut meter = shapes::billing_meter();
    let prefix = if world.livemode { "mtr_" } else { "mtr_test_" };
    field::set(&mut meter, "id", world.id(prefix, 32));
    field::set(&mut meter, "created", world.now);
    field::set(&mut meter, "updated", world.now);
    field::set(&mut meter, "livemode", world.livemode);
    copy_texts(&mut meter, params, &["display_name", "event_name", "event_time_window"]);
    let formula = params.given("default_aggregation[formula]");
    field::set(&mut meter, "default_aggregation.formula", formula);
    for hash in ["customer_mapping", "value_settings"] {
        if let Some(key) = params.text(&format!("{hash}[event_payload_key]")) {
            field::set(&mut meter, &format!("{hash}.event_payload_key"), key);
        }
    }
    world.create("billing.meter.created", &meter);
    Ok(rendered(&meter))
}

/// Two active meters cannot count the same events.
fn refuse_second(world: &World, event: &str) -> Result<(), ApiError> {
    let Some(first) = counting(world, event) else {
        return Ok(());
    };
    let id = field::text(&first, "id");
    let message = format!("An active meter (`{id}`) already exists with the event name `{event}`.");
    Err(ApiError::invalid(message).param("event_name"))
}

/// The meter in the path, if its status is this one.
fn while_it_is(world: &World, call: &Call, status: &str) -> Answer {
    let meter = world.get("billing.meter", call.id(), "id")?;
    let is = field::text(&meter, "status");
    if is == status {
        return Ok(meter);
    }
    Err(ApiError::invalid(format!(
        "This meter is {is}: only a meter that is {status} can be changed in this way."
    )))
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = while_it_is(world, call, "active")?;
    copy_texts(&mut changed, &call.params, &["display_name"]);
    field::set(&mut changed, "updated", world.now);
    let changed = world.update(call.id(), "billing.meter.updated", |one| *one = changed);
    Ok(rendered(&changed))
}

fn deactivate(world: &mut World, call: &Call) -> Answer {
    while_it_is(world, call, "active")?;
    let now = world.now;
    let changed = world.edit(call.id(), |one| {
        field::set(one, "status", "inactive");
        field::set(one, "status_transitions.deactivated_at", now);
        field::set(one, "updated", now);
    });
    world.emit("billing.meter.deactivated", &changed, None);
    Ok(rendered(&changed))
}

fn reactivate(world: &mut World, call: &Call) -> Answer {
    let meter = while_it_is(world, call, "inactive")?;
    refuse_second(world, field::text(&meter, "event_name"))?;
    let now = world.now;
    let changed = world.edit(call.id(), |one| {
        field::set(one, "status", "active");
        field::set(one, "status_transitions.deactivated_at", Value::Null);
        field::set(one, "updated", now);
    });
    world.emit("billing.meter.reactivated", &changed, None);
    Ok(rendered(&changed))
}

/// What a customer used: in all, or in each hour or day in which there was something, newest first.
fn summaries(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let meter = world.get("billing.meter", call.id(), "id")?;
    let customer = params.given("customer");
    world.get("customer", customer, "customer")?;
    let window = match params.text("value_grouping_window") {
        Some("hour") => Some(("hour", 3600)),
        Some("day") => Some(("day", 86_400)),
        _ => None,
    };
    let (unit, seconds) = window.unwrap_or(("minute", 60));
    let (start, end) = (
        aligned(params, "start_time", unit, seconds)?,
        aligned(params, "end_time", unit, seconds)?,
    );
    if start >= end {
        return Err(ApiError::invalid("`start_time` must be before `end_time`.").param("start_time"));
    }
    let events = usage::events(world, &meter, customer, start, end);
    let found: Vec<Value> = match window {
        None => vec![summary(world, &meter, customer, &events, (start, end))],
        Some((_, length)) => {
            let begun = |event: &Value| field::integer(event, "timestamp").div_euclid(length) * length;
            events
                .chunk_by(|one, next| begun(one) == begun(next))
                .filter_map(|events| events.first().map(|first| (begun(first), events)))
                .map(|(at, events)| summary(world, &meter, customer, events, (at, at + length)))
                .rev()
                .collect()
        }
    };
    list::page(
        &format!("/v1/billing/meters/{}/event_summaries", call.id()),
        params,
        found,
    )
}

fn aligned(params: &Params, name: &str, unit: &str, seconds: i64) -> Result<i64, ApiError> {
    let at = params.integer(name).unwrap_or_default();
    if at % seconds == 0 {
        return Ok(at);
    }
    let message = format!("Invalid `{name}`: it must be aligned with {unit} boundaries.");
    Err(ApiError::invalid(message).param(name))
}

fn summary(world: &World, meter: &Value, customer: &str, events: &[&Value], (start, end): (i64, i64)) -> Value {
    let counted = decimal::written(usage::counted(meter, events));
    let number: Value = serde_json::from_str(&counted).unwrap_or_default();
    let id = field::text(meter, "id");
    let prefix = if world.livemode { "mtrusg_" } else { "mtrusg_test_" };
    // It is of its meter, its customer and its time alone, so that it can be a cursor.
    let own = letters(&format!("{id}:{customer}:{start}:{end}"), 48);
    json!({
        "id": format!("{prefix}{own}"), "object": "billing.meter_event_summary", "aggregated_value": number, "end_time": end,
        "livemode": world.livemode, "meter": id, "start_time": start,
    })
}
