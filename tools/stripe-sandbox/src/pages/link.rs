//! `GET /p/{link}`: where a payment link leads, and `GET /p/{link}/paid`, which confirms.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use http::StatusCode;

use super::{alert, cause, escaped, find, page, redirect};
use crate::{
    app::App,
    billing::links::{self, Visitor},
    field,
};

const KIND: &str = "payment_link";

/// Makes a checkout session and leads to its page.
pub(crate) async fn open(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let Some((account, link)) = find(&app, KIND, &id) else {
        return unknown();
    };
    if !links::is_open(&link) {
        let message =
            field::some_text(&link, "inactive_message").unwrap_or("This payment link is not active any more.");
        let body = format!("<p>{}</p>", escaped(message));
        return page(StatusCode::GONE, "Not for sale any more", &body);
    }
    // What is not valid is left out, as at Stripe.
    let reference = asked.get("client_reference_id").map(String::as_str);
    let email = ["locked_prefilled_email", "prefilled_email"]
        .iter()
        .find_map(|name| asked.get(*name));
    let visitor = Visitor {
        email: email
            .map(String::as_str)
            .filter(|email| email.contains('@') && email.len() <= 512),
        reference: reference.filter(|reference| {
            (1..=200).contains(&reference.len())
                && reference
                    .bytes()
                    .all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter))
        }),
    };
    match app.change(&account, cause(&app, "payment link"), |world| {
        links::open(world, &id, &visitor)
    }) {
        Ok(url) => redirect(&app.world().resolve(&url)),
        Err(error) => page(error.status_code(), "Not for sale", &alert(&error)),
    }
}

/// Says that all is paid, in the seller's words if there are any.
pub(crate) async fn paid(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let Some((_, link)) = find(&app, KIND, &id) else {
        return unknown();
    };
    let message = field::some_text(&link, "after_completion.hosted_confirmation.custom_message");
    let message = message.unwrap_or("Your payment was successful.");
    page(
        StatusCode::OK,
        "Thanks for your payment",
        &format!("<p>{}</p>", escaped(message)),
    )
}

fn unknown() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "No such payment link",
        "<p>This address leads to no payment link of this sandbox.</p>",
    )
}
