//! Subscription schedules: they begin their subscription, have its phases follow each other, and end.
//!
//! A phase that begins when a period of the subscription does begins first, so that the period is billed as the phase has it.
//! What a schedule invoices is a draft for an hour. Sources: <https://docs.stripe.com/billing/subscriptions/subscription-schedules>,
//! <https://docs.stripe.com/api/subscription_schedules>.

use super::{
    authentication::Presence,
    cancellation,
    change::{self, How, Prorations, Unpaid},
    first_period::FirstPeriod,
    pausing, period, phases, renewal,
    start::{self, NewSubscription, Scheduled},
    trials,
};
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    world::World,
};

pub(crate) const KIND: &str = "subscription_schedule";

/// Notice of a schedule's end is given so long before, if it lasts as long.
/// Source: <https://docs.stripe.com/api/events/types#event_types-subscription_schedule.expiring>.
const NOTICE: i64 = 7 * 86_400;

/// Whether a schedule has not ended.
pub(crate) fn is_open(schedule: &Value) -> bool {
    matches!(field::text(schedule, "status"), "not_started" | "active")
}

/// When a schedule has something to do next.
pub(crate) fn due_at(schedule: &Value) -> Option<i64> {
    let timestamp = |path: &str| field::at(schedule, path).as_i64();
    match field::text(schedule, "status") {
        "not_started" => timestamp("phases.0.start_date"),
        "active" => [timestamp("current_phase.end_date"), timestamp("_sandbox.notice_at")]
            .into_iter()
            .flatten()
            .min(),
        _ => None,
    }
}

/// Does all that is due for a schedule.
pub(crate) fn run(world: &mut World, schedule: &Value) {
    let id = field::text(schedule, "id");
    let now = world.now;
    if field::text(schedule, "status") == "not_started" {
        if world
            .get("customer", field::text(schedule, "customer"), "customer")
            .is_err()
        {
            cancel(world, schedule);
            return;
        }
        let started = begin(world, schedule);
        world.update(id, "subscription_schedule.updated", |one| *one = started);
        return;
    }
    if field::at(schedule, "_sandbox.notice_at")
        .as_i64()
        .is_some_and(|at| at <= now)
    {
        let told = world.edit(id, |one| field::set(one, "_sandbox.notice_at", Value::Null));
        world.emit("subscription_schedule.expiring", &told, None);
    }
    if field::at(schedule, "current_phase.end_date")
        .as_i64()
        .is_some_and(|at| at <= now)
    {
        pass_on(world, id);
    }
}

/// Does what is due now for the schedule of a subscription, if it has one.
pub(crate) fn run_of(world: &mut World, subscription: &Value) {
    let schedule = of(world, subscription).filter(|one| due_at(one).is_some_and(|at| at <= world.now));
    if let Some(schedule) = schedule.cloned() {
        run(world, &schedule);
    }
}

/// The schedule that a subscription follows.
pub(crate) fn of<'a>(world: &'a World, subscription: &Value) -> Option<&'a Value> {
    let schedule = world.find(field::some_text(subscription, "schedule")?)?;
    (field::text(schedule, "status") == "active").then_some(schedule)
}

/// Begins the subscription of a schedule as its first phase has it. Gives the schedule as it is then; it is not stored yet.
pub(crate) fn begin(world: &mut World, schedule: &Value) -> Value {
    let mut started = schedule.clone();
    let phase = field::at(schedule, "phases.0").clone();
    let begun = phases::begun(world, schedule, &phase);
    let new = NewSubscription {
        customer: field::text(schedule, "customer").to_owned(),
        items: begun.items,
        once: phases::once(world, &phase),
        first: FirstPeriod::default(),
        metadata: phases::patched(&json!({}), field::at(&phase, "metadata")),
        description: begun.description,
        default_payment_method: begun.default_payment_method,
        billing_mode: field::text(schedule, "billing_mode.type").to_owned(),
        automatic_tax: begun.automatic_tax,
        trial_end: field::at(&phase, "trial_end").as_i64(),
        missing_payment_method: "create_invoice".to_owned(),
        save_default_payment_method: false,
        days_until_due: None,
        discounts: phases::discounts(world, &phase, &[]),
        item_discounts: begun.discounts,
        intent: None,
        schedule: Some(Scheduled {
            id: field::text(schedule, "id").to_owned(),
            cancel_at: canceling_at(schedule),
        }),
    };
    let (subscription, _) = start::begin(world, &new);
    field::set(&mut started, "subscription", subscription);
    field::set(&mut started, "status", "active");
    set_current(&mut started, 0);
    plan_notice(&mut started, world.now);
    started
}

