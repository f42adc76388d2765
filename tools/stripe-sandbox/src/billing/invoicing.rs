//! Invoices: drafted from lines, finalized, paid.
//!
//! Source: <https://docs.stripe.com/billing/invoices/subscription#sub_invoice_lifecycle>.

use serde_json::{Value, json};

use super::{
    authentication::{Confirmation, Presence},
    payment,
};
use crate::{field, http::error::ApiError, resources::tax_rates, shapes, world::World};

/// One line to be invoiced.
pub(crate) struct Line {
    pub(crate) amount: i64,
    pub(crate) quantity: i64,
    pub(crate) price: Value,
    /// The subscription item billed; `None` for something sold once.
    pub(crate) item: Option<String>,
    pub(crate) period: (i64, i64),
    pub(crate) description: String,
}

/// Drafts an invoice for `subscription`. It finalizes itself at `finalizes_at`, if given.
pub(crate) fn draft(
    world: &mut World,
    subscription: &Value,
    lines: &[Line],
    reason: &str,
    finalizes_at: Option<i64>,
) -> Value {
    let id = world.id("in_", 24);
    let customer = world
        .find(field::text(subscription, "customer"))
        .cloned()
        .unwrap_or_default();
    let mut invoice = shapes::invoice();
    field::set(&mut invoice, "id", id.clone());
    field::set(&mut invoice, "created", world.now);
    field::set(&mut invoice, "livemode", world.livemode);
    field::set(&mut invoice, "billing_reason", reason);
    field::set(&mut invoice, "currency", field::at(subscription, "currency").clone());
    field::set(&mut invoice, "automatically_finalizes_at", finalizes_at);
    field::set(
        &mut invoice,
        "period_start",
        lines.iter().map(|line| line.period.0).min().unwrap_or(world.now),
    );
    field::set(&mut invoice, "period_end", world.now);
    field::set(&mut invoice, "customer", field::at(subscription, "customer").clone());
    for (name, of) in [
        ("customer_address", "address"),
        ("customer_email", "email"),
        ("customer_name", "name"),
        ("customer_phone", "phone"),
        ("customer_shipping", "shipping"),
        ("customer_tax_exempt", "tax_exempt"),
    ] {
        field::set(&mut invoice, name, field::at(&customer, of).clone());
    }
    field::set(
        &mut invoice,
        "parent",
        json!({
            "quote_details": null,
            "subscription_details": {
                "metadata": field::at(subscription, "metadata"),
                "subscription": field::at(subscription, "id"),
            },
            "type": "subscription_details",
        }),
    );
    let data: Vec<Value> = lines
        .iter()
        .map(|line| new_line(world, &id, subscription, line))
        .collect();
    field::set(&mut invoice, "lines.data", data);
    field::set(&mut invoice, "lines.url", format!("/v1/invoices/{id}/lines"));
    let subtotal = lines.iter().map(|line| line.amount).sum::<i64>();
    write_totals(&mut invoice, subscription, &customer, subtotal);
    world.create("invoice.created", &invoice);
    invoice
}

fn write_totals(invoice: &mut Value, subscription: &Value, customer: &Value, subtotal: i64) {
    let mut tax = 0;
    if field::flag(subscription, "automatic_tax.enabled") {
        let breakdown = tax_rates::on(customer, subtotal);
        tax = breakdown.amount;
        let status = if breakdown.known_location {
            "complete"
        } else {
            "requires_location_inputs"
        };
        field::set(
            invoice,
            "automatic_tax",
            json!({ "disabled_reason": null, "enabled": true, "liability": { "type": "self" }, "provider": "stripe", "status": status }),
        );
        field::set(
            invoice,
            "total_taxes",
            json!([{
                "amount": tax, "tax_behavior": "exclusive", "tax_rate_details": null,
                "taxability_reason": breakdown.reason, "taxable_amount": breakdown.taxable(subtotal), "type": "tax_rate_details",
            }]),
        );
    }
    let total = subtotal + tax;
    for (name, amount) in [
        ("subtotal", subtotal),
        ("subtotal_excluding_tax", subtotal),
        ("total", total),
        ("total_excluding_tax", subtotal),
        ("amount_due", total),
        ("amount_remaining", total),
    ] {
        field::set(invoice, name, amount);
    }
}

