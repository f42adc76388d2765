//! The settings of Stripe's dashboard about the collection of invoices.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, response::Response};

use super::api::{bad, ok, parsed, refused};
use crate::{
    app::{App, cause},
    billing::settings::{self, Settings},
    json::Value,
};

/// `GET /_sandbox/billing`.
pub(crate) async fn show(State(app): State<Arc<App>>) -> Response {
    ok(&Value::of(&settings::of(&app.world())))
}

/// `POST /_sandbox/billing`: replaces the whole setting.
pub(crate) async fn set(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted: Settings = match parsed(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(&error),
    };
    if let Err(message) = wanted.check() {
        return bad(&message);
    }
    match app.change("", cause("billing settings"), |world| {
        Ok(settings::replace(world, &wanted))
    }) {
        Ok(set) => ok(&set),
        Err(error) => refused(&error),
    }
}
