//! `GET` and `POST /setup/s/{account}/{token}`: the hosted onboarding that an account link leads to.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Form,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;

use super::{escaped, page, redirect};
use crate::{
    app::App,
    field,
    http::error::ApiError,
    json::Value,
    resources::{account, account_link},
    world::{Cause, World},
};

/// Opens the onboarding; a link opens it once, later visits go to the `refresh_url`.
pub(crate) async fn show(State(app): State<Arc<App>>, Path((account, token)): Path<(String, String)>) -> Response {
    let opened = app.change("", cause(), |world| {
        let link = link(world, &account, &token)?;
        if !account_link::is_usable(world, &link, "new") {
            return Ok((link, false));
        }
        world.edit(&token, |one| field::set(one, "state", "opened"));
        Ok((link, true))
    });
    match opened {
        Err(_) => unknown(),
        Ok((link, false)) => redirect(field::text(&link, "refresh_url")),
        Ok((_, true)) => {
            let body = format!(
                "<p>Account <code>{}</code> wants to take payments. The sandbox asks for nothing: every requirement counts as \
                 met once you submit.</p>\n<form method=\"post\">\n\
                 <button type=\"submit\" name=\"action\" value=\"submit\">Agree and submit</button>\n\
                 <button class=\"plain\" type=\"submit\" name=\"action\" value=\"later\">Save for later</button>\n</form>",
                escaped(&account)
            );
            page(StatusCode::OK, "Onboarding", &body)
        }
    }
}

/// Submits (or, with `action=later`, leaves) the onboarding and goes to the `return_url`.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Path((account, token)): Path<(String, String)>,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let later = sent.get("action").is_some_and(|action| action == "later");
    let left = app.change("", cause(), |world| {
        let link = link(world, &account, &token)?;
        let usable = ["new", "opened"]
            .iter()
            .any(|state| account_link::is_usable(world, &link, state));
        if usable {
            world.edit(&token, |one| field::set(one, "state", "used"));
            if !later {
                account::onboard(world, &account);
            }
        }
        let to = if usable { "return_url" } else { "refresh_url" };
        Ok(field::text(&link, to).to_owned())
    });
    left.map_or_else(|_| unknown(), |url| redirect(&url))
}

fn link(world: &World, account: &str, token: &str) -> Result<Value, ApiError> {
    let link = world.get("account_link", token, "token")?;
    if field::text(&link, "account") == account {
        Ok(link)
    } else {
        Err(ApiError::missing("account_link", token, "token"))
    }
}

fn cause() -> Cause {
    Cause {
        operation: "onboarding page".to_owned(),
        ..Cause::default()
    }
}

fn unknown() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "No such link",
        "<p>This link leads to no onboarding of this sandbox.</p>",
    )
}
