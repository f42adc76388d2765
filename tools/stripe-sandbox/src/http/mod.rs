//! The API as Stripe speaks it: authentication, forms, idempotency keys, errors, headers.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod check;
mod currencies;
pub(crate) mod error;
pub(crate) mod expand;
pub(crate) mod form;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod rate;
pub(crate) mod rights;
pub(crate) mod route;
pub(crate) mod server;
mod spoiled;
pub(crate) mod table;
pub(crate) mod version;

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::request::Parts;
use sha2::{Digest, Sha256};

use self::{
    answer::{Reply, respond},
    error::ApiError,
    form::Params,
    keys::Caller,
};
use crate::{
    app::{self, App},
    billing::test_clock,
    control::faults::AnswerFaultKind,
    field,
    json::Value,
    resources::{Call, Operation},
    world::{Cause, KeptAnswer, World},
};

#[cfg(test)]
pub(crate) mod in_process;
#[cfg(test)]
mod tests;

const LARGEST_BODY: usize = 1 << 20;

/// Source: <https://docs.stripe.com/api/idempotent_requests>.
const LONGEST_KEY: usize = 255;

/// Answers every request under `/v1/`.
pub(crate) async fn api(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let account = account::account(&parts.headers);
    // Read in any case: what is left unread costs the client its connection.
    let form = axum::body::to_bytes(body, LARGEST_BODY).await;
    if let Err(error) = app.admit(&account, Instant::now()) {
        let id = app.world().id("req_", 14);
        return respond(
            &app,
            &parts.headers,
            &id,
            Reply::refusal(&error, error.body().to_string()),
        );
    }
    let fault = app.arrive(parts.method.as_str(), parts.uri.path());
    let request_id = app.world().id("req_", 14);
    let kind = fault.as_ref().map(|fault| fault.kind);
    if let Some(answer) = fault.as_ref().filter(|fault| !fault.executed)
        && let Some(answer) = spoiled::instead(&app, answer, &parts.headers, &request_id)
    {
        return answer;
    }
    let failing = kind == Some(AnswerFaultKind::Error500Cached);
    let key = idempotency_key(&parts);
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
    let reply = reply.unwrap_or_else(|error| {
        let body = app.world().publish(&error.body());
        Reply::refusal(&error, body)
    });
    match (kind, fault) {
        (Some(AnswerFaultKind::Hang), _) => std::future::pending().await,
        (_, Some(fault)) => spoiled::after(&app, &fault, &parts.headers, &request_id, reply),
        (_, None) => respond(&app, &parts.headers, &request_id, reply),
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
    let caller = keys::caller(&app.world(), &parts.headers, &app.secret_key)?;
    version::check(&parts.headers)?;
    if key.as_ref().is_some_and(|key| key.chars().count() > LONGEST_KEY) {
        return Err(key_too_long());
    }
    let path = parts.uri.path();
    let (route, ids) = app.routes.find(parts.method.as_str(), path).ok_or_else(|| {
        let message = format!("Unrecognized request URL ({}: {path}).", parts.method);
        ApiError::new(404, "invalid_request_error", message)
    })?;
    let operation = route.operation;
    let query = Params::parse(parts.uri.query().unwrap_or_default().as_bytes())?;
    let mut params = if parts.method == http::Method::GET {
        query
    } else {
        query.merged(Params::parse(form)?)
    };

    let mut world = app.world();
    let changes = parts.method != http::Method::GET;
    // Whatever else is called finds test clocks where they advance to; a change of what is theirs comes too early.
    let clock = test_clock::concerned(&world, account, &ids, &params);
    app::catch_up_sparing(&mut world, clock.as_deref().filter(|_| changes))?;
    let cause = Cause {
        operation: format!("{} {}", operation.method, operation.path),
        request_id: Some(request_id.to_owned()),
        idempotency_key: key.clone(),
    };
    world.begin("", cause.clone());
    rights::check(&world, &caller, operation)?;
    account::check_account(&world, account)?;
    world.begin(account, cause);

    let fingerprint = fingerprint(parts.method.as_str(), path, &params);
    if let Some(kept) = key.as_ref().and_then(|key| world.kept(account, key)) {
        if kept.fingerprint != fingerprint {
            return Err(key_reused(&kept.key));
        }
        return Ok(Reply {
            headers: vec![("idempotent-replayed", "true".to_owned())],
            ..Reply::new(kept.status, world.publish(&kept.body))
        });
    }
    if matches!(caller, Caller::Publishable) {
        let id = ids.first().map(String::as_str).unwrap_or_default();
        params = rights::spend_client_secret(&world, operation, id, params)?;
    }
    check::check(&route.parameters, &params)?;
    let expansions = expand::paths(&params)?;
    if let Some(clock) = &clock {
        world.go_by_clock_of(clock, changes)?;
    }
    let answer = if failing {
        Err(ApiError::injected(500))
    } else {
        let call = Call { params, ids };
        let answer = app::attempt(&mut world, |world| operate(world, operation, &call, &expansions));
        match caller {
            Caller::Publishable => answer.map(rights::public_part),
            Caller::Secret | Caller::Restricted { .. } => answer,
        }
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
            at: world.present,
            status,
            request_id: request_id.to_owned(),
            body: body.clone(),
        });
    }
    app::commit(&mut world)?;
    if let Some(clock) = clock {
        app::catch_up_clock(&mut world, account, &clock);
    }
    if world.next_due(test_clock::ADVANCING, i64::MAX).is_some() {
        app.clock_set_out.notify_one();
    }
    let reply = Reply::new(status, world.publish(&body));
    drop(world);
    app.outbox_grew.notify_one();
    Ok(reply)
}

fn operate(world: &mut World, operation: &Operation, call: &Call, expansions: &[String]) -> Result<Value, ApiError> {
    let mut answer = (operation.run)(world, call).map_err(|error| error.in_url(&call.ids))?;
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

fn key_too_long() -> ApiError {
    let message = format!("Idempotency Key must be at most {LONGEST_KEY} characters long.");
    ApiError::invalid(message).before_execution()
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

/// The `created` of the newest page of an object list must not name a deleted one; shared by the list operations.
pub(crate) fn matches(object: &Value, params: &Params, names: &[&str]) -> bool {
    names.iter().all(|name| {
        params
            .text(name)
            .is_none_or(|wanted| field::text(object, name) == wanted)
    })
}
