//! The phases of subscription schedules, as calls send them.

use super::{
    merge_metadata, payment_method, price,
    subscription_item::{Items, checked, new_item},
    subscription_start,
};
use crate::{
    billing::{
        discounts::Purchase,
        period, phases, pricing,
        redemptions::{self, Asked},
        start,
    },
    field,
    http::{
        error::ApiError,
        form::{LARGEST_INTEGER, Params},
    },
    json::{Value, json},
    shapes,
    world::World,
};

/// Most phases that are to come. Source: <https://docs.stripe.com/billing/subscriptions/subscription-schedules#phases>.
const MOST: usize = 10;
/// Most prices sold once with a phase.
/// Source: <https://docs.stripe.com/api/subscription_schedules/create#create_subscription_schedule-phases-add_invoice_items>.
const MOST_ONCE: usize = 20;

/// The moment sent under `name`, which may be `now`.
pub(crate) fn moment(params: &Params, name: &str, now: i64) -> Option<i64> {
    match params.text(name) {
        Some("now") => Some(now),
        _ => params.integer(name),
    }
}

/// Refuses to begin to send invoices: only a subscription that is taken over, or changed itself, has them sent.
pub(crate) fn check_collection(params: &Params, within: &str) -> Result<(), ApiError> {
    let param = format!("{within}[collection_method]");
    match params.text(&param) {
        Some("send_invoice") => Err(ApiError::unserved(
            &param,
            "The sandbox's schedules do not begin to send invoices.",
        )),
        _ => Ok(()),
    }
}

/// The phases that a call sends for a schedule, the first from `start` on unless it says when it begins itself.
pub(crate) fn sent(
    world: &mut World,
    params: &Params,
    schedule: &Value,
    start: Option<i64>,
) -> Result<Vec<Value>, ApiError> {
    let lines = params.list("phases");
    let (mut all, mut prices) = (Vec::new(), Vec::new());
    for index in 0..lines.len() {
        let (phase, price) = phase(world, params, schedule, index)?;
        all.push(phase);
        prices.push(price);
    }
    let currency = |one: &Value| field::at(one, "currency").clone();
    if all.iter().any(|one| Some(currency(one)) != all.first().map(currency)) {
        let message = "All prices on a subscription must have the same `currency`.";
        return Err(ApiError::invalid(message).param("phases"));
    }
    write_dates(world.now, &lines, &prices, &mut all, start)?;
    let coming = all.iter().filter(|one| field::integer(one, "end_date") > world.now);
    if coming.count() > MOST {
        let message = format!("A subscription schedule can have at most {MOST} current and future phases.");
        return Err(ApiError::invalid(message).param("phases"));
    }
    for (index, (one, line)) in all.iter_mut().zip(&lines).enumerate() {
        write_trial(world.now, one, line, index)?;
    }
    Ok(all)
}

/// The phases that a schedule has once a call sends others: those that are over stay, and the one that it is in goes on.
pub(crate) fn replacing(world: &mut World, params: &Params, schedule: &Value) -> Result<Vec<Value>, ApiError> {
    if params
        .list("phases")
        .iter()
        .all(|line| line.text("start_date").is_none())
    {
        let message = "The subscription schedule update is missing at least one phase with a `start_date` to anchor end dates \
            to.";
        return Err(ApiError::invalid(message).param("phases"));
    }
    let current = field::at(schedule, "current_phase.start_date").as_i64();
    let start = current.or(field::at(schedule, "phases.0.start_date").as_i64());
    let mut sent = sent(world, params, schedule, start)?;
    let begins = |one: &Value| field::integer(one, "start_date");
    let ends = |one: &Value| field::integer(one, "end_date");
    let Some(current) = current else {
        if sent.first().map(begins).is_some_and(|start| start < world.now) {
            let message = "The sandbox does not backdate: a schedule starts now or later.";
            return Err(ApiError::unserved("phases[0][start_date]", message));
        }
        return Ok(sent);
    };
    sent.retain(|one| ends(one) > current);
    if sent.first().map(begins).is_some_and(|start| start != current) {
        let message = "You can not modify the start date of the current phase.";
        return Err(ApiError::invalid(message));
    }
    if sent.first().map(ends).is_none_or(|end| end < world.now) {
        let message = "You can only adjust the end date to a future date for the current phase.";
        return Err(ApiError::invalid(message));
    }
    let stored = field::elements(schedule, "phases").iter();
    let mut all: Vec<Value> = stored.filter(|one| ends(one) <= current).cloned().collect();
    all.extend(sent);
    Ok(all)
}

