//! Payments of an invoice: the one that it has by itself and that takes what remains, and payment intents that are attached to
//! it and pay a part or all.
//!
//! Sources: <https://docs.stripe.com/invoicing/partial-payments>, <https://docs.stripe.com/api/invoices/attach_payment>,
//! <https://docs.stripe.com/api/invoice-payment>.

use std::sync::Arc;

use super::{
    customer_credit::{self, Reason},
    invoicing,
    start::symbolic,
};
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    shapes,
    world::World,
};

/// Where a payment intent keeps the invoice payments that it was attached for, in order.
const ATTACHED: &str = "_sandbox.attached";

/// A new payment of an invoice, which requests `amount` of a payment intent. It is not stored yet.
pub(crate) fn new(world: &mut World, invoice: &Value, intent: &str, amount: i64) -> Value {
    let mut payment = shapes::invoice_payment();
    field::set(&mut payment, "id", world.id("inpay_", 24));
    field::set(&mut payment, "created", world.now);
    field::set(&mut payment, "livemode", world.livemode);
    field::set(&mut payment, "amount_requested", amount);
    field::set(&mut payment, "currency", field::at(invoice, "currency").clone());
    field::set(&mut payment, "invoice", field::at(invoice, "id").clone());
    field::set(&mut payment, "payment.payment_intent", intent);
    payment
}

/// The payments of an invoice that were attached and have one of these statuses.
fn attached(world: &World, invoice: &str, statuses: &[&str]) -> Vec<Arc<Value>> {
    let mut all = world.of(invoice, "invoice_payment");
    all.retain(|one| !field::flag(one, "is_default") && statuses.contains(&field::text(one, "status")));
    all
}

/// Whether payments were attached to an invoice that have one of these statuses.
pub(crate) fn has_attached(world: &World, invoice: &str, statuses: &[&str]) -> bool {
    !attached(world, invoice, statuses).is_empty()
}

/// Attaches a payment intent to an invoice. One that has succeeded already is credited at once.
pub(crate) fn attach(world: &mut World, invoice: &Value, intent: &Value) -> Result<(), ApiError> {
    check(world, invoice, intent)?;
    let own = field::text(intent, "id");
    let remaining = field::integer(invoice, "amount_remaining");
    let amount = match field::text(intent, "status") {
        "succeeded" => left(world, intent),
        _ => field::integer(intent, "amount"),
    };
    let currency = field::text(invoice, "currency");
    let refused = |message: String| Err(ApiError::invalid(message).param("payment_intent"));
    if amount < 1 {
        return refused(format!(
            "All that the PaymentIntent {own} received is credited to invoices already."
        ));
    }
    if amount > remaining {
        return refused(format!(
            "The amount of the PaymentIntent ({}) is greater than the amount remaining on the invoice ({}).",
            symbolic(amount, currency),
            symbolic(remaining, currency)
        ));
    }
    let is_charged = field::text(invoice, "collection_method") == "charge_automatically";
    let of_subscription = !field::at(invoice, "parent.subscription_details.subscription").is_null();
    if amount < remaining && is_charged && of_subscription {
        let message = "Partial payments aren't supported for subscription invoices that are charged automatically.";
        return refused(message.to_owned());
    }
    let mut payment = new(world, invoice, own, amount);
    field::set(&mut payment, "is_default", false);
    world.put(&payment);
    let intent = world.edit(own, |one| {
        let mut all = field::elements(one, ATTACHED).to_vec();
        all.push(field::at(&payment, "id").clone());
        field::set(one, ATTACHED, all);
    });
    if field::text(&intent, "status") == "succeeded" {
        credit(world, &intent);
    }
    Ok(())
}

fn check(world: &World, invoice: &Value, intent: &Value) -> Result<(), ApiError> {
    let (id, own) = (field::text(invoice, "id"), field::text(intent, "id"));
    let status = field::text(invoice, "status");
    if !matches!(status, "open" | "uncollectible") {
        let message = format!(
            "You can only attach a payment to an invoice that is open or uncollectible. This invoice is {status}."
        );
        return Err(ApiError::invalid(message));
    }
    let refused = |message: String| Err(ApiError::invalid(message).param("payment_intent"));
    for name in ["currency", "customer"] {
        if field::at(intent, name) != field::at(invoice, name) {
            return refused(format!("The PaymentIntent must have the same `{name}` as the invoice."));
        }
    }
    if let Some(other) = field::some_text(intent, "_sandbox.invoice") {
        return refused(format!(
            "The PaymentIntent {own} was created by the invoice {other} and pays that."
        ));
    }
    if field::text(intent, "status") == "canceled" {
        return refused(format!("The PaymentIntent {own} is canceled."));
    }
    let of_intent = |one: &Arc<Value>| field::text(one, "payment.payment_intent") == own;
    if attached(world, id, &["open", "paid"]).iter().any(of_intent) {
        return refused(format!("The PaymentIntent {own} is attached to the invoice already."));
    }
    Ok(())
}

