//! Paying a checkout session on its hosted page, or setting up a card there.

mod subscribing;

use std::sync::Arc;

use super::{
    authentication::{self, Confirmation, Presence},
    cards,
    discounts::{self, Purchase},
    links,
    payment::{self, NewIntent},
    setup, totals,
};
use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    resources::{
        checkout_session::{blank_details, details_of},
        customer,
        payment_method::{self, checked_expiry, is_cvc, wrong},
    },
    world::World,
};

/// What the payer typed.
pub(crate) struct Typed<'a> {
    pub(crate) number: &'a str,
    pub(crate) expiry: &'a str,
    pub(crate) cvc: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
}

/// Who pays a session, and with what.
struct Attempt<'a> {
    session: &'a Value,
    method: &'a Value,
    email: &'a str,
    name: Option<&'a str>,
}

/// Pays the open session `id` and gives the URL to go to: the `success_url`, or the page on which to authenticate first. A
/// declined card leaves a failed attempt and an open session.
pub(crate) fn pay(world: &mut World, id: &str, typed: &Typed<'_>) -> Result<String, ApiError> {
    let session = open_session(world, id)?;
    checked(typed, world.now)?;
    let email = email_of(&session, typed.email)?;
    let method = card(world, typed, Some(&email))?;
    let attempt = Attempt {
        session: &session,
        method: &method,
        email: &email,
        name: typed.name,
    };
    go(world, &attempt)
}

/// The payment method of the card that was typed, if one can be read.
pub(crate) fn card(world: &mut World, typed: &Typed<'_>, email: Option<&str>) -> Answer {
    let (card, expiry) = checked(typed, world.now)?;
    let payer = payment_method::Payer {
        expiry,
        name: typed.name,
        email,
    };
    Ok(payment_method::new(world, card, &payer))
}

/// What the card that was typed does, and its expiry.
fn checked(typed: &Typed<'_>, now: i64) -> Result<(cards::Card, (i64, i64)), ApiError> {
    let card = cards::by_number(typed.number).map_err(payment::refused)?;
    let expiry = expiry(typed.expiry, now)?;
    if !is_cvc(typed.cvc) {
        return Err(wrong("invalid_cvc", "cvc", "Your card's security code is invalid."));
    }
    Ok((card, expiry))
}

/// Pays the open session `id` with a payment method there is; goes where [`pay`] goes.
pub(crate) fn pay_with(world: &mut World, id: &str, method: &Value) -> Result<String, ApiError> {
    let session = open_session(world, id)?;
    let email = email_of(&session, field::some_text(method, "billing_details.email"))?;
    let attempt = Attempt {
        session: &session,
        method,
        email: &email,
        name: field::some_text(method, "billing_details.name"),
    };
    go(world, &attempt)
}

/// Takes the discount of a promotion code off an open session, in place of the one it has. The code is in whichever case.
pub(crate) fn apply_code(world: &mut World, id: &str, code: &str) -> Result<(), ApiError> {
    let mut session = open_session(world, id)?;
    if !field::flag(&session, "allow_promotion_codes") {
        return Err(ApiError::invalid("This checkout session takes no promotion codes.").param("promotion_code"));
    }
    let codes = world.all("promotion_code").into_iter();
    let mut named =
        codes.filter(|one| field::flag(one, "active") && field::text(one, "code").eq_ignore_ascii_case(code));
    let Some(found) = named.next() else {
        return Err(ApiError::invalid("This code is invalid.").param("promotion_code"));
    };
    let purchase = Purchase {
        customer: field::some_text(&session, "customer"),
        currency: field::text(&session, "currency"),
        subtotal: field::integer(&session, "amount_subtotal"),
    };
    let sent = Params::default().with("promotion_code", field::text(&found, "id"));
    let Some((coupon, code)) = discounts::sent_coupon(world, &sent, &purchase, "discounts[0]")? else {
        return Ok(());
    };
    let customer = world.find(field::text(&session, "customer")).cloned();
    field::set(
        &mut session,
        "discounts",
        json!([{ "coupon": null, "promotion_code": code }]),
    );
    totals::write(&mut session, customer.as_ref(), Some(&coupon));
    field::set(&mut session, "_sandbox.coupon", coupon);
    // What was begun to be paid is less now, or nothing.
    let total = field::integer(&session, "amount_total");
    let begun = world.find(field::text(&session, "_sandbox.payment_intent")).cloned();
    if let Some(intent) = begun {
        if total > 0 {
            world.edit(field::text(&intent, "id"), |one| field::set(one, "amount", total));
        } else {
            payment::cancel(world, &intent, Some("automatic"));
            field::set(&mut session, "_sandbox.payment_intent", Value::Null);
        }
    }
    world.put(&session);
    Ok(())
}

