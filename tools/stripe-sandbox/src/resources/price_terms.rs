//! What a price costs, as it is sent: by the unit, in tiers, or what the payer chooses; in one currency or several.
//!
//! Source: <https://docs.stripe.com/api/prices/create>.

use super::LARGEST_AMOUNT;
use crate::{
    billing::decimal,
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
};

/// Writes the terms of a new price; `named` gives a parameter the name it was sent under, for the refusals.
pub(crate) fn write(price: &mut Value, params: &Params, named: &dyn Fn(&str) -> String) -> Result<(), ApiError> {
    let tiered = params.text("billing_scheme") == Some("tiered");
    for name in ["tiers", "tiers_mode"] {
        if params.has(name) && !tiered {
            let message = format!("`{name}` can only be set where `billing_scheme` is `tiered`.");
            return Err(ApiError::invalid(message).param(named(name)));
        }
    }
    if tiered {
        write_tiers(price, params, named)?;
    } else if params.has("custom_unit_amount") {
        write_custom_amount(price, params, named)?;
    } else {
        let (whole, decimal) = amount(params, "unit_amount", "", named)?;
        let Some(decimal) = decimal else {
            return Err(ApiError::parameter_missing(&named("unit_amount")));
        };
        field::set(price, "unit_amount", whole);
        field::set(price, "unit_amount_decimal", decimal);
    }
    write_package(price, params, named)?;
    write_currency_options(price, params, named)
}

/// The amount sent as `name` or as its decimal twin: as a whole number, if it is one, and as a decimal.
fn amount(
    params: &Params,
    name: &str,
    within: &str,
    named: &dyn Fn(&str) -> String,
) -> Result<(Option<i64>, Option<String>), ApiError> {
    let place = |name: &str| match within {
        "" => name.to_owned(),
        within => format!("{within}[{name}]"),
    };
    let (plain, twin) = (place(name), place(&format!("{name}_decimal")));
    let sent = match (params.text(&plain), params.text(&twin)) {
        (Some(_), Some(_)) => {
            let message = format!("You may only specify one of these parameters: {name}, {name}_decimal.");
            return Err(ApiError::invalid(message));
        }
        (Some(amount), None) | (None, Some(amount)) => amount,
        (None, None) => return Ok((None, None)),
    };
    let number = decimal::parse(sent).unwrap_or(-1);
    if (0..=i128::from(LARGEST_AMOUNT) * decimal::ONE).contains(&number) {
        let whole = (number % decimal::ONE == 0).then(|| decimal::divided(number, decimal::ONE));
        return Ok((whole, Some(decimal::written(number))));
    }
    let code = if number < 0 {
        "parameter_invalid_integer"
    } else {
        "amount_too_large"
    };
    Err(ApiError::invalid(format!("Invalid amount: {sent}"))
        .code(code)
        .param(named(&plain)))
}

fn write_tiers(price: &mut Value, params: &Params, named: &dyn Fn(&str) -> String) -> Result<(), ApiError> {
    for name in [
        "unit_amount",
        "unit_amount_decimal",
        "custom_unit_amount",
        "transform_quantity",
    ] {
        if params.has(name) {
            let message = format!("`{name}` cannot be set where `billing_scheme` is `tiered`.");
            return Err(ApiError::invalid(message).param(named(name)));
        }
    }
    let Some(mode) = params.text("tiers_mode") else {
        return Err(ApiError::parameter_missing(&named("tiers_mode")));
    };
    let sent = params.list("tiers");
    if sent.is_empty() || sent.len() > 100 {
        return Err(ApiError::parameter_missing(&named("tiers")));
    }
    let mut tiers = Vec::new();
    let mut end = Some(0);
    for (index, _) in sent.iter().enumerate() {
        let within = format!("tiers[{index}]");
        let up_to = params.integer(&format!("{within}[up_to]"));
        let rises = match (end, up_to) {
            (Some(before), Some(up_to)) => up_to > before,
            (before, None) => before.is_some(),
            (None, Some(_)) => false,
        };
        if !rises {
            let message = "Tiers must be in ascending order of `up_to`, and only the last one ends with `inf`.";
            return Err(ApiError::invalid(message).param(named(&format!("{within}[up_to]"))));
        }
        end = up_to;
        let (unit, unit_decimal) = amount(params, "unit_amount", &within, named)?;
        let (flat, flat_decimal) = amount(params, "flat_amount", &within, named)?;
        if unit_decimal.is_none() && flat_decimal.is_none() {
            return Err(ApiError::parameter_missing(&named(&format!("{within}[unit_amount]"))));
        }
        tiers.push(json!({
            "flat_amount": flat, "flat_amount_decimal": flat_decimal, "unit_amount": unit,
            "unit_amount_decimal": unit_decimal, "up_to": up_to,
        }));
    }
    if end.is_some() {
        let message = "The last tier must end with `inf`.";
        return Err(ApiError::invalid(message).param(named("tiers")));
    }
    field::set(price, "billing_scheme", "tiered");
    field::set(price, "tiers_mode", mode);
    field::set(price, "_sandbox.tiers", tiers);
    Ok(())
}

