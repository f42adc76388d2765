//! Charges: made by attempts to pay; read, annotated and captured here.
//!
//! Source: <https://docs.stripe.com/api/charges>.

use super::{
    Call, Operation, check_email, copy_texts, list_of, merge_metadata, payment_intent::amount_to_capture, retrieve,
    search, shipping,
};
use crate::{
    billing::payment,
    field,
    http::{
        error::{Answer, ApiError},
        matches,
    },
    json::Value,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/charges",
        run: |world, call| {
            list_of(world, "charge", "/v1/charges", &call.params, |one| {
                matches(one, &call.params, &["customer", "payment_intent", "transfer_group"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/charges/search",
        run: |world, call| search::run(world, "charge", "/v1/charges/search", &call.params),
    },
    Operation {
        method: "GET",
        path: "/v1/charges/{id}",
        run: |world, call| retrieve(world, "charge", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/charges/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/charges/{id}/capture",
        run: capture,
    },
];

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let charge = world.get("charge", call.id(), "charge")?;
    check_email(params, "receipt_email")?;
    let mut changed = charge.clone();
    let metadata = merge_metadata(field::at(&charge, "metadata"), params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    copy_texts(
        &mut changed,
        params,
        &["description", "receipt_email", "transfer_group"],
    );
    if params.has("shipping") {
        field::set(&mut changed, "shipping", shipping(params));
    }
    if params.has("fraud_details[user_report]") {
        match params.text("fraud_details[user_report]") {
            Some(report) => field::set(&mut changed, "fraud_details.user_report", report),
            None => field::set(&mut changed, "fraud_details", crate::json::json!({})),
        }
    }
    if let Some(customer) = params.text("customer") {
        world.get("customer", customer, "customer")?;
        if field::some_text(&charge, "customer").is_some_and(|owner| owner != customer) {
            let message = "You cannot change the customer of a charge that has one already.";
            return Err(ApiError::invalid(message).param("customer"));
        }
        field::set(&mut changed, "customer", customer);
    }
    let changed = world.update(call.id(), "charge.updated", |one| *one = changed);
    Ok(rendered(&changed))
}

/// Captures what a charge holds, as capturing its payment intent does.
fn capture(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let charge = world.get("charge", call.id(), "charge")?;
    let refusal = |code: &str, message: String| Err(ApiError::invalid(message).code(code));
    if field::flag(&charge, "captured") {
        let message = format!("Charge {} has already been captured.", call.id());
        return refusal("charge_already_captured", message);
    }
    if field::flag(&charge, "refunded") {
        let message = format!(
            "Charge {} has been refunded: what it held was given back and cannot be captured any more.",
            call.id()
        );
        return refusal("charge_already_refunded", message);
    }
    if field::text(&charge, "status") != "succeeded" {
        let message = format!("Charge {} failed, so there is nothing to capture.", call.id());
        return refusal("charge_invalid_parameter", message);
    }
    let intent = world.get("payment_intent", field::text(&charge, "payment_intent"), "charge")?;
    let amount = amount_to_capture(&intent, params, "amount")?;
    let mut told = Value::Null;
    let names = [
        "receipt_email",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_group",
    ];
    copy_texts(&mut told, params, &names);
    payment::capture(world, &intent, amount, |charge| {
        for (name, value) in told.as_object().into_iter().flatten() {
            field::set(charge, name, value.clone());
        }
    });
    retrieve(world, "charge", call.id())
}
