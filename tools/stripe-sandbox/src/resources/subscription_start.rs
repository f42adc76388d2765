//! What the parameters of a new subscription say of its beginning: from when, counted from when, and what is sold once with it.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};

use super::{LARGEST_QUANTITY, currency, merge_metadata, price, subscription_item::Items};
use crate::{
    billing::{
        discounts::Purchase,
        first_period::FirstPeriod,
        period, pricing, redemptions,
        start::{self, Once},
    },
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    world::World,
};

/// A first invoice has so many lines at most. Source: <https://docs.stripe.com/billing/subscriptions/backdating>.
const MOST_LINES: usize = 250;

/// Refuses a currency that the prices are not in.
pub(crate) fn check_currency(params: &Params, items: &Items) -> Result<(), ApiError> {
    let expected = currency(params, "currency");
    let mut prices = items.iter().filter(|_| !expected.is_empty());
    prices.try_for_each(|(price, ..)| price::check_currency(price, &expected, "currency"))
}

/// The first period that is asked for.
pub(crate) fn first_period(
    params: &Params,
    items: &Items,
    trial_end: Option<i64>,
    now: i64,
) -> Result<FirstPeriod, ApiError> {
    let backdated = backdated(params, items, trial_end, now)?;
    let from = trial_end.unwrap_or(now);
    let config = config(params, items, now)?;
    let anchor = match (&config, params.integer("billing_cycle_anchor")) {
        (Some((anchor, _)), _) => Some(*anchor),
        (None, Some(anchor)) if anchor <= now => {
            let message = "Invalid timestamp: must be an integer Unix timestamp in the future.";
            return Err(ApiError::invalid(message).param("billing_cycle_anchor"));
        }
        (None, anchor) => anchor,
    };
    let natural = items
        .iter()
        .map(|(price, ..)| period::next_end(from, from, price))
        .min();
    if let (None, Some(anchor), Some(natural)) = (&config, anchor, natural)
        && anchor > natural
    {
        let message =
            format!("billing_cycle_anchor cannot be later than next natural billing date ({natural}) for plan");
        return Err(ApiError::invalid(message).param("billing_cycle_anchor"));
    }
    Ok(FirstPeriod {
        backdated,
        anchor,
        config: config.map_or(Value::Null, |(_, config)| config),
        prorates: params.text("proration_behavior") != Some("none"),
        cancel_at: params.integer("cancel_at"),
    })
}

fn backdated(params: &Params, items: &Items, trial_end: Option<i64>, now: i64) -> Result<Option<i64>, ApiError> {
    let refuse = |message: &str| Err(ApiError::invalid(message).param("backdate_start_date"));
    let Some(start) = params.integer("backdate_start_date") else {
        return Ok(None);
    };
    if start >= now {
        return refuse("`backdate_start_date` must be in the past.");
    }
    if trial_end.is_some() {
        let message = "The sandbox backdates no subscription that begins with a trial.";
        return Err(ApiError::unserved("backdate_start_date", message));
    }
    for (price, ..) in items {
        let mut end = start;
        let periods = (0..=MOST_LINES).take_while(|_| {
            end = period::next_end(start, end, price);
            end <= now
        });
        if periods.count() >= MOST_LINES {
            return refuse("The invoice of a backdated subscription can have at most 250 line items.");
        }
    }
    Ok(Some(start))
}

/// The anchor that `billing_cycle_anchor_config` asks for, and the config as it is shown. It is the first moment with that day of
/// the month so many intervals from now; where a month has no such day the periods in between end on its last.
/// Source: <https://docs.stripe.com/billing/subscriptions/billing-cycle#new-subscriptions>.
fn config(params: &Params, items: &Items, now: i64) -> Result<Option<(i64, Value)>, ApiError> {
    const NAME: &str = "billing_cycle_anchor_config";
    if !params.has(NAME) {
        return Ok(None);
    }
    if let Some(other) = ["billing_cycle_anchor", "backdate_start_date"]
        .into_iter()
        .find(|name| params.has(name))
    {
        let message = format!("You may only specify one of these parameters: {NAME}, {other}.");
        return Err(ApiError::invalid(message).param(NAME));
    }
    let sent = Params::under(params, NAME);
    let within = |name: &str, low: i64, high: i64| match sent.integer(name) {
        Some(value) if !(low..=high).contains(&value) => {
            let message = format!("Invalid {name}: must be between {low} and {high}.");
            Err(ApiError::invalid(message).param(format!("{NAME}[{name}]")))
        }
        value => Ok(value),
    };
    let day = within("day_of_month", 1, 31)?.unwrap_or(1);
    let month = within("month", 1, 12)?;
    let time = [
        within("hour", 0, 23)?,
        within("minute", 0, 59)?,
        within("second", 0, 59)?,
    ];
    let months = items.iter().map(|(price, ..)| {
        let count = field::integer(price, "recurring.interval_count").max(1);
        match field::text(price, "recurring.interval") {
            "year" => Some(12 * count),
            "month" => Some(count),
            _ => None,
        }
    });
    let Some(step) = months
        .collect::<Option<Vec<i64>>>()
        .and_then(|all| all.into_iter().min())
    else {
        let message = format!("`{NAME}` can only be used with prices by the month or the year.");
        return Err(ApiError::invalid(message).param(NAME));
    };
    let begun = DateTime::from_timestamp(now, 0).unwrap_or_default();
    let shown = json!({
        "day_of_month": day, "month": month, "hour": time[0], "minute": time[1], "second": time[2],
    });
    Ok(anchor(begun, day, month, time, step).map(|anchor| (anchor, shown)))
}