fn write_custom_amount(price: &mut Value, params: &Params, named: &dyn Fn(&str) -> String) -> Result<(), ApiError> {
    let refuse = |message: &str| Err(ApiError::invalid(message).param(named("custom_unit_amount")));
    if params.has("unit_amount") || params.has("unit_amount_decimal") || params.has("transform_quantity") {
        return refuse("`custom_unit_amount` cannot be set together with another amount.");
    }
    if params.has("recurring") {
        return refuse("`custom_unit_amount` can only be set on a one-time price.");
    }
    if params.boolean("custom_unit_amount[enabled]") != Some(true) {
        return refuse("`custom_unit_amount[enabled]` must be true.");
    }
    let limit = |name: &str| params.integer(&format!("custom_unit_amount[{name}]"));
    let (minimum, preset, maximum) = (limit("minimum"), limit("preset"), limit("maximum"));
    let given: Vec<i64> = [minimum, preset, maximum].into_iter().flatten().collect();
    let sensible = given.iter().all(|amount| (0..=LARGEST_AMOUNT).contains(amount));
    if !sensible || !given.is_sorted() {
        return refuse("`minimum`, `preset` and `maximum` must be amounts in ascending order.");
    }
    field::set(
        price,
        "custom_unit_amount",
        json!({ "maximum": maximum, "minimum": minimum, "preset": preset }),
    );
    Ok(())
}

fn write_package(price: &mut Value, params: &Params, named: &dyn Fn(&str) -> String) -> Result<(), ApiError> {
    if !params.has("transform_quantity") {
        return Ok(());
    }
    let package = params.integer("transform_quantity[divide_by]").unwrap_or_default();
    if package < 1 {
        return Err(ApiError::below_one(&named("transform_quantity[divide_by]")));
    }
    let round = params.text("transform_quantity[round]");
    field::set(
        price,
        "transform_quantity",
        json!({ "divide_by": package, "round": round }),
    );
    Ok(())
}

/// What the price is in other currencies, by currency. A price in tiers has none here.
pub(crate) fn write_currency_options(
    price: &mut Value,
    params: &Params,
    named: &dyn Fn(&str) -> String,
) -> Result<(), ApiError> {
    let Value::Object(options) = params.at("currency_options") else {
        if params.clears("currency_options") {
            field::set(price, "_sandbox.currency_options", json!({}));
        }
        return Ok(());
    };
    if field::at(price, "unit_amount_decimal").is_null() {
        let message = "The sandbox has prices by the unit in several currencies only.";
        return Err(ApiError::unserved(&named("currency_options"), message));
    }
    let mut known = field::at(price, "_sandbox.currency_options")
        .as_object()
        .cloned()
        .unwrap_or_default();
    for code in options.keys() {
        let within = format!("currency_options[{code}]");
        let currency = code.to_ascii_lowercase();
        let is_code = currency.len() == 3 && currency.bytes().all(|letter| letter.is_ascii_alphabetic());
        if !is_code || currency == field::text(price, "currency") {
            let message = format!("Invalid currency: {code}");
            return Err(ApiError::invalid(message).param(named(&within)));
        }
        let (whole, decimal) = amount(params, "unit_amount", &within, named)?;
        if decimal.is_none() {
            return Err(ApiError::parameter_missing(&named(&format!("{within}[unit_amount]"))));
        }
        let behavior = params.text(&format!("{within}[tax_behavior]"));
        let option = json!({
            "custom_unit_amount": null, "tax_behavior": behavior.unwrap_or("unspecified"), "unit_amount": whole,
            "unit_amount_decimal": decimal,
        });
        known.insert(currency, option);
    }
    field::set(price, "_sandbox.currency_options", known);
    Ok(())
}

/// What a price shows only where it is asked for: `tiers`, where it has some, and `currency_options`, its own among them.
pub(crate) fn hidden(price: &Value, name: &str) -> Option<Value> {
    match name {
        "tiers" => Some(field::at(price, "_sandbox.tiers").clone()).filter(|tiers| !tiers.is_null()),
        _ => {
            let mut own = json!({});
            for name in [
                "custom_unit_amount",
                "tax_behavior",
                "unit_amount",
                "unit_amount_decimal",
            ] {
                field::set(&mut own, name, field::at(price, name).clone());
            }
            let mut options = json!({ (field::text(price, "currency")): own });
            if let (Value::Object(all), Value::Object(others)) =
                (&mut options, field::at(price, "_sandbox.currency_options"))
            {
                all.extend(others.clone());
            }
            Some(options)
        }
    }
}
