//! Credit notes: what a finalized invoice asked for, or took, and should not have.
//!
//! What an open invoice still asks for is reduced first, and what goes beyond that is given back: by a refund, to the
//! customer's balance or outside of Stripe. Sources: <https://docs.stripe.com/api/credit_notes/create>,
//! <https://docs.stripe.com/invoicing/dashboard/credit-notes>.

use std::sync::Arc;

use super::{
    credit_note_lines::{self, Credited, Wanted},
    customer_credit::{self, Reason},
    invoice_payments, invoicing,
    refunds::{self, NewRefund},
    start::symbolic,
};
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    shapes,
    world::World,
};

/// What of a credit note the caller decides, amounts in minor units.
pub(crate) struct NewNote<'a> {
    pub(crate) lines: Vec<Wanted<'a>>,
    /// What they are said to come to.
    pub(crate) amount: Option<i64>,
    /// What of it goes to the customer's balance, is refunded now, and is given back elsewhere.
    pub(crate) credit: i64,
    pub(crate) refund: i64,
    pub(crate) out_of_band: Option<i64>,
    /// Refunds that were made before, and what of each belongs to this note where it is not all.
    pub(crate) refunds: Vec<(&'a str, Option<i64>)>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) memo: Option<&'a str>,
    pub(crate) metadata: Value,
    pub(crate) effective_at: Option<i64>,
}

/// The credit notes of an invoice, in the order they were issued, void ones too.
fn of_invoice(world: &World, invoice: &Value) -> Vec<Value> {
    field::elements(invoice, "_sandbox.credit_notes")
        .iter()
        .filter_map(|id| world.find(id.as_str().unwrap_or_default()).cloned())
        .collect()
}

/// A credit note as it would be issued on `invoice`, not stored and without ids.
pub(crate) fn build(world: &World, invoice: &Value, new: &NewNote<'_>) -> Result<Value, ApiError> {
    creditable(invoice)?;
    let notes = of_invoice(world, invoice);
    let lines = credit_note_lines::written(invoice, &mut Credited::by(&notes), &new.lines)?;
    let mut note = shapes::credit_note();
    for (name, value) in [
        ("created", json!(world.now)),
        ("effective_at", json!(new.effective_at.unwrap_or(world.now))),
        ("currency", field::at(invoice, "currency").clone()),
        ("customer", field::at(invoice, "customer").clone()),
        ("invoice", field::at(invoice, "id").clone()),
        ("livemode", json!(world.livemode)),
        ("memo", json!(new.memo)),
        ("metadata", new.metadata.clone()),
        ("out_of_band_amount", json!(new.out_of_band)),
        ("reason", json!(new.reason)),
    ] {
        field::set(&mut note, name, value);
    }
    let number = field::text(invoice, "number");
    field::set(&mut note, "number", format!("{number}-CN-{:02}", notes.len() + 1));
    write_sums(&mut note, lines);
    let total = field::integer(&note, "total");
    let currency = field::text(invoice, "currency");
    if let Some(amount) = new.amount.filter(|amount| *amount != total) {
        let message = format!(
            "The amount ({}) must equal what the lines come to ({}).",
            symbolic(amount, currency),
            symbolic(total, currency)
        );
        return Err(ApiError::invalid(message).param("amount"));
    }
    if total < 1 {
        let message = "The credit note comes to nothing: it must credit at least one minor unit.";
        return Err(ApiError::invalid(message).param("lines"));
    }
    let before = total.min(field::integer(invoice, "amount_remaining"));
    let linked = linked(world, invoice, &notes, &new.refunds)?;
    let refunded: i64 = linked.iter().map(|one| field::integer(one, "amount_refunded")).sum();
    let given = refunded + new.refund + new.credit + new.out_of_band.unwrap_or_default();
    if given != total - before {
        let message = format!(
            "The sum of refunds, credit amount, and out of band amount ({}) must equal the credit note \
             post_payment_amount ({}).",
            symbolic(given, currency),
            symbolic(total - before, currency)
        );
        return Err(ApiError::invalid(message));
    }
    field::set(&mut note, "refunds", linked);
    field::set(&mut note, "pre_payment_amount", before);
    field::set(&mut note, "post_payment_amount", total - before);
    let kind = match (before > 0, total > before) {
        (true, true) => "mixed",
        (false, _) => "post_payment",
        (true, false) => "pre_payment",
    };
    field::set(&mut note, "type", kind);
    Ok(note)
}

/// What is not finalized is edited, and what is not to be paid any more needs no credit.
fn creditable(invoice: &Value) -> Result<(), ApiError> {
    match field::text(invoice, "status") {
        "open" | "paid" => Ok(()),
        "uncollectible" => Err(ApiError::invalid(
            "You cannot create a credit note for an uncollectible invoice.",
        )),
        status => Err(ApiError::invalid(format!(
            "You cannot create a credit note for a {status} invoice."
        ))),
    }
    .map_err(|error| error.param("invoice"))
}

