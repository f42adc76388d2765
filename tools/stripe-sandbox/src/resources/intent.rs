//! What payment intents and setup intents have in common.

use super::{Call, copy_texts, merge_metadata, payment_method};
use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    world::{World, rendered},
};

/// Answers with the intent of this kind that the path names.
pub(crate) fn retrieve(world: &World, kind: &str, call: &Call) -> Answer {
    let intent = world.get(kind, call.id(), "intent")?;
    check_secret(&intent, &call.params)?;
    Ok(rendered(&intent))
}

/// A client that names the intent by its secret must know it.
pub(crate) fn check_secret(intent: &Value, params: &Params) -> Result<(), ApiError> {
    match params.text("client_secret") {
        Some(secret) if secret != field::text(intent, "client_secret") => {
            let message = "The client_secret provided does not match the client_secret associated with this intent.";
            let code = format!("{}_invalid_parameter", field::text(intent, "object"));
            Err(ApiError::invalid(message).code(&code).param("client_secret"))
        }
        _ => Ok(()),
    }
}

/// Whether it is neither done, nor held, nor canceled.
pub(crate) fn is_open(intent: &Value) -> bool {
    matches!(
        field::text(intent, "status"),
        "requires_payment_method" | "requires_confirmation" | "requires_action"
    )
}

/// The refusal of what does not go with the state the intent is in.
pub(crate) fn in_state(intent: &Value, message: impl Into<String>) -> ApiError {
    let kind = field::text(intent, "object");
    ApiError::invalid(message)
        .code(&format!("{kind}_unexpected_state"))
        .with(kind, rendered(intent))
}

/// The customer sent, if any, who must be there.
pub(crate) fn customer<'a>(world: &World, params: &'a Params) -> Result<Option<&'a str>, ApiError> {
    let customer = params.text("customer");
    if let Some(customer) = customer {
        world.get("customer", customer, "customer")?;
    }
    Ok(customer)
}

/// Stripe chooses what a new intent may be paid with, unless it is told not to.
pub(crate) fn offer_methods(intent: &mut Value, params: &Params) {
    if params.boolean("automatic_payment_methods[enabled]") != Some(false) {
        let redirects = params.text("automatic_payment_methods[allow_redirects]");
        let methods = json!({ "enabled": true, "allow_redirects": redirects.unwrap_or("always") });
        field::set(intent, "automatic_payment_methods", methods);
    }
}

/// Writes what may be given at any time to both kinds.
pub(crate) fn write(intent: &mut Value, params: &Params) -> Result<(), ApiError> {
    let metadata = merge_metadata(field::at(intent, "metadata"), params, "metadata")?;
    field::set(intent, "metadata", metadata);
    copy_texts(intent, params, &["description"]);
    let requested = "payment_method_options[card][request_three_d_secure]";
    if let Some(requested) = params.text(requested) {
        field::set(intent, "payment_method_options.card.request_three_d_secure", requested);
    }
    Ok(())
}

/// Gives the intent a method, with which it is to be confirmed.
pub(crate) fn take(intent: &mut Value, method: &Value) {
    field::set(intent, "payment_method", field::at(method, "id").clone());
    field::set(intent, "status", "requires_confirmation");
    field::set(intent, "next_action", Value::Null);
}

/// What the intent is confirmed with: the method `chosen` now, or the one it has.
pub(crate) fn method_of(world: &World, intent: &Value, chosen: Option<Value>) -> Answer {
    if let Some(method) = chosen {
        return Ok(method);
    }
    let Some(method) = field::some_text(intent, "payment_method") else {
        let kind = match field::text(intent, "object") {
            "setup_intent" => "SetupIntent",
            _ => "PaymentIntent",
        };
        let message = format!(
            "You cannot confirm this {kind} because it's missing a payment method. You can either update the {kind} with a \
             payment method and then confirm it again, or confirm it again directly with a payment method or \
             ConfirmationToken."
        );
        return Err(in_state(intent, message).param("payment_method"));
    };
    let method = world.get("payment_method", method, "payment_method")?;
    payment_method::check_usable(&method, field::some_text(intent, "customer"))?;
    Ok(method)
}

/// The `return_url` sent: a web page, or a place inside an app.
pub(crate) fn return_url(params: &Params) -> Result<Option<String>, ApiError> {
    let Some(url) = params.text("return_url") else {
        return Ok(None);
    };
    match url::Url::parse(url) {
        Ok(parsed) if !parsed.cannot_be_a_base() => Ok(Some(url.to_owned())),
        _ => Err(ApiError::invalid("Not a valid URL")
            .code("url_invalid")
            .param("return_url")),
    }
}
