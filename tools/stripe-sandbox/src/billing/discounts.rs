//! Discounts: which coupons and promotion codes can be redeemed, and what they take off.
//!
//! Sources: <https://docs.stripe.com/billing/subscriptions/coupons>, <https://docs.stripe.com/api/promotion_codes>.

use super::decimal;
use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::Value,
    world::World,
};

/// What a purchase is, as far as a promotion code asks.
pub(crate) struct Purchase<'a> {
    pub(crate) customer: Option<&'a str>,
    pub(crate) currency: &'a str,
    pub(crate) subtotal: i64,
}

/// The coupon `id`, if it can be redeemed now.
pub(crate) fn coupon(world: &World, id: &str, param: &str) -> Result<Value, ApiError> {
    let coupon = world.get("coupon", id, param)?;
    if field::flag(&coupon, "valid") {
        return Ok(coupon);
    }
    let message = format!("Coupon expired: {id}");
    Err(ApiError::invalid(message).code("coupon_expired").param(param))
}

/// The coupon behind the promotion code `id`, if that can be redeemed for the purchase.
pub(crate) fn coupon_of_code(world: &World, id: &str, purchase: &Purchase<'_>, param: &str) -> Result<Value, ApiError> {
    let code = world.get("promotion_code", id, param)?;
    let refuse = |message: &str| Err(ApiError::invalid(message).param(param));
    if !field::flag(&code, "active") {
        return refuse("This promotion code is no longer active.");
    }
    let for_whom = field::some_text(&code, "customer");
    if for_whom.is_some() && for_whom != purchase.customer {
        return refuse("This promotion code cannot be redeemed because it belongs to a different customer.");
    }
    if field::flag(&code, "restrictions.first_time_transaction") && has_paid(world, purchase.customer) {
        let message = "This promotion code cannot be redeemed because the associated customer has prior transactions.";
        return Err(ApiError::invalid(message)
            .code("promotion_code_customer_not_first_time")
            .param(param));
    }
    if let Some(least) = field::at(&code, "restrictions.minimum_amount").as_i64() {
        let same_currency = field::text(&code, "restrictions.minimum_amount_currency") == purchase.currency;
        if !same_currency || purchase.subtotal < least {
            return refuse("This promotion code cannot be redeemed because the minimum amount is not met.");
        }
    }
    coupon(world, field::text(&code, "promotion.coupon"), param)
}

fn has_paid(world: &World, customer: Option<&str>) -> bool {
    let Some(customer) = customer else { return false };
    let charges = world.all("charge");
    charges
        .iter()
        .any(|charge| field::text(charge, "customer") == customer && field::text(charge, "status") == "succeeded")
}

/// The coupon that is sent as `coupon` or behind a `promotion_code`, and that code, for a purchase in its currency; `None` if
/// neither is sent. `within` is what the parameters of `sent` stand in.
pub(crate) fn sent_coupon(
    world: &World,
    sent: &Params,
    purchase: &Purchase<'_>,
    within: &str,
) -> Result<Option<(Value, Option<String>)>, ApiError> {
    let code = sent.text("promotion_code");
    let param = match code {
        Some(_) => format!("{within}[promotion_code]"),
        None => format!("{within}[coupon]"),
    };
    let coupon = match (code, sent.text("coupon")) {
        (Some(code), _) => coupon_of_code(world, code, purchase, &param)?,
        (None, Some(id)) => coupon(world, id, &param)?,
        (None, None) => return Ok(None),
    };
    takes_currency(&coupon, purchase.currency, &param)?;
    Ok(Some((coupon, code.map(str::to_owned))))
}

/// Counts a redemption; a coupon or code that has had its last one is not valid any more.
pub(crate) fn redeem(world: &mut World, coupon: &str, code: Option<&str>) {
    let has_more = |one: &Value| {
        let most = field::at(one, "max_redemptions").as_i64();
        most.is_none_or(|most| field::integer(one, "times_redeemed") < most)
    };
    if let Some(code) = code {
        world.update(code, "promotion_code.updated", |one| {
            let times = field::integer(one, "times_redeemed") + 1;
            field::set(one, "times_redeemed", times);
            let active = field::flag(one, "active") && has_more(one);
            field::set(one, "active", active);
        });
    }
    let redeemed = world.update(coupon, "coupon.updated", |one| {
        let times = field::integer(one, "times_redeemed") + 1;
        field::set(one, "times_redeemed", times);
        let valid = field::flag(one, "valid") && has_more(one);
        field::set(one, "valid", valid);
    });
    if !field::flag(&redeemed, "valid") {
        deactivate_codes(world, coupon);
    }
}

/// A coupon's last day has passed.
pub(crate) fn expire_coupon(world: &mut World, id: &str) {
    world.update(id, "coupon.updated", |one| field::set(one, "valid", false));
    deactivate_codes(world, id);
}

/// The codes of a coupon that is not valid any more are not active.
pub(crate) fn deactivate_codes(world: &mut World, coupon: &str) {
    for code in world.all("promotion_code") {
        if field::text(&code, "promotion.coupon") == coupon && field::flag(&code, "active") {
            deactivate(world, field::text(&code, "id"));
        }
    }
}

