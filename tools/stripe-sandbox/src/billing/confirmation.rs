//! Confirming a payment intent, with what that means for the invoice it pays.

use super::{authentication::Confirmation, invoicing, payment, renewal};
use crate::{
    field,
    http::error::Answer,
    json::Value,
    resources::{payment_method, retrieve},
    world::World,
};

/// Confirms the intent `id` with `method`; where it pays an invoice, that is settled too.
pub(crate) fn confirm(world: &mut World, id: &str, method: &Value, how: &Confirmation) -> Answer {
    let outcome = payment::confirm(world, id, method, how);
    follow_up(world, id, method, outcome)
}

/// Does for the invoice that the intent `id` pays, if any, what follows from the outcome of an attempt.
pub(crate) fn follow_up(world: &mut World, id: &str, method: &Value, outcome: Answer) -> Answer {
    let Some(invoice) = invoicing::invoice_of(world, id) else {
        return outcome;
    };
    match outcome {
        Ok(intent) if field::text(&intent, "status") == "succeeded" => {
            keep_method(world, &intent, &invoice, method);
            invoicing::settle(world, &invoice);
            retrieve(world, "payment_intent", id)
        }
        Ok(intent) => {
            invoicing::ask_payer(world, &invoice);
            Ok(intent)
        }
        Err(error) => {
            if error.keeps_effects {
                renewal::fail_first(world, &invoice);
            }
            Err(error)
        }
    }
}

/// What a customer pays an invoice with is kept for the next one. Source:
/// <https://docs.stripe.com/api/subscriptions/create#create_subscription-payment_settings-save_default_payment_method>
fn keep_method(world: &mut World, intent: &Value, invoice: &str, method: &Value) {
    if let Some(customer) = field::some_text(intent, "customer") {
        payment_method::keep(world, field::text(method, "id"), customer);
    }
    let subscription = world
        .find(invoice)
        .map(|one| field::text(one, "parent.subscription_details.subscription").to_owned())
        .unwrap_or_default();
    let method = field::at(method, "id").clone();
    world.update(&subscription, "customer.subscription.updated", |one| {
        if field::text(one, "payment_settings.save_default_payment_method") == "on_subscription" {
            field::set(one, "default_payment_method", method);
        }
    });
}