fn new_line(world: &mut World, invoice: &str, subscription: &Value, line: &Line) -> Value {
    let mut out = shapes::invoice_line_item();
    let currency = field::at(subscription, "currency").clone();
    field::set(&mut out, "id", world.id("il_", 24));
    field::set(&mut out, "invoice", invoice);
    field::set(&mut out, "livemode", world.livemode);
    field::set(&mut out, "amount", line.amount);
    field::set(&mut out, "subtotal", line.amount);
    field::set(&mut out, "quantity", line.quantity);
    field::set(&mut out, "quantity_decimal", line.quantity.to_string());
    field::set(&mut out, "currency", currency);
    field::set(&mut out, "description", line.description.clone());
    field::set(
        &mut out,
        "period",
        json!({ "start": line.period.0, "end": line.period.1 }),
    );
    field::set(&mut out, "metadata", field::at(subscription, "metadata").clone());
    field::set(
        &mut out,
        "pricing",
        json!({
            "price_details": { "price": field::at(&line.price, "id"), "product": field::at(&line.price, "product") },
            "type": "price_details",
            "unit_amount_decimal": field::at(&line.price, "unit_amount_decimal"),
        }),
    );
    let parent = match &line.item {
        Some(item) => json!({
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null, "proration": false, "proration_details": { "credited_items": null },
                "subscription": field::at(subscription, "id"), "subscription_item": item,
            },
            "type": "subscription_item_details",
        }),
        None => {
            let item = world.id("ii_", 24);
            json!({
                "invoice_item_details": {
                    "invoice_item": item, "proration": false, "proration_details": { "credited_items": null },
                    "subscription": field::at(subscription, "id"),
                },
                "subscription_item_details": null,
                "type": "invoice_item_details",
            })
        }
    };
    field::set(&mut out, "parent", parent);
    out
}

/// Finalizes a draft: it gets its number and, if something is due, its payment intent; with nothing due it is paid.
/// `intent` is one that was begun on a hosted page.
pub(crate) fn finalize_with(world: &mut World, id: &str, intent: Option<&str>) {
    let Some(invoice) = world.find(id).cloned() else { return };
    let now = world.now;
    let customer = field::text(&invoice, "customer").to_owned();
    let mut number = String::new();
    let currency = field::at(&invoice, "currency").clone();
    world.update(&customer, "customer.updated", |one| {
        let sequence = field::integer(one, "next_invoice_sequence").max(1);
        number = format!("{}-{sequence:04}", field::text(one, "invoice_prefix"));
        field::set(one, "next_invoice_sequence", sequence + 1);
        field::set(one, "currency", currency);
    });
    let invoice = world.edit(id, |one| {
        field::set(one, "status", "open");
        field::set(one, "number", number.clone());
        field::set(one, "effective_at", now);
        field::set(one, "automatically_finalizes_at", Value::Null);
        field::set(one, "status_transitions.finalized_at", now);
    });
    world.emit("invoice.finalized", &invoice, None);
    let due = field::integer(&invoice, "amount_due");
    if due == 0 {
        settle(world, id);
        return;
    }
    let intent = match intent.and_then(|intent| world.find(intent).cloned()) {
        Some(intent) => intent,
        None => {
            let intent = payment::new_intent(
                world,
                &payment::NewIntent {
                    amount: due,
                    currency: field::text(&invoice, "currency"),
                    customer: Some(&customer),
                    description: Some(match field::text(&invoice, "billing_reason") {
                        "subscription_create" => "Subscription creation",
                        _ => "Subscription update",
                    }),
                    ..Default::default()
                },
            );
            world.create("payment_intent.created", &intent);
            intent
        }
    };
    let mut payment = shapes::invoice_payment();
    field::set(&mut payment, "id", world.id("inpay_", 24));
    field::set(&mut payment, "created", now);
    field::set(&mut payment, "livemode", world.livemode);
    field::set(&mut payment, "amount_requested", due);
    field::set(&mut payment, "currency", field::at(&invoice, "currency").clone());
    field::set(&mut payment, "invoice", id);
    field::set(&mut payment, "payment.payment_intent", field::at(&intent, "id").clone());
    world.put(&payment);
    world.edit(id, |one| {
        field::set(one, "_sandbox.payment", field::at(&payment, "id").clone())
    });
    world.edit(field::text(&intent, "id"), |one| {
        field::set(one, "_sandbox.invoice", id)
    });
}