/// Writes what the lines come to.
fn write_sums(note: &mut Value, lines: Vec<Value>) {
    let sum = |name: &str| lines.iter().map(|line| field::integer(line, name)).sum::<i64>();
    let (subtotal, off, tax) = (sum("amount"), sum("discount_amount"), sum("taxes.0.amount"));
    for (name, amount) in [
        ("subtotal", subtotal),
        ("subtotal_excluding_tax", subtotal),
        ("discount_amount", off),
        ("total_excluding_tax", subtotal - off),
        ("total", subtotal - off + tax),
        ("amount", subtotal - off + tax),
    ] {
        field::set(note, name, amount);
    }
    for name in ["discount_amounts", "pretax_credit_amounts"] {
        let mut all: Vec<Value> = Vec::new();
        for one in lines.iter().flat_map(|line| field::elements(line, name)) {
            match all
                .iter_mut()
                .find(|sum| field::at(sum, "discount") == field::at(one, "discount"))
            {
                Some(sum) => {
                    let amount = field::integer(sum, "amount") + field::integer(one, "amount");
                    field::set(sum, "amount", amount);
                }
                None => all.push(one.clone()),
            }
        }
        field::set(note, name, all);
    }
    let first = lines
        .iter()
        .map(|line| field::at(line, "taxes.0"))
        .find(|tax| !tax.is_null());
    if let Some(mut whole) = first.cloned() {
        field::set(&mut whole, "amount", tax);
        field::set(&mut whole, "taxable_amount", sum("taxes.0.taxable_amount"));
        field::set(note, "total_taxes", json!([whole]));
    }
    field::set(note, "lines.data", lines);
}

/// Refunds of the invoice's payment that were made before, as a note lists them: no part of one belongs to two notes.
fn linked(
    world: &World,
    invoice: &Value,
    notes: &[Value],
    wanted: &[(&str, Option<i64>)],
) -> Result<Vec<Value>, ApiError> {
    let charges = charges_of(world, invoice);
    let mut all: Vec<Value> = Vec::new();
    for (place, (id, amount)) in wanted.iter().enumerate() {
        let param = format!("refunds[{place}][refund]");
        let refund = world.get("refund", id, &param)?;
        let of_charge = charges
            .iter()
            .any(|charge| field::at(&refund, "charge") == field::at(charge, "id"));
        if !of_charge || matches!(field::text(&refund, "status"), "failed" | "canceled") {
            let message = format!("The refund {id} gave nothing of the invoice back.");
            return Err(ApiError::invalid(message).param(param));
        }
        let standing = notes.iter().filter(|note| field::text(note, "status") == "issued");
        let listed = standing.flat_map(|note| field::elements(note, "refunds")).chain(&all);
        let taken: i64 = listed
            .filter(|one| field::text(one, "refund") == *id)
            .map(|one| field::integer(one, "amount_refunded"))
            .sum();
        let whole = field::integer(&refund, "amount");
        let amount = amount.unwrap_or(whole);
        if amount < 1 || amount > whole - taken {
            let message = format!("Of the refund {id} {} can be linked to a credit note.", whole - taken);
            return Err(ApiError::invalid(message).param(format!("refunds[{place}][amount_refunded]")));
        }
        all.push(refund_listed(id, amount));
    }
    Ok(all)
}

fn refund_listed(id: &str, amount: i64) -> Value {
    json!({ "amount_refunded": amount, "payment_record_refund": null, "refund": id, "type": "refund" })
}

/// The charges that paid an invoice, the latest first.
fn charges_of(world: &World, invoice: &Value) -> Vec<Value> {
    let payments = world.of(field::text(invoice, "id"), "invoice_payment").into_iter();
    let paid = payments.filter(|one| field::text(one, "status") == "paid");
    let charges = paid.filter_map(|payment| {
        let intent = world.find(field::text(&payment, "payment.payment_intent"))?;
        world.find(field::text(intent, "latest_charge")).cloned()
    });
    charges
        .filter(|charge| field::text(charge, "status") == "succeeded")
        .collect()
}

/// Gives the note and its lines their ids, each asked for by prefix.
pub(crate) fn name(note: &mut Value, mut id: impl FnMut(&str) -> String) {
    let own = id("cn_");
    field::set(note, "lines.url", format!("/v1/credit_notes/{own}/lines"));
    field::set(note, "pdf", World::page_url(&format!("/credit_notes/{own}/pdf")));
    field::set(note, "id", own);
    if let Value::Array(lines) = field::place(note, "lines.data") {
        for line in lines {
            field::set(line, "id", id("cnli_"));
        }
    }
}

