//! Payouts.

use super::{Call, Operation, currency, list_of, merge_metadata, retrieve};
use crate::{
    billing::payouts::{self, NewPayout},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list, matches,
    },
    json::{Value, json},
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/payouts",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/payouts",
        run: |world, call| {
            let arrives = Params::saying(json!({ "created": call.params.at("arrival_date") }));
            list_of(world, "payout", "/v1/payouts", &call.params, |one| {
                matches(one, &call.params, &["destination", "status"])
                    && list::created_within(&arrives, field::integer(one, "arrival_date"))
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/payouts/{id}",
        run: |world, call| retrieve(world, "payout", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/payouts/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/payouts/{id}/cancel",
        run: |world, call| {
            let payout = world.get("payout", call.id(), "payout")?;
            Ok(rendered(&payouts::cancel(world, &payout)?))
        },
    },
    Operation {
        method: "POST",
        path: "/v1/payouts/{id}/reverse",
        run: |world, call| {
            let payout = world.get("payout", call.id(), "payout")?;
            let metadata = merge_metadata(&json!({}), &call.params, "metadata")?;
            Ok(rendered(&payouts::reverse(world, &payout, metadata)?))
        },
    },
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    if params.text("method") == Some("instant") {
        let message = "The sandbox makes standard payouts only.";
        return Err(ApiError::unserved("method", message));
    }
    if params.text("source_type").is_some_and(|kind| kind != "card") {
        let message = "All money of the sandbox comes from cards: `source_type` is `card`.";
        return Err(ApiError::unserved("source_type", message));
    }
    let currency = currency(params, "currency");
    let new = NewPayout {
        amount: params.integer("amount").unwrap_or_default(),
        currency: &currency,
        destination: params.text("destination"),
        description: params.text("description"),
        statement_descriptor: params.text("statement_descriptor"),
        metadata: merge_metadata(&json!({}), params, "metadata")?,
    };
    Ok(rendered(&payouts::create(world, &new)?))
}

fn update(world: &mut World, call: &Call) -> Answer {
    let payout = world.get("payout", call.id(), "payout")?;
    let metadata = merge_metadata(field::at(&payout, "metadata"), &call.params, "metadata")?;
    let changed = world.update(call.id(), "payout.updated", |one: &mut Value| {
        field::set(one, "metadata", metadata)
    });
    Ok(rendered(&changed))
}
