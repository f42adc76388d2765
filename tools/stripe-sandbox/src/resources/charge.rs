//! Charges: made by attempts to pay, only read here.

use super::{Operation, list_of, retrieve};
use crate::http::matches;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/charges",
        run: |world, call| {
            list_of(world, "charge", "/v1/charges", &call.params, |one| {
                matches(one, &call.params, &["customer", "payment_intent"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/charges/{id}",
        run: |world, call| retrieve(world, "charge", call.id()),
    },
];