/// See [`finalize_with`].
pub(crate) fn finalize(world: &mut World, id: &str) {
    finalize_with(world, id, None);
}

/// The payment object that ties an invoice to its payment intent.
pub(crate) fn payment_of(world: &World, invoice: &str) -> Option<Value> {
    let invoice = world.find(invoice)?;
    world.find(field::some_text(invoice, "_sandbox.payment")?).cloned()
}

/// The invoice that a payment intent pays, if any.
pub(crate) fn invoice_of(world: &World, intent: &str) -> Option<String> {
    let intent = world.find(intent)?;
    field::some_text(intent, "_sandbox.invoice").map(str::to_owned)
}

/// Charges an open invoice to `method` and, if that succeeds, settles it. Where the payer has to authenticate first the
/// intent waits for that, and the error says so.
pub(crate) fn pay(world: &mut World, id: &str, method: &Value, presence: Presence) -> Result<(), ApiError> {
    let Some(payment) = payment_of(world, id) else {
        return Ok(());
    };
    let how = Confirmation {
        presence,
        ..Confirmation::default()
    };
    let intent = payment::pay(world, field::text(&payment, "payment.payment_intent"), method, &how)?;
    if field::text(&intent, "status") == "requires_action" {
        ask_payer(world, id);
        let message = "Payment for this subscription requires additional user action before it can be completed successfully. \
            Payment can be completed using the PaymentIntent associated with subscription.latest_invoice.";
        let mut error = ApiError::new(402, "card_error", message)
            .code("subscription_payment_intent_requires_action")
            .with("payment_intent", intent);
        error.keeps_effects = true;
        return Err(error);
    }
    settle(world, id);
    Ok(())
}

/// Tells that whoever pays the invoice has to authenticate.
pub(crate) fn ask_payer(world: &mut World, id: &str) {
    if let Some(invoice) = world.find(id).cloned() {
        world.emit("invoice.payment_action_required", &invoice, None);
    }
}

/// Marks an invoice paid, and the subscription it was for active.
pub(crate) fn settle(world: &mut World, id: &str) {
    let now = world.now;
    let invoice = world.update(id, "invoice.updated", |one| {
        let due = field::integer(one, "amount_due");
        field::set(one, "status", "paid");
        field::set(one, "amount_paid", due);
        field::set(one, "amount_remaining", 0);
        field::set(one, "attempted", true);
        if due > 0 {
            field::set(one, "attempt_count", field::integer(one, "attempt_count") + 1);
        }
        field::set(one, "next_payment_attempt", Value::Null);
        field::set(one, "status_transitions.paid_at", now);
    });
    if let Some(payment) = payment_of(world, id) {
        let payment = world.edit(field::text(&payment, "id"), |one| {
            field::set(one, "status", "paid");
            field::set(one, "amount_paid", field::at(one, "amount_requested").clone());
            field::set(one, "status_transitions.paid_at", now);
        });
        world.emit("invoice_payment.paid", &payment, None);
    }
    world.emit("invoice.paid", &invoice, None);
    world.emit("invoice.payment_succeeded", &invoice, None);
    let subscription = field::text(&invoice, "parent.subscription_details.subscription").to_owned();
    world.update(&subscription, "customer.subscription.updated", |one| {
        let is_latest = field::text(one, "latest_invoice") == id;
        if is_latest && matches!(field::text(one, "status"), "incomplete" | "past_due" | "unpaid") {
            field::set(one, "status", "active");
        }
    });
}

/// Voids an invoice that will not be paid any more.
pub(crate) fn void(world: &mut World, id: &str) {
    let now = world.now;
    let invoice = world.update(id, "invoice.updated", |one| {
        field::set(one, "status", "void");
        field::set(one, "next_payment_attempt", Value::Null);
        field::set(one, "status_transitions.voided_at", now);
    });
    world.emit("invoice.voided", &invoice, None);
    if let Some(payment) = payment_of(world, id) {
        world.edit(field::text(&payment, "id"), |one| {
            field::set(one, "status", "canceled");
            field::set(one, "status_transitions.canceled_at", now);
        });
        if let Some(intent) = world.find(field::text(&payment, "payment.payment_intent")).cloned() {
            payment::cancel(world, &intent, Some("void_invoice"));
        }
    }
}
