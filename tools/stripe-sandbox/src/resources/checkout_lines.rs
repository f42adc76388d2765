//! The line items of checkout sessions and of payment links.

use super::{merge_metadata, price};
use crate::{
    billing::{pricing, start},
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

/// The line items sent, as answered, and their sum.
pub(crate) fn new_lines(world: &mut World, params: &Params, mode: &str) -> Result<(Vec<Value>, i64), ApiError> {
    let sent = params.list("line_items");
    if sent.is_empty() || sent.len() > 100 {
        return Err(ApiError::invalid("A session takes 1 to 100 line items.").param("line_items"));
    }
    let mut lines: Vec<Value> = Vec::new();
    let mut subtotal = 0;
    let mut recurring = 0;
    for (index, line) in sent.iter().enumerate() {
        let within = format!("line_items[{index}]");
        let price = price::of_line(world, line, &within)?;
        let quantity = price::quantity_of_line(&price, line, &within)?;
        let metered = price::is_metered(&price);
        if !line.has("quantity") && !metered {
            return Err(ApiError::parameter_missing(&format!("{within}[quantity]")));
        }
        if field::text(&price, "type") == "recurring" {
            recurring += 1;
        }
        if lines
            .first()
            .is_some_and(|first| field::at(first, "currency") != field::at(&price, "currency"))
        {
            return Err(
                ApiError::invalid("All line items must have the same currency.").param(format!("{within}[price]"))
            );
        }
        // What is used is billed when it was.
        let amount = if metered { 0 } else { pricing::amount(&price, quantity) };
        subtotal += amount;
        let mut out = shapes::checkout_line_item();
        field::set(&mut out, "id", world.id("li_", 24));
        field::set(&mut out, "amount_subtotal", amount);
        field::set(&mut out, "amount_total", amount);
        field::set(&mut out, "currency", field::at(&price, "currency").clone());
        field::set(&mut out, "description", start::product_name(world, &price));
        field::set(&mut out, "price", rendered(&price));
        field::set(&mut out, "quantity", (!metered).then_some(quantity));
        field::set(&mut out, "adjustable_quantity", adjustable_quantity(line));
        field::set(&mut out, "metadata", merge_metadata(&json!({}), line, "metadata")?);
        lines.push(out);
    }
    match (mode, recurring) {
        ("subscription", 0) => {
            let message = "You must provide at least one recurring price in `subscription` mode when using prices.";
            Err(ApiError::invalid(message).param("line_items"))
        }
        ("payment", 1..) => {
            let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or \
                use only one-time prices.";
            Err(ApiError::invalid(message).param("line_items"))
        }
        _ => Ok((lines, subtotal)),
    }
}

/// How far a payer may change the quantity of a line. Source:
/// <https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-line_items-adjustable_quantity>.
pub(crate) fn adjustable_quantity(line: &Params) -> Value {
    if !line.has("adjustable_quantity") {
        return Value::Null;
    }
    let enabled = line.boolean("adjustable_quantity[enabled]").unwrap_or(false);
    let maximum = line.integer("adjustable_quantity[maximum]");
    json!({
        "enabled": enabled,
        "maximum": maximum.or(enabled.then_some(99)),
        "minimum": line.integer("adjustable_quantity[minimum]").or(enabled.then_some(0)),
    })
}