/// Has a schedule be in its phase `index`.
pub(crate) fn set_current(schedule: &mut Value, index: usize) {
    let phase = field::at(schedule, &format!("phases.{index}"));
    let current = json!({ "start_date": field::at(phase, "start_date"), "end_date": field::at(phase, "end_date") });
    field::set(schedule, "current_phase", current);
}

/// Writes when notice is given of the schedule's end: never, where that moment is past.
pub(crate) fn plan_notice(schedule: &mut Value, now: i64) {
    let at = last_end(schedule).map(|end| end - NOTICE).filter(|at| *at > now);
    field::set(schedule, "_sandbox.notice_at", json!(at));
}

/// The place of the phase that a schedule is in.
pub(crate) fn current(schedule: &Value) -> Option<usize> {
    let start = field::at(schedule, "current_phase.start_date").as_i64()?;
    let phases = field::elements(schedule, "phases").iter();
    phases
        .into_iter()
        .position(|phase| field::integer(phase, "start_date") == start)
}

fn last_end(schedule: &Value) -> Option<i64> {
    field::at(field::elements(schedule, "phases").last()?, "end_date").as_i64()
}

/// When the schedule cancels its subscription, if it does.
pub(crate) fn canceling_at(schedule: &Value) -> Option<i64> {
    last_end(schedule).filter(|_| field::text(schedule, "end_behavior") == "cancel")
}

/// Goes on to the next phase of the schedule `id`, or ends it after the last.
fn pass_on(world: &mut World, id: &str) {
    let Some(schedule) = world.find(id).cloned() else {
        return;
    };
    let next = current(&schedule).map_or(0, |index| index + 1);
    let Some(phase) = field::elements(&schedule, "phases").get(next).cloned() else {
        finish(world, &schedule);
        return;
    };
    world.update(id, "subscription_schedule.updated", |one| set_current(one, next));
    collect_again(world, field::text(&schedule, "subscription"));
    let subscription = world
        .find(field::text(&schedule, "subscription"))
        .cloned()
        .unwrap_or_default();
    let trial_is_over = field::text(&subscription, "status") == "trialing"
        && renewal::is_due(&subscription, world.now)
        && phases::trial_end(&phase, world.now).is_none();
    if trial_is_over && trials::ends_unpaid(world, &subscription) && of(world, &subscription).is_none() {
        return;
    }
    for once in phases::once(world, &phase) {
        start::add_once(world, &subscription, &once);
    }
    let prorations = phases::prorations(field::text(&phase, "proration_behavior"));
    let resets = field::text(&phase, "billing_cycle_anchor") == "phase_start"
        || (field::at(&phase, "billing_cycle_anchor").is_null()
            && field::text(&schedule, "default_settings.billing_cycle_anchor") == "phase_start");
    if let Err(error) = enact(world, id, prorations, resets) {
        tracing::error!(%id, ?error, "a phase could not begin");
    }
}

/// Resumes collection where that is due at the same moment.
fn collect_again(world: &mut World, subscription: &str) {
    let resumes = world
        .find(subscription)
        .and_then(|one| field::at(one, "pause_collection.resumes_at").as_i64());
    if resumes.is_some_and(|at| at <= world.now) {
        pausing::resume_collection(world, subscription);
    }
}

/// Makes the subscription of the schedule `id` what the current phase says. `resets` is whether a period begins with it; one
/// of another length always does. A trial that the phase says begins, or goes on from the phase before; that one which is
/// paused has none is ours.
fn enact(world: &mut World, id: &str, prorations: Prorations, resets: bool) -> Result<(), ApiError> {
    let now = world.now;
    let Some(schedule) = world.find(id).cloned() else {
        return Ok(());
    };
    let subscription = world
        .find(field::text(&schedule, "subscription"))
        .cloned()
        .unwrap_or_default();
    let index = current(&schedule).unwrap_or_default();
    let phase = field::at(&schedule, &format!("phases.{index}")).clone();
    let mut changed = phases::configured(world, &subscription, &schedule, &phase);
    let end = canceling_at(&schedule);
    if field::at(&changed, "cancel_at").as_i64() != end {
        field::set(&mut changed, "cancel_at_period_end", false);
        cancellation::plan(&mut changed, end, now);
    }
    let trial_end = phases::trial_end(&phase, now).filter(|_| field::text(&subscription, "status") != "paused");
    if field::text(&subscription, "status") == "trialing" {
        match trial_end {
            Some(end) if field::integer(&subscription, "trial_end") == end => {}
            Some(end) => trials::move_end(&mut changed, now, end),
            // It ends with the period, by itself.
            None if renewal::is_due(&subscription, now) => {}
            None => return trials::end_now(world, changed, Unpaid::DraftedFirst, Presence::AskedLater),
        }
    }
    let first = |one| field::at(one, "items.data.0.price");
    let how = How {
        prorations,
        unpaid: Unpaid::DraftedFirst,
        presence: Presence::AskedLater,
        at: now,
        resets_anchor: resets || !period::same_length(first(&subscription), first(&changed)),
        bills_usage: true,
        trial_end,
    };
    change::apply(world, &subscription, changed, &how)
}

