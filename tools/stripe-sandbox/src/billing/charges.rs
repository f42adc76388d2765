//! Charges: one for each attempt to take money, as the bank answered it.

use super::{
    balance,
    cards::{Card, Refusal, Risk},
};
use crate::{
    field,
    json::{Value, json},
    shapes,
    world::{World, ids},
};

/// How long the money of an uncaptured charge is held.
/// Source: <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method#authorization-validity-windows>.
pub(crate) const HOLD: i64 = 7 * 86_400;

/// Charges what `intent` asks for to `method`: the charge that the bank approved. Without `captures` the money is only held.
pub(crate) fn approve(
    world: &mut World,
    intent: &Value,
    method: &Value,
    card: Option<Card>,
    authenticated: bool,
    captures: bool,
) -> Value {
    let mut charge = new(world, intent, method, authenticated);
    let amount = field::integer(intent, "amount");
    field::set(&mut charge, "status", "succeeded");
    field::set(&mut charge, "paid", true);
    field::set(&mut charge, "captured", captures);
    field::set(&mut charge, "amount_captured", if captures { amount } else { 0 });
    let details = "payment_method_details.card";
    field::set(&mut charge, &format!("{details}.amount_authorized"), amount);
    let (code, transaction) = bank_numbers(field::text(&charge, "id"));
    field::set(&mut charge, &format!("{details}.authorization_code"), code);
    field::set(&mut charge, &format!("{details}.network_transaction_id"), transaction);
    if !captures {
        field::set(&mut charge, &format!("{details}.capture_before"), world.now + HOLD);
    }
    let elevated = card.is_some_and(|card| card.risk == Risk::Elevated);
    let outcome = if elevated {
        json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network", "reason": "elevated_risk_level", "risk_level": "elevated",
            "seller_message": "Stripe evaluated this payment as having elevated risk, and placed it in your manual review queue.",
            "type": "manual_review",
        })
    } else {
        json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
            "seller_message": "Payment complete.", "type": "authorized",
        })
    };
    field::set(&mut charge, "outcome", outcome);
    if elevated {
        let review = open_review(world, &charge);
        field::set(&mut charge, "review", review);
    }
    if captures {
        balance::post_charge(world, &mut charge);
    }
    world.create("charge.succeeded", &charge);
    charge
}

/// The charge that was refused.
pub(crate) fn refuse(
    world: &mut World,
    intent: &Value,
    method: &Value,
    card: Option<Card>,
    refusal: Refusal,
    authenticated: bool,
) -> Value {
    let mut charge = new(world, intent, method, authenticated);
    field::set(&mut charge, "status", "failed");
    field::set(&mut charge, "failure_code", refusal.code);
    field::set(&mut charge, "failure_message", refusal.message);
    let reason = refusal.decline_code.unwrap_or(refusal.code);
    let outcome = if card.is_some_and(|card| card.risk == Risk::Highest) {
        json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "not_sent_to_network", "reason": "highest_risk_level", "risk_level": "highest",
            "seller_message": "Stripe blocked this payment as too risky.", "type": "blocked",
        })
    } else {
        let seller_message = match reason {
            "generic_decline" => "The bank did not return any further details with this decline.".to_owned(),
            reason => format!("The bank returned the decline code `{reason}`."),
        };
        json!({
            "advice_code": refusal.advice_code, "network_advice_code": null,
            "network_decline_code": (reason == "generic_decline").then_some("01"),
            "network_status": "declined_by_network", "reason": reason, "risk_level": "normal",
            "seller_message": seller_message, "type": "issuer_declined",
        })
    };
    field::set(&mut charge, "outcome", outcome);
    world.create("charge.failed", &charge);
    charge
}

/// Captures `amount` of a held charge; the rest is given back to its owner and counts as refunded. Source:
/// <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method#capture-the-funds>.
pub(crate) fn capture(world: &mut World, id: &str, amount: i64, edit: impl FnOnce(&mut Value)) -> Value {
    let Some(mut captured) = world.find(id).cloned() else {
        return Value::Null;
    };
    field::set(&mut captured, "captured", true);
    field::set(&mut captured, "amount_captured", amount);
    let released = field::integer(&captured, "amount") - amount;
    field::set(&mut captured, "amount_refunded", released);
    edit(&mut captured);
    balance::post_charge(world, &mut captured);
    world.put(&captured);
    world.emit("charge.captured", &captured, None);
    captured
}

