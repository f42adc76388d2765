//! Invoices: drafted from lines, finalized, paid.
//!
//! Source: <https://docs.stripe.com/billing/invoices/subscription#sub_invoice_lifecycle>.

use std::sync::Arc;

use super::{
    authentication::{Confirmation, Presence},
    customer_credit,
    invoice_items::{self, Sweep},
    invoice_payments, invoice_totals,
    lines::{self, Line},
    pausing, payment, pending, redemptions, sent_invoices,
};
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    resources::payment_method,
    shapes,
    world::World,
};

/// An invoice that advances by itself stays a draft so long.
/// Source: <https://docs.stripe.com/invoicing/integration/automatic-advancement-collection>.
pub(crate) const DRAFT_LIFE: i64 = 3600;

/// Marks an invoice whose payment is being tried by the schedule, not because somebody asked for it.
pub(crate) const IS_RETRIED: &str = "_sandbox.is_retried";

/// What a new invoice is drafted from.
pub(crate) struct Draft<'a> {
    pub(crate) customer: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) subscription: Option<&'a Value>,
    pub(crate) reason: &'a str,
    pub(crate) lines: Vec<Line>,
    /// The waiting invoice items that it takes up.
    pub(crate) sweep: Sweep<'a>,
    /// When it finalizes itself, if it does.
    pub(crate) finalizes_at: Option<i64>,
}

impl<'a> Draft<'a> {
    /// Of a subscription, with all that waits for its next invoice.
    pub(crate) fn of(subscription: &'a Value, reason: &'a str, lines: Vec<Line>) -> Self {
        Self {
            customer: field::text(subscription, "customer"),
            currency: field::text(subscription, "currency"),
            subscription: Some(subscription),
            reason,
            lines,
            sweep: Sweep::Next(field::text(subscription, "id")),
            finalizes_at: None,
        }
    }

    /// Whether it would have no lines.
    pub(crate) fn is_empty(&self, world: &World) -> bool {
        self.lines.is_empty() && invoice_items::waiting(world, self.customer, self.currency, self.sweep).is_empty()
    }
}

/// Drafts an invoice, stores it and tells of it.
pub(crate) fn draft(world: &mut World, draft: Draft<'_>) -> Value {
    let invoice = build(world, draft);
    open_draft(world, invoice)
}

/// Stores a draft that was built, and puts the invoice items on it out of waiting.
pub(crate) fn open_draft(world: &mut World, mut invoice: Value) -> Value {
    invoice_totals::write(world, &mut invoice);
    world.create("invoice.created", &invoice);
    invoice_items::attach(world, &invoice);
    invoice
}

/// An invoice as it would be drafted, not stored, and without its amounts.
pub(crate) fn build(world: &mut World, draft: Draft<'_>) -> Value {
    let id = world.id("in_", 24);
    let customer = world.shared(draft.customer).unwrap_or_default();
    let mut invoice = shapes::invoice();
    field::set(&mut invoice, "id", id.clone());
    field::set(&mut invoice, "created", world.now);
    field::set(&mut invoice, "livemode", world.livemode);
    field::set(&mut invoice, "test_clock", world.test_clock.clone());
    field::set(&mut invoice, "billing_reason", draft.reason);
    field::set(&mut invoice, "currency", draft.currency);
    field::set(&mut invoice, "automatically_finalizes_at", draft.finalizes_at);
    field::set(&mut invoice, "customer", draft.customer);
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
    let items = invoice_items::waiting(world, draft.customer, draft.currency, draft.sweep);
    let mut all = draft.lines;
    let period = all.iter().map(|line| line.period.0).min();
    all.extend(invoice_items::lines(world, &items));
    field::set(&mut invoice, "period_start", period.unwrap_or(world.now));
    field::set(&mut invoice, "period_end", world.now);
    if let Some(subscription) = draft.subscription {
        write_subscription(&mut invoice, subscription, world.now);
        // Of a subscription that began earlier, first periods may have a discount that is over by now.
        let discounts = field::elements(subscription, "discounts");
        let discounts = match draft.reason {
            "subscription_create" => discounts.to_vec(),
            _ => redemptions::in_force(world, discounts),
        };
        field::set(&mut invoice, "discounts", discounts);
    }
    let data: Vec<Value> = all
        .iter()
        .map(|line| lines::written(world, &id, draft.currency, line))
        .collect();
    field::set(&mut invoice, "lines.data", data);
    field::set(&mut invoice, "lines.url", format!("/v1/invoices/{id}/lines"));
    invoice
}

/// Refuses a change of an invoice that is no draft any more.
pub(crate) fn editable(invoice: &Value) -> Result<(), ApiError> {
    if field::text(invoice, "status") == "draft" {
        return Ok(());
    }
    let message = "This invoice is no longer editable.";
    Err(ApiError::invalid(message).code("invoice_not_editable"))
}

/// The draft without the line of an invoice item; its amounts are to be written anew.
pub(crate) fn without_item(draft: &Value, item: &str) -> Value {
    let mut without = draft.clone();
    let mut all = field::elements(&without, "lines.data").to_vec();
    all.retain(|line| lines::invoice_item_of(line) != Some(item));
    field::set(&mut without, "lines.data", all);
    without
}