/// One phase without its dates, and its first price.
fn phase(world: &mut World, params: &Params, schedule: &Value, index: usize) -> Result<(Value, Value), ApiError> {
    let within = format!("phases[{index}]");
    let named = |name: &str| format!("{within}[{name}]");
    let line = Params::under(params, &within);
    let customer = field::text(schedule, "customer");
    let mut phase = shapes::subscription_schedule_phase();
    let (items, sold) = items(world, params, schedule, &named("items"))?;
    let currency = sold
        .first()
        .map(|(price, ..)| field::text(price, "currency").to_owned());
    let currency = currency.unwrap_or_default();
    subscription_start::check_currency(&line, &sold).map_err(|error| error.within(&within))?;
    field::set(&mut phase, "items", items);
    field::set(&mut phase, "currency", currency.clone());
    let discounts = discounts(world, params, schedule, &sold, &named("discounts"))?;
    field::set(&mut phase, "discounts", discounts);
    let once = sold_once(world, &line, &within, &currency)?;
    field::set(&mut phase, "add_invoice_items", once);
    check_collection(params, &within)?;
    for name in [
        "billing_cycle_anchor",
        "collection_method",
        "description",
        "proration_behavior",
    ] {
        if let Some(text) = line.text(name) {
            field::set(&mut phase, name, text);
        }
    }
    if let Some(id) = line.text("default_payment_method") {
        let method = payment_method::of_customer(world, id, customer, &named("default_payment_method"))?;
        field::set(&mut phase, "default_payment_method", field::at(&method, "id").clone());
    }
    if let Some(enabled) = line.boolean("automatic_tax[enabled]") {
        field::set(&mut phase, "automatic_tax", start::automatic_tax(enabled));
    }
    merge_metadata(&json!({}), params, &named("metadata"))?;
    field::set(&mut phase, "metadata", said_metadata(&line));
    let first = sold.into_iter().next().map(|(price, ..)| price);
    Ok((phase, first.unwrap_or_default()))
}

/// The items of a phase, as it keeps them, and what they sell.
fn items(world: &mut World, params: &Params, schedule: &Value, within: &str) -> Result<(Vec<Value>, Items), ApiError> {
    let (mut items, mut all): (Vec<Value>, _) = (Vec::new(), Vec::new());
    for (place, line) in params.list(within).iter().enumerate() {
        let within = format!("{within}[{place}]");
        let sold = new_item(world, line, &within)?;
        let discounts = discounts(
            world,
            params,
            schedule,
            std::slice::from_ref(&sold),
            &format!("{within}[discounts]"),
        )?;
        let (price, quantity, _) = &sold;
        items.push(phases::item(price, *quantity, &said_metadata(line), discounts));
        all.push(sold);
    }
    Ok((items, checked(all, within)?))
}

/// The metadata as it was sent: its empty values take keys away once the phase begins.
fn said_metadata(line: &Params) -> Value {
    Some(line.at("metadata").clone())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}))
}

/// The discounts asked for what is sold, as a phase or an item of one keeps them.
fn discounts(
    world: &World,
    params: &Params,
    schedule: &Value,
    sold: &[(Value, i64, Value)],
    within: &str,
) -> Result<Vec<Value>, ApiError> {
    let price = sold.first().map(|(price, ..)| price);
    let purchase = Purchase {
        customer: field::some_text(schedule, "customer"),
        currency: price.map_or("", |price| field::text(price, "currency")),
        subtotal: sold
            .iter()
            .map(|(price, quantity, _)| pricing::amount_at(world, price, *quantity))
            .sum(),
    };
    let asked = redemptions::asked(world, params, within, &purchase)?.unwrap_or_default();
    // One that has ended may be sent again as it was read: it is not taken up again.
    let is_own = |id: &str| {
        let discount = world.find(id);
        let of = discount.and_then(|one| field::some_text(one, "subscription"));
        of.is_some() && of == field::some_text(schedule, "subscription")
    };
    let written = asked.iter().enumerate().map(|(index, one)| match one {
        Asked::Discount(id) if !is_own(id) => Err(ApiError::missing(
            "discount",
            id,
            &format!("{within}[{index}][discount]"),
        )),
        Asked::Discount(id) => Ok(json!({ "coupon": null, "discount": id, "promotion_code": null })),
        Asked::Coupon(_, Some(code)) => Ok(json!({ "coupon": null, "discount": null, "promotion_code": code })),
        Asked::Coupon(coupon, None) => {
            Ok(json!({ "coupon": field::at(coupon, "id"), "discount": null, "promotion_code": null }))
        }
    });
    written.collect()
}