fn open_session(world: &World, id: &str) -> Answer {
    let session = world.get("checkout.session", id, "session")?;
    match field::text(&session, "status") {
        "open" => Ok(session),
        _ => Err(ApiError::invalid("This checkout session is not open any more.")),
    }
}

/// The email that the session knows, or else the one given.
fn email_of(session: &Value, given: Option<&str>) -> Result<String, ApiError> {
    let email = field::some_text(session, "customer_details.email").or(given);
    let Some(email) = email.filter(|email| email.contains('@')) else {
        return Err(ApiError::invalid("Your email address is missing or incomplete.")
            .code("email_invalid")
            .param("email"));
    };
    Ok(email.to_owned())
}

fn go(world: &mut World, attempt: &Attempt<'_>) -> Result<String, ApiError> {
    let Attempt { session, method, .. } = *attempt;
    if field::text(session, "mode") == "setup" {
        return set_up(world, attempt);
    }
    let is_refused = cards::by_token(field::text(method, "_sandbox.card")).is_some_and(|card| card.refusal.is_some());
    let is_due = due(world, session) > 0;
    let asks = authentication::is_needed(method, Presence::Present, "automatic");
    if is_due && (asks || is_refused) {
        return try_first(world, attempt, asks);
    }
    if asks && field::text(session, "mode") == "subscription" {
        return set_up_first(world, attempt);
    }
    finish(world, attempt)
}

/// Goes on with the session `id` after its payer authenticated, or failed to, and gives the URL to go to.
pub(crate) fn resume(world: &mut World, id: &str, succeeded: bool) -> Result<String, ApiError> {
    let session = world.get("checkout.session", id, "session")?;
    if !succeeded || field::text(&session, "status") != "open" {
        return Ok(World::page_url(&format!("/c/pay/{id}?redirect_status=failed")));
    }
    let tried = field::at(&session, "_sandbox.tried").clone();
    let method = world.get(
        "payment_method",
        field::text(&tried, "payment_method"),
        "payment_method",
    )?;
    let attempt = Attempt {
        session: &session,
        method: &method,
        email: field::text(&tried, "email"),
        name: field::some_text(&tried, "name"),
    };
    finish(world, &attempt)
}

/// Charges a card that is refused, or waits for authentication, before anything else happens to the session.
fn try_first(world: &mut World, attempt: &Attempt<'_>, asks: bool) -> Result<String, ApiError> {
    let id = field::text(attempt.session, "id");
    let intent = intent(world, attempt.session);
    if asks && is_customer_wanted(attempt.session) {
        let customer = payer(world, attempt);
        world.edit(&intent, |one| field::set(one, "customer", customer));
    }
    let how = remember(world, attempt);
    let tried = payment::confirm(world, &intent, attempt.method, &how)?;
    match field::text(&tried, "status") {
        "requires_action" => Ok(authentication::page(&intent)),
        _ => resume(world, id, true),
    }
}

/// Sets up the card for a subscription of which nothing is due yet.
fn set_up_first(world: &mut World, attempt: &Attempt<'_>) -> Result<String, ApiError> {
    let customer = payer(world, attempt);
    let mut intent = setup::new_intent(world, Some(&customer));
    field::set(&mut intent, "_sandbox.session", field::text(attempt.session, "id"));
    world.create("setup_intent.created", &intent);
    let how = remember(world, attempt);
    let intent = field::text(&intent, "id");
    setup::confirm(world, intent, attempt.method, &how)?;
    Ok(authentication::page(intent))
}

