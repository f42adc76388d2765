//! What a checkout session comes to: its lines, less a discount, and tax on what is left.
//!
//! Source: <https://docs.stripe.com/payments/checkout/discounts>.

use serde_json::{Value, json};

use super::discounts::{self, Discountable, Purchase};
use crate::{
    field,
    http::{error::ApiError, form::Params},
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
    match (sent.text("coupon"), sent.text("promotion_code")) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: coupon, promotion_code.";
            Err(ApiError::invalid(message).param("discounts[0]"))
        }
        (Some(id), None) => {
            let coupon = discounts::coupon(world, id, "discounts[0][coupon]")?;
            takes_currency(&coupon, purchase.currency, "discounts[0][coupon]")?;
            Ok(Some((coupon, json!({ "coupon": id, "promotion_code": null }))))
        }
        (None, Some(id)) => {
            let param = "discounts[0][promotion_code]";
            let coupon = discounts::coupon_of_code(world, id, purchase, param)?;
            takes_currency(&coupon, purchase.currency, param)?;
            Ok(Some((coupon, json!({ "coupon": null, "promotion_code": id }))))
        }
        (None, None) => Err(ApiError::parameter_missing("discounts[0][coupon]")),
    }
}

fn takes_currency(coupon: &Value, currency: &str, param: &str) -> Result<(), ApiError> {
    let takes = !field::at(coupon, "percent_off").is_null() || discounts::amount_off(coupon, currency).is_some();
    if takes {
        return Ok(());
    }
    let message = format!("The coupon takes off nothing in {currency}.");
    Err(ApiError::invalid(message).param(param))
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

/// Takes off what a promotion code typed on the hosted page is worth; it replaces one that was typed before.
#[cfg_attr(not(test), expect(dead_code, reason = "the hosted page has no field for it yet"))]
pub(crate) fn apply_typed_code(world: &mut World, session: &str, typed: &str) -> Result<Value, ApiError> {
    let mut changed = world.get("checkout.session", session, "session")?;
    let refuse = || ApiError::invalid("This code is invalid.").param("promotion_code");
    if field::text(&changed, "status") != "open" || !field::flag(&changed, "allow_promotion_codes") {
        return Err(refuse());
    }
    let customer = field::some_text(&changed, "customer").map(str::to_owned);
    let currency = field::text(&changed, "currency").to_owned();
    let code = world.all("promotion_code").into_iter().find(|one| {
        let for_whom = field::some_text(one, "customer");
        field::flag(one, "active")
            && field::text(one, "code").eq_ignore_ascii_case(typed)
            && (for_whom.is_none() || for_whom == customer.as_deref())
    });
    let code = code.ok_or_else(refuse)?;
    let id = field::text(&code, "id");
    let purchase = Purchase {
        customer: customer.as_deref(),
        currency: &currency,
        subtotal: field::integer(&changed, "amount_subtotal"),
    };
    let coupon = discounts::coupon_of_code(world, id, &purchase, "promotion_code")?;
    takes_currency(&coupon, &currency, "promotion_code")?;
    field::set(
        &mut changed,
        "discounts",
        json!([{ "coupon": null, "promotion_code": id }]),
    );
    let customer = customer.and_then(|id| world.find(&id).cloned());
    write(&mut changed, customer.as_ref(), Some(&coupon));
    // An attempt that was declined has left an intent over what was due before.
    let total = field::integer(&changed, "amount_total");
    if let Some(intent) = field::some_text(&changed, "_sandbox.payment_intent") {
        world.edit(intent, |one| field::set(one, "amount", total));
    }
    world.put(&changed);
    Ok(changed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::in_process::InProcess;

    #[test]
    fn a_code_typed_on_the_page_lowers_what_is_due() {
        let stripe = InProcess::new();
        let coupon = stripe.make("/v1/coupons", "percent_off=25");
        let code = format!("promotion[type]=coupon&promotion[coupon]={coupon}");
        stripe.make("/v1/promotion_codes", &format!("{code}&code=FALL20"));
        let line = "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=999\
            &line_items[0][price_data][product_data][name]=Pen&line_items[0][quantity]=2";
        let session = format!("mode=payment&success_url=https://example.com&{line}&allow_promotion_codes=");
        let closed = stripe.make("/v1/checkout/sessions", &format!("{session}false"));
        let open = stripe.make("/v1/checkout/sessions", &format!("{session}true"));
        let world = &mut stripe.app.world();
        for (session, typed, total) in [
            (&closed, "FALL20", None),
            (&open, "FALL21", None),
            (&open, "fall20", Some(1498)),
        ] {
            let applied = apply_typed_code(world, session, typed);
            let total_now = applied.ok().map(|session| field::integer(&session, "amount_total"));
            assert_eq!(total_now, total, "{typed}");
        }
        let session = world.find(&open).cloned().unwrap();
        assert_eq!(field::integer(&session, "total_details.amount_discount"), 500);
        redeem_discounts(world, &session);
        assert_eq!(
            world.find(&coupon).map(|one| field::integer(one, "times_redeemed")),
            Some(1)
        );
    }
}
