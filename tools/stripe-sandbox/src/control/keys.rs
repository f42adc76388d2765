//! The keys of a world: looked at, and restricted ones made.

use std::{collections::BTreeMap, sync::Arc};

use axum::{body::Bytes, extract::State, response::Response};
use serde::Deserialize;

use super::api::{bad, ok, parsed, refused};
use crate::{
    app::{App, cause},
    http::keys::{self, Right},
    json::json,
};

/// `GET /_sandbox/keys`.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    let world = app.world();
    ok(&json!({ "publishable": world.publishable_key(), "restricted": keys::all_restricted(&world) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    permissions: BTreeMap<String, Right>,
}

/// `POST /_sandbox/keys`: makes a restricted key.
pub(crate) async fn create(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted: NewKey = match parsed(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(&error),
    };
    match app.change("", cause("restricted key"), |world| {
        keys::restricted(world, &wanted.permissions)
    }) {
        Ok(made) => ok(&made),
        Err(error) => refused(&error),
    }
}