/// The invoice payments that a payment intent was attached for.
fn of_intent(world: &World, intent: &Value) -> Vec<Arc<Value>> {
    let ids = field::elements(intent, ATTACHED).iter();
    ids.filter_map(|id| world.shared(id.as_str()?)).collect()
}

/// What a payment intent received and no invoice was credited with.
fn left(world: &World, intent: &Value) -> i64 {
    let payments = of_intent(world, intent);
    let paid: i64 = payments.iter().map(|one| field::integer(one, "amount_paid")).sum();
    field::integer(intent, "amount_received") - paid
}

/// Whether a payment intent is attached to an invoice that it may still pay.
pub(crate) fn is_attached(world: &World, intent: &Value) -> bool {
    of_intent(world, intent)
        .iter()
        .any(|one| field::text(one, "status") == "open")
}

/// Credits what a payment intent received to the invoices that it is attached to, one after the other.
pub(crate) fn credit(world: &mut World, intent: &Value) {
    for payment in of_intent(world, intent) {
        let amount = left(world, intent).min(field::integer(&payment, "amount_requested"));
        if field::text(&payment, "status") == "open" && amount > 0 {
            pay(world, &payment, amount);
        }
    }
}

/// Credits `amount` to the invoice of a payment. What is more than remains is the customer's.
fn pay(world: &mut World, payment: &Value, amount: i64) {
    let now = world.now;
    let Some(invoice) = world.shared(field::text(payment, "invoice")) else {
        return;
    };
    let id = field::text(&invoice, "id");
    let remaining = field::integer(&invoice, "amount_remaining");
    let payment = world.edit(field::text(payment, "id"), |one| {
        field::set(one, "status", "paid");
        field::set(one, "amount_paid", amount);
        field::set(one, "status_transitions.paid_at", now);
    });
    if amount < remaining {
        world.update(id, "invoice.updated", |one| {
            let paid = field::integer(one, "amount_paid") + amount;
            field::set(one, "amount_paid", paid);
            field::set(one, "amount_remaining", remaining - amount);
        });
        request_rest(world, id);
        world.emit("invoice_payment.paid", &payment, None);
        return;
    }
    let over = amount - remaining;
    let overpay = |one: &mut Value| {
        let all = field::integer(one, "amount_overpaid") + over;
        field::set(one, "amount_overpaid", all);
    };
    if field::text(&invoice, "status") == "paid" {
        world.update(id, "invoice.updated", overpay);
        world.emit("invoice_payment.paid", &payment, None);
    } else {
        world.edit(id, overpay);
        invoicing::settle_by(world, id, &payment);
    }
    let customer = field::text(&invoice, "customer");
    if over > 0 && world.get("customer", customer, "customer").is_ok() {
        let reason = Reason {
            kind: "invoice_overpaid",
            invoice: Some(id),
            description: Value::Null,
            metadata: json!({}),
        };
        let currency = field::text(&invoice, "currency");
        customer_credit::apply(world, customer, -over, currency, reason);
    }
}

/// Has the payment that an invoice has by itself request what remains, and its payment intent ask for it.
pub(crate) fn request_rest(world: &mut World, invoice: &str) {
    let remaining = world
        .find(invoice)
        .map_or(0, |one| field::integer(one, "amount_remaining"));
    let Some(payment) = invoicing::payment_of(world, invoice).filter(|_| remaining > 0) else {
        return;
    };
    world.edit(field::text(&payment, "id"), |one| {
        field::set(one, "amount_requested", remaining);
    });
    world.edit(field::text(&payment, "payment.payment_intent"), |one| {
        if !matches!(field::text(one, "status"), "succeeded" | "canceled") {
            field::set(one, "amount", remaining);
        }
    });
}

/// Has the open payments that a payment intent was attached for request what it asks for now, or, where it is canceled, none.
pub(crate) fn follow(world: &mut World, intent: &Value) {
    let (amount, is_canceled) = (field::at(intent, "amount"), field::text(intent, "status") == "canceled");
    for payment in of_intent(world, intent) {
        if field::text(&payment, "status") != "open" {
            continue;
        }
        if is_canceled {
            cancel(world, &payment);
        } else {
            world.edit(field::text(&payment, "id"), |one| {
                field::set(one, "amount_requested", amount.clone());
            });
        }
    }
}

/// A payment that will not be made.
pub(crate) fn cancel(world: &mut World, payment: &Value) {
    let now = world.now;
    world.edit(field::text(payment, "id"), |one| {
        field::set(one, "status", "canceled");
        field::set(one, "status_transitions.canceled_at", now);
    });
}

/// Cancels the payments that were attached to an invoice which nobody is to pay any more.
pub(crate) fn drop_attached(world: &mut World, invoice: &str) {
    for payment in attached(world, invoice, &["open"]) {
        cancel(world, &payment);
    }
}
