//! Coupons: terms of a discount, fixed once made.

use super::{
    Call, LARGEST_AMOUNT, Operation, copy_texts, currency, delete_for_good, given_id, list_of, merge_metadata, retrieve,
};
use crate::{
    billing::{decimal, discounts},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/coupons",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/coupons",
        run: |world, call| list_of(world, "coupon", "/v1/coupons", &call.params, |_| true),
    },
    Operation {
        method: "GET",
        path: "/v1/coupons/{id}",
        run: |world, call| retrieve(world, "coupon", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/coupons/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/coupons/{id}",
        run: |world, call| {
            world.get("coupon", call.id(), "coupon")?;
            discounts::deactivate_codes(world, call.id());
            delete_for_good(world, "coupon", call.id())
        },
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let id = match given_id(world, params, "coupon")? {
        Some(id) => id,
        None => world.id("coupon_", 8).replacen("coupon_", "", 1),
    };
    let mut coupon = shapes::coupon();
    field::set(&mut coupon, "id", id);
    field::set(&mut coupon, "created", world.now);
    field::set(&mut coupon, "livemode", world.livemode);
    write_value(&mut coupon, params)?;
    write_duration(&mut coupon, params)?;
    if let Some(most) = at_least_one(params, "max_redemptions")? {
        field::set(&mut coupon, "max_redemptions", most);
    }
    if let Some(at) = params.integer("redeem_by") {
        if at <= world.now {
            return Err(ApiError::invalid("`redeem_by` must be in the future.").param("redeem_by"));
        }
        field::set(&mut coupon, "redeem_by", at);
    }
    let products = params.texts("applies_to[products]");
    for product in &products {
        world.get("product", product, "applies_to[products]")?;
    }
    if !products.is_empty() {
        field::set(&mut coupon, "_sandbox.applies_to", json!({ "products": products }));
    }
    write(&mut coupon, params)?;
    world.create("coupon.created", &coupon);
    Ok(rendered(&coupon))
}

/// What is taken off: a share, or an amount.
fn write_value(coupon: &mut Value, params: &Params) -> Result<(), ApiError> {
    match (params.text("percent_off"), params.integer("amount_off")) {
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: amount_off, percent_off.";
            return Err(ApiError::invalid(message));
        }
        (None, None) => {
            let message = "You must pass either `percent_off` or `amount_off`.";
            return Err(ApiError::invalid(message).code("parameter_missing"));
        }
        (Some(percent), None) => {
            let share = decimal::parse(percent).filter(|share| (1..=100 * decimal::ONE).contains(share));
            let Some(share) = share else {
                let message = format!("Invalid percent_off: {percent}; must be greater than 0 and at most 100");
                return Err(ApiError::invalid(message).param("percent_off"));
            };
            let number: Value = serde_json::from_str(&decimal::written(share)).unwrap_or_default();
            field::set(coupon, "percent_off", number);
        }
        (None, Some(amount)) => {
            params.required("currency")?;
            field::set(coupon, "amount_off", valid_amount(amount, "amount_off")?);
        }
    }
    if params.has("currency") {
        field::set(coupon, "currency", currency(params, "currency"));
    }
    Ok(())
}

/// The amount, if it is one that can be asked for.
pub(crate) fn valid_amount(amount: i64, param: &str) -> Result<i64, ApiError> {
    if (1..=LARGEST_AMOUNT).contains(&amount) {
        return Ok(amount);
    }
    Err(ApiError::not_positive(param))
}

fn write_duration(coupon: &mut Value, params: &Params) -> Result<(), ApiError> {
    let duration = params.text("duration").unwrap_or("once");
    let months = at_least_one(params, "duration_in_months")?;
    match (duration, months) {
        ("repeating", None) => return Err(ApiError::parameter_missing("duration_in_months")),
        ("repeating", Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            let message = "`duration_in_months` can only be set where `duration` is `repeating`.";
            return Err(ApiError::invalid(message).param("duration_in_months"));
        }
    }
    field::set(coupon, "duration", duration);
    field::set(coupon, "duration_in_months", months);
    Ok(())
}

/// A number that counts something, if it was sent.
pub(crate) fn at_least_one(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    match params.integer(name) {
        Some(number) if number < 1 => Err(ApiError::not_positive(name)),
        number => Ok(number),
    }
}

/// What may still be changed afterwards.
fn write(coupon: &mut Value, params: &Params) -> Result<(), ApiError> {
    copy_texts(coupon, params, &["name"]);
    let metadata = merge_metadata(field::at(coupon, "metadata"), params, "metadata")?;
    field::set(coupon, "metadata", metadata);
    let Value::Object(options) = params.at("currency_options") else {
        return Ok(());
    };
    if field::at(coupon, "amount_off").is_null() {
        let message = "`currency_options` can only be set on a coupon with `amount_off`.";
        return Err(ApiError::invalid(message).param("currency_options"));
    }
    let mut known = field::at(coupon, "_sandbox.currency_options").clone();
    for code in options.keys() {
        let name = format!("currency_options[{code}][amount_off]");
        let amount = valid_amount(params.integer(&name).unwrap_or_default(), &name)?;
        // A currency is a step of its own: it may have a dot in it.
        if !known.is_object() {
            known = json!({});
        }
        if let Value::Object(known) = &mut known {
            known.insert(code.to_ascii_lowercase(), json!({ "amount_off": amount }));
        }
    }
    field::set(coupon, "_sandbox.currency_options", known);
    Ok(())
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("coupon", call.id(), "coupon")?;
    write(&mut changed, &call.params)?;
    Ok(rendered(
        &world.update(call.id(), "coupon.updated", |one| *one = changed),
    ))
}

/// What a coupon shows only where it is asked for: `applies_to` and `currency_options`, where it has them.
pub(crate) fn hidden(coupon: &Value, name: &str) -> Option<Value> {
    Some(field::at(coupon, &format!("_sandbox.{name}")).clone()).filter(|stored| !stored.is_null())
}
