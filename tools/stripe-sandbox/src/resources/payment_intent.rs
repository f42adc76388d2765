//! Payment intents: created by callers, checkout and invoices; confirmed with a test card, captured, canceled.
//!
//! Source: <https://docs.stripe.com/api/payment_intents>, and the messages that Stripe's API is seen to answer with.

use super::{
    Call, LARGEST_AMOUNT, Operation, check_email, copy_texts, currency, intent, list_of, payment_method, search,
    shipping,
};
use crate::{
    billing::{
        authentication::{Confirmation, Presence},
        confirmation, invoice_payments,
        payment::{self, NewIntent},
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    json::{Value, json},
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/payment_intents",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/payment_intents",
        run: |world, call| {
            list_of(world, "payment_intent", "/v1/payment_intents", &call.params, |one| {
                matches(one, &call.params, &["customer"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/payment_intents/search",
        run: |world, call| search::run(world, "payment_intent", "/v1/payment_intents/search", &call.params),
    },
    Operation {
        method: "GET",
        path: "/v1/payment_intents/{id}",
        run: |world, call| intent::retrieve(world, "payment_intent", call),
    },
    Operation {
        method: "POST",
        path: "/v1/payment_intents/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/payment_intents/{id}/confirm",
        run: confirm,
    },
    Operation {
        method: "POST",
        path: "/v1/payment_intents/{id}/capture",
        run: capture,
    },
    Operation {
        method: "POST",
        path: "/v1/payment_intents/{id}/cancel",
        run: cancel,
    },
];

/// Smallest amounts by settlement currency, in minor units. Source: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>.
const MINIMUMS: &[(&str, i64)] = &[
    ("usd", 50),
    ("eur", 50),
    ("cad", 50),
    ("aud", 50),
    ("chf", 50),
    ("nzd", 50),
    ("sgd", 50),
    ("brl", 50),
    ("inr", 50),
    ("gbp", 30),
    ("jpy", 50),
    ("dkk", 250),
    ("nok", 300),
    ("sek", 300),
    ("pln", 200),
    ("ron", 200),
    ("myr", 200),
    ("aed", 200),
    ("hkd", 400),
    ("mxn", 1000),
    ("thb", 1000),
    ("czk", 1500),
    ("huf", 17_500),
];

/// The least that can be charged, in minor units.
pub(crate) fn least_charge(currency: &str) -> i64 {
    let known = MINIMUMS.iter().find(|(code, _)| *code == currency);
    known.map_or(1, |(_, least)| *least)
}

fn check_amount(amount: i64, currency: &str) -> Result<(), ApiError> {
    if amount < 1 {
        return Err(ApiError::below_one("amount"));
    }
    let least = least_charge(currency);
    if amount < least {
        let message = format!("Amount must be at least {least} {currency}.");
        return Err(ApiError::invalid(message).code("amount_too_small").param("amount"));
    }
    if amount > LARGEST_AMOUNT {
        let message = format!("Amount must be no more than {LARGEST_AMOUNT}.");
        return Err(ApiError::invalid(message).code("amount_too_large").param("amount"));
    }
    Ok(())
}

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let amount = params.integer("amount").unwrap_or_default();
    let currency = currency(params, "currency");
    check_amount(amount, &currency)?;
    let confirms = params.boolean("confirm").unwrap_or(false);
    for name in ["error_on_requires_action", "off_session", "return_url"] {
        if params.has(name) && !confirms {
            let message = format!(
                "The parameter {name} cannot be passed when creating a PaymentIntent unless confirm is set to true."
            );
            return Err(ApiError::invalid(message).param(name));
        }
    }
    let customer = intent::customer(world, params)?;
    let new = NewIntent {
        amount,
        currency: &currency,
        customer,
        description: None,
        metadata: json!({}),
        receipt_email: None,
    };
    let mut intent = payment::new_intent(world, &new);
    field::set(&mut intent, "capture_method", "automatic_async");
    intent::offer_methods(&mut intent, params);
    write(&mut intent, params)?;
    let method = payment_method::chosen(world, params, customer)?;
    if let Some(method) = &method {
        intent::take(&mut intent, method);
    }
    let how = confirms.then(|| how_to_confirm(params)).transpose()?;
    world.create("payment_intent.created", &intent);
    match how {
        Some(how) => pay(world, &intent, method, &how),
        None => Ok(rendered(&intent)),
    }
}

/// Writes what may be given at creation, at an update and at a confirmation alike.
fn write(intent: &mut Value, params: &Params) -> Result<(), ApiError> {
    check_email(params, "receipt_email")?;
    intent::write(intent, params)?;
    copy_texts(
        intent,
        params,
        &[
            "receipt_email",
            "setup_future_usage",
            "statement_descriptor",
            "statement_descriptor_suffix",
            "transfer_group",
        ],
    );
    if let Some(how) = params.text("capture_method") {
        if let Some((maker, _)) = maker(intent) {
            let message =
                format!("You cannot update the capture_method of a PaymentIntent that was created by {maker}.");
            return Err(intent::in_state(intent, message).param("capture_method"));
        }
        field::set(intent, "capture_method", how);
    }
    if params.has("shipping") {
        field::set(intent, "shipping", shipping(params));
    }
    Ok(())
}

fn how_to_confirm(params: &Params) -> Result<Confirmation, ApiError> {
    let absent = !matches!(params.text("off_session"), None | Some("false"));
    Ok(Confirmation {
        presence: if absent { Presence::Absent } else { Presence::Present },
        return_url: intent::return_url(params)?,
        use_stripe_sdk: params.boolean("use_stripe_sdk").unwrap_or(false),
        error_on_requires_action: params.boolean("error_on_requires_action").unwrap_or(false),
    })
}

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let intent = world.get("payment_intent", call.id(), "intent")?;
    let status = field::text(&intent, "status");
    // What decides about the payment; where one of these changes, it has to be confirmed again.
    const DECISIVE: &[&str] = &[
        "amount",
        "capture_method",
        "currency",
        "customer",
        "payment_method",
        "payment_method_data",
        "payment_method_options",
        "setup_future_usage",
    ];
    let decisive = DECISIVE.iter().find(|name| params.has(name));
    if let Some(name) = decisive.filter(|_| !intent::is_open(&intent)) {
        let message = format!(
            "This PaymentIntent's {name} could not be updated because it has a status of {status}. You may only update the \
             {name} of a PaymentIntent with one of the following statuses: requires_payment_method, requires_confirmation, \
             requires_action."
        );
        return Err(intent::in_state(&intent, message).param(*name));
    }
    if let Some(name) = ["amount", "currency", "customer"].iter().find(|name| params.has(name))
        && let Some((maker, _)) = maker(&intent)
    {
        let message = format!("You cannot update the {name} of a PaymentIntent that was created by {maker}.");
        return Err(intent::in_state(&intent, message).param(*name));
    }
    if let Some(name) = ["currency", "customer"].iter().find(|name| params.has(name))
        && invoice_payments::is_attached(world, &intent)
    {
        let message = format!("You cannot update the {name} of a PaymentIntent that is attached to an invoice.");
        return Err(intent::in_state(&intent, message).param(*name));
    }
    let mut changed = intent.clone();
    write(&mut changed, params)?;
    if let Some(amount) = params.integer("amount") {
        field::set(&mut changed, "amount", amount);
    }
    if params.has("currency") {
        field::set(&mut changed, "currency", currency(params, "currency"));
    }
    if params.has("amount") || params.has("currency") {
        check_amount(field::integer(&changed, "amount"), field::text(&changed, "currency"))?;
    }
    if let Some(customer) = intent::customer(world, params)? {
        field::set(&mut changed, "customer", customer);
    }
    let customer = field::some_text(&changed, "customer").map(str::to_owned);
    if let Some(method) = payment_method::chosen(world, params, customer.as_deref())? {
        intent::take(&mut changed, &method);
    } else if params.has("customer")
        && let Some(method) = field::some_text(&changed, "payment_method")
    {
        let method = world.get("payment_method", method, "payment_method")?;
        payment_method::check_usable(&method, customer.as_deref())?;
    }
    if decisive.is_some() && status == "requires_action" {
        field::set(&mut changed, "status", "requires_confirmation");
        field::set(&mut changed, "next_action", Value::Null);
    }
    // Updating an intent is no event at Stripe.
    world.put(&changed);
    invoice_payments::follow(world, &changed);
    Ok(rendered(&changed))
}

fn confirm(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let intent = world.get("payment_intent", call.id(), "intent")?;
    intent::check_secret(&intent, params)?;
    match field::text(&intent, "status") {
        "requires_payment_method" | "requires_confirmation" | "requires_action" => {}
        "succeeded" => {
            let message = "You cannot confirm this PaymentIntent because it has already succeeded after being previously \
                confirmed.";
            return Err(intent::in_state(&intent, message));
        }
        status => {
            let message = format!(
                "You cannot confirm this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one of \
                 the following statuses may be confirmed: requires_confirmation, requires_action."
            );
            return Err(intent::in_state(&intent, message));
        }
    }
    let how = how_to_confirm(params)?;
    let mut changed = intent.clone();
    write(&mut changed, params)?;
    let customer = field::some_text(&intent, "customer");
    let method = payment_method::chosen(world, params, customer)?;
    world.put(&changed);
    pay(world, &changed, method, &how)
}

/// Confirms the intent with `method`, or with the one it has.
fn pay(world: &mut World, intent: &Value, method: Option<Value>, how: &Confirmation) -> Answer {
    let method = intent::method_of(world, intent, method)?;
    confirmation::confirm(world, field::text(intent, "id"), &method, how)
}

fn capture(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let intent = world.get("payment_intent", call.id(), "intent")?;
    match field::text(&intent, "status") {
        "requires_capture" => {}
        "succeeded" => {
            let message = "This PaymentIntent could not be captured because it has already been captured.";
            return Err(intent::in_state(&intent, message));
        }
        status => {
            let message = format!(
                "This PaymentIntent could not be captured because it has a status of {status}. Only a PaymentIntent with one \
                 of the following statuses may be captured: requires_capture."
            );
            return Err(intent::in_state(&intent, message));
        }
    }
    if params.boolean("final_capture") == Some(false) {
        let message = "The sandbox captures once: a card here has no multicapture.";
        return Err(ApiError::unserved("final_capture", message));
    }
    let amount = amount_to_capture(&intent, params, "amount_to_capture")?;
    let mut changed = intent.clone();
    write(&mut changed, params)?;
    world.put(&changed);
    let descriptors = changed.clone();
    let captured = payment::capture(world, &changed, amount, |charge| {
        for name in ["statement_descriptor", "statement_descriptor_suffix"] {
            field::set(charge, name, field::at(&descriptors, name).clone());
        }
    });
    Ok(rendered(&captured))
}

/// What is to be captured of what `intent` holds: all of it, or what was sent under `name`.
pub(crate) fn amount_to_capture(intent: &Value, params: &Params, name: &str) -> Result<i64, ApiError> {
    let held = field::integer(intent, "amount_capturable");
    match params.integer(name) {
        None => Ok(held),
        Some(amount) if amount > held => {
            let message = "The payment could not be captured because the requested capture amount is greater than the amount \
                you can capture for this charge.";
            Err(ApiError::invalid(message).code("amount_too_large").param(name))
        }
        Some(amount) if amount < 1 => Err(ApiError::below_one(name)),
        Some(amount) => Ok(amount),
    }
}

fn cancel(world: &mut World, call: &Call) -> Answer {
    let intent = world.get("payment_intent", call.id(), "intent")?;
    let status = field::text(&intent, "status");
    if matches!(status, "succeeded" | "canceled") {
        let message = format!(
            "You cannot cancel this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one of the \
             following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation, \
             requires_action, processing."
        );
        return Err(intent::in_state(&intent, message));
    }
    if let Some((maker, instead)) = maker(&intent) {
        let message =
            format!("You cannot cancel this PaymentIntent because it was created by {maker}. {instead} instead.");
        return Err(intent::in_state(&intent, message));
    }
    let canceled = payment::cancel(world, &intent, call.params.text("cancellation_reason"));
    Ok(rendered(&canceled))
}

/// What an intent belongs to that no caller created, and how it is canceled.
/// Source: <https://docs.stripe.com/api/payment_intents/cancel>.
fn maker(intent: &Value) -> Option<(&'static str, &'static str)> {
    let belongs = |name: &str| field::some_text(intent, name).is_some();
    if belongs("_sandbox.invoice") {
        return Some(("an Invoice", "Void the Invoice"));
    }
    // What a completed session holds can be let go.
    let is_held = field::text(intent, "status") == "requires_capture";
    (belongs("_sandbox.session") && !is_held).then_some(("a Checkout Session", "Expire the Checkout Session"))
}
