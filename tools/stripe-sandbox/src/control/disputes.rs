//! Disputes as a test wishes them: of any charge, and decided as it likes.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;

use super::api::{answer, bad, parsed, refused};
use crate::{
    app::{App, cause},
    billing::disputes::{self, NewDispute},
    http::{account::check_account, error::ApiError},
    json::Value,
    world::{World, rendered},
};

/// What a dispute may be for. Source: <https://docs.stripe.com/disputes/categories>.
const REASONS: &[&str] = &[
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "noncompliant",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    charge: String,
    reason: String,
    #[serde(default)]
    inquiry: bool,
    amount: Option<i64>,
    #[serde(default)]
    account: String,
}

/// `POST /_sandbox/disputes`: the owner of the card disputes a charge.
pub(crate) async fn open(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted: Wanted = match parsed(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(&error),
    };
    if !REASONS.contains(&&*wanted.reason) {
        return bad(&format!(
            "there is no reason `{}`: {}",
            wanted.reason,
            REASONS.join(", ")
        ));
    }
    let new = NewDispute {
        amount: wanted.amount,
        reason: &wanted.reason,
        inquiry: wanted.inquiry,
    };
    changed(&app, &wanted.account, &[], |world| {
        world.go_by_clock_of(&wanted.charge, true)?;
        let charge = world.get("charge", &wanted.charge, "charge")?;
        disputes::open(world, &charge, &new)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    status: String,
    #[serde(default)]
    account: String,
}

/// `POST /_sandbox/disputes/{id}`: the bank decides, or makes a chargeback of an inquiry.
pub(crate) async fn decide(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Response {
    let wanted: Outcome = match parsed(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(&error),
    };
    changed(&app, &wanted.account, std::slice::from_ref(&id), |world| {
        world.go_by_clock_of(&id, true)?;
        let dispute = world.get("dispute", &id, "dispute")?;
        disputes::become_status(world, &dispute, &wanted.status)
    })
}

/// Answers with the dispute that `change` makes, in the data set of `account`; `ids` are those in the path.
fn changed(
    app: &App,
    account: &str,
    ids: &[String],
    change: impl FnOnce(&mut World) -> Result<Value, ApiError>,
) -> Response {
    app.tick();
    let outcome = app.change("", cause("dispute"), |world| {
        check_account(world, account)?;
        world.begin(account, cause("dispute"));
        let dispute = change(world)?;
        Ok(world.publish(&rendered(&dispute)))
    });
    match outcome {
        Ok(dispute) => answer(StatusCode::OK, dispute),
        Err(error) => refused(&error.in_url(ids)),
    }
}
