//! When an account is paid out by itself, and how long its charges are held before: its settings, and the days they name.
//!
//! Sources: <https://docs.stripe.com/payouts#payout-schedule>, <https://docs.stripe.com/connect/manage-payout-schedule>. Every
//! day counts as a day of business here, and a payout is made at 00:00 UTC: both are ours.

use chrono::{DateTime, Datelike};

use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    world::World,
};

const DAY: i64 = 86_400;
/// How long charges are held at least, which is as long as they are where nothing else is said, and at most; in days.
const SHORTEST_DELAY: i64 = 2;
const LONGEST_DELAY: i64 = 31;

/// The platform's own settings are one object under this id, which is never answered and which no caller can choose.
const ID: &str = "/balance_settings";

const WEEKDAYS: &[&str] = &[
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// The `settings.payouts` of the account at work. The platform's are kept apart, and manual until that is changed, so that
/// its balance stays; a connected account's are those of its account.
pub(crate) fn settings(world: &World) -> Value {
    let kept = if world.account.is_empty() {
        world.find(ID).map(|one| field::at(one, "payouts").clone())
    } else {
        let account = world.found("", &world.account);
        account.map(|one| field::at(one, "settings.payouts").clone())
    };
    kept.unwrap_or_else(|| {
        json!({
            "debit_negative_balances": true, "statement_descriptor": null,
            "schedule": { "delay_days": SHORTEST_DELAY, "interval": "manual" },
        })
    })
}

/// Keeps other settings of the platform.
pub(crate) fn keep_of_platform(world: &mut World, settings: &Value) {
    world.put(&json!({ "id": ID, "object": "balance_settings", "payouts": settings }));
}

/// How long charges of the account at work are held before they are available, in seconds.
pub(crate) fn delay(world: &World) -> i64 {
    let days = field::integer(&settings(world), "schedule.delay_days");
    days.clamp(SHORTEST_DELAY, LONGEST_DELAY) * DAY
}

/// The first moment after `now` at which this schedule pays out, if it ever does.
pub(crate) fn next(schedule: &Value, now: i64) -> Option<i64> {
    let fits: fn(&Value, i64) -> bool = match field::text(schedule, "interval") {
        "daily" => |_, _| true,
        "weekly" => on_weekday,
        "monthly" => on_day_of_month,
        _ => return None,
    };
    let today = day(now);
    (1..=62)
        .map(|days| today + days * DAY)
        .find(|midnight| fits(schedule, *midnight))
}

/// The beginning of the day, in UTC.
pub(crate) fn day(at: i64) -> i64 {
    at - at.rem_euclid(DAY)
}

fn on_weekday(schedule: &Value, at: i64) -> bool {
    let days = field::elements(schedule, "weekly_payout_days");
    let today = DateTime::from_timestamp(at, 0)
        .and_then(|date| usize::try_from(date.weekday().num_days_from_monday()).ok())
        .and_then(|place| WEEKDAYS.get(place));
    today.is_some_and(|today| days.iter().any(|one| one == today))
}

/// A day that a month does not have is its last.
fn on_day_of_month(schedule: &Value, at: i64) -> bool {
    let of = |at| DateTime::from_timestamp(at, 0).map_or(0, |date| i64::from(date.day()));
    let (today, tomorrow) = (of(at), of(at + DAY));
    let days = field::elements(schedule, "monthly_payout_days").iter();
    days.filter_map(Value::as_i64)
        .any(|wanted| wanted == today || (wanted > today && tomorrow == 1))
}

/// The schedule that is sent under `name`, in place of `current`.
pub(crate) fn read(current: &Value, params: &Params, name: &str) -> Result<Value, ApiError> {
    let at = |part: &str| format!("{name}[{part}]");
    let mut schedule = current.clone();
    if let Some(days) = params.text(&at("delay_days")) {
        field::set(&mut schedule, "delay_days", delay_days(days, &at("delay_days"))?);
    }
    let interval = params
        .text(&at("interval"))
        .unwrap_or(field::text(current, "interval"))
        .to_owned();
    for (own, anchor, days) in [
        ("weekly", "weekly_anchor", "weekly_payout_days"),
        ("monthly", "monthly_anchor", "monthly_payout_days"),
    ] {
        let mut sent = params.texts(&at(days));
        sent.extend(params.text(&at(anchor)).map(str::to_owned));
        match (interval == own, sent.is_empty()) {
            (true, false) => {
                let sent = read_days(&sent, &at(anchor))?;
                field::set(&mut schedule, anchor, sent.first().cloned());
                field::set(&mut schedule, days, sent);
            }
            (true, true) if field::elements(&schedule, days).is_empty() => {
                return Err(ApiError::parameter_missing(&at(anchor)));
            }
            (true, true) => {}
            (false, false) => {
                let message = format!("You can only set `{anchor}` and `{days}` when the payout interval is `{own}`.");
                return Err(ApiError::invalid(message).param(at(anchor)));
            }
            (false, true) => remove(&mut schedule, &[anchor, days]),
        }
    }
    field::set(&mut schedule, "interval", interval);
    Ok(schedule)
}

/// Days of the week as they are, those of the month as numbers.
fn read_days(sent: &[String], param: &str) -> Result<Vec<Value>, ApiError> {
    let days = sent.iter().map(|day| match day.parse::<i64>() {
        Ok(day) if (1..=31).contains(&day) => Ok(json!(day)),
        Ok(_) => Err(ApiError::invalid_integer(
            param,
            "Invalid day: must be between 1 and 31.",
        )),
        Err(_) => Ok(json!(day)),
    });
    days.collect()
}

/// A number of days, or `minimum`.
pub(crate) fn delay_days(sent: &str, param: &str) -> Result<i64, ApiError> {
    let days = if sent == "minimum" {
        Some(SHORTEST_DELAY)
    } else {
        sent.parse().ok()
    };
    days.filter(|days| (SHORTEST_DELAY..=LONGEST_DELAY).contains(days))
        .ok_or_else(|| {
            let message = format!("Invalid delay_days: must be between {SHORTEST_DELAY} and {LONGEST_DELAY}.");
            ApiError::invalid_integer(param, message)
        })
}

fn remove(schedule: &mut Value, names: &[&str]) {
    if let Value::Object(fields) = schedule {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15T08:00:00Z, a Friday.
    const FRIDAY: i64 = 1_800_000_000;
    const MIDNIGHT: i64 = 1_799_971_200;

    #[test]
    fn a_schedule_names_the_midnights_that_follow() {
        let at = |schedule: Value, now: i64| next(&schedule, now).map(|at| (at - MIDNIGHT) / DAY);
        assert_eq!(at(json!({ "interval": "manual" }), FRIDAY), None);
        let daily = || json!({ "interval": "daily" });
        assert_eq!((at(daily(), FRIDAY), at(daily(), MIDNIGHT)), (Some(1), Some(1)));
        let weekly = json!({ "interval": "weekly", "weekly_payout_days": ["friday", "tuesday"] });
        assert_eq!(at(weekly.clone(), FRIDAY), Some(4));
        assert_eq!(at(weekly, FRIDAY + 4 * DAY), Some(7));
        let monthly = |day: i64| json!({ "interval": "monthly", "monthly_payout_days": [day] });
        assert_eq!(at(monthly(15), FRIDAY), Some(31));
        assert_eq!(at(monthly(16), FRIDAY), Some(1));
        // The last of January, then that of February, which is its 28th.
        assert_eq!(
            (at(monthly(31), FRIDAY), at(monthly(31), FRIDAY + 16 * DAY)),
            (Some(16), Some(44))
        );
    }
}
