//! Snapshots: the world written down and put back.
//!
//! Names, not paths: the control API asks for no key, so it must not reach files outside the folder it was given.

use std::{path::PathBuf, sync::Arc};

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde::Deserialize;

use super::api::{bad, ok, parsed};
use crate::{app::App, json::json};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Named {
    name: Option<String>,
}

/// Where the snapshot of this name is kept.
fn file(app: &App, name: &str) -> Result<PathBuf, String> {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    if name.is_empty() || name.len() > 100 || !name.bytes().all(fits) {
        return Err(format!("the name `{name}` is not of letters, digits, - and _"));
    }
    match &app.snapshots {
        Some(folder) => Ok(folder.join(format!("{name}.snapshot"))),
        None => Err("there is no folder for snapshots: start with --snapshots".to_owned()),
    }
}

/// `POST /_sandbox/snapshot`: answers the world, or with a `name` writes it to the folder of snapshots.
pub(crate) async fn take(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted = if body.is_empty() {
        Ok(Named::default())
    } else {
        parsed::<Named>(&body)
    };
    let target = match wanted.and_then(|wanted| wanted.name.map(|name| file(&app, &name)).transpose()) {
        Ok(target) => target,
        Err(error) => return bad(&error),
    };
    app.tick();
    let (text, hash) = {
        let world = app.world();
        (world.snapshot(), world.hash())
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => return bad(&error.to_string()),
    };
    let Some(target) = target else {
        let mut response = text.into_response();
        let kind = HeaderValue::from_static("application/x-ndjson");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        return response;
    };
    match std::fs::write(&target, text) {
        Ok(()) => ok(&json!({ "file": target.to_string_lossy(), "sha256": hash })),
        Err(error) => bad(&format!("{}: {error}", target.display())),
    }
}

/// `POST /_sandbox/restore`: becomes the world of the snapshot that is sent, or of the one that `name` names.
pub(crate) async fn restore(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let snapshot = match parsed::<Named>(&body) {
        Ok(Named { name: Some(name) }) => file(&app, &name)
            .and_then(|file| std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))),
        Ok(Named { name: None }) => Err("neither a name nor a snapshot was sent".to_owned()),
        Err(_) => String::from_utf8(body.to_vec()).map_err(|error| error.to_string()),
    };
    let restored = snapshot.and_then(|text| app.world().restore(&text).map_err(|error| format!("{error:#}")));
    if let Err(error) = restored {
        return bad(&error);
    }
    app.tick();
    ok(&json!({ "sha256": app.world().hash() }))
}
