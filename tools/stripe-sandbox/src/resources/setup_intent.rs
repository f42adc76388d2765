//! Setup intents, which prepare a card for later payments, and their attempts.
//!
//! Source: <https://docs.stripe.com/api/setup_intents>, <https://docs.stripe.com/api/setup_attempts>.

use serde_json::{Value, json};

use super::{
    Call, Operation, copy_texts, list_of, merge_metadata,
    payment_intent::{check_secret, return_url},
    payment_method,
};
use crate::{
    billing::{authentication::Confirmation, setup},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/setup_intents",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/setup_intents",
        run: |world, call| {
            list_of(world, "setup_intent", "/v1/setup_intents", &call.params, |one| {
                matches(one, &call.params, &["customer", "payment_method"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/setup_intents/{id}",
        run: |world, call| {
            let intent = world.get("setup_intent", call.id(), "intent")?;
            check_secret(&intent, &call.params)?;
            Ok(rendered(&intent))
        },
    },
    Operation {
        method: "POST",
        path: "/v1/setup_intents/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/setup_intents/{id}/confirm",
        run: confirm,
    },
    Operation {
        method: "POST",
        path: "/v1/setup_intents/{id}/cancel",
        run: cancel,
    },
    Operation {
        method: "GET",
        path: "/v1/setup_attempts",
        run: |world, call| {
            world.get("setup_intent", call.params.given("setup_intent"), "setup_intent")?;
            list_of(world, "setup_attempt", "/v1/setup_attempts", &call.params, |one| {
                matches(one, &call.params, &["setup_intent"])
            })
        },
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let confirms = params.boolean("confirm").unwrap_or(false);
    if params.has("return_url") && !confirms {
        let message =
            "The parameter return_url cannot be passed when creating a SetupIntent unless confirm is set to true.";
        return Err(ApiError::invalid(message).param("return_url"));
    }
    let customer = params.text("customer");
    if let Some(customer) = customer {
        world.get("customer", customer, "customer")?;
    }
    let mut intent = setup::new_intent(world, customer);
    if params.boolean("automatic_payment_methods[enabled]") != Some(false) {
        let redirects = params.text("automatic_payment_methods[allow_redirects]");
        field::set(
            &mut intent,
            "automatic_payment_methods",
            json!({ "enabled": true, "allow_redirects": redirects.unwrap_or("always") }),
        );
    }
    if let Some(usage) = params.text("usage") {
        field::set(&mut intent, "usage", usage);
    }
    write(&mut intent, params)?;
    let method = payment_method::chosen(world, params, customer)?;
    if let Some(method) = &method {
        field::set(&mut intent, "payment_method", field::at(method, "id").clone());
        field::set(&mut intent, "status", "requires_confirmation");
    }
    let how = how_to_confirm(params)?;
    world.create("setup_intent.created", &intent);
    if confirms {
        return set_up(world, &intent, method, &how);
    }
    Ok(rendered(&intent))
}

fn write(intent: &mut Value, params: &Params) -> Result<(), ApiError> {
    let metadata = merge_metadata(field::at(intent, "metadata"), params, "metadata")?;
    field::set(intent, "metadata", metadata);
    copy_texts(intent, params, &["description"]);
    let requested = "payment_method_options[card][request_three_d_secure]";
    if let Some(requested) = params.text(requested) {
        field::set(intent, "payment_method_options.card.request_three_d_secure", requested);
    }
    Ok(())
}

fn how_to_confirm(params: &Params) -> Result<Confirmation, ApiError> {
    Ok(Confirmation {
        return_url: return_url(params)?,
        use_stripe_sdk: params.boolean("use_stripe_sdk").unwrap_or(false),
        ..Confirmation::default()
    })
}

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let intent = world.get("setup_intent", call.id(), "intent")?;
    let open = is_open(&intent);
    let decisive = ["customer", "payment_method", "payment_method_data"]
        .iter()
        .find(|name| params.has(name));
    if let Some(name) = decisive.filter(|_| !open) {
        let status = field::text(&intent, "status");
        let message = format!("This SetupIntent's {name} could not be updated because it has a status of {status}.");
        return Err(in_state(&intent, message).param(*name));
    }
    let mut changed = intent.clone();
    write(&mut changed, params)?;
    if let Some(customer) = params.text("customer") {
        world.get("customer", customer, "customer")?;
        field::set(&mut changed, "customer", customer);
    }
    let customer = field::some_text(&changed, "customer").map(str::to_owned);
    if let Some(method) = payment_method::chosen(world, params, customer.as_deref())? {
        field::set(&mut changed, "payment_method", field::at(&method, "id").clone());
        field::set(&mut changed, "status", "requires_confirmation");
        field::set(&mut changed, "next_action", Value::Null);
    }
    // Updating an intent is no event at Stripe.
    world.put(&changed);
    Ok(rendered(&changed))
}

fn confirm(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let intent = world.get("setup_intent", call.id(), "intent")?;
    check_secret(&intent, params)?;
    if !is_open(&intent) {
        let message = match field::text(&intent, "status") {
            "succeeded" => "You cannot confirm this SetupIntent because it has already succeeded.".to_owned(),
            status => format!("You cannot confirm this SetupIntent because it has a status of {status}."),
        };
        return Err(in_state(&intent, message));
    }
    let how = how_to_confirm(params)?;
    let mut changed = intent.clone();
    write(&mut changed, params)?;
    let method = payment_method::chosen(world, params, field::some_text(&intent, "customer"))?;
    world.put(&changed);
    set_up(world, &changed, method, &how)
}

/// Confirms the intent with `method`, or with the one it has.
fn set_up(world: &mut World, intent: &Value, method: Option<Value>, how: &Confirmation) -> Answer {
    let method = match (method, field::some_text(intent, "payment_method")) {
        (Some(method), _) => method,
        (None, Some(method)) => {
            let method = world.get("payment_method", method, "payment_method")?;
            payment_method::check_usable(&method, field::some_text(intent, "customer"))?;
            method
        }
        (None, None) => {
            let message = "You cannot confirm this SetupIntent because it's missing a payment method. You can either update \
                the SetupIntent with a payment method and then confirm it again, or confirm it again directly with a payment \
                method or ConfirmationToken.";
            return Err(in_state(intent, message).param("payment_method"));
        }
    };
    setup::confirm(world, field::text(intent, "id"), &method, how)
}

fn cancel(world: &mut World, call: &Call) -> Answer {
    let intent = world.get("setup_intent", call.id(), "intent")?;
    if !is_open(&intent) {
        let message = format!(
            "You cannot cancel this SetupIntent because it has a status of {}. Only a SetupIntent with one of the following \
             statuses may be canceled: requires_payment_method, requires_confirmation, requires_action.",
            field::text(&intent, "status")
        );
        return Err(in_state(&intent, message));
    }
    let canceled = setup::cancel(world, &intent, call.params.text("cancellation_reason"));
    Ok(rendered(&canceled))
}

fn is_open(intent: &Value) -> bool {
    matches!(
        field::text(intent, "status"),
        "requires_payment_method" | "requires_confirmation" | "requires_action"
    )
}

fn in_state(intent: &Value, message: impl Into<String>) -> ApiError {
    ApiError::invalid(message)
        .code("setup_intent_unexpected_state")
        .with("setup_intent", rendered(intent))
}
