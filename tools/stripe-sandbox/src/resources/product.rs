//! Products.

use super::{Call, Operation, copy_texts, delete_for_good, given_id, list_of, merge_metadata, price, retrieve, search};
use crate::{
    billing::decimal,
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
        path: "/v1/products",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/products",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/products/search",
        run: |world, call| search::run(world, "product", "/v1/products/search", &call.params),
    },
    Operation {
        method: "GET",
        path: "/v1/products/{id}",
        run: |world, call| retrieve(world, "product", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/products/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/products/{id}",
        run: delete,
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let id = match given_id(world, params, "product")? {
        Some(id) => id,
        None => world.id("prod_", 14),
    };
    let mut product = shapes::product();
    field::set(&mut product, "id", id.clone());
    field::set(&mut product, "created", world.now);
    field::set(&mut product, "livemode", world.livemode);
    write(world, &mut product, params)?;
    world.create("product.created", &product);
    if params.has("default_price_data") {
        let terms = Params::under(params, "default_price_data");
        let price = price::create_from(world, &terms, &id, "default_price_data")?;
        let sold = world.update(&id, "product.updated", |one| {
            field::set(one, "default_price", field::at(&price, "id").clone())
        });
        return Ok(rendered(&sold));
    }
    Ok(rendered(&product))
}

/// A product named inline, in `product_data`.
pub(crate) fn create_inline(world: &mut World, params: &Params, name: &str) -> Result<String, ApiError> {
    let data = Params::under(params, name);
    if data.text("name").is_none() {
        return Err(ApiError::parameter_missing(&format!("{name}[name]")));
    }
    let id = match given_id(world, &data, "product")? {
        Some(id) => id,
        None => world.id("prod_", 14),
    };
    let mut product = shapes::product();
    field::set(&mut product, "id", id.clone());
    field::set(&mut product, "created", world.now);
    field::set(&mut product, "livemode", world.livemode);
    write(world, &mut product, &data)?;
    world.create("product.created", &product);
    Ok(id)
}

fn write(world: &World, product: &mut Value, params: &Params) -> Result<(), ApiError> {
    copy_texts(
        product,
        params,
        &[
            "name",
            "description",
            "statement_descriptor",
            "tax_code",
            "unit_label",
            "url",
        ],
    );
    if let Some(active) = params.boolean("active") {
        field::set(product, "active", active);
    }
    if let Some(shippable) = params.boolean("shippable") {
        field::set(product, "shippable", shippable);
    }
    if params.has("images") {
        field::set(product, "images", params.texts("images"));
    }
    if params.has("marketing_features") {
        let features: Vec<Value> = params
            .list("marketing_features")
            .iter()
            .map(|feature| json!({ "name": feature.given("name") }))
            .collect();
        field::set(product, "marketing_features", features);
    }
    if params.has("package_dimensions") {
        field::set(product, "package_dimensions", package_dimensions(params)?);
    }
    let metadata = merge_metadata(field::at(product, "metadata"), params, "metadata")?;
    field::set(product, "metadata", metadata);
    field::set(product, "updated", world.now);
    Ok(())
}

/// Null where they are cleared.
fn package_dimensions(params: &Params) -> Result<Value, ApiError> {
    if params.clears("package_dimensions") {
        return Ok(Value::Null);
    }
    let mut dimensions = json!({});
    for name in ["height", "length", "weight", "width"] {
        let param = format!("package_dimensions[{name}]");
        let number = decimal::parse(params.given(&param)).filter(|number| *number > 0);
        let Some(number) = number else {
            return Err(ApiError::invalid("This value must be greater than 0.").param(param));
        };
        let number: Value = serde_json::from_str(&decimal::written(number)).unwrap_or_default();
        field::set(&mut dimensions, name, number);
    }
    Ok(dimensions)
}

fn delete(world: &mut World, call: &Call) -> Answer {
    world.get("product", call.id(), "id")?;
    let has_prices = world
        .all("price")
        .iter()
        .any(|price| field::text(price, "product") == call.id());
    if has_prices {
        let message = "This product cannot be deleted because it has one or more user-created prices.";
        return Err(ApiError::invalid(message).param("id"));
    }
    delete_for_good(world, "product", call.id())
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("product", call.id(), "id")?;
    write(world, &mut changed, &call.params)?;
    if let Some(price) = call.params.text("default_price") {
        let price = world.get("price", price, "default_price")?;
        let fits = field::text(&price, "product") == call.id() && field::flag(&price, "active");
        if !fits {
            let message = "The default price must be an active price of the product.";
            return Err(ApiError::invalid(message).param("default_price"));
        }
        field::set(&mut changed, "default_price", field::at(&price, "id").clone());
    }
    Ok(rendered(
        &world.update(call.id(), "product.updated", |one| *one = changed),
    ))
}

fn list(world: &mut World, call: &Call) -> Answer {
    let active = call.params.boolean("active");
    let ids = call.params.texts("ids");
    let shippable = call.params.boolean("shippable");
    list_of(world, "product", "/v1/products", &call.params, |one| {
        active.is_none_or(|active| field::flag(one, "active") == active)
            && shippable.is_none_or(|shippable| field::flag(one, "shippable") == shippable)
            && (ids.is_empty() || ids.iter().any(|id| id == field::text(one, "id")))
            && crate::http::matches(one, &call.params, &["url"])
    })
}