/// What a phase sells once, as it keeps it.
fn sold_once(world: &mut World, line: &Params, within: &str, currency: &str) -> Result<Vec<Value>, ApiError> {
    let lines = line.list("add_invoice_items");
    if lines.len() > MOST_ONCE {
        let message = format!("You may pass up to {MOST_ONCE} items in `add_invoice_items`.");
        return Err(ApiError::invalid(message).param(format!("{within}[add_invoice_items]")));
    }
    let mut once = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let within = format!("{within}[add_invoice_items][{index}]");
        let price = price::of_line(world, line, &within)?;
        if field::text(&price, "type") != "one_time" {
            let message = "The price specified is set to `type=recurring` but this field only accepts prices with \
                `type=one_time`.";
            return Err(ApiError::invalid(message).param(format!("{within}[price]")));
        }
        if field::text(&price, "currency") != currency {
            let message = "All prices on a subscription must have the same `currency`.";
            return Err(ApiError::invalid(message).param(format!("{within}[price]")));
        }
        let quantity = price::quantity_of_line(&price, line, &within)?;
        once.push(json!({
            "discountable": null, "discounts": [], "metadata": {},
            "period": { "end": { "type": "min_item_period_end" }, "start": { "type": "max_item_period_start" } },
            "price": field::at(&price, "id"), "quantity": quantity, "tax_rates": [],
        }));
    }
    Ok(once)
}

/// Writes when each phase begins and ends: as it says, as its duration comes to, where the next begins, or else after one
/// period of its first price. That a phase in the middle may leave it open is ours.
fn write_dates(
    now: i64,
    lines: &[Params],
    prices: &[Value],
    all: &mut [Value],
    start: Option<i64>,
) -> Result<(), ApiError> {
    let starts: Vec<Option<i64>> = lines.iter().map(|line| moment(line, "start_date", now)).collect();
    let mut start = starts.first().copied().flatten().or(start);
    for (index, ((line, phase), price)) in lines.iter().zip(all).zip(prices).enumerate() {
        let invalid = |name: &str, what: String| {
            let message = format!("Phase {index} is invalid: {what}");
            Err(ApiError::invalid(message).param(format!("phases[{index}][{name}]")))
        };
        let begins = start.unwrap_or(now);
        if starts.get(index).copied().flatten().is_some_and(|own| own != begins) {
            return invalid(
                "start_date",
                "its `start_date` must equal the `end_date` of the phase before it.".to_owned(),
            );
        }
        if line.has("end_date") && line.has("duration") {
            let message = "You may only specify one of these parameters: end_date, duration.";
            return Err(ApiError::invalid(message).param(format!("phases[{index}][end_date]")));
        }
        let count = line.integer("duration[interval_count]").unwrap_or(1);
        if count < 1 {
            return Err(ApiError::below_one(&format!(
                "phases[{index}][duration][interval_count]"
            )));
        }
        let next = starts.get(index + 1).copied().flatten();
        let ends = match (moment(line, "end_date", now), line.text("duration[interval]")) {
            (Some(end), _) => Some(end),
            (None, Some(interval)) => period::after(begins, interval, count),
            (None, None) => next.or_else(|| Some(period::next_end(begins, begins, price))),
        };
        let Some(ends) = ends.filter(|end| *end <= LARGEST_INTEGER) else {
            return invalid("duration", "it ends too far in the future.".to_owned());
        };
        if ends <= begins {
            return invalid("end_date", "its `end_date` must be after its `start_date`.".to_owned());
        }
        field::set(phase, "start_date", begins);
        field::set(phase, "end_date", ends);
        start = Some(ends);
    }
    Ok(())
}

/// Writes until when a phase is on trial, if it is. Both may be said if they say the same.
/// Source: <https://docs.stripe.com/changelog/dahlia/2026-07-29/subscription-schedule-phases-trial-property>.
fn write_trial(now: i64, phase: &mut Value, line: &Params, index: usize) -> Result<(), ApiError> {
    let param = format!("phases[{index}][trial_end]");
    let (begins, ends) = (field::integer(phase, "start_date"), field::integer(phase, "end_date"));
    let whole = line.boolean("trial") == Some(true);
    let said = moment(line, "trial_end", now);
    if whole && said.is_some_and(|end| end != ends) {
        let message = format!("Phase {index} is invalid: with `trial`, its `trial_end` must be its `end_date`.");
        return Err(ApiError::invalid(message).param(param));
    }
    let Some(end) = said.or(whole.then_some(ends)) else {
        return Ok(());
    };
    if end < begins || end > ends {
        let message =
            format!("Phase {index} is invalid: its `trial_end` must lie between its `start_date` and `end_date`.");
        return Err(ApiError::invalid(message).param(param));
    }
    if field::text(phase, "billing_cycle_anchor") == "phase_start" {
        let message = "`billing_cycle_anchor` cannot be set to `phase_start` if the phase specifies a trial.";
        return Err(ApiError::invalid(message).param(format!("phases[{index}][billing_cycle_anchor]")));
    }
    phases::write_trial(phase, end);
    Ok(())
}
