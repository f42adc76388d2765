//! How the account at work is paid out: the schedule, and how long its charges are held.
//!
//! Source: <https://docs.stripe.com/api/balance-settings>.

use super::{Call, Operation, account};
use crate::{
    billing::{payout_schedule, payouts},
    field,
    http::error::Answer,
    json::{Value, json},
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/balance_settings",
        run: |world, _| Ok(answered(world)),
    },
    Operation {
        method: "POST",
        path: "/v1/balance_settings",
        run: update,
    },
];

fn answered(world: &World) -> Value {
    let settings = payout_schedule::settings(world);
    let mut schedule = json!({ "interval": field::at(&settings, "schedule.interval") });
    for name in ["monthly_payout_days", "weekly_payout_days"] {
        let days = field::at(&settings, &format!("schedule.{name}"));
        if !days.is_null() {
            field::set(&mut schedule, name, days.clone());
        }
    }
    let status = if payouts::enabled(world) { "enabled" } else { "disabled" };
    json!({
        "object": "balance_settings",
        "payments": {
            "debit_negative_balances": field::at(&settings, "debit_negative_balances"),
            "payouts": {
                "schedule": schedule,
                "statement_descriptor": field::at(&settings, "statement_descriptor"), "status": status,
            },
            "settlement_timing": { "delay_days": field::at(&settings, "schedule.delay_days"), "start_of_day": null },
        },
    })
}

fn update(world: &mut World, call: &Call) -> Answer {
    let before = answered(world);
    let params = &call.params;
    let mut settings = payout_schedule::settings(world);
    let name = "payments[payouts][schedule]";
    if params.has(name) {
        let schedule = payout_schedule::read(field::at(&settings, "schedule"), params, name)?;
        field::set(&mut settings, "schedule", schedule);
    }
    let name = "payments[settlement_timing][delay_days_override]";
    let days = match params.text(name) {
        Some(days) => Some(payout_schedule::delay_days(days, name)?),
        None if params.clears(name) => Some(payout_schedule::delay_days("minimum", name)?),
        None => None,
    };
    if let Some(days) = days {
        field::set(&mut settings, "schedule.delay_days", days);
    }
    if let Some(text) = params.text("payments[payouts][statement_descriptor]") {
        field::set(&mut settings, "statement_descriptor", text);
    }
    if world.account.is_empty() {
        payout_schedule::keep_of_platform(world, &settings);
    } else {
        account::change_own(world, |one| field::set(one, "settings.payouts", settings));
    }
    payouts::plan_anew(world);
    let after = answered(world);
    if let Some(previous) = field::previous(&before, &after) {
        world.emit("balance_settings.updated", &after, Some(previous));
    }
    Ok(after)
}
