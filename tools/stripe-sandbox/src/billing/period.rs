//! Billing periods by the calendar: the n-th period of a subscription ends n intervals after its anchor, on the anchor's
//! day or the month's last.
//!
//! Source: <https://docs.stripe.com/billing/subscriptions/billing-cycle>.

use chrono::{DateTime, Days, Months, Utc};

use crate::{field, json::Value};

/// The first end after `after` of a period of `price`'s length counted from `anchor`.
pub(crate) fn next_end(anchor: i64, after: i64, price: &Value) -> i64 {
    let count = u32::try_from(field::integer(price, "recurring.interval_count").max(1)).unwrap_or(1);
    let interval = field::text(price, "recurring.interval");
    let Some(start) = DateTime::from_timestamp(anchor, 0) else {
        return after + 86_400;
    };
    if anchor > after {
        return natural(anchor, after, price).1;
    }
    let longest = i64::from(count) * longest_days(interval) * 86_400;
    // So many whole periods have surely passed; the next ends are tried from there.
    let passed = u32::try_from((after - anchor) / longest).unwrap_or_default();
    (passed..=passed.saturating_add(10_000))
        .map(|periods| plus(start, interval, periods.saturating_mul(count)))
        .find(|end| *end > after)
        .unwrap_or(after + longest)
}

/// The end of `count` intervals from `start`, if that is a moment there is.
pub(crate) fn after(start: i64, interval: &str, count: i64) -> Option<i64> {
    let end = plus(
        DateTime::from_timestamp(start, 0)?,
        interval,
        u32::try_from(count).ok()?,
    );
    (end < i64::MAX / 2).then_some(end)
}

/// How many days a period of `price` lasts at most, to tell which is shorter.
pub(crate) fn days_at_most(price: &Value) -> i64 {
    longest_days(field::text(price, "recurring.interval")) * field::integer(price, "recurring.interval_count").max(1)
}

/// Whether periods of both prices last as long.
pub(crate) fn same_length(one: &Value, other: &Value) -> bool {
    ["recurring.interval", "recurring.interval_count"]
        .iter()
        .all(|name| field::at(one, name) == field::at(other, name))
}

/// The period of `price`'s length counted from `anchor` that the moment `at` lies in; before the anchor it begins at once.
pub(crate) fn around(anchor: i64, at: i64, price: &Value) -> (i64, i64) {
    let end = next_end(anchor, at, price);
    let count = u32::try_from(field::integer(price, "recurring.interval_count").max(1)).unwrap_or(1);
    let interval = field::text(price, "recurring.interval");
    let Some(origin) = DateTime::from_timestamp(anchor, 0).filter(|_| anchor <= at) else {
        return (at, end);
    };
    let begins = (0..=100_000)
        .map(|periods: u32| plus(origin, interval, periods.saturating_mul(count)))
        .take_while(|begin| *begin <= at)
        .last();
    (begins.unwrap_or(at), end)
}

/// The period of an item of this price that joins a subscription now: the one that runs, or what is left of a trial.
pub(crate) fn joined(subscription: &Value, price: &Value, now: i64) -> (i64, i64) {
    match field::at(subscription, "trial_end").as_i64() {
        Some(end) if field::text(subscription, "status") == "trialing" => (now, end),
        _ => around(field::integer(subscription, "billing_cycle_anchor"), now, price),
    }
}

/// So many periods of `price`'s length after `from`, by the calendar.
pub(crate) fn later(from: i64, price: &Value, periods: u32) -> i64 {
    let count = u32::try_from(field::integer(price, "recurring.interval_count").max(1)).unwrap_or(1);
    let interval = field::text(price, "recurring.interval");
    DateTime::from_timestamp(from, 0).map_or(from, |from| plus(from, interval, count.saturating_mul(periods)))
}

/// The whole period of `price`'s length that the moment `at` lies in, counted from `anchor` in either direction.
pub(crate) fn natural(anchor: i64, at: i64, price: &Value) -> (i64, i64) {
    if anchor <= at {
        return around(anchor, at, price);
    }
    let count = u32::try_from(field::integer(price, "recurring.interval_count").max(1)).unwrap_or(1);
    let interval = field::text(price, "recurring.interval");
    let Some(origin) = DateTime::from_timestamp(anchor, 0) else {
        return (at, anchor);
    };
    let mut end = anchor;
    for periods in 1..=100_000_u32 {
        let start = minus(origin, interval, periods.saturating_mul(count));
        if start <= at {
            return (start, end);
        }
        end = start;
    }
    (at, end)
}

