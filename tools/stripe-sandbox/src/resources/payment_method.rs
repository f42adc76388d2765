//! Payment methods: cards, of which only brand, last four digits and behaviour are kept.

use std::sync::Arc;

use super::{Call, Operation, address, check_email, list_of, merge_metadata, retrieve};
use crate::{
    billing::{cards, payment},
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        matches,
    },
    json::{Value, json},
    shapes,
    world::{World, ids, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/payment_methods",
        run: |world, call| {
            let customer = call.params.text("customer").map(str::to_owned);
            list(world, call, "/v1/payment_methods", customer)
        },
    },
    Operation {
        method: "POST",
        path: "/v1/payment_methods",
        run: |world, call| from_data(world, &call.params, "").map(|method| rendered(&method)),
    },
    Operation {
        method: "GET",
        path: "/v1/payment_methods/{id}",
        run: |world, call| retrieve(world, "payment_method", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/payment_methods/{id}",
        run: update,
    },
    Operation {
        method: "POST",
        path: "/v1/payment_methods/{id}/attach",
        run: |world, call| {
            let customer = call.params.required("customer")?.to_owned();
            Ok(rendered(&attach(world, call.id(), &customer, "payment_method")?))
        },
    },
    Operation {
        method: "POST",
        path: "/v1/payment_methods/{id}/detach",
        run: |world, call| {
            let method = world.get("payment_method", call.id(), "payment_method")?;
            if field::at(&method, "customer").is_null() {
                return Err(ApiError::invalid(
                    "The payment method you provided is not attached to a customer.",
                ));
            }
            detach(world, &method);
            retrieve(world, "payment_method", call.id())
        },
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{customer}/payment_methods",
        run: |world, call| {
            world.get("customer", call.id(), "customer")?;
            list(
                world,
                call,
                &format!("/v1/customers/{}/payment_methods", call.id()),
                Some(call.id().to_owned()),
            )
        },
    },
    Operation {
        method: "GET",
        path: "/v1/customers/{customer}/payment_methods/{id}",
        run: |world, call| {
            let id = call.ids.get(1).map(String::as_str).unwrap_or_default();
            let method = world.get("payment_method", id, "payment_method")?;
            if field::text(&method, "customer") != call.id() {
                return Err(ApiError::missing("payment_method", id, "payment_method"));
            }
            Ok(rendered(&method))
        },
    },
];

fn list(world: &mut World, call: &Call, url: &str, customer: Option<String>) -> Answer {
    list_of(world, "payment_method", url, &call.params, |one| {
        // A method that belongs to nobody is found by its id alone.
        field::some_text(one, "customer").is_some_and(|owner| customer.as_deref().is_none_or(|wanted| wanted == owner))
            && matches(one, &call.params, &["type"])
    })
}

fn update(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let method = world.get("payment_method", call.id(), "payment_method")?;
    if field::at(&method, "customer").is_null() {
        let message = "You must save this PaymentMethod to a customer before you can update it.";
        return Err(ApiError::invalid(message));
    }
    check_email(params, "billing_details[email]")?;
    let mut changed = method.clone();
    let metadata = merge_metadata(field::at(&method, "metadata"), params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    write_details(&mut changed, params);
    if params.has("card[exp_month]") || params.has("card[exp_year]") {
        let month = params.integer("card[exp_month]");
        let year = params.integer("card[exp_year]");
        let (month, year) = checked_expiry(
            month.unwrap_or(field::integer(&method, "card.exp_month")),
            year.unwrap_or(field::integer(&method, "card.exp_year")),
            world.now,
        )?;
        field::set(&mut changed, "card.exp_month", month);
        field::set(&mut changed, "card.exp_year", year);
    }
    let changed = world.update(call.id(), "payment_method.updated", |one| *one = changed);
    Ok(rendered(&changed))
}

/// What a payer typed, beyond the card itself.
pub(crate) struct Payer<'a> {
    pub(crate) expiry: (i64, i64),
    pub(crate) name: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
}

