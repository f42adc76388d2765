//! Discounts: coupons that subscriptions, their items, invoices and invoice items have redeemed.
//!
//! Source: <https://docs.stripe.com/billing/subscriptions/coupons>.

use chrono::{DateTime, Months};

use super::discounts::{self, Purchase};
use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    shapes,
    world::World,
};

/// A discount that is asked for.
#[derive(Clone)]
pub(crate) enum Asked {
    /// A coupon, perhaps by a promotion code.
    Coupon(Box<Value>, Option<String>),
    /// One that was redeemed before.
    Discount(String),
}

/// The discounts sent under `name`; `None` where none were sent, and none of them where they are cleared.
pub(crate) fn asked(
    world: &World,
    params: &Params,
    name: &str,
    purchase: &Purchase<'_>,
) -> Result<Option<Vec<Asked>>, ApiError> {
    if !params.has(name) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for (index, sent) in params.list(name).iter().enumerate() {
        let within = format!("{name}[{index}]");
        let ways = ["coupon", "promotion_code", "discount"];
        if ways.iter().filter(|way| sent.text(way).is_some()).count() > 1 {
            let message = "You may only specify one of these parameters: coupon, promotion_code, discount.";
            return Err(ApiError::invalid(message).param(within));
        }
        all.push(match sent.text("discount") {
            Some(id) => {
                world.get("discount", id, &format!("{within}[discount]"))?;
                Asked::Discount(id.to_owned())
            }
            None => match discounts::sent_coupon(world, sent, purchase, &within)? {
                Some((coupon, code)) => Asked::Coupon(Box::new(coupon), code),
                None => return Err(ApiError::parameter_missing(&format!("{within}[coupon]"))),
            },
        });
    }
    if all.len() > 20 {
        return Err(ApiError::invalid("You can apply up to 20 discounts.").param(name));
    }
    Ok(Some(all))
}

/// Redeems what was asked for; `on` has the fields of the discounts that name what they are on (`customer`,
/// `subscription`, …), and their `start` where that is not now. Gives their ids.
pub(crate) fn grant(world: &mut World, asked: &[Asked], on: &Value) -> Vec<Value> {
    asked
        .iter()
        .map(|one| match one {
            Asked::Discount(id) => json!(id),
            Asked::Coupon(coupon, code) => redeem(world, coupon, code.as_deref(), on),
        })
        .collect()
}

/// As [`grant`], in place of the discounts `had`: one of them that is of the same coupon and code goes on, and the others end.
pub(crate) fn replace(world: &mut World, had: &[Value], asked: &[Asked], on: &Value) -> Vec<Value> {
    let mut left = had.to_vec();
    let mut granted = Vec::new();
    for one in asked {
        let same = left.iter().position(|id| {
            let discount = id.as_str().and_then(|id| world.find(id));
            discount.is_some_and(|discount| match one {
                Asked::Discount(asked) => field::text(discount, "id") == asked,
                Asked::Coupon(coupon, code) => {
                    field::at(discount, "source.coupon") == field::at(coupon, "id")
                        && field::some_text(discount, "promotion_code") == code.as_deref()
                }
            })
        });
        match same {
            Some(place) => granted.push(left.remove(place)),
            None => granted.extend(grant(world, std::slice::from_ref(one), on)),
        }
    }
    for gone in left {
        if let Some(discount) = gone.as_str().and_then(|id| world.find(id)).cloned() {
            world.emit("customer.discount.deleted", &discount, None);
        }
    }
    granted
}

fn redeem(world: &mut World, coupon: &Value, code: Option<&str>, on: &Value) -> Value {
    let mut discount = shapes::discount();
    let id = world.id("di_", 24);
    field::set(&mut discount, "id", id.clone());
    let start = field::at(on, "start").as_i64().unwrap_or(world.now);
    field::set(&mut discount, "start", start);
    field::set(&mut discount, "end", ends(coupon, start));
    field::set(&mut discount, "promotion_code", code);
    field::set(&mut discount, "source.coupon", field::at(coupon, "id").clone());
    for (name, value) in on.as_object().into_iter().flatten() {
        field::set(&mut discount, name, value.clone());
    }
    // The coupon may be deleted later; the discount goes on with its terms.
    field::set(&mut discount, "_sandbox.coupon", coupon.clone());
    if field::at(&discount, "subscription").is_null() {
        world.put(&discount);
    } else {
        world.create("customer.discount.created", &discount);
    }
    discounts::redeem(world, field::text(coupon, "id"), code);
    json!(id)
}

fn ends(coupon: &Value, now: i64) -> Option<i64> {
    let months = u32::try_from(field::at(coupon, "duration_in_months").as_i64()?).ok()?;
    let end = DateTime::from_timestamp(now, 0)?.checked_add_months(Months::new(months))?;
    Some(end.timestamp())
}

/// The terms of the discount `id`.
pub(crate) fn coupon_of<'a>(world: &'a World, id: &Value) -> Option<&'a Value> {
    let discount = world.find(id.as_str()?)?;
    Some(field::at(discount, "_sandbox.coupon")).filter(|coupon| coupon.is_object())
}

/// Takes the discounts that have ended by now from a subscription and its items, and tells of each.
pub(crate) fn end_those_over(world: &mut World, subscription: &mut Value) {
    let now = world.now;
    drop_from(world, subscription, |discount, _| is_over(discount, now));
}

fn is_over(discount: &Value, now: i64) -> bool {
    field::at(discount, "end").as_i64().is_some_and(|end| end <= now)
}

/// Those of `discounts`, ids, that have not ended by now.
pub(crate) fn in_force(world: &World, discounts: &[Value]) -> Vec<Value> {
    let holds = |id: &&Value| {
        let discount = id.as_str().and_then(|id| world.find(id));
        discount.is_none_or(|discount| !is_over(discount, world.now))
    };
    discounts.iter().filter(holds).cloned().collect()
}

/// Takes from a subscription and its items the discounts for one invoice that `invoice` has had.
pub(crate) fn end_those_used(world: &mut World, subscription: &mut Value, invoice: &Value) {
    let used = field::elements(invoice, "total_discount_amounts").to_vec();
    drop_from(world, subscription, |discount, coupon| {
        let id = field::at(discount, "id");
        field::text(coupon, "duration") == "once" && used.iter().any(|one| field::at(one, "discount") == id)
    });
}

/// Takes the discounts for one invoice from a subscription and its items, whether they were used or not.
pub(crate) fn end_those_for_once(world: &mut World, subscription: &mut Value) {
    drop_from(world, subscription, |_, coupon| {
        field::text(coupon, "duration") == "once"
    });
}

fn drop_from(world: &mut World, subscription: &mut Value, over: impl Fn(&Value, &Value) -> bool) {
    let mut gone = Vec::new();
    let mut sift = |world: &World, holder: &mut Value| {
        let mut kept = field::elements(holder, "discounts").to_vec();
        kept.retain(|id| {
            let Some(discount) = id.as_str().and_then(|id| world.find(id)) else {
                return false;
            };
            let goes = over(discount, field::at(discount, "_sandbox.coupon"));
            if goes {
                gone.push(discount.clone());
            }
            !goes
        });
        if kept.len() != field::elements(holder, "discounts").len() {
            field::set(holder, "discounts", kept);
        }
    };
    sift(world, subscription);
    if let Value::Array(items) = field::place(subscription, "items.data") {
        items.iter_mut().for_each(|item| sift(world, item));
    }
    for discount in gone {
        world.emit("customer.discount.deleted", &discount, None);
    }
}