/// Sets up the card with the intent that a session in `setup` mode has.
fn set_up(world: &mut World, attempt: &Attempt<'_>) -> Result<String, ApiError> {
    let intent = field::text(attempt.session, "setup_intent");
    let attaches = cards::by_token(field::text(attempt.method, "_sandbox.card")).is_some_and(|card| card.attaches);
    if attaches && is_customer_wanted(attempt.session) {
        let customer = payer(world, attempt);
        world.edit(intent, |one| field::set(one, "customer", customer));
    }
    let how = remember(world, attempt);
    let tried = setup::confirm(world, intent, attempt.method, &how)?;
    match field::text(&tried, "status") {
        "requires_action" => Ok(authentication::page(intent)),
        _ => finish(world, attempt),
    }
}

/// Keeps what the payer typed until they have authenticated, and says where they go then.
fn remember(world: &mut World, attempt: &Attempt<'_>) -> Confirmation {
    let Attempt {
        session,
        method,
        email,
        name,
    } = attempt;
    let id = field::text(session, "id");
    world.edit(id, |one| {
        let tried = json!({ "payment_method": field::at(method, "id"), "email": email, "name": name });
        field::set(one, "_sandbox.tried", tried);
    });
    Confirmation {
        return_url: Some(World::page_url(&format!("/c/pay/{id}"))),
        ..Confirmation::default()
    }
}

fn finish(world: &mut World, attempt: &Attempt<'_>) -> Result<String, ApiError> {
    match field::text(attempt.session, "mode") {
        "subscription" => subscribing::pay(world, attempt)?,
        "setup" => {
            let customer = is_customer_wanted(attempt.session).then(|| payer(world, attempt));
            complete(world, attempt, customer.as_deref(), "no_payment_required", None);
        }
        _ => pay_once(world, attempt)?,
    }
    let id = field::text(attempt.session, "id");
    Ok(field::text(attempt.session, "success_url").replace("{CHECKOUT_SESSION_ID}", id))
}

/// `12/34`, `12 / 34` or `12/2034` as month and year, if it is not past.
fn expiry(typed: &str, now: i64) -> Result<(i64, i64), ApiError> {
    let parsed = typed.split_once('/').and_then(|(month, year)| {
        let month: i64 = month.trim().parse().ok()?;
        let year: i64 = year.trim().parse().ok()?;
        ((1..=12).contains(&month) && (0..=9999).contains(&year))
            .then_some((month, if year < 100 { 2000 + year } else { year }))
    });
    let Some((month, year)) = parsed else {
        return Err(wrong(
            "invalid_expiry_month",
            "exp_month",
            "Your card's expiration date is incomplete.",
        ));
    };
    checked_expiry(month, year, now)
}

/// What paying the session takes now.
fn due(world: &mut World, session: &Value) -> i64 {
    match field::text(session, "mode") {
        "subscription" => subscribing::due(world, session),
        _ => field::integer(session, "amount_total"),
    }
}

/// Has the open intent of a session take what is due now.
pub(crate) fn renew_amount(world: &mut World, session: &Value, intent: &str) -> Arc<Value> {
    let due = due(world, session);
    world.edit(intent, |one| field::set(one, "amount", due))
}

