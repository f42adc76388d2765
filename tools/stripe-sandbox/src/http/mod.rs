//! The API as Stripe speaks it: authentication, forms, idempotency keys, errors, headers.

pub(crate) mod auth;
pub(crate) mod check;
pub(crate) mod error;
pub(crate) mod expand;
pub(crate) mod form;
pub(crate) mod list;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod table;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::{error::ApiError, form::Params};
use crate::{
    app::{self, App},
    control::faults::AnswerFaultKind,
    field,
    resources::{Call, Operation},
    world::{API_VERSION, Cause, KeptAnswer, World},
};

#[cfg(test)]
pub(crate) mod in_process;
#[cfg(test)]
mod tests;

const LARGEST_BODY: usize = 1 << 20;

/// Put into a response's extensions to close the connection instead of sending it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutConnection;

/// What goes back, before it has headers.
struct Reply {
    status: u16,
    body: String,
    replayed: bool,
}

/// Answers every request under `/v1/`.
pub(crate) async fn api(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let fault = app.world().faults.strike(parts.method.as_str(), parts.uri.path());
    match fault.as_ref().map(|fault| (fault.kind, fault.status)) {
        Some((AnswerFaultKind::ResetBefore, _)) => return cut(),
        Some((AnswerFaultKind::Status, status)) => {
            let error = ApiError::injected(status.unwrap_or(500));
            let id = app.world().id("req_", 14);
            let reply = Reply {
                status: error.status,
                body: error.body().to_string(),
                replayed: false,
            };
            return respond(&app, &parts.headers, &id, reply);
        }
        _ => {}
    }
    let request_id = app.world().id("req_", 14);
    let failing = matches!(&fault, Some(fault) if fault.kind == AnswerFaultKind::Error500Cached);
    let form = axum::body::to_bytes(body, LARGEST_BODY).await;
    let key = idempotency_key(&parts);
    let account = auth::account(&parts.headers);
    // Held until the answer is on its way, or until the client has given up waiting for it.
    let held = key.as_ref().map(|key| app.hold_key(&account, key));
    let reply = if matches!(held, Some(None)) {
        Err(key_in_use())
    } else {
        match form {
            Ok(form) => run(&app, &parts, &form, &account, key, &request_id, failing),
            Err(_) => Err(ApiError::new(
                413,
                "invalid_request_error",
                "The request body is too large.",
            )),
        }
    };
    let reply = reply.unwrap_or_else(|error| Reply {
        status: error.status,
        body: app.world().publish(&error.body()),
        replayed: false,
    });
    match fault.map(|fault| fault.kind) {
        Some(AnswerFaultKind::ResetAfter) => cut(),
        Some(AnswerFaultKind::Hang) => std::future::pending().await,
        _ => respond(&app, &parts.headers, &request_id, reply),
    }
}

