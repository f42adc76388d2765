//! What a checkout session comes to: its lines, less a discount, and tax on what is left.
//!
//! Source: <https://docs.stripe.com/payments/checkout/discounts>.

use super::discounts::{self, Discountable, Purchase};
use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    resources::tax_rates,
    world::World,
};

/// The coupon that `discounts` asks for at a session's creation, and how the session lists it.
pub(crate) fn discount_asked_for(
    world: &World,
    params: &Params,
    purchase: &Purchase<'_>,
) -> Result<Option<(Value, Value)>, ApiError> {
    let sent = params.list("discounts");
    if sent.len() > 1 {
        let message = "You can apply one discount at most to a Checkout Session.";
        return Err(ApiError::invalid(message).param("discounts"));
    }
    let Some(sent) = sent.first() else { return Ok(None) };
    if params.has("allow_promotion_codes") {
        let message = "You may only specify one of these parameters: allow_promotion_codes, discounts.";
        return Err(ApiError::invalid(message));
    }
    if sent.text("coupon").is_some() && sent.text("promotion_code").is_some() {
        let message = "You may only specify one of these parameters: coupon, promotion_code.";
        return Err(ApiError::invalid(message).param("discounts[0]"));
    }
    let Some((coupon, code)) = discounts::sent_coupon(world, sent, purchase, "discounts[0]")? else {
        return Err(ApiError::parameter_missing("discounts[0][coupon]"));
    };
    let listed = json!({ "coupon": sent.text("coupon"), "promotion_code": code });
    Ok(Some((coupon, listed)))
}

/// Writes the amounts of the session and of its lines; in a trial only what is sold once is due.
pub(crate) fn write(session: &mut Value, customer: Option<&Value>, coupon: Option<&Value>) {
    let currency = field::text(session, "currency").to_owned();
    let in_trial = field::integer(session, "_sandbox.subscription.trial_days") > 0;
    let mut lines = field::elements(session, "_sandbox.line_items").to_vec();
    let due: Vec<Discountable<'_>> = lines
        .iter()
        .map(|line| Discountable {
            product: field::text(line, "price.product"),
            amount: if in_trial && field::text(line, "price.type") != "one_time" {
                0
            } else {
                field::integer(line, "amount_subtotal")
            },
        })
        .collect();
    let subtotal: i64 = due.iter().map(|line| line.amount).sum();
    let off = match coupon {
        Some(coupon) => discounts::taken_off(coupon, &currency, &due),
        None => vec![0; lines.len()],
    };
    for (line, off) in lines.iter_mut().zip(&off) {
        let left = field::integer(line, "amount_subtotal") - off;
        field::set(line, "amount_discount", *off);
        field::set(line, "amount_total", left);
    }
    let discount: i64 = off.iter().sum();
    let tax = match customer {
        Some(customer) if field::flag(session, "automatic_tax.enabled") => {
            tax_rates::on(customer, subtotal - discount).amount
        }
        _ => 0,
    };
    field::set(session, "_sandbox.line_items", lines);
    field::set(session, "amount_subtotal", subtotal);
    field::set(session, "amount_total", subtotal - discount + tax);
    field::set(session, "total_details.amount_discount", discount);
    field::set(session, "total_details.amount_tax", tax);
}

/// Counts the discounts of a session that was paid as redeemed.
pub(crate) fn redeem_discounts(world: &mut World, session: &Value) {
    for discount in field::elements(session, "discounts") {
        let code = field::some_text(discount, "promotion_code");
        let behind = code
            .and_then(|code| world.find(code))
            .map(|code| field::text(code, "promotion.coupon").to_owned());
        let coupon = behind.or_else(|| field::some_text(discount, "coupon").map(str::to_owned));
        if let Some(coupon) = coupon {
            discounts::redeem(world, &coupon, code);
        }
    }
}
