//! Webhook endpoints.
//!
//! Source: <https://docs.stripe.com/api/webhook_endpoints>.

use super::{Call, Operation, copy_texts, list_of, merge_metadata, retrieve};
use crate::{
    field,
    http::error::{Answer, ApiError},
    json::{Value, json},
    shapes,
    world::{API_VERSION, World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/webhook_endpoints",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/webhook_endpoints",
        run: |world, call| {
            list_of(world, "webhook_endpoint", "/v1/webhook_endpoints", &call.params, |_| {
                true
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/webhook_endpoints/{id}",
        run: |world, call| retrieve(world, "webhook_endpoint", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/webhook_endpoints/{id}",
        run: update,
    },
    Operation {
        method: "DELETE",
        path: "/v1/webhook_endpoints/{id}",
        run: |world, call| {
            world.get("webhook_endpoint", call.id(), "webhook_endpoint")?;
            let stub = json!({ "id": call.id(), "object": "webhook_endpoint", "deleted": true });
            world.put(&stub);
            Ok(stub)
        },
    },
];

/// Source: <https://docs.stripe.com/webhooks#register-webhook>.
const MOST_ENDPOINTS: usize = 16;

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    if world.all("webhook_endpoint").len() >= MOST_ENDPOINTS {
        let message = format!("You have reached the maximum of {MOST_ENDPOINTS} webhook endpoints.");
        return Err(ApiError::invalid(message));
    }
    let secret = world.id("whsec_", 32);
    let new = NewEndpoint {
        url: params.given("url").to_owned(),
        secret: secret.clone(),
        connect: params.boolean("connect").unwrap_or(false),
        enabled_events: params.texts("enabled_events"),
        name: None,
        api_version: params.text("api_version").unwrap_or(API_VERSION).to_owned(),
    };
    let mut endpoint = register(world, &new)?;
    copy_texts(&mut endpoint, params, &["description"]);
    field::set(
        &mut endpoint,
        "metadata",
        merge_metadata(&json!({}), params, "metadata")?,
    );
    world.put(&endpoint);
    let mut answer = rendered(&endpoint);
    field::set(&mut answer, "secret", secret);
    Ok(answer)
}

/// What an endpoint is registered with, by the API or by the control API.
pub(crate) struct NewEndpoint {
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) connect: bool,
    pub(crate) enabled_events: Vec<String>,
    /// Set by the control API: what it finds the endpoint by when its URL changes.
    pub(crate) name: Option<String>,
    /// The version its events are shaped in.
    pub(crate) api_version: String,
}

/// Stores a new endpoint.
pub(crate) fn register(world: &mut World, new: &NewEndpoint) -> Answer {
    let mut endpoint = shapes::webhook_endpoint();
    field::set(&mut endpoint, "id", world.id("we_", 24));
    field::set(&mut endpoint, "created", world.now);
    field::set(&mut endpoint, "livemode", world.livemode);
    field::set(&mut endpoint, "_sandbox", json!({ "name": new.name }));
    write(&mut endpoint, new)?;
    world.put(&endpoint);
    Ok(endpoint)
}

/// Writes what `new` says into an endpoint.
pub(crate) fn write(endpoint: &mut Value, new: &NewEndpoint) -> Result<(), ApiError> {
    field::set(endpoint, "url", checked_url(&new.url)?);
    field::set(endpoint, "enabled_events", checked_events(&new.enabled_events)?);
    field::set(endpoint, "api_version", new.api_version.clone());
    field::set(endpoint, "_sandbox.secret", new.secret.clone());
    field::set(endpoint, "_sandbox.connect", new.connect);
    Ok(())
}

/// Gives an endpoint a new secret; the old one goes on signing until it expires.
pub(crate) fn roll(endpoint: &mut Value, secret: &str, now: i64, expire_seconds: i64) {
    let mut former: Vec<Value> = field::elements(endpoint, "_sandbox.former_secrets").to_vec();
    former.retain(|one| field::integer(one, "until") > now);
    former.push(json!({ "secret": field::text(endpoint, "_sandbox.secret"), "until": now + expire_seconds }));
    field::set(endpoint, "_sandbox.former_secrets", former);
    field::set(endpoint, "_sandbox.secret", secret);
}

/// The secrets that sign an endpoint's deliveries at `now`, the newest first.
pub(crate) fn live_secrets(endpoint: &Value, now: i64) -> Vec<&str> {
    let former = field::elements(endpoint, "_sandbox.former_secrets").iter().rev();
    let live = former.filter(|one| field::integer(one, "until") > now);
    let mut secrets = vec![field::text(endpoint, "_sandbox.secret")];
    secrets.extend(live.map(|one| field::text(one, "secret")));
    secrets
}

fn checked_url(url: &str) -> Result<&str, ApiError> {
    let fits = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        && url.parse::<http::Uri>().is_ok();
    if fits {
        Ok(url)
    } else {
        Err(ApiError::invalid(format!("Invalid URL: {url}"))
            .code("url_invalid")
            .param("url"))
    }
}

fn checked_events(events: &[String]) -> Result<&[String], ApiError> {
    let fits = |event: &String| event == "*" || (event.contains('.') && !event.contains('*') && event.is_ascii());
    match events.iter().find(|event| !fits(event)) {
        Some(event) => Err(ApiError::invalid(format!("Invalid event type: {event}")).param("enabled_events")),
        None if events.is_empty() => Err(ApiError::parameter_missing("enabled_events")),
        None => Ok(events),
    }
}

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let mut changed = world.get("webhook_endpoint", call.id(), "webhook_endpoint")?;
    if let Some(url) = params.text("url") {
        field::set(&mut changed, "url", checked_url(url)?);
    }
    if params.has("enabled_events") {
        field::set(
            &mut changed,
            "enabled_events",
            checked_events(&params.texts("enabled_events"))?,
        );
    }
    if let Some(disabled) = params.boolean("disabled") {
        field::set(&mut changed, "status", if disabled { "disabled" } else { "enabled" });
    }
    copy_texts(&mut changed, params, &["description"]);
    let metadata = merge_metadata(field::at(&changed, "metadata"), params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    world.put(&changed);
    Ok(rendered(&changed))
}
