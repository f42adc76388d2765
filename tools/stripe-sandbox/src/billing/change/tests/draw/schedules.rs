//! Schedules: made, taken over from a subscription, changed, released, canceled.

use super::{DAY, DISCOUNTS, Draw, Known, Step, now, post};
use crate::{billing::schedules, field, json::Value, world::World};

pub(super) fn step(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let status = draw.one(&["active", "not_started"]);
    let id = draw.with_status(known.all("sub_sched"), status, world);
    let path = format!("/v1/subscription_schedules/{id}");
    match draw.below(12) {
        0..3 => create(draw, known, world),
        3..6 => {
            let form = format!("from_subscription={}", draw.id(known.all("sub")));
            post("/v1/subscription_schedules", form)
        }
        6..9 => {
            let schedule = world.find(&id).cloned().unwrap_or_default();
            post(path, replaced(draw, known, world, &schedule))
        }
        9 => post(path, format!("end_behavior={}", draw.one(&["cancel", "release"]))),
        10 => {
            let how = draw.one(&[
                "",
                "prorate=false",
                "invoice_now=false",
                "prorate=false&invoice_now=false",
            ]);
            post(path + "/cancel", how)
        }
        _ => post(path + "/release", draw.one(&["", "preserve_cancel_date=true"])),
    }
}

fn create(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let customer = known.any_customer(draw);
    let start = now(world, &customer) + if draw.below(2) == 0 { 0 } else { draw.days(20) };
    let mut form = format!("customer={customer}&start_date={start}");
    for place in 0..=draw.below(3) {
        form += &phase(draw, known, place);
    }
    form += draw.one(&[
        "",
        "&end_behavior=cancel",
        "&default_settings[billing_cycle_anchor]=phase_start",
        "&billing_mode[type]=classic",
        "&phases[0][trial]=true",
        "&default_settings[automatic_tax][enabled]=true",
    ]);
    post("/v1/subscription_schedules", form)
}

/// A phase that is to come.
fn phase(draw: &mut Draw, known: &Known, place: u64) -> String {
    let within = format!("phases[{place}]");
    let mut form = format!(
        "&{}",
        super::subscriptions::line(draw, known, &format!("{within}[items][0]"))
    );
    if draw.below(3) == 0 {
        let more = super::subscriptions::line(draw, known, &format!("{within}[items][1]"));
        form = format!("{form}&{more}");
    }
    let (interval, count) = (draw.one(&["day", "week", "month", "month"]), 1 + draw.below(3));
    form = format!("{form}&{within}[duration][interval]={interval}&{within}[duration][interval_count]={count}");
    match draw.below(8) {
        0 => form += &format!("&{within}[proration_behavior]=none"),
        1 => form += &format!("&{within}[proration_behavior]=always_invoice"),
        2 => form += &format!("&{within}[billing_cycle_anchor]=phase_start"),
        3 => {
            form += &format!(
                "&{within}[{}",
                draw.one(DISCOUNTS)
                    .replacen("discounts", "discounts]", 1)
                    .replace("&discounts", &format!("&{within}[discounts]"))
            )
        }
        4 => {
            let data = format!("{within}[add_invoice_items][0][price_data]");
            form += &format!(
                "&{data}[currency]=usd&{data}[product]={}&{data}[unit_amount]=700",
                known.product
            );
        }
        _ => {}
    }
    form
}

/// The phases after the present one are others; it goes on as it is, or with other items, or until another time.
fn replaced(draw: &mut Draw, known: &Known, world: &World, schedule: &Value) -> String {
    let current = field::at(schedule, "current_phase");
    let mut form = match draw.below(3) {
        0 => "proration_behavior=none".to_owned(),
        1 => "proration_behavior=always_invoice".to_owned(),
        _ => "proration_behavior=create_prorations".to_owned(),
    };
    let mut place = 0;
    if current.is_object() {
        place = 1;
        let (start, mut end) = (
            field::integer(current, "start_date"),
            field::integer(current, "end_date"),
        );
        if draw.below(4) == 0 {
            end = now(world, field::text(schedule, "id")) + DAY + draw.days(30);
        }
        form += &format!("&phases[0][start_date]={start}&phases[0][end_date]={end}");
        let was = schedules::current(schedule).unwrap_or_default();
        let was = field::at(schedule, &format!("phases.{was}"));
        if let Some(trial) = field::at(was, "trial_end").as_i64() {
            form += &format!("&phases[0][trial_end]={trial}");
        }
        for (index, item) in field::elements(was, "items").iter().enumerate() {
            let within = format!("phases[0][items][{index}]");
            form += &format!("&{within}[price]={}", field::text(item, "price"));
            if let Some(quantity) = field::at(item, "quantity").as_i64() {
                let quantity = if draw.below(4) == 0 {
                    draw.below(9) as i64
                } else {
                    quantity
                };
                form += &format!("&{within}[quantity]={quantity}");
            }
        }
    } else {
        form += &format!("&phases[0][start_date]={}", field::at(schedule, "phases.0.start_date"));
    }
    for after in 0..=draw.below(2) {
        form += &phase(draw, known, place + after);
    }
    form
}