/// Issues a credit note, and does what it says.
pub(crate) fn issue(world: &mut World, invoice: &Value, new: &NewNote<'_>) -> Result<Value, ApiError> {
    let mut note = build(world, invoice, new)?;
    name(&mut note, |prefix| world.id(prefix, 24));
    let (id, customer) = (
        field::text(&note, "id").to_owned(),
        field::text(&note, "customer").to_owned(),
    );
    if new.refund > 0 {
        let made = refund(world, invoice, new.refund)?;
        if let Value::Array(refunds) = field::place(&mut note, "refunds") {
            refunds.extend(made);
        }
    }
    let (before, after) = (
        field::integer(&note, "pre_payment_amount"),
        field::integer(&note, "post_payment_amount"),
    );
    let changed = reduce(world, field::text(invoice, "id"), before, |one| {
        add(one, "post_payment_credit_notes_amount", after);
        if let Value::Array(notes) = field::place(one, "_sandbox.credit_notes") {
            notes.push(json!(id));
        } else {
            field::set(one, "_sandbox.credit_notes", json!([id]));
        }
    });
    if new.credit > 0 {
        let owner = world.get("customer", &customer, "credit_amount")?;
        let currency = field::text(&note, "currency");
        if let Some(own) = field::some_text(&owner, "currency").filter(|own| *own != currency) {
            let message = format!("The customer's currency is {own}: their balance cannot be credited in {currency}.");
            return Err(ApiError::invalid(message).param("credit_amount"));
        }
        let reason = Reason {
            kind: "credit_note",
            invoice: field::some_text(&note, "invoice"),
            description: Value::Null,
            metadata: json!({}),
        };
        let made = customer_credit::apply(world, &customer, -new.credit, currency, reason);
        let made = world.edit(field::text(&made, "id"), |one| {
            field::set(one, "credit_note", id.clone())
        });
        field::set(
            &mut note,
            "customer_balance_transaction",
            field::at(&made, "id").clone(),
        );
    }
    if field::text(&changed, "status") == "open" && field::integer(&changed, "amount_remaining") == 0 {
        invoicing::settle_elsewhere(world, field::text(invoice, "id"));
    }
    world.create("credit_note.created", &note);
    Ok(note)
}

/// Refunds part of what paid the invoice, the latest charge first, as a note lists it.
fn refund(world: &mut World, invoice: &Value, amount: i64) -> Result<Vec<Value>, ApiError> {
    let charges = charges_of(world, invoice);
    if charges.is_empty() {
        let message = "No charge paid this invoice, so nothing of it can be refunded.";
        return Err(ApiError::invalid(message).param("refund_amount"));
    }
    let (mut left, mut made) = (amount, Vec::new());
    for (place, charge) in charges.iter().enumerate() {
        // What the last one does not have is refused with it.
        let part = match place + 1 == charges.len() {
            true => left,
            false => left.min(refunds::refundable(charge).max(0)),
        };
        if part == 0 {
            continue;
        }
        let new = NewRefund {
            amount: Some(part),
            reason: None,
            metadata: json!({}),
            instructions_email: None,
        };
        let refund = refunds::create(world, charge, &new).map_err(|error| error.param("refund_amount"))?;
        made.push(refund_listed(field::text(&refund, "id"), part));
        left -= part;
    }
    Ok(made)
}

fn add(object: &mut Value, name: &str, amount: i64) {
    let sum = field::integer(object, name) + amount;
    field::set(object, name, sum);
}

/// Reduces what an invoice asks for, and what its payment takes, by `amount`; one below zero raises it.
fn reduce(world: &mut World, id: &str, amount: i64, edit: impl FnOnce(&mut Value)) -> Arc<Value> {
    let changed = world.update(id, "invoice.updated", |one| {
        for (name, amount) in [
            ("amount_due", -amount),
            ("amount_remaining", -amount),
            ("pre_payment_credit_notes_amount", amount),
        ] {
            add(one, name, amount);
        }
        edit(one);
    });
    invoice_payments::request_rest(world, id);
    changed
}

/// Takes a note back: its invoice, which must be open still, asks for that much more again.
pub(crate) fn void(world: &mut World, note: &Value) -> Result<Value, ApiError> {
    let (id, invoice) = (field::text(note, "id"), field::text(note, "invoice"));
    if field::text(note, "status") == "void" {
        return Err(ApiError::invalid(format!("The credit note {id} is void already.")));
    }
    if world
        .find(invoice)
        .is_none_or(|one| field::text(one, "status") != "open")
    {
        let message = "You can only void a credit note if the associated invoice is open.";
        return Err(ApiError::invalid(message));
    }
    reduce(world, invoice, -field::integer(note, "pre_payment_amount"), |_| ());
    let now = world.now;
    let voided = world.edit(id, |one| {
        field::set(one, "status", "void");
        field::set(one, "voided_at", now);
    });
    world.emit("credit_note.voided", &voided, None);
    Ok(Arc::unwrap_or_clone(voided))
}

#[cfg(test)]
mod tests;