/// The present period of an item as far as it is billed: to its end, or to that of the subscription if that comes before.
pub(crate) fn billed(subscription: &Value, item: &Value) -> (i64, i64) {
    let (start, end) = (
        field::integer(item, "current_period_start"),
        field::integer(item, "current_period_end"),
    );
    let ends = field::at(subscription, "cancel_at").as_i64();
    (start, ends.filter(|at| *at > start).map_or(end, |at| at.min(end)))
}

/// How long the period of an item is, in seconds, were it a whole one, as its price is for.
pub(crate) fn whole(subscription: &Value, item: &Value) -> i64 {
    let anchor = field::integer(subscription, "billing_cycle_anchor");
    let at = field::integer(item, "current_period_start");
    let (start, end) = natural(anchor, at, field::at(item, "price"));
    (end - start).max(1)
}

fn plus(start: DateTime<Utc>, interval: &str, count: u32) -> i64 {
    let days = |length: u64| start.checked_add_days(Days::new(u64::from(count) * length));
    let end = match interval {
        "day" => days(1),
        "week" => days(7),
        "year" => start.checked_add_months(Months::new(count.saturating_mul(12))),
        _ => start.checked_add_months(Months::new(count)),
    };
    end.map_or(i64::MAX / 2, |end| end.timestamp())
}

fn minus(start: DateTime<Utc>, interval: &str, count: u32) -> i64 {
    let days = |length: u64| start.checked_sub_days(Days::new(u64::from(count) * length));
    let begin = match interval {
        "day" => days(1),
        "week" => days(7),
        "year" => start.checked_sub_months(Months::new(count.saturating_mul(12))),
        _ => start.checked_sub_months(Months::new(count)),
    };
    begin.map_or(i64::MIN / 2, |begin| begin.timestamp())
}

fn longest_days(interval: &str) -> i64 {
    match interval {
        "day" => 1,
        "week" => 7,
        "year" => 366,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::{natural, next_end};

    fn date(text: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(&format!("{text}T10:00:00Z"))
            .map(|time| time.timestamp())
            .unwrap_or(0)
    }

    #[test]
    fn a_month_from_the_31st_ends_on_the_last_day_and_comes_back_to_the_31st() {
        let monthly = json!({ "recurring": { "interval": "month", "interval_count": 1 } });
        let anchor = date("2027-01-31");
        let mut end = anchor;
        let ends: Vec<i64> = (0..4)
            .map(|_| {
                end = next_end(anchor, end, &monthly);
                end
            })
            .collect();
        assert_eq!(ends, ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"].map(date));
    }

    #[test]
    fn a_year_from_a_leap_day_ends_on_the_28th_until_the_next_leap_year() {
        let yearly = json!({ "recurring": { "interval": "year", "interval_count": 1 } });
        let anchor = date("2028-02-29");
        assert_eq!(next_end(anchor, anchor, &yearly), date("2029-02-28"));
        assert_eq!(next_end(anchor, date("2031-02-28"), &yearly), date("2032-02-29"));
    }

    #[test]
    fn periods_are_counted_back_from_an_anchor_that_is_still_to_come() {
        let every =
            |interval: &str, count: i64| json!({ "recurring": { "interval": interval, "interval_count": count } });
        for (anchor, at, price, period) in [
            (
                "2027-02-01",
                "2027-01-15",
                every("month", 1),
                ("2027-01-01", "2027-02-01"),
            ),
            (
                "2027-03-31",
                "2027-02-10",
                every("month", 1),
                ("2027-01-31", "2027-02-28"),
            ),
            (
                "2027-08-31",
                "2027-02-10",
                every("month", 2),
                ("2026-12-31", "2027-02-28"),
            ),
            (
                "2027-07-01",
                "2027-02-10",
                every("year", 1),
                ("2026-07-01", "2027-07-01"),
            ),
            (
                "2027-01-20",
                "2027-01-15",
                every("week", 1),
                ("2027-01-13", "2027-01-20"),
            ),
            (
                "2027-01-01",
                "2027-02-01",
                every("month", 1),
                ("2027-02-01", "2027-03-01"),
            ),
        ] {
            let expected = (date(period.0), date(period.1));
            assert_eq!(natural(date(anchor), date(at), &price), expected, "{anchor} {at}");
        }
    }

    #[test]
    fn days_weeks_and_counted_months_add_up() {
        let every =
            |interval: &str, count: i64| json!({ "recurring": { "interval": interval, "interval_count": count } });
        let anchor = date("2027-01-15");
        assert_eq!(next_end(anchor, anchor, &every("day", 10)), date("2027-01-25"));
        assert_eq!(next_end(anchor, anchor, &every("week", 2)), date("2027-01-29"));
        assert_eq!(next_end(anchor, anchor, &every("month", 3)), date("2027-04-15"));
    }
}
