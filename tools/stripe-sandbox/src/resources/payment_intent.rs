//! Payment intents: created by callers, checkout and invoices; confirmed with a test card.

use serde_json::{Value, json};

use super::{Call, LARGEST_AMOUNT, Operation, copy_texts, currency, list_of, merge_metadata, payment_method, retrieve};
use crate::{
    billing::{
        invoicing,
        payment::{self, NewIntent},
        renewal,
    },
    field,
    http::{
        error::{Answer, ApiError},
        matches,
    },
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/payment_intents",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/payment_intents",
        run: |world, call| {
            list_of(world, "payment_intent", "/v1/payment_intents", &call.params, |one| {
                matches(one, &call.params, &["customer"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/payment_intents/{id}",
        run: |world, call| retrieve(world, "payment_intent", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/payment_intents/{id}/confirm",
        run: confirm,
    },
    Operation {
        method: "POST",
        path: "/v1/payment_intents/{id}/cancel",
        run: cancel,
    },
];

/// Smallest amounts by settlement currency, in minor units. Source: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>.
const MINIMUMS: &[(&str, i64)] = &[
    ("usd", 50),
    ("eur", 50),
    ("cad", 50),
    ("aud", 50),
    ("chf", 50),
    ("nzd", 50),
    ("sgd", 50),
    ("brl", 50),
    ("inr", 50),
    ("gbp", 30),
    ("jpy", 50),
    ("dkk", 250),
    ("nok", 300),
    ("sek", 300),
    ("pln", 200),
    ("ron", 200),
    ("myr", 200),
    ("aed", 200),
    ("hkd", 400),
    ("mxn", 1000),
    ("thb", 1000),
    ("czk", 1500),
    ("huf", 17_500),
];

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let amount = params.integer("amount").unwrap_or_default();
    let currency = currency(params, "currency");
    let least = MINIMUMS
        .iter()
        .find(|(code, _)| *code == currency)
        .map_or(1, |(_, least)| *least);
    if amount < least {
        return Err(
            ApiError::invalid(format!("Amount must be at least {least} {currency}."))
                .code("amount_too_small")
                .param("amount"),
        );
    }
    if amount > LARGEST_AMOUNT {
        return Err(
            ApiError::invalid(format!("Amount must be no more than {LARGEST_AMOUNT}."))
                .code("amount_too_large")
                .param("amount"),
        );
    }
    let customer = params.text("customer");
    if let Some(customer) = customer {
        world.get("customer", customer, "customer")?;
    }
    let metadata = merge_metadata(&json!({}), params, "metadata")?;
    let new = NewIntent {
        amount,
        currency: &currency,
        customer,
        description: params.text("description"),
        metadata,
        receipt_email: params.text("receipt_email"),
    };
    let mut intent = payment::new_intent(world, &new);
    let redirects = params
        .text("automatic_payment_methods[allow_redirects]")
        .unwrap_or("always");
    field::set(
        &mut intent,
        "automatic_payment_methods",
        json!({ "enabled": true, "allow_redirects": redirects }),
    );
    copy_texts(
        &mut intent,
        params,
        &["statement_descriptor", "statement_descriptor_suffix"],
    );
    if let Some(usage) = params.text("setup_future_usage") {
        field::set(&mut intent, "setup_future_usage", usage);
    }
    if let Some(method) = params.text("payment_method") {
        let method = payment_method::named(world, method, "payment_method")?;
        field::set(&mut intent, "payment_method", field::at(&method, "id").clone());
        field::set(&mut intent, "status", "requires_confirmation");
    }
    world.create("payment_intent.created", &intent);
    if params.boolean("confirm").unwrap_or(false) {
        return pay(world, &intent);
    }
    Ok(rendered(&intent))
}

fn confirm(world: &mut World, call: &Call) -> Answer {
    let intent = world.get("payment_intent", call.id(), "intent")?;
    if !matches!(
        field::text(&intent, "status"),
        "requires_payment_method" | "requires_confirmation"
    ) {
        return Err(unexpected_state(&intent, "confirm"));
    }
    let Some(method) = call.params.text("payment_method") else {
        return pay(world, &intent);
    };
    let method = payment_method::named(world, method, "payment_method")?;
    let intent = world.edit(call.id(), |one| {
        field::set(one, "payment_method", field::at(&method, "id").clone());
    });
    pay(world, &intent)
}

/// Charges the intent to its payment method; where it pays an invoice, that is settled too.
fn pay(world: &mut World, intent: &Value) -> Answer {
    let id = field::text(intent, "id");
    let Some(method) = field::some_text(intent, "payment_method") else {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        return Err(ApiError::invalid(message)
            .code("payment_intent_unexpected_state")
            .param("payment_method"));
    };
    let method = world.get("payment_method", method, "payment_method")?;
    let invoice = invoicing::invoice_of(world, id);
    let customer = field::text(intent, "customer").to_owned();
    // What a customer pays an invoice with is kept for the next one. Source:
    // https://docs.stripe.com/api/subscriptions/create#create_subscription-payment_settings-save_default_payment_method
    let method_id = field::text(&method, "id").to_owned();
    match (payment::attempt(world, id, &method), invoice) {
        (Ok(paid), None) => Ok(rendered(&paid)),
        (Ok(_), Some(invoice)) => {
            if !customer.is_empty() {
                payment_method::attach(world, &method_id, &customer, "payment_method")?;
            }
            let subscription = world
                .find(&invoice)
                .map(|one| field::text(one, "parent.subscription_details.subscription").to_owned());
            if let Some(subscription) = subscription {
                world.update(&subscription, "customer.subscription.updated", |one| {
                    if field::text(one, "payment_settings.save_default_payment_method") == "on_subscription" {
                        field::set(one, "default_payment_method", method_id);
                    }
                });
            }
            invoicing::settle(world, &invoice);
            retrieve(world, "payment_intent", id)
        }
        (Err(error), invoice) => {
            if let Some(invoice) = invoice {
                renewal::fail_first(world, &invoice);
            }
            Err(error)
        }
    }
}

fn cancel(world: &mut World, call: &Call) -> Answer {
    let intent = world.get("payment_intent", call.id(), "intent")?;
    if matches!(field::text(&intent, "status"), "succeeded" | "canceled") {
        return Err(unexpected_state(&intent, "cancel"));
    }
    let reason = call.params.text("cancellation_reason").map(str::to_owned);
    let now = world.now;
    let canceled = world.edit(call.id(), |one| {
        field::set(one, "status", "canceled");
        field::set(one, "canceled_at", now);
        field::set(one, "cancellation_reason", reason);
    });
    world.emit("payment_intent.canceled", &canceled, None);
    Ok(rendered(&canceled))
}

fn unexpected_state(intent: &Value, verb: &str) -> ApiError {
    let message = format!(
        "You cannot {verb} this PaymentIntent because it has a status of {}.",
        field::text(intent, "status")
    );
    ApiError::invalid(message)
        .code("payment_intent_unexpected_state")
        .with("payment_intent", rendered(intent))
}
