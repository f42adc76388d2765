//! How a new subscription begins: what its periods are counted from, and what of the time until its first whole one is billed.
//!
//! Sources: <https://docs.stripe.com/billing/subscriptions/billing-cycle>,
//! <https://docs.stripe.com/billing/subscriptions/backdating>.

use super::{
    decimal,
    lines::{self, Line, day},
    period, pricing,
    start::product_name,
};
use crate::{
    field,
    json::{Value, json},
    resources::price,
    world::World,
};

/// What was asked of a first period.
pub(crate) struct FirstPeriod {
    /// A moment in the past at which the subscription began.
    pub(crate) backdated: Option<i64>,
    /// A moment in the future that all periods are counted from.
    pub(crate) anchor: Option<i64>,
    /// The `billing_cycle_anchor_config` that the anchor was reckoned from, or null.
    pub(crate) config: Value,
    /// Whether the time until the first whole period is billed.
    pub(crate) prorates: bool,
    /// When the subscription is to end, if that is known.
    pub(crate) cancel_at: Option<i64>,
}

impl Default for FirstPeriod {
    fn default() -> Self {
        Self {
            backdated: None,
            anchor: None,
            config: Value::Null,
            prorates: true,
            cancel_at: None,
        }
    }
}

/// Writes when a subscription began and what its periods are counted from. In flexible mode the start of a backdated one is its
/// anchor, in classic mode it is now.
pub(crate) fn write(subscription: &mut Value, first: &FirstPeriod, trial_end: Option<i64>, now: i64) {
    let start = first.backdated.unwrap_or(now);
    let own = match field::text(subscription, "billing_mode.type") {
        "classic" => now,
        _ => start,
    };
    let anchor = first.anchor.or(trial_end).unwrap_or(own);
    field::set(subscription, "start_date", start);
    field::set(subscription, "billing_cycle_anchor", anchor);
    field::set(subscription, "billing_cycle_anchor_config", first.config.clone());
}

/// The period of an item of this price that now lies in.
pub(crate) fn of(subscription: &Value, price: &Value, now: i64) -> (i64, i64) {
    let (start, end) = period::natural(field::integer(subscription, "billing_cycle_anchor"), now, price);
    (start.max(field::integer(subscription, "start_date")), end)
}

/// The lines of a first invoice. Where the first period is free it says so to the subscription.
pub(crate) fn lines(
    world: &World,
    subscription: &mut Value,
    items: &[Value],
    first: &FirstPeriod,
    trial_end: Option<i64>,
) -> Vec<Line> {
    let is_classic = field::text(subscription, "billing_mode.type") == "classic";
    if trial_end.is_some() {
        let shown = items.iter().filter(|item| lines::opens(subscription, item));
        return shown.map(|item| lines::of_trial(world, subscription, item)).collect();
    }
    let mut billed = subscription.clone();
    if first.prorates || is_classic {
        field::set(&mut billed, "cancel_at", first.cancel_at);
    }
    let backdated = field::integer(subscription, "start_date") < world.now;
    let mut made = Vec::new();
    for item in items {
        let (begins, ends) = period_of(item);
        let is_whole = begins >= world.now && ends - begins == period::whole(subscription, item);
        if first.prorates && backdated {
            made.extend(past(world, &billed, item, is_classic));
        }
        if !first.prorates && !is_whole {
            field::set(subscription, &free_until(item), ends);
        } else if lines::opens(subscription, item) && (begins >= world.now || !is_classic || !backdated) {
            made.push(lines::of_item(world, &billed, item));
        }
    }
    made
}

/// Where a subscription keeps until when an item's first period is free, if it is.
pub(crate) fn free_until(item: &Value) -> String {
    format!("_sandbox.free_until.{}", field::text(item, "id"))
}

fn period_of(item: &Value) -> (i64, i64) {
    (
        field::integer(item, "current_period_start"),
        field::integer(item, "current_period_end"),
    )
}

/// The lines for the time before the present period: in flexible mode one for each period, in classic mode one for all of it, and
/// for the present period too where that began before now.
fn past(world: &World, subscription: &Value, item: &Value, is_classic: bool) -> Vec<Line> {
    let start = field::integer(subscription, "start_date");
    let (begins, ends) = period_of(item);
    if is_classic {
        // What is used in the present period is billed when that is over.
        let is_metered = price::is_metered(field::at(item, "price"));
        let until = if begins < world.now && !is_metered {
            ends
        } else {
            begins
        };
        let gone = (until > start).then(|| elapsed(world, subscription, item, start, until));
        return gone.into_iter().collect();
    }
    let anchor = field::integer(subscription, "billing_cycle_anchor");
    let mut made = Vec::new();
    let mut from = start;
    while from < begins {
        let (_, end) = period::natural(anchor, from, field::at(item, "price"));
        let item = over(item, (from, end));
        made.push(match price::is_metered(field::at(&item, "price")) {
            true => lines::of_usage(world, subscription, &item),
            false => lines::of_item(world, subscription, &item),
        });
        from = end;
    }
    made
}

/// The item over another period.
fn over(item: &Value, (start, end): (i64, i64)) -> Value {
    let mut item = item.clone();
    field::set(&mut item, "current_period_start", start);
    field::set(&mut item, "current_period_end", end);
    item
}

/// One line for the time from `start` to `until`, reckoned in whole periods from the start and the part of one that is left.
fn elapsed(world: &World, subscription: &Value, item: &Value, start: i64, until: i64) -> Line {
    let item = over(item, (start, until));
    let price = field::at(&item, "price");
    if price::is_metered(price) {
        return lines::of_usage(world, subscription, &item);
    }
    let quantity = field::integer(&item, "quantity");
    let each = i128::from(pricing::amount_at(world, price, quantity));
    let (mut from, mut whole) = (start, 0_i128);
    let mut end = period::next_end(start, from, price);
    while end <= until {
        whole += 1;
        (from, end) = (end, period::next_end(start, end, price));
    }
    let length = i128::from((end - from).max(1));
    let number = each * (whole * length + i128::from(until - from));
    let line = lines::of_item(world, subscription, &item);
    let mut parent = line.parent.clone();
    field::set(&mut parent, "subscription_item_details.proration", json!(true));
    Line {
        amount: decimal::divided(number, length),
        description: format!(
            "Time on {quantity} × {} from {} until {}",
            product_name(world, price),
            day(start),
            day(until)
        ),
        period: (start, until),
        parent,
        ..line
    }
}