/// The session's payment intent: the one of an earlier attempt, or a new one.
fn intent(world: &mut World, session: &Value) -> String {
    if let Some(intent) = field::some_text(session, "_sandbox.payment_intent") {
        renew_amount(world, session, intent);
        return intent.to_owned();
    }
    let amount = due(world, session);
    let mut intent = payment::new_intent(
        world,
        &NewIntent {
            amount,
            currency: field::text(session, "currency"),
            customer: field::some_text(session, "customer"),
            description: field::some_text(session, "_sandbox.intent.description"),
            metadata: field::at(session, "_sandbox.intent.metadata").clone(),
            receipt_email: field::some_text(session, "_sandbox.intent.receipt_email"),
        },
    );
    for name in ["shipping", "statement_descriptor", "statement_descriptor_suffix"] {
        field::set(
            &mut intent,
            name,
            field::at(session, &format!("_sandbox.intent.{name}")).clone(),
        );
    }
    if let Some(capture) = field::some_text(session, "_sandbox.intent.capture_method") {
        field::set(&mut intent, "capture_method", capture);
    }
    world.create("payment_intent.created", &intent);
    let id = field::text(&intent, "id").to_owned();
    let session_id = field::text(session, "id");
    let pays_once = field::text(session, "mode") == "payment";
    let usage = match pays_once {
        true => field::at(session, "_sandbox.intent.setup_future_usage").clone(),
        false => json!("off_session"),
    };
    world.edit(&id, |one| {
        field::set(one, "setup_future_usage", usage);
        field::set(one, "_sandbox.session", session_id);
    });
    world.edit(session_id, |one| {
        field::set(one, "_sandbox.payment_intent", id.clone());
        if pays_once {
            field::set(one, "payment_intent", id.clone());
        }
    });
    id
}

/// Whether paying makes, or has, a customer.
fn is_customer_wanted(session: &Value) -> bool {
    field::text(session, "mode") == "subscription"
        || field::some_text(session, "customer").is_some()
        || field::text(session, "customer_creation") == "always"
}

/// The session's customer, made now if there is none yet.
fn payer(world: &mut World, attempt: &Attempt<'_>) -> String {
    let Attempt {
        session, email, name, ..
    } = *attempt;
    let begun = world
        .find(field::text(session, "id"))
        .map(|one| field::text(one, "_sandbox.customer").to_owned())
        .filter(|customer| !customer.is_empty());
    if let Some(begun) = begun {
        return begun;
    }
    match field::some_text(session, "customer") {
        Some(customer) => {
            if let Some(name) = name.filter(|_| field::flag(session, "_sandbox.saves_name")) {
                world.update(customer, "customer.updated", |one| field::set(one, "name", name));
            }
            customer.to_owned()
        }
        None => {
            let customer = field::text(&customer::create_for_page(world, email, name), "id").to_owned();
            world.edit(field::text(session, "id"), |one| {
                field::set(one, "_sandbox.customer", customer.clone())
            });
            customer
        }
    }
}

fn pay_once(world: &mut World, attempt: &Attempt<'_>) -> Result<(), ApiError> {
    let Attempt { session, method, .. } = *attempt;
    let customer = is_customer_wanted(session).then(|| payer(world, attempt));
    let mut status = "no_payment_required";
    if field::integer(session, "amount_total") > 0 {
        let intent = intent(world, session);
        world.edit(&intent, |one| field::set(one, "customer", customer.clone()));
        let paid = payment::pay(world, &intent, method, &Confirmation::default())?;
        // What is only held is paid when it is captured.
        let held = field::text(&paid, "status") == "requires_capture";
        status = if held { "unpaid" } else { "paid" };
    }
    complete(world, attempt, customer.as_deref(), status, None);
    Ok(())
}

fn complete(
    world: &mut World,
    attempt: &Attempt<'_>,
    customer: Option<&str>,
    payment_status: &str,
    made: Option<(&str, Option<&str>)>,
) {
    let details = match customer.and_then(|id| world.find(id)) {
        Some(customer) => details_of(customer),
        None => blank_details(attempt.email, attempt.name),
    };
    let completed = world.edit(field::text(attempt.session, "id"), |one| {
        field::set(one, "status", "complete");
        field::set(one, "payment_status", payment_status);
        field::set(one, "url", Value::Null);
        field::set(one, "customer", customer);
        field::set(one, "customer_details", details);
        if let Some((subscription, invoice)) = made {
            field::set(one, "subscription", subscription);
            field::set(one, "invoice", invoice);
        }
    });
    world.emit("checkout.session.completed", &completed, None);
    links::count(world, &completed);
    // A subscription's were redeemed as it began.
    if made.is_none() {
        totals::redeem_discounts(world, &completed);
    }
}
