//! Disputes: answered with evidence, or accepted.
//!
//! Source: <https://docs.stripe.com/api/disputes>.

use super::{Call, Operation, list_of, merge_metadata, retrieve};
use crate::{
    billing::disputes::{self, Response},
    field,
    http::{error::Answer, matches},
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/disputes",
        run: |world, call| {
            list_of(world, "dispute", "/v1/disputes", &call.params, |one| {
                matches(one, &call.params, &["charge", "payment_intent"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/disputes/{id}",
        run: |world, call| retrieve(world, "dispute", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/disputes/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/disputes/{id}/close",
        run: |world, call| {
            let dispute = world.get("dispute", call.id(), "dispute")?;
            Ok(rendered(&disputes::accept(world, &dispute)?))
        },
    },
];

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let dispute = world.get("dispute", call.id(), "dispute")?;
    if let Some(charge) = params.text("evidence[duplicate_charge_id]") {
        world.get("charge", charge, "evidence[duplicate_charge_id]")?;
    }
    let response = Response {
        evidence: params.at("evidence").as_object().cloned().unwrap_or_default(),
        metadata: merge_metadata(field::at(&dispute, "metadata"), params, "metadata")?,
        submit: params.boolean("submit"),
    };
    Ok(rendered(&disputes::respond(world, &dispute, response)?))
}