fn anchor(begun: DateTime<Utc>, day: i64, month: Option<i64>, time: [Option<i64>; 3], step: i64) -> Option<i64> {
    let [hour, minute, second] = time;
    let part = |sent: Option<i64>, begun: u32| sent.and_then(|sent| u32::try_from(sent).ok()).unwrap_or(begun);
    let time = NaiveTime::from_hms_opt(
        part(hour, begun.hour()),
        part(minute, begun.minute()),
        part(second, begun.second()),
    )?;
    let first = match month {
        Some(month) => i64::from(begun.year() - 1) * 12 + month - 1,
        None => i64::from(begun.year()) * 12 + i64::from(begun.month0()),
    };
    // Every month and day comes within so many steps, leap days too.
    (0..600).find_map(|steps| {
        let months = first + steps * step;
        let year = i32::try_from(months.div_euclid(12)).ok()?;
        let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
        let date = NaiveDate::from_ymd_opt(year, month, u32::try_from(day).ok()?)?;
        let at = date.and_time(time).and_utc().timestamp();
        (at > begun.timestamp()).then_some(at)
    })
}

/// What is sold once, sent as `add_invoice_items`, in the currency of the subscription.
pub(crate) fn once(world: &mut World, params: &Params, customer: &str, currency: &str) -> Result<Vec<Once>, ApiError> {
    let sent = params.list("add_invoice_items");
    if sent.len() > 20 {
        let message = "You may pass up to 20 items to `add_invoice_items`.";
        return Err(ApiError::invalid(message).param("add_invoice_items"));
    }
    let mut all = Vec::new();
    for (index, line) in sent.iter().enumerate() {
        let within = format!("add_invoice_items[{index}]");
        let price = price::of_line(world, line, &within)?;
        if field::text(&price, "type") != "one_time" {
            let message = "The price specified is set to `type=recurring` but this field only accepts prices with \
                `type=one_time`.";
            return Err(ApiError::invalid(message).param(format!("{within}[price]")));
        }
        if field::text(&price, "currency") != currency {
            let message = format!("The subscription is in {currency}.");
            return Err(ApiError::invalid(message).param(format!("{within}[price]")));
        }
        let quantity = line.integer("quantity").unwrap_or(1);
        if !(0..=LARGEST_QUANTITY).contains(&quantity) {
            let param = format!("{within}[quantity]");
            return Err(ApiError::invalid_integer(
                &param,
                format!("Invalid quantity: {quantity}"),
            ));
        }
        let purchase = Purchase {
            customer: Some(customer),
            currency,
            subtotal: pricing::amount_at(world, &price, quantity),
        };
        let asked = redemptions::asked(world, line, "discounts", &purchase).map_err(|error| error.within(&within))?;
        let edge = |name: &str| {
            json!({
                "type": line.text(&format!("period[{name}][type]")),
                "timestamp": line.integer(&format!("period[{name}][timestamp]")),
            })
        };
        let (begins, ends) = (edge("start"), edge("end"));
        for (name, edge) in [("start", &begins), ("end", &ends)] {
            if field::text(edge, "type") == "timestamp" && field::at(edge, "timestamp").is_null() {
                return Err(ApiError::parameter_missing(&format!(
                    "{within}[period][{name}][timestamp]"
                )));
            }
        }
        all.push(Once {
            price,
            quantity,
            discountable: line.boolean("discountable").unwrap_or(true),
            metadata: merge_metadata(&Value::Null, line, "metadata")?,
            period: json!({ "start": begins, "end": ends }),
            discounts: asked.unwrap_or_default(),
        });
    }
    Ok(all)
}

/// Has what an update sells once wait for the next invoice, which may be that of the update.
pub(crate) fn add_once(world: &mut World, params: &Params, subscription: &Value) -> Result<(), ApiError> {
    let (customer, currency) = (
        field::text(subscription, "customer"),
        field::text(subscription, "currency"),
    );
    for once in once(world, params, customer, currency)? {
        start::add_once(world, subscription, &once);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_anchor_is_the_next_such_day_that_the_intervals_meet() {
        for (begun, day, month, step, expected) in [
            ("2027-01-15T08:00:00Z", 31, None, 1, "2027-01-31T08:00:00Z"),
            ("2027-02-10T08:00:00Z", 31, None, 1, "2027-03-31T08:00:00Z"),
            ("2027-02-10T08:00:00Z", 31, None, 2, "2027-08-31T08:00:00Z"),
            ("2027-01-15T08:00:00Z", 15, None, 1, "2027-02-15T08:00:00Z"),
            ("2027-01-15T08:00:00Z", 1, Some(7), 12, "2027-07-01T08:00:00Z"),
            ("2027-08-15T08:00:00Z", 1, Some(7), 12, "2028-07-01T08:00:00Z"),
            ("2027-03-15T08:00:00Z", 29, Some(2), 12, "2028-02-29T08:00:00Z"),
            ("2027-03-15T08:00:00Z", 1, Some(1), 3, "2027-04-01T08:00:00Z"),
        ] {
            let found = anchor(at(begun), day, month, [None; 3], step);
            assert_eq!(found, Some(at(expected).timestamp()), "{begun} {day}");
        }
        let noon = anchor(at("2027-01-15T08:00:00Z"), 15, None, [Some(12), Some(30), Some(0)], 1);
        assert_eq!(noon, Some(at("2027-01-15T12:30:00Z").timestamp()));
    }
}
