//! Account links: single-use, short-lived ways into the hosted onboarding.
//!
//! Source: <https://docs.stripe.com/api/account_links>.

use super::{Call, Operation};
use crate::{
    field,
    http::error::{Answer, ApiError},
    json::{Value, json},
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[Operation {
    method: "POST",
    path: "/v1/account_links",
    run: create,
}];

/// A link opens the onboarding for five minutes.
const LIFE: i64 = 300;

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let account = world.get("account", params.given("account"), "account")?;
    for name in ["refresh_url", "return_url"] {
        let url = params.required(name)?;
        if !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(ApiError::invalid(format!("Not a valid URL: {url}"))
                .code("url_invalid")
                .param(name));
        }
    }
    let token = world.id("alink_", 24);
    let stored = json!({
        "id": token,
        "object": "account_link",
        "created": world.now,
        "expires_at": world.now + LIFE,
        "account": field::at(&account, "id"),
        "type": params.given("type"),
        "refresh_url": params.text("refresh_url"),
        "return_url": params.text("return_url"),
        "state": "new",
    });
    world.put(&stored);
    let path = format!("/setup/s/{}/{token}", field::text(&account, "id"));
    Ok(json!({
        "object": "account_link",
        "created": world.now,
        "expires_at": world.now + LIFE,
        "url": World::page_url(&path),
    }))
}

/// Whether the link may still be used, in this state.
pub(crate) fn is_usable(world: &World, link: &Value, state: &str) -> bool {
    field::text(link, "state") == state && world.now < field::integer(link, "expires_at")
}
