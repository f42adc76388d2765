//! What a payment link does: each visit makes a checkout session, until as many were completed as the link allows.
//!
//! Source: <https://docs.stripe.com/payment-links>.

use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::{Value, json},
    resources::checkout_session,
    world::World,
};

/// What a visitor brings in the link's query.
/// Source: <https://docs.stripe.com/payment-links/url-parameters>.
#[derive(Debug, Default)]
pub(crate) struct Visitor<'a> {
    pub(crate) email: Option<&'a str>,
    pub(crate) reference: Option<&'a str>,
}

/// Whether the link still sells.
pub(crate) fn is_open(link: &Value) -> bool {
    field::flag(link, "active") && !is_used_up(link)
}

fn is_used_up(link: &Value) -> bool {
    field::at(link, "restrictions.completed_sessions.limit")
        .as_i64()
        .is_some_and(|limit| field::integer(link, "restrictions.completed_sessions.count") >= limit)
}

/// Makes a session for a visitor of the link `id`, and gives its URL.
pub(crate) fn open(world: &mut World, id: &str, visitor: &Visitor<'_>) -> Result<String, ApiError> {
    let link = world.get("payment_link", id, "payment_link")?;
    if !is_open(&link) {
        return Err(ApiError::invalid("This payment link is not active any more."));
    }
    let session = checkout_session::create(world, &wishes(&link, visitor))?;
    let confirmation = World::page_url(&format!("/p/{id}/paid"));
    let leads_away = field::text(&link, "after_completion.type") == "redirect";
    let session = world.edit(field::text(&session, "id"), |one| {
        field::set(one, "payment_link", id);
        if !leads_away {
            field::set(one, "success_url", confirmation);
        }
    });
    Ok(field::text(&session, "url").to_owned())
}

/// The call that makes a session for what the link offers.
fn wishes(link: &Value, visitor: &Visitor<'_>) -> Params {
    let mode = field::text(link, "_sandbox.mode");
    let lines: Vec<Value> = field::elements(link, "_sandbox.line_items")
        .iter()
        .map(|line| {
            json!({
                "price": field::at(line, "price.id"),
                "quantity": field::at(line, "quantity"),
                "adjustable_quantity": field::at(line, "adjustable_quantity"),
            })
        })
        .collect();
    let redirect = field::some_text(link, "after_completion.redirect.url");
    let mut call = json!({
        "mode": mode,
        "line_items": lines,
        "client_reference_id": visitor.reference,
        "customer_email": visitor.email,
        // Where nothing leads away, the page that confirms takes its place.
        "success_url": redirect.unwrap_or("https://stripe.com"),
        "automatic_tax": { "enabled": field::at(link, "automatic_tax.enabled") },
        "tax_id_collection": { "enabled": field::at(link, "tax_id_collection.enabled") },
    });
    for name in [
        "allow_promotion_codes",
        "billing_address_collection",
        "metadata",
        "payment_intent_data",
        "phone_number_collection",
        "submit_type",
        "subscription_data.description",
        "subscription_data.metadata",
        "subscription_data.trial_period_days",
    ] {
        field::set(&mut call, name, field::at(link, name).clone());
    }
    let own = match mode {
        "payment" => "customer_creation",
        _ => "payment_method_collection",
    };
    field::set(&mut call, own, field::at(link, own).clone());
    if field::at(link, "subscription_data").is_null() {
        field::set(&mut call, "subscription_data", Value::Null);
    }
    Params::saying(call)
}

/// Counts a completed session of a link with a limit. The last that it allows deactivates the link, and nothing is left open
/// that could be completed beyond it.
pub(crate) fn count(world: &mut World, session: &Value) {
    let link = field::text(session, "payment_link").to_owned();
    let limited = |one: &&Value| !field::at(one, "restrictions").is_null();
    if world.find(&link).filter(limited).is_none() {
        return;
    }
    let counted = world.edit(&link, |one| {
        let count = field::integer(one, "restrictions.completed_sessions.count");
        field::set(one, "restrictions.completed_sessions.count", count + 1);
    });
    if !is_used_up(&counted) {
        return;
    }
    // The events are ours: Stripe's reference only says that the link is deactivated.
    world.update(&link, "payment_link.updated", |one| field::set(one, "active", false));
    for other in world.all("checkout.session") {
        if field::text(&other, "payment_link") == link && field::text(&other, "status") == "open" {
            checkout_session::expire_now(world, field::text(&other, "id"));
        }
    }
}
