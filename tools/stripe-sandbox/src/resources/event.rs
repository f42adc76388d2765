//! Events, to be read.

use super::{Call, Operation, list_of, retrieve};
use crate::{
    field,
    http::error::{Answer, ApiError},
    json::Value,
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/events",
        run: list,
    },
    Operation {
        method: "GET",
        path: "/v1/events/{id}",
        run: |world, call| {
            kept(world, call.id())?;
            retrieve(world, "event", call.id())
        },
    },
    Operation {
        method: "POST",
        path: "/v1/events/{id}/retry",
        run: retry,
    },
];

/// Events can be read for 30 days, of the present where they were created in a test clock's time.
/// Source: <https://docs.stripe.com/api/events>.
const KEPT_FOR: i64 = 30 * 86_400;

fn is_kept(world: &World, event: &Value) -> bool {
    let at = field::at(event, "_sandbox.at").as_i64();
    at.unwrap_or_else(|| field::integer(event, "created")) > world.present - KEPT_FOR
}

/// The event, if it is not too old.
fn kept(world: &World, id: &str) -> Answer {
    let event = world.get("event", id, "id")?;
    if is_kept(world, &event) {
        Ok(event)
    } else {
        Err(ApiError::missing("event", id, "id"))
    }
}

/// Sends an event again, to one endpoint or to all that listen: what `stripe events resend` calls, and not in Stripe's
/// reference. Source: <https://github.com/stripe/stripe-cli> (`pkg/cmd/resource/events_resend.go`).
fn retry(world: &mut World, call: &Call) -> Answer {
    let event = kept(world, call.id())?;
    let endpoints = match call.params.text("webhook_endpoint") {
        None => world.listeners(field::text(&event, "type")),
        Some(id) => match world.endpoint(id) {
            None => return Err(ApiError::missing("webhook_endpoint", id, "webhook_endpoint")),
            Some(endpoint) if field::text(&endpoint, "status") != "enabled" => {
                let message = format!("The webhook endpoint {id} is disabled.");
                return Err(ApiError::invalid(message).param("webhook_endpoint"));
            }
            Some(_) => vec![id.to_owned()],
        },
    };
    for endpoint in &endpoints {
        world.send_again(call.id(), endpoint);
    }
    retrieve(world, "event", call.id())
}

fn list(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let types = params.texts("types");
    if params.text("type").is_some() && !types.is_empty() {
        return Err(ApiError::invalid(
            "You may only specify one of these parameters: type, types.",
        ));
    }
    let delivered = params.boolean("delivery_success");
    list_of(world, "event", "/v1/events", params, |one| {
        let kind = field::text(one, "type");
        let wanted = |pattern: &str| match pattern.strip_suffix(".*") {
            Some(prefix) => kind.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')),
            None => pattern == "*" || pattern == kind,
        };
        params.text("type").is_none_or(wanted)
            && is_kept(world, one)
            && (types.is_empty() || types.iter().any(|pattern| wanted(pattern)))
            && delivered.is_none_or(|delivered| (field::integer(one, "pending_webhooks") == 0) == delivered)
    })
}
