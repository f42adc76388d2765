//! Recovering an expired checkout session: a link, for 30 days, to a new session for the same.
//!
//! Source: <https://docs.stripe.com/payments/checkout/abandoned-carts>.

use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    resources::checkout_session,
    world::World,
};

const LIFE: i64 = 30 * 86_400;

/// The recovery that `after_expiration` asks for at a session's creation.
pub(crate) fn asked_for(params: &Params, mode: &str) -> Result<Option<Value>, ApiError> {
    if !params.has("after_expiration") {
        return Ok(None);
    }
    if mode == "setup" {
        let message = "You can not pass `after_expiration` in `setup` mode.";
        return Err(ApiError::invalid(message).param("after_expiration"));
    }
    let flag = |name: &str| params.boolean(&format!("after_expiration[recovery][{name}]"));
    Ok(Some(json!({
        "allow_promotion_codes": flag("allow_promotion_codes").unwrap_or(false),
        "enabled": flag("enabled").unwrap_or(false),
        "expires_at": null,
        "url": null,
    })))
}

/// Puts the link into a session that expires now, if it is to have one.
pub(crate) fn offer(session: &mut Value, now: i64) {
    if field::flag(session, "after_expiration.recovery.enabled") {
        let url = World::page_url(&format!("/r/{}", field::text(session, "id")));
        field::set(session, "after_expiration.recovery.url", url);
        field::set(session, "after_expiration.recovery.expires_at", now + LIFE);
    }
}

/// A new session for the same as the expired one, and its URL.
pub(crate) fn recover(world: &mut World, id: &str) -> Result<String, ApiError> {
    let expired = world.get("checkout.session", id, "session")?;
    let until = field::integer(&expired, "after_expiration.recovery.expires_at");
    if world.now >= until {
        return Err(ApiError::invalid(
            "This link to recover a checkout session is not valid any more.",
        ));
    }
    let mut session = expired.clone();
    let new_id = checkout_session::new_id(world);
    let url = World::page_url(&format!("/c/pay/{new_id}"));
    field::set(&mut session, "id", new_id);
    field::set(&mut session, "created", world.now);
    field::set(&mut session, "expires_at", world.now + checkout_session::LONGEST_LIFE);
    field::set(&mut session, "status", "open");
    field::set(&mut session, "url", url.clone());
    field::set(&mut session, "recovered_from", id);
    field::set(&mut session, "after_expiration", Value::Null);
    if field::flag(&expired, "after_expiration.recovery.allow_promotion_codes") {
        field::set(&mut session, "allow_promotion_codes", true);
    }
    for name in [
        "payment_intent",
        "_sandbox.payment_intent",
        "_sandbox.tried",
        "_sandbox.customer",
    ] {
        field::set(&mut session, name, Value::Null);
    }
    world.put(&session);
    Ok(url)
}