/// A new payment method for a card, attached to nobody.
pub(crate) fn new(world: &mut World, card: cards::Card, payer: &Payer<'_>) -> Value {
    let mut method = shapes::payment_method();
    let last4: String = card.number.chars().skip(card.number.len().saturating_sub(4)).collect();
    field::set(&mut method, "id", world.id("pm_", 24));
    field::set(&mut method, "created", world.now);
    field::set(&mut method, "livemode", world.livemode);
    field::set(&mut method, "card.brand", card.brand);
    field::set(&mut method, "card.display_brand", display_brand(card.brand));
    field::set(&mut method, "card.networks.available", json!([card.brand]));
    field::set(&mut method, "card.funding", card.funding);
    field::set(&mut method, "card.country", card.country);
    field::set(&mut method, "card.last4", last4);
    field::set(&mut method, "card.fingerprint", ids::letters(card.number, 16));
    field::set(&mut method, "card.exp_month", payer.expiry.0);
    field::set(&mut method, "card.exp_year", payer.expiry.1);
    field::set(&mut method, "billing_details.name", payer.name);
    field::set(&mut method, "billing_details.email", payer.email);
    field::set(&mut method, "_sandbox.card", card.name());
    world.put(&method);
    method
}

/// Source: <https://docs.stripe.com/api/payment_methods/object#payment_method_object-card-display_brand>.
fn display_brand(brand: &str) -> &str {
    match brand {
        "amex" => "american_express",
        "diners" => "diners_club",
        "unionpay" => "union_pay",
        brand => brand,
    }
}

/// A new payment method of what stands in the hash `within` (`payment_method_data`), or in the whole call.
pub(crate) fn from_data(world: &mut World, params: &Params, within: &str) -> Answer {
    let data = match within {
        "" => params.clone(),
        within => Params::under(params, within),
    };
    let named = |name: &str| match (within, name.split_once('[')) {
        ("", _) => name.to_owned(),
        (within, None) => format!("{within}[{name}]"),
        (within, Some((first, rest))) => format!("{within}[{first}][{rest}"),
    };
    match data.text("type") {
        Some("card") => {}
        Some(_) => return Err(ApiError::unserved(&named("type"), "The sandbox has cards only.")),
        None => return Err(ApiError::parameter_missing(&named("type"))),
    }
    let (card, expiry) = match (data.text("card[token]"), data.text("card[number]")) {
        (Some(token), None) => {
            let card = token.strip_prefix("tok_").and_then(cards::by_token);
            let card = card.ok_or_else(|| ApiError::missing("token", token, &named("card[token]")))?;
            (card, usual_expiry(world))
        }
        (None, Some(number)) => {
            let card = cards::by_number(number).map_err(payment::refused)?;
            let (Some(month), Some(year)) = (data.integer("card[exp_month]"), data.integer("card[exp_year]")) else {
                let missing = if data.has("card[exp_month]") {
                    "card[exp_year]"
                } else {
                    "card[exp_month]"
                };
                return Err(ApiError::parameter_missing(&named(missing)));
            };
            let cvc = data.text("card[cvc]");
            if cvc.is_some_and(|cvc| !is_cvc(cvc)) {
                return Err(wrong("invalid_cvc", "cvc", "Your card's security code is invalid."));
            }
            (card, checked_expiry(month, year, world.now)?)
        }
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: card[number], card[token].";
            return Err(ApiError::invalid(message).param(named("card")));
        }
        (None, None) => return Err(ApiError::parameter_missing(&named("card"))),
    };
    check_email(&data, "billing_details[email]").map_err(|error| error.param(named("billing_details[email]")))?;
    let is_cvc_known = data.has("card[cvc]") || data.has("card[token]");
    let metadata = merge_metadata(&json!({}), &data, "metadata")?;
    let payer = Payer {
        expiry,
        name: None,
        email: None,
    };
    let method = new(world, card, &payer);
    let detailed = world.edit(field::text(&method, "id"), |one| {
        field::set(one, "metadata", metadata);
        field::set(one, "card.checks.cvc_check", is_cvc_known.then_some("pass"));
        write_details(one, &data);
    });
    Ok(Arc::unwrap_or_clone(detailed))
}

