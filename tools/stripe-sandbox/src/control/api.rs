//! The handlers of the control API. All of it speaks JSON; a body that does not fit is a 400 that says why.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::faults::Faults;
use crate::{
    app::{App, cause},
    http::error::ApiError,
    json::{Value, json},
    world::{clock::LONGEST_ADVANCE, rendered},
};

pub(super) fn answer(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn ok(body: &Value) -> Response {
    answer(StatusCode::OK, body.to_string())
}

pub(super) fn bad(message: &str) -> Response {
    answer(
        StatusCode::BAD_REQUEST,
        json!({ "error": { "message": message } }).to_string(),
    )
}

pub(super) fn refused(error: &ApiError) -> Response {
    answer(error.status_code(), error.body().to_string())
}

/// The body as a `T`, if it is a JSON object that fits.
pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    serde_json::from_value(object.into()).map_err(|error| error.to_string())
}

/// `GET /_sandbox/clock`.
pub(crate) async fn clock(State(app): State<Arc<App>>) -> Response {
    let world = app.world();
    ok(&json!({ "now": world.clock.now(), "ticks": world.clock.ticks() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

/// `POST /_sandbox/clock`: moves time on and runs everything that comes due before it answers.
pub(crate) async fn advance(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let seconds = match parsed::<Advance>(&body) {
        Ok(Advance { advance_seconds }) if (0..=LONGEST_ADVANCE).contains(&advance_seconds) => advance_seconds,
        Ok(_) => return bad(&format!("advance_seconds is not between 0 and {LONGEST_ADVANCE}")),
        Err(error) => return bad(&error),
    };
    let moved = app.change("", cause("clock"), |world| {
        world.change.offset = Some(world.clock.offset.saturating_add(seconds));
        Ok(())
    });
    if let Err(error) = moved {
        return refused(&error);
    }
    app.tick();
    ok(&json!({ "now": app.world().clock.now() }))
}

/// `GET /_sandbox/faults`.
pub(crate) async fn faults(State(app): State<Arc<App>>) -> Response {
    ok(&Value::of(&app.world().faults))
}

/// `POST /_sandbox/faults`: replaces the whole setting.
pub(crate) async fn set_faults(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let faults: Faults = match parsed(&body) {
        Ok(faults) => faults,
        Err(error) => return bad(&error),
    };
    if let Err(message) = faults.check() {
        return bad(&message);
    }
    let set = app.change("", cause("faults"), |world| {
        world.change.faults = Some(faults);
        Ok(())
    });
    // A test clock that was held goes on.
    app.clock_set_out.notify_one();
    match set {
        Ok(()) => ok(&Value::of(&app.world().faults)),
        Err(error) => refused(&error),
    }
}

/// `GET /_sandbox/ledger`: every effect, oldest first.
pub(crate) async fn ledger(State(app): State<Arc<App>>) -> Response {
    ok(&json!({ "effects": Value::of(&app.world().effects().collect::<Vec<_>>()) }))
}

/// `GET /_sandbox/objects/{type}`: all objects of a type in all accounts, newest first, deleted stubs included.
pub(crate) async fn objects(State(app): State<Arc<App>>, Path(kind): Path<String>) -> Response {
    app.tick();
    let world = app.world();
    let data: Vec<Value> = world
        .accounts()
        .into_iter()
        .flat_map(|account| {
            let found = world.all_of(&account, &kind);
            found
                .into_iter()
                .map(move |object| json!({ "account": account, "object": rendered(&object) }))
        })
        .collect();
    answer(StatusCode::OK, world.publish(&json!({ "data": data })))
}

/// `GET /_sandbox/objects`: how many objects of each type there are in all accounts, deleted stubs included.
pub(crate) async fn counts(State(app): State<Arc<App>>) -> Response {
    app.tick();
    ok(&json!({ "counts": app.world().counts() }))
}

/// `GET /_sandbox/world`: a hash of every object there is.
pub(crate) async fn world(State(app): State<Arc<App>>) -> Response {
    app.tick();
    ok(&json!({ "sha256": app.world().hash() }))
}