/// What an invoice takes over from its subscription.
fn write_subscription(invoice: &mut Value, subscription: &Value, now: i64) {
    let details = json!({
        "metadata": field::at(subscription, "metadata"), "subscription": field::at(subscription, "id"),
    });
    field::set(
        invoice,
        "parent",
        json!({ "quote_details": null, "subscription_details": details, "type": "subscription_details" }),
    );
    let method = field::at(subscription, "collection_method").clone();
    field::set(invoice, "collection_method", method);
    if field::text(subscription, "collection_method") == "send_invoice" {
        let days = field::integer(subscription, "days_until_due");
        field::set(invoice, "due_date", now + days * 86_400);
    }
    if field::flag(subscription, "automatic_tax.enabled") {
        tax_automatically(invoice);
    }
}

/// Has the invoice taxed where its customer is.
pub(crate) fn tax_automatically(invoice: &mut Value) {
    field::set(
        invoice,
        "automatic_tax",
        json!({ "disabled_reason": null, "enabled": true, "liability": { "type": "self" }, "provider": "stripe", "status": null }),
    );
}

/// Finalizes a draft: it gets its number and, if something is due, its payment intent; with nothing due it is paid.
/// `intent` is one that was begun on a hosted page.
pub(crate) fn finalize_with(world: &mut World, id: &str, intent: Option<&str>) {
    let Some(invoice) = world.shared(id) else { return };
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
    let before = world.find(&customer).map_or(0, |one| field::integer(one, "balance"));
    let mut left = before;
    let invoice = world.edit(id, |one| {
        left = invoice_totals::bear(one, before);
        field::set(one, "ending_balance", left);
        field::set(one, "status", "open");
        field::set(one, "number", number.clone());
        field::set(one, "effective_at", now);
        field::set(one, "automatically_finalizes_at", Value::Null);
        field::set(one, "status_transitions.finalized_at", now);
    });
    world.emit("invoice.finalized", &invoice, None);
    // What is too little to be charged is owed; what was borne before that was used up.
    let owed = if left > 0 { left - before.max(0) } else { 0 };
    for (kind, amount) in [
        ("applied_to_invoice", left - owed - before),
        ("invoice_too_small", owed),
    ] {
        if amount == 0 {
            continue;
        }
        let reason = customer_credit::Reason {
            kind,
            invoice: Some(id),
            description: Value::Null,
            metadata: json!({}),
        };
        customer_credit::apply(world, &customer, amount, field::text(&invoice, "currency"), reason);
    }
    if sent_invoices::is_sent(&invoice) {
        sent_invoices::plan(world, id);
    }
    let due = field::integer(&invoice, "amount_due");
    if due == 0 {
        settle(world, id);
        return;
    }
    let intent = match intent.and_then(|intent| world.find(intent).cloned()) {
        // A page has it take what is due, but what is due may be another amount since it was refused.
        Some(intent) if field::text(&intent, "status") != "succeeded" => {
            Value::clone(&world.edit(field::text(&intent, "id"), |one| field::set(one, "amount", due)))
        }
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
                        "manual" => "Payment for Invoice",
                        _ => "Subscription update",
                    }),
                    ..Default::default()
                },
            );
            world.create("payment_intent.created", &intent);
            intent
        }
    };
    let payment = invoice_payments::new(world, &invoice, field::text(&intent, "id"), due);
    world.put(&payment);
    let page = World::page_url(&format!("/_sandbox/pay/{}", field::text(&intent, "id")));
    world.edit(id, |one| {
        field::set(one, "_sandbox.payment", field::at(&payment, "id").clone());
        field::set(one, "hosted_invoice_url", page);
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
pub(crate) fn payment_of(world: &World, invoice: &str) -> Option<Arc<Value>> {
    let invoice = world.find(invoice)?;
    world.shared(field::some_text(invoice, "_sandbox.payment")?)
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
    if let Some(invoice) = world.shared(id) {
        world.emit("invoice.payment_action_required", &invoice, None);
    }
}

/// Settles an invoice: it is paid, and the subscription it was for active.
pub(crate) fn settle(world: &mut World, id: &str) {
    let now = world.now;
    let invoice = mark_paid(world, id);
    let payment = payment_of(world, id).map(|payment| {
        world.edit(field::text(&payment, "id"), |one| {
            field::set(one, "status", "paid");
            field::set(one, "amount_paid", field::at(one, "amount_requested").clone());
            field::set(one, "status_transitions.paid_at", now);
        })
    });
    tell_paid(world, &invoice, payment.as_deref());
}

/// As [`settle`], by a payment that was attached to the invoice: it needs no other.
pub(crate) fn settle_by(world: &mut World, id: &str, payment: &Value) {
    drop_payment(world, id);
    world.edit(id, |one| field::set(one, "_sandbox.payment", Value::Null));
    let invoice = mark_paid(world, id);
    tell_paid(world, &invoice, Some(payment));
}

/// Tells that an invoice is paid, and has its subscription go on.
fn tell_paid(world: &mut World, invoice: &Value, payment: Option<&Value>) {
    if let Some(payment) = payment {
        world.emit("invoice_payment.paid", payment, None);
    }
    world.emit("invoice.paid", invoice, None);
    world.emit("invoice.payment_succeeded", invoice, None);
    if field::integer(invoice, "amount_overpaid") > 0 {
        world.emit("invoice.overpaid", invoice, None);
    }
    revive(world, invoice);
}

fn mark_paid(world: &mut World, id: &str) -> Arc<Value> {
    let now = world.now;
    world.update(id, "invoice.updated", |one| {
        let due = field::integer(one, "amount_due");
        field::set(one, "status", "paid");
        field::set(one, "amount_paid", due);
        field::set(one, "amount_remaining", 0);
        field::set(one, "attempted", true);
        field::set(one, "auto_advance", false);
        // Payments that somebody asks for count as the first attempt only.
        let attempts = field::integer(one, "attempt_count");
        match field::flag(one, IS_RETRIED) {
            true => field::set(one, "attempt_count", attempts.saturating_add(1)),
            false if due > 0 => field::set(one, "attempt_count", attempts.max(1)),
            false => {}
        }
        field::set(one, "next_payment_attempt", Value::Null);
        field::set(one, "status_transitions.paid_at", now);
    })
}

/// A subscription whose latest invoice is paid is active.
fn revive(world: &mut World, invoice: &Value) {
    if pausing::resumes(world, invoice) {
        pausing::complete(world, invoice, "active");
        return;
    }
    let subscription = field::text(invoice, "parent.subscription_details.subscription");
    world.update(subscription, "customer.subscription.updated", |one| {
        let is_latest = field::at(one, "latest_invoice") == field::at(invoice, "id");
        if is_latest && matches!(field::text(one, "status"), "incomplete" | "past_due" | "unpaid") {
            field::set(one, "status", "active");
        }
    });
    pending::apply(world, invoice);
}

/// Marks an invoice paid by other means than Stripe's: nothing was charged, so no payment succeeded.
pub(crate) fn settle_elsewhere(world: &mut World, id: &str) {
    drop_payment(world, id);
    world.edit(id, |one| {
        field::set(one, "_sandbox.payment", Value::Null);
        let remaining = field::at(one, "amount_remaining").clone();
        field::set(one, "amount_paid_off_stripe", remaining);
    });
    let invoice = mark_paid(world, id);
    world.emit("invoice.paid", &invoice, None);
    revive(world, &invoice);
}

/// The payment method that an invoice is charged to: its subscription's, its own, or its customer's.
pub(crate) fn payer(world: &World, invoice: &Value) -> Option<Value> {
    let subscription = world.find(field::text(invoice, "parent.subscription_details.subscription"));
    payment_method::responsible(world, subscription.unwrap_or(invoice))
}

/// The invoice items of a draft that is deleted wait again.
pub(crate) fn release_items(world: &mut World, draft: &Value) {
    for line in field::elements(draft, "lines.data") {
        let Some(item) = lines::invoice_item_of(line) else {
            continue;
        };
        let item = world.edit(item, |one| field::set(one, "invoice", Value::Null));
        if !item.is_null() {
            invoice_items::wait(world, &item);
        }
    }
}

/// Voids an invoice that will not be paid any more.
pub(crate) fn void(world: &mut World, id: &str) {
    let now = world.now;
    let invoice = world.update(id, "invoice.updated", |one| {
        field::set(one, "status", "void");
        field::set(one, "auto_advance", false);
        field::set(one, "next_payment_attempt", Value::Null);
        field::set(one, "status_transitions.voided_at", now);
    });
    world.emit("invoice.voided", &invoice, None);
    drop_payment(world, id);
    invoice_payments::drop_attached(world, id);
    give_back(world, &invoice);
    pending::discard(world, &invoice);
    if pausing::resumes(world, &invoice) {
        pausing::drop_resumption(world, &invoice);
    }
}

/// What the customer's balance bore of an invoice that is void goes back to it.
/// Source: <https://docs.stripe.com/billing/customer/balance#types>.
fn give_back(world: &mut World, invoice: &Value) {
    let borne = field::integer(invoice, "ending_balance") - field::integer(invoice, "starting_balance");
    let customer = field::text(invoice, "customer");
    if borne == 0 || world.get("customer", customer, "customer").is_err() {
        return;
    }
    let reason = customer_credit::Reason {
        kind: "unapplied_from_invoice",
        invoice: field::some_text(invoice, "id"),
        description: Value::Null,
        metadata: json!({}),
    };
    customer_credit::apply(world, customer, -borne, field::text(invoice, "currency"), reason);
}

/// Cancels what an invoice would have been paid with.
fn drop_payment(world: &mut World, id: &str) {
    let Some(payment) = payment_of(world, id) else { return };
    invoice_payments::cancel(world, &payment);
    if let Some(intent) = world.shared(field::text(&payment, "payment.payment_intent")) {
        payment::cancel(world, &intent, Some("void_invoice"));
    }
}
