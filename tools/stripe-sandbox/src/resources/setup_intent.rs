//! Setup intents, which prepare a card for later payments, and their attempts.
//!
//! Source: <https://docs.stripe.com/api/setup_intents>, <https://docs.stripe.com/api/setup_attempts>.

use super::{Call, Operation, intent, list_of, payment_method};
use crate::{
    billing::{authentication::Confirmation, setup},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    json::Value,
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
        run: |world, call| intent::retrieve(world, "setup_intent", call),
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
    let customer = intent::customer(world, params)?;
    let mut intent = setup::new_intent(world, customer);
    intent::offer_methods(&mut intent, params);
    if let Some(usage) = params.text("usage") {
        field::set(&mut intent, "usage", usage);
    }
    intent::write(&mut intent, params)?;
    let method = payment_method::chosen(world, params, customer)?;
    if let Some(method) = &method {
        intent::take(&mut intent, method);
    }
    let how = how_to_confirm(params)?;
    world.create("setup_intent.created", &intent);
    if confirms {
        return set_up(world, &intent, method, &how);
    }
    Ok(rendered(&intent))
}

fn how_to_confirm(params: &Params) -> Result<Confirmation, ApiError> {
    Ok(Confirmation {
        return_url: intent::return_url(params)?,
        use_stripe_sdk: params.boolean("use_stripe_sdk").unwrap_or(false),
        ..Confirmation::default()
    })
}

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let intent = world.get("setup_intent", call.id(), "intent")?;
    let decisive = ["customer", "payment_method", "payment_method_data"]
        .iter()
        .find(|name| params.has(name));
    if let Some(name) = decisive.filter(|_| !intent::is_open(&intent)) {
        let status = field::text(&intent, "status");
        let message = format!("This SetupIntent's {name} could not be updated because it has a status of {status}.");
        return Err(intent::in_state(&intent, message).param(*name));
    }
    let mut changed = intent.clone();
    intent::write(&mut changed, params)?;
    if let Some(customer) = intent::customer(world, params)? {
        field::set(&mut changed, "customer", customer);
    }
    let customer = field::some_text(&changed, "customer").map(str::to_owned);
    if let Some(method) = payment_method::chosen(world, params, customer.as_deref())? {
        intent::take(&mut changed, &method);
    }
    // Updating an intent is no event at Stripe.
    world.put(&changed);
    Ok(rendered(&changed))
}

fn confirm(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let intent = world.get("setup_intent", call.id(), "intent")?;
    intent::check_secret(&intent, params)?;
    check_is_free(&intent, "confirm")?;
    if !intent::is_open(&intent) {
        let message = match field::text(&intent, "status") {
            "succeeded" => "You cannot confirm this SetupIntent because it has already succeeded.".to_owned(),
            status => format!("You cannot confirm this SetupIntent because it has a status of {status}."),
        };
        return Err(intent::in_state(&intent, message));
    }
    let how = how_to_confirm(params)?;
    let mut changed = intent.clone();
    intent::write(&mut changed, params)?;
    let method = payment_method::chosen(world, params, field::some_text(&intent, "customer"))?;
    world.put(&changed);
    set_up(world, &changed, method, &how)
}

/// Confirms the intent with `method`, or with the one it has.
fn set_up(world: &mut World, intent: &Value, method: Option<Value>, how: &Confirmation) -> Answer {
    let method = intent::method_of(world, intent, method)?;
    setup::confirm(world, field::text(intent, "id"), &method, how)
}

/// What a hosted page sets up is confirmed and canceled there.
fn check_is_free(intent: &Value, verb: &str) -> Result<(), ApiError> {
    if field::some_text(intent, "_sandbox.session").is_none() || !intent::is_open(intent) {
        return Ok(());
    }
    let message = format!("You cannot {verb} this SetupIntent because it was created by a session of a hosted page.");
    Err(intent::in_state(intent, message))
}

fn cancel(world: &mut World, call: &Call) -> Answer {
    let intent = world.get("setup_intent", call.id(), "intent")?;
    check_is_free(&intent, "cancel")?;
    if !intent::is_open(&intent) {
        let message = format!(
            "You cannot cancel this SetupIntent because it has a status of {}. Only a SetupIntent with one of the following \
             statuses may be canceled: requires_payment_method, requires_confirmation, requires_action.",
            field::text(&intent, "status")
        );
        return Err(intent::in_state(&intent, message));
    }
    let canceled = setup::cancel(world, &intent, call.params.text("cancellation_reason"));
    Ok(rendered(&canceled))
}
