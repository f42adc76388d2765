//! Taking money: a payment intent, and a charge for each attempt to pay it.

use serde_json::{Value, json};

use super::{balance, cards};
use crate::{
    field,
    http::error::ApiError,
    shapes,
    world::{World, rendered},
};

/// What a new payment intent is for.
#[derive(Default)]
pub(crate) struct NewIntent<'a> {
    pub(crate) amount: i64,
    pub(crate) currency: &'a str,
    pub(crate) customer: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
    pub(crate) metadata: Value,
    pub(crate) receipt_email: Option<&'a str>,
}

/// A new payment intent that waits for a payment method.
pub(crate) fn new_intent(world: &mut World, new: &NewIntent<'_>) -> Value {
    let id = world.id("pi_", 24);
    let secret = world.id("secret_", 25);
    let mut intent = shapes::payment_intent();
    field::set(&mut intent, "client_secret", format!("{id}_{secret}"));
    field::set(&mut intent, "id", id);
    field::set(&mut intent, "created", world.now);
    field::set(&mut intent, "livemode", world.livemode);
    field::set(&mut intent, "amount", new.amount);
    field::set(&mut intent, "currency", new.currency);
    field::set(&mut intent, "customer", new.customer);
    field::set(&mut intent, "description", new.description);
    field::set(&mut intent, "receipt_email", new.receipt_email);
    if new.metadata.is_object() {
        field::set(&mut intent, "metadata", new.metadata.clone());
    }
    intent
}

/// Charges `intent` to `method`. A refusal by the bank is a 402 whose effects (the failed charge) stay.
pub(crate) fn attempt(world: &mut World, intent: &str, method: &Value) -> Result<Value, ApiError> {
    let Some(before) = world.find(intent).cloned() else {
        return Err(ApiError::missing("payment_intent", intent, "intent"));
    };
    let refusal = cards::by_token(field::text(method, "_sandbox.card")).and_then(|card| card.refusal);
    let mut charge = new_charge(world, &before, method);
    match refusal {
        None => {
            let amount = field::integer(&before, "amount");
            field::set(&mut charge, "status", "succeeded");
            field::set(&mut charge, "paid", true);
            field::set(&mut charge, "captured", true);
            field::set(&mut charge, "amount_captured", amount);
            field::set(
                &mut charge,
                "outcome",
                json!({
                    "advice_code": null, "network_advice_code": null, "network_decline_code": null,
                    "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
                    "seller_message": "Payment complete.", "type": "authorized",
                }),
            );
            balance::post_charge(world, &mut charge);
            world.create("charge.succeeded", &charge);
            let paid = world.edit(intent, |one| {
                field::set(one, "status", "succeeded");
                field::set(one, "amount_received", amount);
                field::set(one, "latest_charge", field::at(&charge, "id").clone());
                field::set(one, "payment_method", field::at(method, "id").clone());
                field::set(one, "last_payment_error", Value::Null);
            });
            world.emit("payment_intent.succeeded", &paid, None);
            Ok(paid)
        }
        Some(refusal) => {
            field::set(&mut charge, "status", "failed");
            field::set(&mut charge, "failure_code", refusal.code);
            field::set(&mut charge, "failure_message", refusal.message);
            field::set(
                &mut charge,
                "outcome",
                json!({
                    "advice_code": null, "network_advice_code": null, "network_decline_code": null,
                    "network_status": "declined_by_network", "reason": refusal.decline_code.unwrap_or(refusal.code),
                    "risk_level": "normal", "seller_message": "The bank declined the payment.", "type": "issuer_declined",
                }),
            );
            world.create("charge.failed", &charge);
            let error = refused(refusal).with("charge", field::at(&charge, "id").clone());
            let failed = world.edit(intent, |one| {
                field::set(one, "status", "requires_payment_method");
                field::set(one, "latest_charge", field::at(&charge, "id").clone());
                let mut last = Value::Object(error.fields.clone());
                field::set(&mut last, "payment_method", rendered(method));
                field::set(one, "last_payment_error", last);
            });
            world.emit("payment_intent.payment_failed", &failed, None);
            let mut error = error
                .with("payment_intent", rendered(&failed))
                .with("payment_method", rendered(method));
            error.keeps_effects = true;
            Err(error)
        }
    }
}

/// The 402 for a refusal.
pub(crate) fn refused(refusal: cards::Refusal) -> ApiError {
    let error = ApiError::new(402, "card_error", refusal.message).code(refusal.code);
    match (refusal.decline_code, refusal.code) {
        (Some(decline_code), _) => error.with("decline_code", decline_code),
        (None, "incorrect_number") => error.param("number"),
        (None, "incorrect_cvc") => error.param("cvc"),
        (None, "expired_card") => error.param("exp_month"),
        _ => error,
    }
}

fn new_charge(world: &mut World, intent: &Value, method: &Value) -> Value {
    let mut charge = shapes::charge();
    field::set(&mut charge, "id", world.id("ch_", 24));
    field::set(&mut charge, "created", world.now);
    field::set(&mut charge, "livemode", world.livemode);
    for name in [
        "amount",
        "currency",
        "customer",
        "description",
        "metadata",
        "receipt_email",
        "shipping",
        "statement_descriptor",
        "statement_descriptor_suffix",
    ] {
        field::set(&mut charge, name, field::at(intent, name).clone());
    }
    field::set(&mut charge, "payment_intent", field::at(intent, "id").clone());
    field::set(&mut charge, "payment_method", field::at(method, "id").clone());
    field::set(
        &mut charge,
        "billing_details",
        field::at(method, "billing_details").clone(),
    );
    let mut card = json!({
        "amount_authorized": null, "authorization_code": null, "extended_authorization": { "status": "disabled" },
        "incremental_authorization": { "status": "unavailable" }, "installments": null, "mandate": null,
        "multicapture": { "status": "unavailable" }, "network_token": { "used": false }, "network_transaction_id": null,
        "overcapture": { "maximum_amount_capturable": field::integer(intent, "amount"), "status": "unavailable" },
        "three_d_secure": null, "transaction_link_id": null, "wallet": null,
    });
    for name in [
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "regulated_status",
    ] {
        field::set(&mut card, name, field::at(method, &format!("card.{name}")).clone());
    }
    field::set(&mut card, "network", field::at(method, "card.brand").clone());
    field::set(
        &mut charge,
        "payment_method_details",
        json!({ "card": card, "type": "card" }),
    );
    charge
}
