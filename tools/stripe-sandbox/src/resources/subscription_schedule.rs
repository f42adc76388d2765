//! Subscription schedules.

use std::sync::Arc;

use super::{
    Call, Operation, copy_texts, list_of, merge_metadata, payment_method, retrieve, schedule_phases,
    subscription::changeable,
};
use crate::{
    billing::{
        cancellation, phases,
        schedules::{self, KIND},
        start, test_clock,
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list::within,
        matches,
    },
    json::{Value, json},
    shapes,
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/subscription_schedules",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/subscription_schedules",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/subscription_schedules/{id}",
        run: |world, call| retrieve(world, KIND, call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/subscription_schedules/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/subscription_schedules/{id}/cancel",
        run: cancel,
    },
    Operation {
        method: "POST",
        path: "/v1/subscription_schedules/{id}/release",
        run: release,
    },
];

pub(crate) fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    if params.has("from_subscription") {
        return create_from_subscription(world, params);
    }
    let customer = world.get("customer", params.required("customer")?, "customer")?;
    test_clock::has_room_for_subscription(world, &customer)?;
    let start = schedule_phases::moment(params, "start_date", world.now);
    let Some(start) = start else {
        return Err(ApiError::parameter_missing("start_date"));
    };
    if start < world.now {
        let message = "The sandbox does not backdate: a schedule starts now or later.";
        return Err(ApiError::unserved("start_date", message));
    }
    let mut schedule = new_schedule(world, field::text(&customer, "id"));
    if params.text("billing_mode[type]") == Some("classic") {
        field::set(
            &mut schedule,
            "billing_mode",
            json!({ "type": "classic", "flexible": null }),
        );
    }
    write(world, &mut schedule, params)?;
    let sent = schedule_phases::sent(world, params, &schedule, Some(start))?;
    if sent.is_empty() {
        return Err(ApiError::parameter_missing("phases"));
    }
    field::set(&mut schedule, "phases", sent);
    if start == world.now {
        schedule = schedules::begin(world, &schedule);
    }
    world.create("subscription_schedule.created", &schedule);
    retrieve(world, KIND, field::text(&schedule, "id"))
}

fn new_schedule(world: &mut World, customer: &str) -> Value {
    let mut schedule = shapes::subscription_schedule();
    field::set(&mut schedule, "id", world.id("sub_sched_", 24));
    field::set(&mut schedule, "created", world.now);
    field::set(&mut schedule, "livemode", world.livemode);
    field::set(&mut schedule, "customer", customer);
    field::set(&mut schedule, "test_clock", world.test_clock.clone());
    schedule
}

/// Has a schedule take over a subscription: its one phase is the subscription as it is, until its period ends.
fn create_from_subscription(world: &mut World, params: &Params) -> Answer {
    let others = [
        "billing_mode",
        "customer",
        "default_settings",
        "end_behavior",
        "metadata",
        "phases",
        "start_date",
    ];
    if let Some(name) = others.into_iter().find(|name| params.has(name)) {
        let message = format!("You cannot set `{name}` if `from_subscription` is set.");
        return Err(ApiError::invalid(message).param(name));
    }
    let id = params.required("from_subscription")?;
    let subscription = changeable(world, id, "from_subscription")?;
    if schedules::of(world, &subscription).is_some() {
        let message = format!("You cannot migrate a subscription that is already attached to a schedule: `{id}`.");
        return Err(ApiError::invalid(message).param("from_subscription"));
    }
    if field::text(&subscription, "status") == "incomplete" {
        let message = format!("You cannot migrate a subscription that is in the `incomplete` status: `{id}`.");
        return Err(ApiError::invalid(message).param("from_subscription"));
    }
    let mut schedule = new_schedule(world, field::text(&subscription, "customer"));
    field::set(
        &mut schedule,
        "billing_mode",
        field::at(&subscription, "billing_mode").clone(),
    );
    for name in [
        "automatic_tax",
        "collection_method",
        "default_payment_method",
        "description",
    ] {
        field::set(
            &mut schedule,
            &format!("default_settings.{name}"),
            field::at(&subscription, name).clone(),
        );
    }
    field::set(
        &mut schedule,
        phases::DAYS,
        field::at(&subscription, "days_until_due").clone(),
    );
    if !field::at(&subscription, "cancel_at").is_null() {
        field::set(&mut schedule, "end_behavior", "cancel");
    }
    let phase = phases::present(&subscription, world.now);
    field::set(&mut schedule, "phases", json!([phase]));
    field::set(&mut schedule, "status", "active");
    field::set(&mut schedule, "subscription", id);
    schedules::set_current(&mut schedule, 0);
    schedules::plan_notice(&mut schedule, world.now);
    world.create("subscription_schedule.created", &schedule);
    let own = field::at(&schedule, "id").clone();
    let end = schedules::canceling_at(&schedule);
    world.update(id, "customer.subscription.updated", |one| {
        field::set(one, "schedule", own);
        field::set(one, "cancel_at_period_end", false);
        field::set(one, "cancel_at", end);
    });
    retrieve(world, KIND, field::text(&schedule, "id"))
}

