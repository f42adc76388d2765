//! `GET` and `POST /3d_secure/{intent}`: the page of the bank on which the owner of a card authenticates.
//!
//! Stripe's test page has the same two buttons. Source: <https://docs.stripe.com/testing#three-ds-cards>.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Form,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::{alert, cause, escaped, find, page, redirect};
use crate::{
    app::App,
    billing::{authentication, start::money},
    field,
    json::Value,
};

/// Shows the page.
pub(crate) async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match intent(&app, &id) {
        Some((_, intent)) => form(StatusCode::OK, &intent, ""),
        None => unknown(),
    }
}

/// Authenticates with `action=complete`, or fails to with `action=fail`, and goes to the `return_url`.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let Some((account, intent)) = intent(&app, &id) else {
        return unknown();
    };
    let succeeds = match sent.get("action").map(String::as_str) {
        Some("complete") => true,
        Some("fail") => false,
        _ => {
            let message = "<p role=\"alert\">Choose one of the two.</p>\n";
            return form(StatusCode::BAD_REQUEST, &intent, message);
        }
    };
    let cause = cause(&app, "authentication page");
    match app.change(&account, cause, |world| {
        world.go_by_clock_of(&id, true)?;
        authentication::end(world, &id, succeeds)
    }) {
        Ok(Some(url)) => redirect(&app.world().resolve(&url)),
        Ok(None) => {
            let status = super::find(&app, field::text(&intent, "object"), &id)
                .map(|(_, now)| field::text(&now, "status").to_owned())
                .unwrap_or_default();
            let body = format!(
                "<p>The payment is <code>{}</code> now. You can close this page.</p>",
                escaped(&status)
            );
            page(StatusCode::OK, "Authentication is over", &body)
        }
        Err(error) => form(error.status_code(), &intent, &alert(&error)),
    }
}

/// The payment or setup intent, and its account.
fn intent(app: &App, id: &str) -> Option<(String, Value)> {
    find(app, "payment_intent", id).or_else(|| find(app, "setup_intent", id))
}

fn form(status: StatusCode, intent: &Value, alert: &str) -> Response {
    if field::text(intent, "status") != "requires_action" {
        let body = format!("{alert}<p>Nothing waits to be authenticated here.</p>");
        return page(StatusCode::CONFLICT, "3D Secure", &body);
    }
    let what = match field::text(intent, "object") {
        "payment_intent" => {
            let amount = money(field::integer(intent, "amount"), field::text(intent, "currency"));
            format!("pay <strong>{}</strong>", escaped(&amount))
        }
        _ => "save the card for later payments".to_owned(),
    };
    let body = format!(
        "{alert}<p>Your bank asks whether it is you who wants to {what}. This is a page of the sandbox: choose how the \
         authentication ends.</p>\n<form method=\"post\">\n\
         <button type=\"submit\" name=\"action\" value=\"complete\">Complete authentication</button>\n\
         <button class=\"plain\" type=\"submit\" name=\"action\" value=\"fail\">Fail authentication</button>\n</form>"
    );
    page(status, "3D Secure", &body)
}

fn unknown() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "No such payment",
        "<p>This link leads to no payment of this sandbox.</p>",
    )
}