/// Puts into effect what a call has changed of the schedule `id`.
pub(crate) fn put_into_effect(world: &mut World, id: &str, prorations: Prorations) -> Result<(), ApiError> {
    let Some(schedule) = world.find(id).cloned() else {
        return Ok(());
    };
    if due_at(&schedule).is_some_and(|at| at <= world.now) {
        run(world, &schedule);
        return Ok(());
    }
    match field::text(&schedule, "status") {
        "active" => enact(world, id, prorations, false),
        _ => Ok(()),
    }
}

/// Ends a schedule whose last phase is over.
fn finish(world: &mut World, schedule: &Value) {
    match field::text(schedule, "end_behavior") {
        // Its subscription tells it.
        "cancel" => cancellation::end(world, field::text(schedule, "subscription")),
        _ => release(world, schedule, true),
    }
}

/// Lets a schedule's subscription go on without it. The end that the schedule has planned for it is kept only if said so.
pub(crate) fn release(world: &mut World, schedule: &Value, keeps_end: bool) {
    let (id, now) = (field::text(schedule, "id"), world.now);
    let subscription = field::at(schedule, "subscription").clone();
    let released = world.update(id, "subscription_schedule.updated", |one| {
        field::set(one, "status", "released");
        field::set(one, "released_at", now);
        field::set(one, "released_subscription", subscription.clone());
        field::set(one, "subscription", Value::Null);
        field::set(one, "current_phase", Value::Null);
    });
    world.update(
        subscription.as_str().unwrap_or_default(),
        "customer.subscription.updated",
        |one| {
            field::set(one, "schedule", Value::Null);
            if !keeps_end && field::text(schedule, "end_behavior") == "cancel" {
                cancellation::plan(one, None, now);
            }
        },
    );
    world.emit("subscription_schedule.released", &released, None);
}

/// Cancels a schedule that has no subscription yet.
pub(crate) fn cancel(world: &mut World, schedule: &Value) {
    end_as(
        world,
        schedule,
        "canceled",
        "canceled_at",
        "subscription_schedule.canceled",
    );
}

/// Ends the schedule of a subscription that has ended: it is completed if that was planned, and otherwise canceled.
pub(crate) fn follow_end(world: &mut World, subscription: &Value) {
    let Some(schedule) = of(world, subscription).cloned() else {
        return;
    };
    let is_planned = canceling_at(&schedule).is_some_and(|end| end <= world.now);
    let reason = field::text(subscription, "cancellation_details.reason");
    let (status, at, event) = match reason {
        _ if is_planned => ("completed", "completed_at", "subscription_schedule.completed"),
        "payment_failed" => ("canceled", "canceled_at", "subscription_schedule.aborted"),
        _ => ("canceled", "canceled_at", "subscription_schedule.canceled"),
    };
    end_as(world, &schedule, status, at, event);
}

fn end_as(world: &mut World, schedule: &Value, status: &str, at: &str, event: &str) {
    let now = world.now;
    let ended = world.edit(field::text(schedule, "id"), |one| {
        field::set(one, "status", status);
        field::set(one, at, now);
        field::set(one, "current_phase", Value::Null);
    });
    world.emit(event, &ended, None);
}

/// Writes into the current phase of its schedule what was changed of a subscription directly. How Stripe writes it is not
/// said; that such changes are allowed and later phases stay is.
pub(crate) fn follow_change(world: &mut World, subscription: &str) {
    let Some(subscription) = world.find(subscription).cloned() else {
        return;
    };
    let Some(schedule) = of(world, &subscription).cloned() else {
        return;
    };
    let Some(index) = current(&schedule) else { return };
    let mut followed = schedule.clone();
    phases::rewrite(world, &subscription, &mut followed, &format!("phases.{index}"));
    world.update(field::text(&schedule, "id"), "subscription_schedule.updated", |one| {
        *one = followed
    });
}

#[cfg(test)]
pub(crate) mod tests;
