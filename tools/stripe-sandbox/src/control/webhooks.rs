//! Webhook endpoints with chosen secrets, their rolling, and the deliveries.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;

use super::api::{bad, ok, parsed, refused};
use crate::{
    app::{App, cause},
    field,
    http::version::is_dated,
    json::json,
    resources::webhook_endpoint::{self, NewEndpoint},
    world::API_VERSION,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    url: String,
    secret: Option<String>,
    #[serde(default)]
    connect: bool,
    enabled_events: Option<Vec<String>>,
    name: Option<String>,
    api_version: Option<String>,
}

/// `POST /_sandbox/webhook_endpoints`: registers an endpoint, with a chosen secret if one is given. The endpoint with the
/// same `name`, or else the same `url` and `connect`, is changed instead of a second one made.
pub(crate) async fn register(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted: Endpoint = match parsed(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(&error),
    };
    if wanted.secret.as_ref().is_some_and(|secret| secret.trim().is_empty()) {
        return bad("secret is empty");
    }
    if let Some(version) = wanted.api_version.as_ref().filter(|version| !is_dated(version)) {
        return bad(&format!("api_version `{version}` is none"));
    }
    let registered = app.change("", cause("register endpoint"), |world| {
        let known = world
            .all("webhook_endpoint")
            .into_iter()
            .find(|one| match &wanted.name {
                Some(name) => field::text(one, "_sandbox.name") == name,
                None => field::text(one, "url") == wanted.url && field::flag(one, "_sandbox.connect") == wanted.connect,
            });
        let secret = match (&wanted.secret, &known) {
            (Some(secret), _) => secret.clone(),
            (None, Some(known)) => field::text(known, "_sandbox.secret").to_owned(),
            (None, None) => world.id("whsec_", 32),
        };
        let version = wanted
            .api_version
            .or_else(|| known.as_ref().map(|known| field::text(known, "api_version").to_owned()));
        let new = NewEndpoint {
            api_version: version.unwrap_or_else(|| API_VERSION.to_owned()),
            url: wanted.url,
            secret,
            connect: wanted.connect,
            enabled_events: wanted.enabled_events.unwrap_or_else(|| vec!["*".to_owned()]),
            name: wanted.name,
        };
        match known {
            Some(mut known) => {
                webhook_endpoint::write(&mut known, &new)?;
                world.put(&known);
                Ok(known)
            }
            None => webhook_endpoint::register(world, &new),
        }
    });
    match registered {
        Ok(endpoint) => ok(&json!({
            "id": field::at(&endpoint, "id"),
            "secret": field::at(&endpoint, "_sandbox.secret"),
        })),
        Err(error) => refused(&error),
    }
}

/// An old secret lives at most a day. Source: <https://docs.stripe.com/webhooks/signature#roll-endpoint-secrets>.
const LONGEST_OVERLAP: i64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roll {
    #[serde(default)]
    expire_seconds: i64,
    secret: Option<String>,
}

/// `POST /_sandbox/webhook_endpoints/{id}/roll`: gives the endpoint a new secret; the old one goes on signing for so many
/// seconds of virtual time.
pub(crate) async fn roll(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Response {
    let wanted: Roll = match parsed(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(&error),
    };
    if !(0..=LONGEST_OVERLAP).contains(&wanted.expire_seconds) {
        return bad(&format!("expire_seconds is not between 0 and {LONGEST_OVERLAP}"));
    }
    if wanted.secret.as_ref().is_some_and(|secret| secret.trim().is_empty()) {
        return bad("secret is empty");
    }
    let rolled = app.change("", cause("roll secret"), |world| {
        let mut endpoint = world.get("webhook_endpoint", &id, "id")?;
        let secret = wanted.secret.unwrap_or_else(|| world.id("whsec_", 32));
        webhook_endpoint::roll(&mut endpoint, &secret, world.now, wanted.expire_seconds);
        world.put(&endpoint);
        Ok(secret)
    });
    match rolled {
        Ok(secret) => ok(&json!({ "id": id, "secret": secret })),
        Err(error) => refused(&error),
    }
}

/// `GET /_sandbox/deliveries`: what is pending, and what became of the rest.
pub(crate) async fn deliveries(State(app): State<Arc<App>>) -> Response {
    app.tick();
    let world = app.world();
    let outbox = &world.outbox;
    ok(&json!({
        "pending": outbox.pending.len(),
        "waiting": outbox.waiting.len(),
        "next_due": outbox.waiting.first().map(|(due, _)| due),
        "attempts": outbox.attempts,
        "delivered": outbox.counts.delivered,
        "failed": outbox.counts.failed,
        "abandoned": outbox.counts.abandoned,
        "dropped": outbox.counts.dropped,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `POST /_sandbox/deliveries/retry`: sends all that is pending now, whatever it waits for.
pub(crate) async fn retry_now(State(app): State<Arc<App>>, body: Bytes) -> Response {
    if !body.is_empty()
        && let Err(error) = parsed::<Nothing>(&body)
    {
        return bad(&error);
    }
    ok(&json!({ "pending": app.retry_all_now() }))
}
