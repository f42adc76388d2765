//! Events, to be read.

use super::{Call, Operation, list_of, retrieve};
use crate::{
    field,
    http::error::{Answer, ApiError},
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
        run: |world, call| retrieve(world, "event", call.id()),
    },
];

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
            && (types.is_empty() || types.iter().any(|pattern| wanted(pattern)))
            && delivered.is_none_or(|delivered| (field::integer(one, "pending_webhooks") == 0) == delivered)
    })
}
