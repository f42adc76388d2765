//! Configurations of the customer portal: what customers may do in it.
//!
//! Source: <https://docs.stripe.com/api/customer_portal/configurations>.

use super::{Call, Operation, copy_texts, is_web_url, list_of, merge_metadata, retrieve};
use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const KIND: &str = "billing_portal.configuration";

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/billing_portal/configurations",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/billing_portal/configurations",
        run: |world, call| {
            let params = &call.params;
            list_of(world, KIND, "/v1/billing_portal/configurations", params, |one| {
                ["active", "is_default"].iter().all(|name| {
                    let wanted = params.boolean(name);
                    wanted.is_none_or(|wanted| field::flag(one, name) == wanted)
                })
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/billing_portal/configurations/{id}",
        run: |world, call| retrieve(world, KIND, call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/billing_portal/configurations/{id}",
        run: update,
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let mut made = new(world);
    write(world, &mut made, &call.params)?;
    world.create("billing_portal.configuration.created", &made);
    Ok(rendered(&made))
}

fn new(world: &mut World) -> Value {
    let mut made = shapes::billing_portal_configuration();
    field::set(&mut made, "id", world.id("bpc_", 24));
    field::set(&mut made, "created", world.now);
    field::set(&mut made, "updated", world.now);
    field::set(&mut made, "livemode", world.livemode);
    made
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get(KIND, call.id(), "configuration")?;
    if let Some(active) = call.params.boolean("active") {
        if !active && field::flag(&changed, "is_default") {
            let message = "The default configuration cannot be deactivated.";
            return Err(ApiError::invalid(message).param("active"));
        }
        field::set(&mut changed, "active", active);
    }
    write(world, &mut changed, &call.params)?;
    field::set(&mut changed, "updated", world.now);
    let changed = world.update(call.id(), "billing_portal.configuration.updated", |one| *one = changed);
    Ok(rendered(&changed))
}

/// The configuration of sessions that name none. At Stripe somebody saves it in the dashboard before; here it is made when
/// it is first needed, and allows what needs no catalog of prices.
pub(crate) fn default(world: &mut World) -> Value {
    let found = world.all(KIND).into_iter().find(|one| field::flag(one, "is_default"));
    if let Some(found) = found {
        return found;
    }
    let mut made = new(world);
    field::set(&mut made, "is_default", true);
    for feature in [
        "customer_update",
        "invoice_history",
        "payment_method_update",
        "subscription_cancel",
    ] {
        field::set(&mut made, &format!("features.{feature}.enabled"), true);
    }
    let allowed = json!(["email", "name", "phone"]);
    field::set(&mut made, "features.customer_update.allowed_updates", allowed);
    let reasons = json!({ "enabled": true, "options": REASONS });
    field::set(&mut made, "features.subscription_cancel.cancellation_reason", reasons);
    world.create("billing_portal.configuration.created", &made);
    made
}

/// Source: <https://docs.stripe.com/api/customer_portal/configurations/create>, `cancellation_reason.options`.
const REASONS: [&str; 8] = [
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
];

fn write(world: &World, made: &mut Value, params: &Params) -> Result<(), ApiError> {
    for name in [
        "business_profile[privacy_policy_url]",
        "business_profile[terms_of_service_url]",
        "default_return_url",
    ] {
        is_web_url(params, name)?;
    }
    copy_texts(
        made,
        params,
        &[
            "name",
            "default_return_url",
            "business_profile.headline",
            "business_profile.privacy_policy_url",
            "business_profile.terms_of_service_url",
            "features.subscription_cancel.mode",
            "features.subscription_cancel.proration_behavior",
            "features.subscription_update.proration_behavior",
        ],
    );
    let metadata = merge_metadata(field::at(made, "metadata"), params, "metadata")?;
    field::set(made, "metadata", metadata);
    for feature in [
        "customer_update",
        "invoice_history",
        "payment_method_update",
        "subscription_cancel",
        "subscription_cancel.cancellation_reason",
        "subscription_update",
    ] {
        let name = format!("features.{feature}.enabled");
        if let Some(enabled) = params.boolean(&name) {
            field::set(made, &name, enabled);
        }
    }
    write_lists(made, params)?;
    write_conditions(made, params);
    write_products(world, made, params)?;
    check_complete(made)
}

fn write_lists(made: &mut Value, params: &Params) -> Result<(), ApiError> {
    for (name, unserved) in [
        (
            "customer_update.allowed_updates",
            &["address", "shipping", "tax_id"][..],
        ),
        ("subscription_cancel.cancellation_reason.options", &[]),
        ("subscription_update.default_allowed_updates", &["promotion_code"]),
    ] {
        let path = format!("features.{name}");
        if !params.has(&path) {
            continue;
        }
        let sent = params.texts(&path);
        if let Some(other) = sent.iter().find(|one| unserved.contains(&one.as_str())) {
            let message = format!("The sandbox's portal does not let customers change {other}.");
            let param = format!("features[{}]", name.replace('.', "]["));
            return Err(ApiError::unserved(&param, message));
        }
        field::set(made, &path, json!(sent));
    }
    Ok(())
}

/// What has a change wait for the end of the period.
fn write_conditions(made: &mut Value, params: &Params) {
    let name = "features.subscription_update.schedule_at_period_end.conditions";
    if params.has(name) {
        let sent = params.list(name);
        let conditions = sent.iter().map(|one| json!({ "type": one.text("type") }));
        field::set(made, name, conditions.collect::<Vec<_>>());
    }
}

/// The products, and of each the prices, that a customer may change to.
fn write_products(world: &World, made: &mut Value, params: &Params) -> Result<(), ApiError> {
    let name = "features[subscription_update][products]";
    if !params.has(name) {
        return Ok(());
    }
    let mut products = Vec::new();
    for (index, sent) in params.list(name).iter().enumerate() {
        let product = world.get("product", sent.given("product"), &format!("{name}[{index}][product]"))?;
        let prices = sent.texts("prices");
        for price in &prices {
            let param = format!("{name}[{index}][prices]");
            let price = world.get("price", price, &param)?;
            if field::at(&price, "product") != field::at(&product, "id") {
                let message = "Each price must belong to the product that it is listed with.";
                return Err(ApiError::invalid(message).param(param));
            }
            if field::text(&price, "type") != "recurring" || !field::flag(&price, "active") {
                return Err(ApiError::invalid("Only active recurring prices can be offered.").param(param));
            }
        }
        let quantity = |bound: &str| sent.integer(&format!("adjustable_quantity[{bound}]"));
        products.push(json!({
            "product": field::at(&product, "id"),
            "prices": prices,
            "adjustable_quantity": {
                "enabled": sent.boolean("adjustable_quantity[enabled]").unwrap_or(true),
                "maximum": quantity("maximum"),
                "minimum": quantity("minimum").unwrap_or(1).max(1),
            },
        }));
    }
    let products = if products.is_empty() {
        Value::Null
    } else {
        json!(products)
    };
    field::set(made, "features.subscription_update.products", products);
    Ok(())
}

/// Whoever may change a subscription needs to be told what in it, and to which prices.
fn check_complete(made: &Value) -> Result<(), ApiError> {
    if !field::flag(made, "features.subscription_update.enabled") {
        return Ok(());
    }
    for name in ["default_allowed_updates", "products"] {
        if field::elements(made, &format!("features.subscription_update.{name}")).is_empty() {
            return Err(ApiError::parameter_missing(&format!(
                "features[subscription_update][{name}]"
            )));
        }
    }
    Ok(())
}
