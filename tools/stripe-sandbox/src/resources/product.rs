//! Products.

use serde_json::Value;

use super::{Call, Operation, copy_texts, given_id, list_of, merge_metadata, price, retrieve};
use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
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
        path: "/v1/products/{id}",
        run: |world, call| retrieve(world, "product", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/products/{id}",
        run: update,
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
        product = world.update(&id, "product.updated", |one| {
            field::set(one, "default_price", field::at(&price, "id").clone())
        });
    }
    Ok(rendered(&product))
}

/// A product named inline, in `product_data`.
pub(crate) fn create_inline(world: &mut World, params: &Params, name: &str) -> Result<String, ApiError> {
    let data = Params::under(params, name);
    if data.text("name").is_none() {
        return Err(ApiError::parameter_missing(&format!("{name}[name]")));
    }
    let id = world.id("prod_", 14);
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
        field::set(product, "marketing_features", params.at("marketing_features").clone());
    }
    let metadata = merge_metadata(field::at(product, "metadata"), params, "metadata")?;
    field::set(product, "metadata", metadata);
    field::set(product, "updated", world.now);
    Ok(())
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("product", call.id(), "id")?;
    write(world, &mut changed, &call.params)?;
    if let Some(price) = call.params.text("default_price") {
        let price = world.get("price", price, "default_price")?;
        field::set(&mut changed, "default_price", field::at(&price, "id").clone());
    }
    Ok(rendered(
        &world.update(call.id(), "product.updated", |one| *one = changed),
    ))
}

fn list(world: &mut World, call: &Call) -> Answer {
    let active = call.params.boolean("active");
    let ids = call.params.texts("ids");
    list_of(world, "product", "/v1/products", &call.params, |one| {
        active.is_none_or(|active| field::flag(one, "active") == active)
            && (ids.is_empty() || ids.iter().any(|id| id == field::text(one, "id")))
            && crate::http::matches(one, &call.params, &["url"])
    })
}
