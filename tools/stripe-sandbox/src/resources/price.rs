//! Prices: fixed in amount once made, found again by lookup key.

use super::{
    Call, Operation, copy_texts, currency, list_of, merge_metadata, price_terms, product, quantity, retrieve, search,
};
use crate::{
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
        path: "/v1/prices",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/prices",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/prices/search",
        run: |world, call| search::run(world, "price", "/v1/prices/search", &call.params),
    },
    Operation {
        method: "GET",
        path: "/v1/prices/{id}",
        run: |world, call| retrieve(world, "price", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/prices/{id}",
        run: update,
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let product = match call.params.text("product") {
        Some(id) => field::text(&world.get("product", id, "product")?, "id").to_owned(),
        None if call.params.has("product_data") => product::create_inline(world, &call.params, "product_data")?,
        None => return Err(ApiError::parameter_missing("product")),
    };
    Ok(rendered(&create_from(world, &call.params, &product, "")?))
}

/// A price on these terms; `within` is where they stood, for the refusals.
pub(crate) fn create_from(world: &mut World, params: &Params, product: &str, within: &str) -> Answer {
    let named = |name: &str| {
        if within.is_empty() {
            name.to_owned()
        } else {
            format!("{within}[{name}]")
        }
    };
    let mut price = shapes::price();
    field::set(&mut price, "id", world.id("price_", 24));
    field::set(&mut price, "created", world.now);
    field::set(&mut price, "livemode", world.livemode);
    field::set(&mut price, "currency", currency(params, "currency"));
    field::set(&mut price, "product", product);
    price_terms::write(&mut price, params, &named)?;
    if params.has("recurring") {
        let interval = params.given("recurring[interval]");
        let count = params.integer("recurring[interval_count]").unwrap_or(1);
        if !(1..=36).contains(&count) {
            return Err(
                ApiError::invalid(format!("Invalid interval_count: {count}")).param(named("recurring[interval_count]"))
            );
        }
        let (usage, meter) = usage(world, params, &named)?;
        field::set(&mut price, "type", "recurring");
        field::set(
            &mut price,
            "recurring",
            json!({ "interval": interval, "interval_count": count, "meter": meter, "trial_period_days": null, "usage_type": usage }),
        );
    }
    write(world, &mut price, params)?;
    world.create("price.created", &price);
    Ok(price)
}

/// How the quantity comes about, and the meter that tells it, if one does.
fn usage(
    world: &World,
    params: &Params,
    named: &dyn Fn(&str) -> String,
) -> Result<(&'static str, Option<String>), ApiError> {
    let is_metered = params.text("recurring[usage_type]") == Some("metered");
    let param = named("recurring[meter]");
    let Some(meter) = params.text("recurring[meter]") else {
        if is_metered {
            // Source: <https://docs.stripe.com/changelog/basil/2025-03-31/deprecate-legacy-usage-based-billing>
            let message = "Metered prices must be backed by a meter: pass `recurring[meter]`.";
            return Err(ApiError::invalid(message).code("parameter_missing").param(param));
        }
        return Ok(("licensed", None));
    };
    if !is_metered {
        let message = "`recurring[meter]` can only be set where `recurring[usage_type]` is `metered`.";
        return Err(ApiError::invalid(message).param(param));
    }
    let found = world.get("billing.meter", meter, &param)?;
    if field::text(&found, "status") != "active" {
        let message = format!("The meter `{meter}` is inactive: a price can only be attached to an active one.");
        return Err(ApiError::invalid(message).param(param));
    }
    Ok(("metered", Some(meter.to_owned())))
}

fn write(world: &mut World, price: &mut Value, params: &Params) -> Result<(), ApiError> {
    copy_texts(price, params, &["nickname"]);
    if let Some(active) = params.boolean("active") {
        field::set(price, "active", active);
    }
    if let Some(behavior) = params.text("tax_behavior") {
        field::set(price, "tax_behavior", behavior);
    }
    let metadata = merge_metadata(field::at(price, "metadata"), params, "metadata")?;
    field::set(price, "metadata", metadata);
    if let Some(key) = params.text("lookup_key") {
        let transfers = params.boolean("transfer_lookup_key").unwrap_or(false);
        let id = field::text(price, "id").to_owned();
        let holder = world
            .all("price")
            .into_iter()
            .find(|one| field::text(one, "lookup_key") == key);
        if let Some(holder) = holder
            .map(|one| field::text(&one, "id").to_owned())
            .filter(|holder| *holder != id)
        {
            if !transfers {
                let message = format!("A price (`{holder}`) already uses that lookup key.");
                return Err(ApiError::invalid(message).param("lookup_key"));
            }
            world.update(&holder, "price.updated", |one| {
                field::set(one, "lookup_key", Value::Null)
            });
        }
        field::set(price, "lookup_key", key);
    }
    Ok(())
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("price", call.id(), "id")?;
    let is_default = world
        .find(field::text(&changed, "product"))
        .is_some_and(|product| field::text(product, "default_price") == call.id());
    if is_default && call.params.boolean("active") == Some(false) {
        let message = "This price cannot be archived because it is the default price of its product.";
        return Err(ApiError::invalid(message).param("active"));
    }
    price_terms::write_currency_options(&mut changed, &call.params, &str::to_owned)?;
    write(world, &mut changed, &call.params)?;
    Ok(rendered(
        &world.update(call.id(), "price.updated", |one| *one = changed),
    ))
}

fn list(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let active = params.boolean("active");
    let keys = params.texts("lookup_keys");
    let wanted = currency(params, "currency");
    list_of(world, "price", "/v1/prices", params, |one| {
        active.is_none_or(|active| field::flag(one, "active") == active)
            && (keys.is_empty() || keys.iter().any(|key| key == field::text(one, "lookup_key")))
            && (wanted.is_empty() || field::text(one, "currency") == wanted)
            && matches(one, params, &["product", "type"])
            && ["interval", "meter", "usage_type"].iter().all(|name| {
                let wanted = params.text(&format!("recurring[{name}]"));
                wanted.is_none_or(|wanted| field::text(one, &format!("recurring.{name}")) == wanted)
            })
    })
}

/// A parameter of a line, named as it was sent: `items[0][price]`, or by itself where the line is all that was sent.
fn in_line(within: &str, name: &str) -> String {
    match within {
        "" => name.to_owned(),
        within => format!("{within}[{name}]"),
    }
}

/// The price named by `price` or made from `price_data` among the parameters of a line.
pub(crate) fn of_line(world: &mut World, line: &Params, within: &str) -> Answer {
    if let Some(id) = line.text("price") {
        let price = world.get("price", id, &in_line(within, "price"))?;
        if !field::flag(&price, "active") {
            let message = "The price specified is inactive. This field only accepts active prices.";
            return Err(ApiError::invalid(message).param(in_line(within, "price")));
        }
        if !field::at(&price, "custom_unit_amount").is_null() {
            let message = "The sandbox's page does not let payers choose what they pay.";
            return Err(ApiError::unserved(&in_line(within, "price"), message));
        }
        return Ok(price);
    }
    if !line.has("price_data") {
        return Err(ApiError::parameter_missing(&in_line(within, "price")));
    }
    let terms = Params::under(line, "price_data");
    let within_data = in_line(within, "price_data");
    let product = match terms.text("product") {
        Some(id) => field::text(&world.get("product", id, &in_line(&within_data, "product"))?, "id").to_owned(),
        None => product::create_inline(world, &terms, "product_data")?,
    };
    create_from(world, &terms, &product, &within_data)
}

/// Refuses a price that is not in the currency that is expected. Of several currencies a sale knows the first.
/// Source of the message: <https://github.com/civitai/civitai/pull/4945>.
pub(crate) fn check_currency(price: &Value, expected: &str, param: &str) -> Result<(), ApiError> {
    let supported = field::text(price, "currency");
    if supported == expected {
        return Ok(());
    }
    if !field::at(price, &format!("_sandbox.currency_options.{expected}")).is_null() {
        let message = "The sandbox sells in the first currency of a price only.";
        return Err(ApiError::unserved(param, message));
    }
    let message = format!(
        "The price specified only supports `{supported}`. This doesn't match the expected currency: `{expected}`."
    );
    Err(ApiError::invalid(message).param(param))
}

/// Whether a meter tells the quantity that is billed.
pub(crate) fn is_metered(price: &Value) -> bool {
    field::text(price, "recurring.usage_type") == "metered"
}

/// The quantity of a line that is sold at this price, 1 where none was sent. What is metered has none.
pub(crate) fn quantity_of_line(price: &Value, line: &Params, within: &str) -> Result<i64, ApiError> {
    if !is_metered(price) {
        return quantity(line, "quantity").map_err(|error| error.param(in_line(within, "quantity")));
    }
    if line.has("quantity") {
        let line = if within.is_empty() { "the parameters" } else { within };
        let message =
            format!("Quantity should not be specified where usage_type is `metered`. Remove quantity from `{line}`");
        return Err(ApiError::invalid(message).param(in_line(within, "quantity")));
    }
    Ok(0)
}

/// The legacy plan that mirrors a recurring price; typed clients insist on it in subscription items.
pub(crate) fn plan(price: &Value) -> Value {
    let mut plan = shapes::plan();
    for name in [
        "id",
        "active",
        "billing_scheme",
        "created",
        "currency",
        "livemode",
        "metadata",
        "nickname",
        "product",
        "tiers_mode",
    ] {
        field::set(&mut plan, name, field::at(price, name).clone());
    }
    field::set(&mut plan, "amount", field::at(price, "unit_amount").clone());
    field::set(
        &mut plan,
        "amount_decimal",
        field::at(price, "unit_amount_decimal").clone(),
    );
    let package = field::at(price, "transform_quantity").clone();
    field::set(&mut plan, "transform_usage", package);
    for name in ["interval", "interval_count", "meter", "usage_type"] {
        field::set(&mut plan, name, field::at(price, &format!("recurring.{name}")).clone());
    }
    plan
}