fn run(
    app: &App,
    parts: &Parts,
    form: &[u8],
    account: &str,
    key: Option<String>,
    request_id: &str,
    failing: bool,
) -> Result<Reply, ApiError> {
    auth::check(&parts.headers, &app.secret_key)?;
    let path = parts.uri.path();
    let (route, ids) = app.routes.find(parts.method.as_str(), path).ok_or_else(|| {
        let message = format!("Unrecognized request URL ({}: {path}).", parts.method);
        ApiError::new(404, "invalid_request_error", message)
    })?;
    let operation = route.operation;
    let query = Params::parse(parts.uri.query().unwrap_or_default().as_bytes())?;
    let params = if parts.method == http::Method::GET {
        query
    } else {
        query.merged(Params::parse(form)?)
    };

    let mut world = app.world();
    app::catch_up(&mut world)?;
    let cause = Cause {
        operation: format!("{} {}", operation.method, operation.path),
        request_id: Some(request_id.to_owned()),
        idempotency_key: key.clone(),
    };
    world.begin("", cause.clone());
    auth::check_account(&world, account)?;
    world.begin(account, cause);

    let fingerprint = fingerprint(parts.method.as_str(), path, &params);
    if let Some(kept) = key.as_ref().and_then(|key| world.kept(account, key)) {
        if kept.fingerprint != fingerprint {
            return Err(key_reused(&kept.key));
        }
        return Ok(Reply {
            status: kept.status,
            body: world.publish(&kept.body),
            replayed: true,
        });
    }
    check::check(&route.parameters, &params)?;
    let expansions = expand::paths(&params)?;
    let answer = if failing {
        Err(ApiError::injected(500))
    } else {
        let call = Call { params, ids };
        app::attempt(&mut world, |world| operate(world, operation, &call, &expansions))
    };
    let (status, body) = match &answer {
        Ok(body) => (200, body.clone()),
        Err(error) => {
            if !error.keeps_effects {
                world.roll_back();
            }
            (error.status, error.body())
        }
    };
    let keeps = match &answer {
        Ok(_) => true,
        Err(error) => error.replayable,
    };
    if let Some(key) = key.filter(|_| keeps) {
        world.change.kept = Some(KeptAnswer {
            account: account.to_owned(),
            key,
            fingerprint,
            at: world.now,
            status,
            request_id: request_id.to_owned(),
            body: body.clone(),
        });
    }
    app::commit(&mut world)?;
    let reply = Reply {
        status,
        body: world.publish(&body),
        replayed: false,
    };
    drop(world);
    app.outbox_grew.notify_one();
    Ok(reply)
}

fn operate(world: &mut World, operation: &Operation, call: &Call, expansions: &[String]) -> Result<Value, ApiError> {
    let mut answer = (operation.run)(world, call)?;
    for path in expansions {
        expand::expand(world, &mut answer, path)?;
    }
    Ok(answer)
}

fn idempotency_key(parts: &Parts) -> Option<String> {
    let key = parts
        .headers
        .get("idempotency-key")
        .filter(|_| parts.method == http::Method::POST)?;
    let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
    (!key.is_empty()).then_some(key)
}

fn fingerprint(method: &str, path: &str, params: &Params) -> String {
    hex::encode(Sha256::digest(format!("{method} {path} {}", sorted(params.tree()))))
}

/// The tree with its hashes in order of key: the order parameters were sent in does not matter.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            Value::Object(
                entries
                    .into_iter()
                    .map(|(key, inner)| (key.clone(), sorted(inner)))
                    .collect(),
            )
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        leaf => leaf.clone(),
    }
}

fn key_in_use() -> ApiError {
    ApiError::new(
        409,
        "idempotency_error",
        "There is currently another in-progress request using this Idempotent Key.",
    )
    .code("idempotency_key_in_use")
}

fn key_reused(key: &str) -> ApiError {
    let message = format!(
        "Keys for idempotent requests can only be used with the same parameters they were first used with. \
         Try using a key other than '{key}' if you meant to execute a different request."
    );
    ApiError::new(400, "idempotency_error", message).before_execution()
}

fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CutConnection);
    response
}

fn respond(app: &App, sent: &HeaderMap, request_id: &str, reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let version = sent
        .get("stripe-version")
        .cloned()
        .unwrap_or(HeaderValue::from_static(API_VERSION));
    headers.insert("stripe-version", version);
    for (name, value) in [
        ("request-id", request_id),
        ("date", &http_date(app.world().clock.now())),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    for name in ["idempotency-key", "stripe-account"] {
        if let Some(value) = sent.get(name) {
            headers.insert(name, value.clone());
        }
    }
    if reply.replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    if matches!(reply.status, 409 | 429) {
        headers.insert("stripe-should-retry", HeaderValue::from_static("true"));
    }
    response
}

/// Unix seconds as an HTTP date.
pub(crate) fn http_date(at: i64) -> String {
    chrono::DateTime::from_timestamp(at, 0)
        .map(|time| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

/// The `created` of the newest page of an object list must not name a deleted one; shared by the list operations.
pub(crate) fn matches(object: &Value, params: &Params, names: &[&str]) -> bool {
    names.iter().all(|name| {
        params
            .text(name)
            .is_none_or(|wanted| field::text(object, name) == wanted)
    })
}
