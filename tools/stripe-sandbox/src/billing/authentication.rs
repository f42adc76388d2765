//! 3-D Secure: when the owner of a card has to authenticate, where they are sent, and what follows.
//!
//! Source: <https://docs.stripe.com/testing#regulatory-cards>, <https://docs.stripe.com/payments/3d-secure>.

use super::{
    cards::{self, Authentication},
    checkout, confirmation, payment, portal, setup,
};
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    world::World,
};

/// Whether whoever pays can be asked to authenticate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    #[default]
    Present,
    /// Nobody is there: what needs authentication is declined.
    Absent,
    /// Nobody is there, but they will be asked, as by an invoice.
    AskedLater,
}

/// How an intent is confirmed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confirmation {
    pub(crate) presence: Presence,
    /// Where the payer goes after authentication.
    pub(crate) return_url: Option<String>,
    /// The caller's client handles what is to be done by itself.
    pub(crate) use_stripe_sdk: bool,
    pub(crate) error_on_requires_action: bool,
}

/// Whether a payment with `method` needs authentication. `requested` is `request_three_d_secure`.
pub(crate) fn is_needed(method: &Value, presence: Presence, requested: &str) -> bool {
    let Some(card) = cards::by_token(field::text(method, "_sandbox.card")) else {
        return false;
    };
    let present = presence == Presence::Present;
    match card.authentication {
        Authentication::Optional { enrolled } => present && enrolled && matches!(requested, "any" | "challenge"),
        Authentication::Always => true,
        Authentication::UntilSetUp => present || !field::flag(method, "_sandbox.set_up"),
        Authentication::AlreadySetUp => present,
    }
}

/// What the payer has to do: open the page of the sandbox on which they authenticate.
pub(crate) fn next_action(intent: &str, how: &Confirmation) -> Value {
    let url = page(intent);
    match how.return_url.as_ref().filter(|_| !how.use_stripe_sdk) {
        Some(return_url) => json!({
            "redirect_to_url": { "return_url": return_url, "url": url },
            "type": "redirect_to_url",
        }),
        None => json!({
            "type": "use_stripe_sdk",
            "use_stripe_sdk": { "stripe_js": url, "type": "three_d_secure_redirect" },
        }),
    }
}

/// The page on which the owner of the card authenticates for an intent.
pub(crate) fn page(intent: &str) -> String {
    World::page_url(&format!("/3d_secure/{intent}"))
}

/// Ends the authentication that the intent `id` waits for, and gives where the payer goes then, if anywhere.
pub(crate) fn end(world: &mut World, id: &str, succeeds: bool) -> Result<Option<String>, ApiError> {
    let Some(intent) = world
        .find(id)
        .filter(|one| field::text(one, "status") == "requires_action")
        .cloned()
    else {
        return Err(ApiError::invalid("This payment does not wait for an authentication."));
    };
    let is_payment = field::text(&intent, "object") == "payment_intent";
    let method = world.get(
        "payment_method",
        field::text(&intent, "payment_method"),
        "payment_method",
    )?;
    let session = field::some_text(&intent, "_sandbox.session").and_then(|session| world.find(session).cloned());
    let in_portal = session
        .as_ref()
        .is_some_and(|session| field::text(session, "object") == portal::KIND);
    // What was to be bought is not there any more.
    let is_late = !in_portal
        && session
            .as_ref()
            .is_some_and(|session| field::text(session, "status") != "open");
    let outcome = match (is_payment, succeeds && !is_late) {
        (true, true) => {
            // Since the payer was asked, what is due may have become another amount.
            let renewed = session
                .as_ref()
                .map(|session| checkout::renew_amount(world, session, id));
            payment::charge(world, renewed.as_deref().unwrap_or(&intent), &method, true)
        }
        (true, false) => Err(payment::fail_authentication(world, &intent, &method)),
        (false, true) => setup::complete(world, &intent, &method, true),
        (false, false) => Err(setup::fail_authentication(world, &intent, &method)),
    };
    let outcome = if is_payment {
        confirmation::follow_up(world, id, &method, outcome)
    } else {
        outcome
    };
    match &outcome {
        Err(error) if !error.keeps_effects => return Err(error.clone()),
        _ => {}
    }
    match session {
        Some(session) if in_portal => portal::resume(world, &session, &method, outcome.is_ok()).map(Some),
        Some(session) => checkout::resume(world, field::text(&session, "id"), outcome.is_ok()).map(Some),
        None => Ok(field::some_text(&intent, "_sandbox.return_url")
            .map(|url| returning(url, &intent, if outcome.is_ok() { "succeeded" } else { "failed" }))),
    }
}

/// The `return_url` with what Stripe adds to it.
/// Source: <https://docs.stripe.com/payments/accept-a-payment#handle-post-payment-events>.
fn returning(url: &str, intent: &Value, status: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else {
        // A page of the sandbox itself, still without its origin.
        return url.to_owned();
    };
    let kind = field::text(intent, "object");
    parsed
        .query_pairs_mut()
        .append_pair(kind, field::text(intent, "id"))
        .append_pair(&format!("{kind}_client_secret"), field::text(intent, "client_secret"))
        .append_pair("redirect_status", status);
    parsed.to_string()
}
