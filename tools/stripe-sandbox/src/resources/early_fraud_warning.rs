//! Early fraud warnings, to be read.
//!
//! Source: <https://docs.stripe.com/api/radar/early_fraud_warnings>.

use super::{Operation, list_of, retrieve};
use crate::http::matches;

const KIND: &str = "radar.early_fraud_warning";

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/radar/early_fraud_warnings",
        run: |world, call| {
            list_of(world, KIND, "/v1/radar/early_fraud_warnings", &call.params, |one| {
                matches(one, &call.params, &["charge", "payment_intent"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/radar/early_fraud_warnings/{id}",
        run: |world, call| retrieve(world, KIND, call.id()),
    },
];
