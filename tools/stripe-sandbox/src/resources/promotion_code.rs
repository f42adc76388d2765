//! Promotion codes: what customers type to redeem a coupon.

use super::{Call, Operation, coupon, list_of, merge_metadata, retrieve};
use crate::{
    billing::discounts,
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/promotion_codes",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/promotion_codes",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/promotion_codes/{id}",
        run: |world, call| retrieve(world, "promotion_code", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/promotion_codes/{id}",
        run: update,
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let coupon_id = params.required("promotion[coupon]")?;
    let coupon = discounts::coupon(world, coupon_id, "promotion[coupon]")?;
    let customer = params.text("customer");
    if let Some(customer) = customer {
        world.get("customer", customer, "customer")?;
    }
    let code = match params.text("code") {
        Some(code) if !is_code(code) => {
            let message = "Promotion codes may only contain letters (a-z, A-Z), digits (0-9) and dashes (-).";
            return Err(ApiError::invalid(message).param("code"));
        }
        Some(code) => code.to_owned(),
        None => world.id("code_", 8).replacen("code_", "", 1).to_uppercase(),
    };
    let active = params.boolean("active").unwrap_or(true);
    if active {
        check_unique(world, &code, customer, "")?;
    }
    let mut made = shapes::promotion_code();
    field::set(&mut made, "id", world.id("promo_", 24));
    field::set(&mut made, "created", world.now);
    field::set(&mut made, "livemode", world.livemode);
    field::set(&mut made, "active", active);
    field::set(&mut made, "code", code);
    field::set(&mut made, "customer", customer);
    field::set(&mut made, "promotion.coupon", coupon_id);
    write_limits(world, &mut made, &coupon, params)?;
    write_restrictions(&mut made, params)?;
    let metadata = merge_metadata(&json!({}), params, "metadata")?;
    field::set(&mut made, "metadata", metadata);
    world.create("promotion_code.created", &made);
    Ok(rendered(&made))
}

/// Source: <https://docs.stripe.com/api/promotion_codes/create#create_promotion_code-code>.
fn is_code(code: &str) -> bool {
    code.bytes()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == b'-')
}

/// Of the active codes, a customer must be able to use one at most that reads like this, in whichever case.
fn check_unique(world: &World, code: &str, customer: Option<&str>, itself: &str) -> Result<(), ApiError> {
    let taken = world.all("promotion_code").into_iter().any(|one| {
        let theirs = field::some_text(&one, "customer");
        field::flag(&one, "active")
            && field::text(&one, "id") != itself
            && field::text(&one, "code").eq_ignore_ascii_case(code)
            && (theirs.is_none() || customer.is_none() || theirs == customer)
    });
    if taken {
        let message = format!("An active promotion code with `code: {code}` already exists.");
        return Err(ApiError::invalid(message).param("code"));
    }
    Ok(())
}

/// How often and until when it can be redeemed: no more and no longer than its coupon.
fn write_limits(world: &World, made: &mut Value, coupon: &Value, params: &Params) -> Result<(), ApiError> {
    if let Some(most) = coupon::at_least_one(params, "max_redemptions")? {
        if field::at(coupon, "max_redemptions")
            .as_i64()
            .is_some_and(|all| most > all)
        {
            let message = "`max_redemptions` cannot be greater than that of the coupon.";
            return Err(ApiError::invalid(message).param("max_redemptions"));
        }
        field::set(made, "max_redemptions", most);
    }
    if let Some(at) = params.integer("expires_at") {
        let too_late = field::at(coupon, "redeem_by").as_i64().is_some_and(|last| at > last);
        if at <= world.now || too_late {
            let message = "`expires_at` must be in the future, and not later than the coupon's `redeem_by`.";
            return Err(ApiError::invalid(message).param("expires_at"));
        }
        field::set(made, "expires_at", at);
    }
    Ok(())
}

fn write_restrictions(made: &mut Value, params: &Params) -> Result<(), ApiError> {
    if let Some(first) = params.boolean("restrictions[first_time_transaction]") {
        field::set(made, "restrictions.first_time_transaction", first);
    }
    let amount = "restrictions[minimum_amount]";
    let currency = "restrictions[minimum_amount_currency]";
    match (params.integer(amount), params.text(currency)) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(ApiError::parameter_missing(amount)),
        (Some(_), None) => Err(ApiError::parameter_missing(currency)),
        (Some(least), Some(code)) => {
            field::set(
                made,
                "restrictions.minimum_amount",
                coupon::valid_amount(least, amount)?,
            );
            field::set(made, "restrictions.minimum_amount_currency", code.to_ascii_lowercase());
            Ok(())
        }
    }
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("promotion_code", call.id(), "promotion_code")?;
    if let Some(active) = call.params.boolean("active") {
        if active {
            check_can_be_active(world, &changed)?;
        }
        field::set(&mut changed, "active", active);
    }
    let metadata = merge_metadata(field::at(&changed, "metadata"), &call.params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    let changed = world.update(call.id(), "promotion_code.updated", |one| *one = changed);
    Ok(rendered(&changed))
}

/// Source: <https://docs.stripe.com/api/promotion_codes/update#update_promotion_code-active>.
fn check_can_be_active(world: &World, code: &Value) -> Result<(), ApiError> {
    discounts::coupon(world, field::text(code, "promotion.coupon"), "active")?;
    let most = field::at(code, "max_redemptions").as_i64();
    let used_up = most.is_some_and(|most| field::integer(code, "times_redeemed") >= most);
    let expired = field::at(code, "expires_at").as_i64().is_some_and(|at| at <= world.now);
    if used_up || expired {
        let message =
            "This promotion code cannot be activated: it has expired or has been redeemed as often as it may be.";
        return Err(ApiError::invalid(message).param("active"));
    }
    let customer = field::some_text(code, "customer");
    check_unique(world, field::text(code, "code"), customer, field::text(code, "id"))
}

fn list(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let active = params.boolean("active");
    list_of(world, "promotion_code", "/v1/promotion_codes", params, |one| {
        active.is_none_or(|active| field::flag(one, "active") == active)
            && params
                .text("code")
                .is_none_or(|code| field::text(one, "code").eq_ignore_ascii_case(code))
            && params
                .text("coupon")
                .is_none_or(|coupon| field::text(one, "promotion.coupon") == coupon)
            && matches(one, params, &["customer"])
    })
}
