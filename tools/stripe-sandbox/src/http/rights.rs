//! What a key may do: a restricted key what it was given, a publishable key what a browser needs.
//!
//! Source: <https://docs.stripe.com/keys>, <https://docs.stripe.com/keys/restricted-api-keys>.

use super::{
    error::ApiError,
    form::Params,
    keys::{Caller, masked},
};
use crate::{field, json::Value, resources::Operation, world::World};

/// The resource an operation is about, as permissions name it: the fixed steps of its path, `checkout_sessions`.
pub(crate) fn resource(path: &str) -> String {
    let steps = path.split('/').skip(2);
    let fixed = steps.take_while(|step| !step.starts_with('{') && !matches!(*step, "search" | "preview"));
    match fixed.collect::<Vec<_>>().join("_") {
        own if own == "account" => "accounts".to_owned(),
        resource => resource,
    }
}

/// Refuses a restricted key that lacks the right, and a publishable one what it never has.
pub(crate) fn check(world: &World, caller: &Caller, operation: &Operation) -> Result<(), ApiError> {
    match caller {
        Caller::Secret => Ok(()),
        Caller::Publishable if public(operation).is_some() => Ok(()),
        Caller::Publishable => Err(secret_key_required()),
        Caller::Restricted { key, permissions } => {
            let resource = resource(operation.path);
            let wanted = if operation.method == "GET" { "read" } else { "write" };
            let given = field::text(permissions, &resource);
            if given == wanted || given == "write" {
                return Ok(());
            }
            Err(forbidden(key, &world.platform_id(), &resource, wanted))
        }
    }
}

/// Sources: <https://docs.stripe.com/api/errors> (403), <https://github.com/stripe/stripe-node/issues/2246> (type, message).
fn forbidden(key: &str, platform: &str, resource: &str, wanted: &str) -> ApiError {
    let one = match resource.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => resource.strip_suffix('s').unwrap_or(resource).to_owned(),
    };
    let message = format!(
        "The provided key '{}' does not have the required permissions for this endpoint on account '{platform}'. \
         Having the 'rak_{one}_{wanted}' permission would allow this request to continue.",
        masked(key)
    );
    ApiError::new(403, "invalid_request_error", message).before_execution()
}

/// Source: <https://docs.stripe.com/error-codes#secret-key-required>.
fn secret_key_required() -> ApiError {
    let message = "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a \
                   list of your API keys at https://dashboard.stripe.com/account/apikeys.";
    ApiError::new(401, "invalid_request_error", message)
        .code("secret_key_required")
        .before_execution()
}

/// What lets a publishable key make a call.
enum Public {
    Freely,
    /// With the client secret of the intent in the path.
    WithClientSecretOf(&'static str),
}

fn public(operation: &Operation) -> Option<Public> {
    let step = |index: usize| operation.path.split('/').nth(index).unwrap_or_default();
    let intent = match step(2) {
        "payment_intents" => "payment_intent",
        "setup_intents" => "setup_intent",
        "payment_methods" if operation.method == "POST" && step(3).is_empty() => return Some(Public::Freely),
        _ => return None,
    };
    let found = operation.method == "GET" && step(3).starts_with('{') && step(4).is_empty();
    let confirmed = operation.method == "POST" && step(4) == "confirm";
    (found || confirmed).then_some(Public::WithClientSecretOf(intent))
}

/// Checks the client secret of a publishable key's call and gives the parameters without it.
pub(crate) fn spend_client_secret(
    world: &World,
    operation: &Operation,
    id: &str,
    params: Params,
) -> Result<Params, ApiError> {
    let Some(Public::WithClientSecretOf(intent)) = public(operation) else {
        return Ok(params);
    };
    let Some(secret) = params.text("client_secret") else {
        return Err(ApiError::parameter_missing("client_secret"));
    };
    let object = world.get(intent, id, "intent").map_err(ApiError::before_execution)?;
    if field::text(&object, "client_secret") != secret {
        let message =
            format!("The client_secret provided does not match the client_secret associated with this {intent}.");
        let error = ApiError::invalid(message).code(&format!("{intent}_invalid_parameter"));
        return Err(error.param("client_secret").before_execution());
    }
    Ok(params.without("client_secret"))
}

/// What of an answer a publishable key is shown: nothing that is the seller's own.
pub(crate) fn public_part(mut answer: Value) -> Value {
    const PRIVATE: &[&str] = &[
        "application",
        "application_fee_amount",
        "customer",
        "latest_attempt",
        "latest_charge",
        "metadata",
        "on_behalf_of",
        "review",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_data",
        "transfer_group",
    ];
    if let Value::Object(fields) = &mut answer {
        fields.retain(|name, _| !PRIVATE.contains(&name.as_str()));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_named_by_the_fixed_steps_of_the_path() {
        for (path, name) in [
            ("/v1/customers", "customers"),
            ("/v1/customers/{customer}/payment_methods/{id}", "customers"),
            ("/v1/customers/search", "customers"),
            ("/v1/credit_notes/preview/lines", "credit_notes"),
            ("/v1/checkout/sessions/{session}/expire", "checkout_sessions"),
            ("/v1/account", "accounts"),
        ] {
            assert_eq!(resource(path), name);
        }
    }
}