fn write_details(method: &mut Value, params: &Params) {
    if let Some(shown) = params.text("allow_redisplay") {
        field::set(method, "allow_redisplay", shown);
    }
    for name in ["email", "name", "phone", "tax_id"] {
        let sent = format!("billing_details[{name}]");
        if params.has(&sent) {
            field::set(method, &format!("billing_details.{name}"), params.text(&sent));
        }
    }
    for part in ["city", "country", "line1", "line2", "postal_code", "state"] {
        if params.has("billing_details[address]") {
            let address = address(params, "billing_details[address]");
            field::set(
                method,
                &format!("billing_details.address.{part}"),
                field::at(&address, part).clone(),
            );
        }
    }
    for (check, part) in [
        ("address_line1_check", "line1"),
        ("address_postal_code_check", "postal_code"),
    ] {
        let known = field::some_text(method, &format!("billing_details.address.{part}")).is_some();
        field::set(method, &format!("card.checks.{check}"), known.then_some("pass"));
    }
}

/// The refusal of a card's data.
pub(crate) fn wrong(code: &str, param: &str, message: &str) -> ApiError {
    ApiError::new(402, "card_error", message).code(code).param(param)
}

/// Whether this may be a security code.
pub(crate) fn is_cvc(text: &str) -> bool {
    (3..=4).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// Month and year, if they are a month that is not past.
pub(crate) fn checked_expiry(month: i64, year: i64, now: i64) -> Result<(i64, i64), ApiError> {
    if !(1..=12).contains(&month) {
        let message = "Your card's expiration month is invalid.";
        return Err(wrong("invalid_expiry_month", "exp_month", message));
    }
    let year = if (0..100).contains(&year) { 2000 + year } else { year };
    let today = chrono::DateTime::from_timestamp(now, 0).unwrap_or_default();
    let this_month = (
        i64::from(chrono::Datelike::year(&today)),
        i64::from(chrono::Datelike::month(&today)),
    );
    if (year, month) < this_month || year > this_month.0 + 50 {
        let message = "Your card's expiration year is invalid.";
        return Err(wrong("invalid_expiry_year", "exp_year", message));
    }
    Ok((month, year))
}

/// The expiry of a card that came without one.
fn usual_expiry(world: &World) -> (i64, i64) {
    let year =
        chrono::DateTime::from_timestamp(world.now, 0).map_or(2030, |now| i64::from(chrono::Datelike::year(&now)));
    (12, year + 3)
}

/// The method `id`; `pm_card_…` makes a new one of that test card.
pub(crate) fn named(world: &mut World, id: &str, param: &str) -> Answer {
    match id.strip_prefix("pm_card_").and_then(cards::by_token) {
        Some(card) => {
            let payer = Payer {
                expiry: usual_expiry(world),
                name: None,
                email: None,
            };
            Ok(new(world, card, &payer))
        }
        None => world.get("payment_method", id, param),
    }
}

/// The method that a call about an intent of `customer` names or describes, if any, where it may be used for that.
pub(crate) fn chosen(world: &mut World, params: &Params, customer: Option<&str>) -> Result<Option<Value>, ApiError> {
    let method = match (params.text("payment_method"), params.has("payment_method_data")) {
        (Some(_), true) => {
            let message = "You may only specify one of these parameters: payment_method, payment_method_data.";
            return Err(ApiError::invalid(message));
        }
        (Some(id), false) => named(world, id, "payment_method")?,
        (None, true) => from_data(world, params, "payment_method_data")?,
        (None, false) => return Ok(None),
    };
    check_usable(&method, customer)?;
    Ok(Some(method))
}

/// Whether `method` may be used for an intent of `customer`.
/// Source: <https://docs.stripe.com/api/payment_methods/detach>, and the messages Stripe is seen to answer with.
pub(crate) fn check_usable(method: &Value, customer: Option<&str>) -> Result<(), ApiError> {
    let message = match (field::some_text(method, "customer"), customer) {
        (Some(owner), Some(customer)) if owner == customer => return Ok(()),
        (Some(_), Some(_)) => {
            "The provided PaymentMethod cannot be attached. It belongs to another Customer: use it with the Customer that it \
             belongs to instead."
        }
        (Some(_), None) => {
            "The payment method you provided is attached to a customer so for security purposes you must provide the \
             customer in the request."
        }
        (None, _) if field::flag(method, "_sandbox.used_up") => {
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a \
             connected account without Customer attachment, or was detached from a Customer. It may not be used again. To \
             use a PaymentMethod multiple times, you must attach it to a Customer first."
        }
        (None, _) => return Ok(()),
    };
    Err(ApiError::invalid(message).param("payment_method"))
}

/// Attaches `id` to a customer. A card whose bank refuses even that is a 402.
pub(crate) fn attach(world: &mut World, id: &str, customer: &str, param: &str) -> Answer {
    world.get("customer", customer, "customer")?;
    let method = named(world, id, param)?;
    match field::some_text(&method, "customer") {
        Some(owner) if owner == customer => return Ok(method),
        Some(_) => {
            return Err(ApiError::invalid(
                "The payment method you provided has already been attached to a customer.",
            ));
        }
        None => {}
    }
    if field::flag(&method, "_sandbox.used_up") {
        let message = "This PaymentMethod was previously used without being attached to a Customer or was detached from a \
            Customer, and may not be used again.";
        return Err(ApiError::invalid(message));
    }
    let card = cards::by_token(field::text(&method, "_sandbox.card"));
    if let Some(refusal) = card.filter(|card| !card.attaches).and_then(|card| card.refusal) {
        return Err(payment::refused(refusal));
    }
    keep(world, field::text(&method, "id"), customer);
    world.get("payment_method", field::text(&method, "id"), param)
}

/// Attaches the method `id`, which belongs to nobody or to this customer already, after a payment or a set-up that succeeded.
pub(crate) fn keep(world: &mut World, id: &str, customer: &str) {
    let is_free = world.find(id).is_some_and(|one| field::at(one, "customer").is_null());
    if !is_free || world.get("customer", customer, "customer").is_err() {
        return;
    }
    let attached = world.edit(id, |one| field::set(one, "customer", customer));
    world.emit("payment_method.attached", &attached, None);
}

/// The method `id` if it belongs to the customer; a `pm_card_…` is attached first.
pub(crate) fn of_customer(world: &mut World, id: &str, customer: &str, param: &str) -> Answer {
    if id.starts_with("pm_card_") {
        return attach(world, id, customer, param);
    }
    let method = world.get("payment_method", id, param)?;
    if field::text(&method, "customer") == customer {
        return Ok(method);
    }
    let message = format!(
        "The customer does not have a payment method with the ID {id}. The payment method must be attached to the customer."
    );
    Err(ApiError::invalid(message).code("resource_missing").param(param))
}

/// Detaches a method for good; it is nobody's default any more.
fn detach(world: &mut World, method: &Value) {
    let id = field::text(method, "id");
    let owner = field::text(method, "customer").to_owned();
    release(world, id);
    world.update(&owner, "customer.updated", |one| {
        if field::text(one, "invoice_settings.default_payment_method") == id {
            field::set(one, "invoice_settings.default_payment_method", Value::Null);
        }
    });
}

/// Takes a method from its customer; it can never be used again.
pub(crate) fn release(world: &mut World, id: &str) {
    world.update(id, "payment_method.detached", |one| {
        field::set(one, "customer", Value::Null);
        field::set(one, "_sandbox.used_up", true);
    });
}

/// The method that pays for a subscription: its own, else its customer's default.
/// Source: <https://docs.stripe.com/billing/subscriptions/payment-methods-setting#default-payment-methods>.
pub(crate) fn responsible(world: &World, subscription: &Value) -> Option<Value> {
    let own = field::text(subscription, "default_payment_method");
    let customer = world.find(field::text(subscription, "customer"))?;
    let default = field::text(customer, "invoice_settings.default_payment_method");
    [own, default]
        .into_iter()
        .filter_map(|id| world.find(id))
        .find(|method| field::text(method, "customer") == field::text(subscription, "customer"))
        .cloned()
}