/// The promotion code `id` cannot be redeemed any more.
pub(crate) fn deactivate(world: &mut World, id: &str) {
    world.update(id, "promotion_code.updated", |one| field::set(one, "active", false));
}

/// One line a discount may be taken off.
pub(crate) struct Discountable<'a> {
    pub(crate) product: &'a str,
    pub(crate) amount: i64,
}

/// What a coupon takes off each line. A percentage is rounded line by line, half up; an amount is spread over the lines in
/// proportion, the cents that remain on the last ones.
pub(crate) fn taken_off(coupon: &Value, currency: &str, lines: &[Discountable<'_>]) -> Vec<i64> {
    let base = |line: &Discountable<'_>| match applies_to(coupon, line.product) {
        true => line.amount.max(0),
        false => 0,
    };
    if let Some(percent) = decimal::of(field::at(coupon, "percent_off")) {
        let share = |line| decimal::divided(i128::from(base(line)) * percent, 100 * decimal::ONE);
        return lines.iter().map(share).collect();
    }
    let whole: i64 = lines.iter().map(base).sum();
    let off = amount_off(coupon, currency).unwrap_or_default().min(whole);
    // Each line bears what brings the sum so far to its exact share, so nothing is lost to rounding.
    let (mut before, mut spread) = (0, 0);
    let share = |line| {
        before += base(line);
        let so_far = if whole == 0 {
            0
        } else {
            i64::try_from(i128::from(off) * i128::from(before) / i128::from(whole)).unwrap_or(off)
        };
        let part = so_far - spread;
        spread = so_far;
        part
    };
    lines.iter().map(share).collect()
}

/// Whether a coupon takes off something of this product.
pub(crate) fn applies_to(coupon: &Value, product: &str) -> bool {
    let products = field::elements(coupon, "_sandbox.applies_to.products");
    products.is_empty() || products.iter().any(|one| one == product)
}

/// What the coupon takes off in this currency, if it takes an amount off.
pub(crate) fn amount_off(coupon: &Value, currency: &str) -> Option<i64> {
    if field::text(coupon, "currency") == currency {
        return field::at(coupon, "amount_off").as_i64();
    }
    let option = field::at(coupon, "_sandbox.currency_options").get(currency)?;
    field::at(option, "amount_off").as_i64()
}

/// Refuses a coupon that takes off nothing in this currency.
fn takes_currency(coupon: &Value, currency: &str, param: &str) -> Result<(), ApiError> {
    let takes = !field::at(coupon, "percent_off").is_null() || amount_off(coupon, currency).is_some();
    if takes {
        return Ok(());
    }
    let message = format!("The coupon takes off nothing in {currency}.");
    Err(ApiError::invalid(message).param(param))
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn a_coupon_takes_off_to_the_cent() {
        let lines = |lines: &[(&'static str, i64)]| -> Vec<Discountable<'static>> {
            let line = |(product, amount): &(&'static str, i64)| Discountable {
                product,
                amount: *amount,
            };
            lines.iter().map(line).collect()
        };
        let percent = |percent: Value| json!({ "percent_off": percent });
        let amount = |amount: i64| json!({ "amount_off": amount, "currency": "usd" });
        let of_product = |mut coupon: Value, product: &str| {
            coupon["_sandbox"] = json!({ "applies_to": { "products": [product] } });
            coupon
        };
        for (coupon, sold, off) in [
            (percent(json!(25)), lines(&[("a", 1000), ("b", 999)]), vec![250, 250]),
            (percent(json!(25.5)), lines(&[("a", 2000)]), vec![510]),
            (percent(json!(33.33)), lines(&[("a", 1000), ("b", 50)]), vec![333, 17]),
            (percent(json!(100)), lines(&[("a", 1)]), vec![1]),
            (amount(500), lines(&[("a", 2000)]), vec![500]),
            (amount(500), lines(&[("a", 300)]), vec![300]),
            (
                amount(100),
                lines(&[("a", 100), ("b", 100), ("c", 100)]),
                vec![33, 33, 34],
            ),
            (amount(100), lines(&[("a", 0)]), vec![0]),
            (
                of_product(amount(500), "b"),
                lines(&[("a", 1000), ("b", 400)]),
                vec![0, 400],
            ),
            (
                of_product(percent(json!(50)), "b"),
                lines(&[("a", 1000), ("b", 401)]),
                vec![0, 201],
            ),
        ] {
            assert_eq!(taken_off(&coupon, "usd", &sold), off, "{coupon}");
        }
        let both = json!({ "amount_off": 500, "currency": "usd", "_sandbox": { "currency_options": { "eur": { "amount_off": 450 } } } });
        assert_eq!(
            [
                amount_off(&both, "usd"),
                amount_off(&both, "eur"),
                amount_off(&both, "gbp")
            ],
            [Some(500), Some(450), None]
        );
    }
}