/// Writes what is sent, but for the phases.
fn write(world: &mut World, schedule: &mut Value, params: &Params) -> Result<(), ApiError> {
    match params.text("end_behavior") {
        Some(behavior @ ("release" | "cancel")) => field::set(schedule, "end_behavior", behavior),
        Some(behavior) => {
            let message = format!("The sandbox does not serve the end_behavior `{behavior}`.");
            return Err(ApiError::unserved("end_behavior", message));
        }
        None => {}
    }
    let metadata = merge_metadata(field::at(schedule, "metadata"), params, "metadata")?;
    field::set(schedule, "metadata", metadata);
    copy_texts(schedule, params, &["default_settings.description"]);
    schedule_phases::check_collection(params, "default_settings")?;
    if let Some(method) = params.text("default_settings[collection_method]") {
        field::set(schedule, "default_settings.collection_method", method);
        field::set(schedule, phases::DAYS, Value::Null);
    }
    if let Some(anchor) = params.text("default_settings[billing_cycle_anchor]") {
        field::set(schedule, "default_settings.billing_cycle_anchor", anchor);
    }
    if let Some(enabled) = params.boolean("default_settings[automatic_tax][enabled]") {
        field::set(
            schedule,
            "default_settings.automatic_tax",
            start::automatic_tax(enabled),
        );
    }
    let param = "default_settings[default_payment_method]";
    if let Some(id) = params.text(param) {
        let method = payment_method::of_customer(world, id, field::text(schedule, "customer"), param)?;
        field::set(
            schedule,
            "default_settings.default_payment_method",
            field::at(&method, "id").clone(),
        );
    }
    Ok(())
}

fn list(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let scheduled = params.boolean("scheduled") == Some(true);
    list_of(world, KIND, "/v1/subscription_schedules", params, |one| {
        matches(one, params, &["customer"])
            && test_clock::is_listed(one, params, &["customer"])
            && (!scheduled || field::text(one, "status") == "not_started")
            && ["canceled_at", "completed_at", "released_at"]
                .iter()
                .all(|name| within(params, name, field::at(one, name).as_i64()))
    })
}

/// The schedule `id` if it has not ended; `verb` and `participle` say what is to be done with it.
fn open(world: &World, id: &str, verb: &str, participle: &str) -> Answer {
    let schedule = world.get(KIND, id, "schedule")?;
    let status = field::text(&schedule, "status");
    if schedules::is_open(&schedule) {
        return Ok(schedule);
    }
    let message = format!(
        "You cannot {verb} a subscription schedule that is currently in the `{status}` status. It must be in \
         `not_started, active` status to be {participle}."
    );
    Err(ApiError::invalid(message))
}

pub(crate) fn update(world: &mut World, call: &Call) -> Answer {
    write_update(world, call)?;
    let behavior = call.params.text("proration_behavior").unwrap_or_default();
    schedules::put_into_effect(world, call.id(), phases::prorations(behavior))?;
    retrieve(world, KIND, call.id())
}

/// Writes what an update says, without putting it into effect.
pub(crate) fn write_update(world: &mut World, call: &Call) -> Result<Arc<Value>, ApiError> {
    let params = &call.params;
    let mut changed = open(world, call.id(), "update", "updated")?;
    write(world, &mut changed, params)?;
    if params.has("phases") {
        let phases = schedule_phases::replacing(world, params, &changed)?;
        field::set(&mut changed, "phases", phases);
        if let Some(index) = schedules::current(&changed) {
            schedules::set_current(&mut changed, index);
        }
    }
    if field::text(&changed, "status") == "active" {
        schedules::plan_notice(&mut changed, world.now);
    }
    Ok(world.update(call.id(), "subscription_schedule.updated", |one| *one = changed))
}

fn cancel(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let schedule = open(world, call.id(), "cancel", "canceled")?;
    let subscription = field::some_text(&schedule, "subscription")
        .and_then(|id| world.find(id))
        .cloned();
    match subscription {
        // Its end is told to the schedule.
        Some(subscription) => {
            let unless_not = |name: &str| params.boolean(name) != Some(false);
            cancellation::cancel_with(world, &subscription, unless_not("prorate"), unless_not("invoice_now"));
        }
        None => schedules::cancel(world, &schedule),
    }
    retrieve(world, KIND, call.id())
}

fn release(world: &mut World, call: &Call) -> Answer {
    let schedule = open(world, call.id(), "release", "released")?;
    let keeps_end = call.params.boolean("preserve_cancel_date") == Some(true);
    schedules::release(world, &schedule, keeps_end);
    retrieve(world, KIND, call.id())
}
