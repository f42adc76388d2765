//! What customers have used of what a meter counts: the events of a time, as the meter's formula adds them up.
//!
//! Source: <https://docs.stripe.com/billing/subscriptions/usage-based/meters/configure>.

use std::collections::BTreeMap;

use super::decimal;
use crate::{field, json::Value, world::World};

/// More than this is not billed, so that what it costs stays far from the edge of the numbers.
const MOST: i128 = 1_000_000_000_000_000 * decimal::ONE;

/// What `customer` has used of the meter of a metered price, from `from` to just before `to`, in decimals and never less than
/// nothing.
pub(crate) fn of(world: &World, price: &Value, customer: &str, from: i64, to: i64) -> i128 {
    let meter = world.find(field::text(price, "recurring.meter"));
    let used = meter.map_or(0, |meter| counted(meter, &events(world, meter, customer, from, to)));
    used.clamp(0, MOST)
}

/// Where an event of this time has its place: events of a meter and a customer lie side by side, in the order of their times.
pub(crate) fn place(meter: &Value, customer: &str, timestamp: i64) -> String {
    format!("mtrev_{}_{customer}_{:011}", field::text(meter, "id"), timestamp.max(0))
}

/// The events of a customer from `from` to just before `to`, in the order of their times, without those that were canceled.
pub(crate) fn events<'a>(world: &'a World, meter: &Value, customer: &str, from: i64, to: i64) -> Vec<&'a Value> {
    world
        .between(&place(meter, customer, from), &place(meter, customer, to))
        .filter(|event| !field::flag(event, "_sandbox.canceled"))
        .collect()
}

/// What events in the order of their times add up to.
pub(crate) fn counted(meter: &Value, events: &[&Value]) -> i128 {
    let value = |event: &Value| decimal::of(field::at(event, "_sandbox.value")).unwrap_or_default();
    let events = match field::text(meter, "event_time_window") {
        "hour" => newest_in_each(events, 3600),
        "day" => newest_in_each(events, 86_400),
        _ => events.to_vec(),
    };
    match field::text(meter, "default_aggregation.formula") {
        "count" => events.iter().map(|_| decimal::ONE).sum(),
        "last" => events.last().map_or(0, |event| value(event)),
        _ => events.iter().map(|event| value(event)).sum(),
    }
}

/// Of a meter whose events come added up already, the one that was received last in each window.
fn newest_in_each<'a>(events: &[&'a Value], window: i64) -> Vec<&'a Value> {
    let mut newest: BTreeMap<i64, &Value> = BTreeMap::new();
    for event in events {
        let of_window = newest
            .entry(field::integer(event, "timestamp").div_euclid(window))
            .or_insert(event);
        if field::integer(event, "created") >= field::integer(of_window, "created") {
            *of_window = event;
        }
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    fn counted_of(formula: &str, window: Option<&str>, events: &[(i64, i64, &str)]) -> String {
        let meter = json!({ "default_aggregation": { "formula": formula }, "event_time_window": window });
        let events: Vec<Value> = events
            .iter()
            .map(|(timestamp, created, value)| {
                json!({ "timestamp": timestamp, "created": created, "_sandbox": { "value": value } })
            })
            .collect();
        decimal::written(counted(&meter, &events.iter().collect::<Vec<_>>()))
    }

    #[test]
    fn a_formula_adds_counts_or_takes_the_last() {
        let events = [(10, 50, "3"), (20, 40, "-1.5"), (3700, 45, "2.25")];
        for (formula, window, sum) in [
            ("sum", None, "3.75"),
            ("count", None, "3"),
            ("last", None, "2.25"),
            ("sum", Some("hour"), "5.25"),
            ("sum", Some("day"), "3"),
            ("count", Some("hour"), "2"),
        ] {
            assert_eq!(counted_of(formula, window, &events), sum, "{formula} {window:?}");
        }
        for formula in ["sum", "count", "last"] {
            assert_eq!(counted_of(formula, None, &[]), "0");
        }
        // What was received at the same time counts in the order it came in.
        assert_eq!(counted_of("sum", Some("hour"), &[(10, 40, "1"), (20, 40, "2")]), "2");
    }
}
