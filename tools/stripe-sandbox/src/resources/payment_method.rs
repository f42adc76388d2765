//! Payment methods: cards, of which only brand, last four digits and behaviour are kept.

use serde_json::{Value, json};

use super::{Call, Operation, list_of, merge_metadata, retrieve};
use crate::{
    billing::{cards, payment},
    field,
    http::{
        error::{Answer, ApiError},
        matches,
    },
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
            release(world, call.id());
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
    let method = world.get("payment_method", call.id(), "payment_method")?;
    let metadata = merge_metadata(field::at(&method, "metadata"), &call.params, "metadata")?;
    let changed = world.update(call.id(), "payment_method.updated", |one| {
        field::set(one, "metadata", metadata)
    });
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
    field::set(&mut method, "card.display_brand", card.brand);
    field::set(&mut method, "card.networks.available", json!([card.brand]));
    field::set(&mut method, "card.last4", last4);
    field::set(&mut method, "card.fingerprint", ids::letters(card.number, 16));
    field::set(&mut method, "card.exp_month", payer.expiry.0);
    field::set(&mut method, "card.exp_year", payer.expiry.1);
    field::set(&mut method, "billing_details.name", payer.name);
    field::set(&mut method, "billing_details.email", payer.email);
    field::set(&mut method, "_sandbox.card", card.token);
    world.put(&method);
    method
}

/// The method `id`; `pm_card_…` makes a new one of that test card.
pub(crate) fn named(world: &mut World, id: &str, param: &str) -> Answer {
    match id.strip_prefix("pm_card_").and_then(cards::by_token) {
        Some(card) => {
            let year = chrono::DateTime::from_timestamp(world.now, 0)
                .map_or(2030, |now| i64::from(chrono::Datelike::year(&now)));
            Ok(new(
                world,
                card,
                &Payer {
                    expiry: (12, year + 3),
                    name: None,
                    email: None,
                },
            ))
        }
        None => world.get("payment_method", id, param),
    }
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
    let card = cards::by_token(field::text(&method, "_sandbox.card"));
    if let Some(refusal) = card.filter(|card| !card.attaches).and_then(|card| card.refusal) {
        return Err(payment::refused(refusal));
    }
    let attached = world.edit(field::text(&method, "id"), |one| field::set(one, "customer", customer));
    world.emit("payment_method.attached", &attached, None);
    Ok(attached)
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

/// Detaches a method from its customer.
pub(crate) fn release(world: &mut World, id: &str) {
    world.update(id, "payment_method.detached", |one| {
        field::set(one, "customer", Value::Null)
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
