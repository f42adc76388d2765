//! Sessions of the customer portal: an address for one customer.
//!
//! Source: <https://docs.stripe.com/api/customer_portal/sessions>, <https://docs.stripe.com/customer-management/portal-deep-links>.

use super::{Call, Operation, is_web_url, portal_configuration};
use crate::{
    billing::portal,
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[Operation {
    method: "POST",
    path: "/v1/billing_portal/sessions",
    run: create,
}];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let customer = world.get("customer", params.required("customer")?, "customer")?;
    is_web_url(params, "return_url")?;
    let configuration = match params.text("configuration") {
        Some(id) => world.get(portal_configuration::KIND, id, "configuration")?,
        None => portal_configuration::default(world),
    };
    if !field::flag(&configuration, "active") {
        let message = "The portal configuration is not active.";
        return Err(ApiError::invalid(message).param("configuration"));
    }
    let mut session = shapes::billing_portal_session();
    let id = world.id("bps_", 24);
    field::set(&mut session, "url", World::page_url(&format!("/p/session/{id}")));
    field::set(&mut session, "id", id);
    field::set(&mut session, "created", world.now);
    field::set(&mut session, "livemode", world.livemode);
    field::set(&mut session, "customer", field::at(&customer, "id").clone());
    field::set(&mut session, "configuration", field::at(&configuration, "id").clone());
    field::set(&mut session, "locale", params.text("locale"));
    let default_url = field::some_text(&configuration, "default_return_url");
    field::set(&mut session, "return_url", params.text("return_url").or(default_url));
    field::set(&mut session, "_sandbox.until", world.now + portal::UNOPENED_LIFE);
    if params.has("flow_data") {
        let flow = flow(world, &customer, &configuration, params)?;
        field::set(&mut session, "flow", flow);
    }
    world.create("billing_portal.session.created", &session);
    Ok(rendered(&session))
}

/// What the customer is sent to do.
fn flow(world: &World, customer: &Value, configuration: &Value, params: &Params) -> Answer {
    let kind = params.given("flow_data[type]");
    let feature = match kind {
        "subscription_cancel" | "payment_method_update" => kind,
        "subscription_update" | "subscription_update_confirm" => "subscription_update",
        _ => {
            let message = format!("The sandbox's portal has no flow {kind}.");
            return Err(ApiError::unserved("flow_data[type]", message));
        }
    };
    if !field::flag(configuration, &format!("features.{feature}.enabled")) {
        let message = format!("This flow cannot begin: {feature} is disabled in the portal configuration.");
        return Err(ApiError::invalid(message).param("flow_data[type]"));
    }
    let mut flow = json!({
        "after_completion": completion(params)?,
        "subscription_cancel": null,
        "subscription_update": null,
        "subscription_update_confirm": null,
        "type": kind,
    });
    if kind == "payment_method_update" {
        return Ok(flow);
    }
    let name = format!("flow_data[{kind}][subscription]");
    let subscription = world.get("subscription", params.required(&name)?, &name)?;
    if field::at(&subscription, "customer") != field::at(customer, "id") {
        return Err(ApiError::invalid("The subscription belongs to another customer.").param(name));
    }
    if !portal::is_live(&subscription) {
        let message = format!(
            "This subscription is {} and cannot be changed any more.",
            field::text(&subscription, "status")
        );
        return Err(ApiError::invalid(message).param(name));
    }
    let mut about = json!({ "subscription": field::at(&subscription, "id") });
    match kind {
        "subscription_cancel" => {
            if !field::at(&subscription, "cancel_at").is_null() {
                let message = "This subscription is already set to be canceled.";
                return Err(ApiError::invalid(message).param(name));
            }
            field::set(&mut about, "retention", Value::Null);
        }
        "subscription_update_confirm" => {
            field::set(&mut about, "discounts", Value::Null);
            field::set(
                &mut about,
                "items",
                confirmed_items(&subscription, configuration, params)?,
            );
        }
        _ => {}
    }
    field::set(&mut flow, kind, about);
    Ok(flow)
}

fn completion(params: &Params) -> Answer {
    let mut after = json!({ "hosted_confirmation": null, "redirect": null, "type": "portal_homepage" });
    match params.text("flow_data[after_completion][type]") {
        Some("redirect") => {
            let name = "flow_data[after_completion][redirect][return_url]";
            let url = params.required(name)?;
            is_web_url(params, name)?;
            field::set(&mut after, "type", "redirect");
            field::set(&mut after, "redirect.return_url", url);
        }
        Some("hosted_confirmation") => {
            let message = params.text("flow_data[after_completion][hosted_confirmation][custom_message]");
            field::set(&mut after, "type", "hosted_confirmation");
            field::set(&mut after, "hosted_confirmation.custom_message", message);
        }
        _ => {}
    }
    Ok(after)
}

/// The one item that is to be changed, with the price and quantity it is to have.
fn confirmed_items(subscription: &Value, configuration: &Value, params: &Params) -> Answer {
    let name = "flow_data[subscription_update_confirm][items]";
    let sent = params.list(name);
    let [line] = &*sent else {
        return Err(ApiError::invalid("The portal changes exactly one item of a subscription.").param(name));
    };
    let id = line.given("id");
    let items = field::elements(subscription, "items.data");
    let Some(item) = items.iter().find(|one| field::text(one, "id") == id) else {
        return Err(ApiError::missing("subscription_item", id, &format!("{name}[0][id]")));
    };
    let price = line.text("price").unwrap_or(field::text(item, "price.id"));
    let quantity = line.integer("quantity").unwrap_or(field::integer(item, "quantity"));
    portal::check_change(configuration, item, price, quantity).map_err(|error| error.param(name))?;
    Ok(json!([{ "id": id, "price": price, "quantity": quantity }]))
}
