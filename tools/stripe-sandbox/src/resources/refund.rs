//! Refunds.

use super::{Call, Operation, list_of, merge_metadata, retrieve};
use crate::{
    billing::refunds::{self, NewRefund},
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
        path: "/v1/refunds",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/refunds",
        run: |world, call| {
            list_of(world, "refund", "/v1/refunds", &call.params, |one| {
                matches(one, &call.params, &["charge", "payment_intent"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/refunds/{id}",
        run: |world, call| retrieve(world, "refund", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/refunds/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/refunds/{id}/cancel",
        run: |world, call| {
            let refund = world.get("refund", call.id(), "refund")?;
            Ok(rendered(&refunds::cancel(world, &refund)?))
        },
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let charge = charge_of(world, params)?;
    let new = NewRefund {
        amount: params.integer("amount"),
        reason: params.text("reason"),
        metadata: merge_metadata(&json!({}), params, "metadata")?,
        instructions_email: params.text("instructions_email"),
    };
    Ok(rendered(&refunds::create(world, &charge, &new)?))
}

/// The charge to refund: the one named, or the one that paid the payment intent named.
fn charge_of(world: &World, params: &Params) -> Answer {
    let charge = match (params.text("charge"), params.text("payment_intent")) {
        (Some(charge), _) => world.get("charge", charge, "charge")?,
        (None, Some(intent)) => paid_by(world, intent)?,
        (None, None) => {
            let message = "One of the following params should be provided for this request: payment_intent or charge.";
            return Err(ApiError::invalid(message).code("parameter_missing"));
        }
    };
    if let Some(intent) = params.text("payment_intent")
        && field::text(&charge, "payment_intent") != intent
    {
        let message = format!("Charge {} does not belong to {intent}.", field::text(&charge, "id"));
        return Err(ApiError::invalid(message).param("payment_intent"));
    }
    Ok(charge)
}

fn paid_by(world: &World, intent: &str) -> Answer {
    let intent = world.get("payment_intent", intent, "payment_intent")?;
    let charge = world.find(field::text(&intent, "latest_charge"));
    charge
        .filter(|charge| field::text(charge, "status") == "succeeded")
        .cloned()
        .ok_or_else(|| {
            let message = format!(
                "This PaymentIntent ({}) does not have a successful charge to refund.",
                field::text(&intent, "id")
            );
            ApiError::invalid(message).param("payment_intent")
        })
}

fn update(world: &mut World, call: &Call) -> Answer {
    let refund = world.get("refund", call.id(), "refund")?;
    let metadata = merge_metadata(field::at(&refund, "metadata"), &call.params, "metadata")?;
    let changed = refunds::change(world, call.id(), |one| field::set(one, "metadata", metadata));
    Ok(rendered(&changed))
}

/// The refunds of a charge, as `expand[]=refunds` shows them.
pub(crate) fn list_on_charge(world: &World, charge: &str) -> Vec<Value> {
    let all = world.all("refund");
    let own = all.iter().filter(|one| field::text(one, "charge") == charge);
    own.map(rendered).collect()
}