/// Gives back what a charge holds: it counts as refunded then.
pub(crate) fn release(world: &mut World, id: &str, event: &str) {
    let released = world.edit(id, |one| {
        field::set(one, "refunded", true);
        field::set(one, "amount_refunded", field::at(one, "amount").clone());
        // Nothing is left to be refunded.
        field::set(one, "_sandbox.refunded", field::at(one, "amount").clone());
    });
    world.emit(event, &released, None);
}

fn new(world: &mut World, intent: &Value, method: &Value, authenticated: bool) -> Value {
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
        "transfer_group",
    ] {
        field::set(&mut charge, name, field::at(intent, name).clone());
    }
    field::set(
        &mut charge,
        "calculated_statement_descriptor",
        match field::some_text(intent, "statement_descriptor_suffix") {
            Some(suffix) => format!("SANDBOX* {suffix}"),
            None => "SANDBOX".to_owned(),
        },
    );
    field::set(&mut charge, "payment_intent", field::at(intent, "id").clone());
    field::set(&mut charge, "payment_method", field::at(method, "id").clone());
    field::set(
        &mut charge,
        "billing_details",
        field::at(method, "billing_details").clone(),
    );
    let card = card_details(method, field::integer(intent, "amount"), authenticated);
    field::set(
        &mut charge,
        "payment_method_details",
        json!({ "card": card, "type": "card" }),
    );
    // What the card does later, to a refund say, is known by its name.
    field::set(&mut charge, "_sandbox.card", field::at(method, "_sandbox.card").clone());
    charge
}

fn card_details(method: &Value, amount: i64, authenticated: bool) -> Value {
    let mut card = json!({
        "amount_authorized": null, "authorization_code": null, "extended_authorization": { "status": "disabled" },
        "incremental_authorization": { "status": "unavailable" }, "installments": null, "mandate": null,
        "multicapture": { "status": "unavailable" }, "network_token": { "used": false }, "network_transaction_id": null,
        "overcapture": { "maximum_amount_capturable": amount, "status": "unavailable" },
        "three_d_secure": three_d_secure(method, authenticated), "wallet": null,
    });
    if let Value::Object(exemption) = field::place(&mut card, "three_d_secure") {
        exemption.insert("exemption_indicator".to_owned(), Value::Null);
    }
    copy_card(&mut card, method);
    let regulated = field::at(method, "card.regulated_status").clone();
    field::set(&mut card, "regulated_status", regulated);
    card
}

/// Copies what an attempt tells of the card it was made with.
pub(crate) fn copy_card(to: &mut Value, method: &Value) {
    for name in [
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
    ] {
        field::set(to, name, field::at(method, &format!("card.{name}")).clone());
    }
    field::set(to, "network", field::at(method, "card.brand").clone());
}

/// How the owner of the card authenticated; null where they did not.
pub(crate) fn three_d_secure(method: &Value, authenticated: bool) -> Value {
    if !authenticated {
        return Value::Null;
    }
    // A UUID made of the method's id.
    let digits = hex::encode(ids::letters(field::text(method, "id"), 16));
    let mut transaction = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            transaction.push('-');
        }
        transaction.push(digit);
    }
    json!({
        "authentication_flow": "challenge", "electronic_commerce_indicator": "05", "result": "authenticated",
        "result_reason": null, "transaction_id": transaction, "version": "2.2.0",
    })
}

/// An authorization code and a transaction number, as a bank gives them.
fn bank_numbers(charge: &str) -> (String, String) {
    let digits: String = ids::letters(charge, 21)
        .bytes()
        .map(|letter| char::from(b'0' + letter % 10))
        .collect();
    let (code, transaction) = digits.split_at_checked(6).unwrap_or_default();
    (code.to_owned(), transaction.to_owned())
}

/// Puts a charge into the review queue. Source: <https://docs.stripe.com/radar/reviews>.
fn open_review(world: &mut World, charge: &Value) -> String {
    let mut review = shapes::review();
    let id = world.id("prv_", 24);
    field::set(&mut review, "id", id.clone());
    field::set(&mut review, "created", world.now);
    field::set(&mut review, "livemode", world.livemode);
    field::set(&mut review, "charge", field::at(charge, "id").clone());
    field::set(
        &mut review,
        "payment_intent",
        field::at(charge, "payment_intent").clone(),
    );
    world.create("review.opened", &review);
    id
}
