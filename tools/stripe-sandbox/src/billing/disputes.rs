//! Disputes: the owner of a card wants the money of a charge back from their bank, which asks the seller and decides.
//!
//! A chargeback takes the money away at once. An inquiry only asks, and may become a chargeback. Sources:
//! <https://docs.stripe.com/disputes/how-disputes-work>, and for cards and evidence <https://docs.stripe.com/testing#disputes>.

use std::sync::Arc;

use super::{balance, fraud_warnings, refunds};
use crate::{
    field,
    http::error::ApiError,
    json::{Map, Value},
    shapes,
    world::World,
};

const DAY: i64 = 86_400;
/// How long the seller may take to answer; Stripe gives 7 to 21 days.
const RESPONSE: i64 = 7 * DAY;
/// How long the bank takes to decide about evidence; Stripe says 60 to 75 days.
const REVIEW: i64 = 60 * DAY;
/// An inquiry that did not become a chargeback in so long never will.
const INQUIRY: i64 = 120 * DAY;
/// How much text all evidence together may have. Source: <https://docs.stripe.com/api/disputes/update>.
const LONGEST_EVIDENCE: usize = 150_000;

/// What is written in `evidence[uncategorized_text]` to have the bank decide as soon as it is submitted.
const WINNING: &str = "winning_evidence";
const LOSING: &str = "losing_evidence";
const ESCALATING: &str = "escalate_inquiry_evidence";

/// Why, and how, a charge is disputed.
pub(crate) struct NewDispute<'a> {
    /// All that is left of the charge where it is not said.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: &'a str,
    pub(crate) inquiry: bool,
}

/// What the seller sends about a dispute.
pub(crate) struct Response {
    pub(crate) evidence: Map,
    pub(crate) metadata: Value,
    pub(crate) submit: Option<bool>,
}

/// Does what the owner of the card, or their bank, does right after a payment: the test cards for it are known by name.
pub(crate) fn follow_payment(world: &mut World, charge: &str) {
    let Some(charge) = world.shared(charge) else {
        return;
    };
    let (reason, inquiry) = match field::text(&charge, "_sandbox.card") {
        "createDispute" => ("fraudulent", false),
        "createDisputeProductNotReceived" => ("product_not_received", false),
        "createDisputeInquiry" => ("general", true),
        "createIssuerFraudRecord" => return fraud_warnings::issue(world, &charge),
        _ => return,
    };
    open_for(world, &charge, refunds::refundable(&charge), reason, inquiry);
}

/// Disputes a charge, if it can be.
pub(crate) fn open(world: &mut World, charge: &Value, new: &NewDispute<'_>) -> Result<Value, ApiError> {
    let (id, left) = (field::text(charge, "id"), refunds::refundable(charge));
    if field::flag(charge, "disputed") {
        let message = format!("Charge {id} is disputed already.");
        return Err(ApiError::invalid(message).code("charge_disputed"));
    }
    if !field::flag(charge, "captured") || left <= 0 {
        let message = format!("Charge {id} took no money that was not refunded: there is nothing to dispute.");
        return Err(ApiError::invalid(message).param("charge"));
    }
    let amount = new.amount.unwrap_or(left);
    if !(1..=left).contains(&amount) {
        let message = format!("Invalid amount: of charge {id} 1 to {left} can be disputed.");
        return Err(ApiError::invalid_integer("amount", message));
    }
    Ok(open_for(world, charge, amount, new.reason, new.inquiry))
}

fn open_for(world: &mut World, charge: &Value, amount: i64, reason: &str, inquiry: bool) -> Value {
    let mut dispute = shapes::dispute();
    let id = world.id("dp_", 24);
    field::set(&mut dispute, "id", id.clone());
    field::set(&mut dispute, "created", world.now);
    field::set(&mut dispute, "livemode", world.livemode);
    field::set(&mut dispute, "amount", amount);
    field::set(&mut dispute, "charge", field::at(charge, "id").clone());
    for name in ["currency", "payment_intent"] {
        field::set(&mut dispute, name, field::at(charge, name).clone());
    }
    field::set(&mut dispute, "reason", reason);
    let brand = field::text(charge, "payment_method_details.card.brand");
    let card = "payment_method_details.card";
    field::set(&mut dispute, &format!("{card}.brand"), brand);
    field::set(&mut dispute, &format!("{card}.network"), brand);
    let code = network_code(brand, reason);
    field::set(&mut dispute, &format!("{card}.network_reason_code"), code);
    field::set(&mut dispute, "network_reason_code", code);
    field::set(&mut dispute, "evidence_details.due_by", world.now + RESPONSE);
    // The money first, so that the event of the new dispute shows it gone.
    world.edit(field::text(charge, "id"), |one| {
        field::set(one, "disputed", true);
        field::set(one, "_sandbox.dispute", id);
    });
    if inquiry {
        field::set(&mut dispute, "status", "warning_needs_response");
        field::set(&mut dispute, &format!("{card}.case_type"), "inquiry");
        field::set(&mut dispute, "is_charge_refundable", true);
        field::set(&mut dispute, "_sandbox.due_at", world.now + INQUIRY);
        world.create("charge.dispute.created", &dispute);
    } else {
        field::set(&mut dispute, "_sandbox.due_at", world.now + RESPONSE);
        withdraw(world, &mut dispute);
        world.create("charge.dispute.created", &dispute);
        world.emit("charge.dispute.funds_withdrawn", &dispute, None);
    }
    fraud_warnings::reconsider(world, field::text(charge, "id"));
    dispute
}

/// The network's own code for a reason. Source: <https://docs.stripe.com/disputes/categories#network-code-map>.
fn network_code(brand: &str, reason: &str) -> Option<&'static str> {
    Some(match (brand, reason) {
        ("visa", "fraudulent") => "10.4",
        ("visa", "product_not_received") => "13.1",
        ("visa", "subscription_canceled") => "13.2",
        ("visa", "product_unacceptable") => "13.3",
        ("visa", "credit_not_processed") => "13.6",
        ("visa", "duplicate") => "12.6.1",
        ("mastercard", "fraudulent") => "4837",
        ("mastercard", "product_not_received" | "product_unacceptable") => "4853",
        ("mastercard", "duplicate") => "4834",
        ("amex", "fraudulent") => "F29",
        ("amex", "product_not_received") => "C08",
        ("amex", "duplicate") => "P08",
        _ => return None,
    })
}

/// Takes the money of a chargeback out of the balance, and away from its charge.
fn withdraw(world: &mut World, dispute: &mut Value) {
    let posted = balance::post_dispute(world, dispute);
    add_transaction(dispute, posted);
    let amount = field::integer(dispute, "amount");
    let refundable = take_from_charge(world, dispute, amount);
    field::set(dispute, "is_charge_refundable", refundable);
}

/// Notes how much of its charge a dispute has taken; gives whether anything is left to be refunded.
fn take_from_charge(world: &mut World, dispute: &Value, amount: i64) -> bool {
    let charge = world.edit(field::text(dispute, "charge"), |one| {
        field::set(one, "_sandbox.disputed", amount);
    });
    refunds::refundable(&charge) > 0
}

fn add_transaction(dispute: &mut Value, posted: Value) {
    if let Value::Array(all) = field::place(dispute, "balance_transactions") {
        all.push(posted);
    }
}

/// Whether the bank still waits for the seller to answer.
fn waits(dispute: &Value) -> bool {
    matches!(
        field::text(dispute, "status"),
        "needs_response" | "warning_needs_response"
    )
}

fn is_inquiry(dispute: &Value) -> bool {
    field::text(dispute, "status").starts_with("warning_")
}

/// Why the seller cannot answer a dispute any more.
fn over(dispute: &Value) -> ApiError {
    let (id, status) = (field::text(dispute, "id"), field::text(dispute, "status"));
    ApiError::invalid(if status.ends_with("under_review") {
        format!("Evidence was submitted for dispute {id} already: the bank decides about it.")
    } else {
        format!("Dispute {id} is closed: it has a status of {status}.")
    })
}

/// Stages evidence and, unless that was not to be, submits all there is. A call without any evidence changes metadata only.
pub(crate) fn respond(world: &mut World, dispute: &Value, response: Response) -> Result<Value, ApiError> {
    let id = field::text(dispute, "id");
    let mut changed = dispute.clone();
    for (name, value) in &response.evidence {
        field::set(&mut changed, &format!("evidence.{name}"), value.clone());
    }
    let (has_evidence, length) = measure(field::at(&changed, "evidence"));
    if !waits(dispute) && (!response.evidence.is_empty() || response.submit == Some(true)) {
        return Err(over(dispute));
    }
    if length > LONGEST_EVIDENCE {
        let message =
            format!("All evidence together can have at most {LONGEST_EVIDENCE} characters, and has {length}.");
        return Err(ApiError::invalid(message).param("evidence"));
    }
    if response.submit == Some(true) && !has_evidence {
        let message = format!("There is no evidence for dispute {id} to be submitted.");
        return Err(ApiError::invalid(message).param("submit"));
    }
    field::set(&mut changed, "metadata", response.metadata);
    field::set(&mut changed, "evidence_details.has_evidence", has_evidence);
    let submits = waits(dispute) && has_evidence && response.submit != Some(false);
    if submits {
        note_submission(&mut changed, world.now);
    }
    let changed = world.update(id, "charge.dispute.updated", |one| *one = changed);
    Ok(match field::text(&changed, "evidence.uncategorized_text") {
        WINNING if submits => decide(world, &changed, true),
        LOSING if submits => decide(world, &changed, false),
        ESCALATING if submits && is_inquiry(&changed) => escalate(world, &changed),
        _ => Arc::unwrap_or_clone(changed),
    })
}

/// Whether there is any evidence, and how long it is.
fn measure(evidence: &Value) -> (bool, usize) {
    let texts = evidence
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, one)| one.as_str());
    let lengths: Vec<usize> = texts.map(|text| text.chars().count()).collect();
    (!lengths.is_empty(), lengths.iter().sum())
}

fn note_submission(dispute: &mut Value, now: i64) {
    let count = field::integer(dispute, "evidence_details.submission_count") + 1;
    let past_due = now > field::integer(dispute, "evidence_details.due_by");
    field::set(dispute, "evidence_details.submission_count", count);
    field::set(dispute, "evidence_details.past_due", past_due);
    if is_inquiry(dispute) {
        field::set(dispute, "status", "warning_under_review");
    } else {
        field::set(dispute, "status", "under_review");
        field::set(dispute, "_sandbox.due_at", now + REVIEW);
    }
}

/// The seller accepts: a chargeback is lost. An inquiry is answered with nothing, and over.
pub(crate) fn accept(world: &mut World, dispute: &Value) -> Result<Value, ApiError> {
    if waits(dispute) {
        Ok(decide(world, dispute, false))
    } else {
        Err(over(dispute))
    }
}

/// The time has come: nobody answered the bank, it was not convinced, or nothing came of an inquiry.
pub(crate) fn run(world: &mut World, dispute: &Value) {
    decide(world, dispute, false);
}

/// Makes of a dispute what its bank is wished to decide, by the status it is to have.
pub(crate) fn become_status(world: &mut World, dispute: &Value, status: &str) -> Result<Value, ApiError> {
    let closed = field::at(dispute, "_sandbox.due_at").is_null();
    match (is_inquiry(dispute), status) {
        _ if closed => Err(over(dispute)),
        (false, "won") => Ok(decide(world, dispute, true)),
        (false, "lost") | (true, "warning_closed") => Ok(decide(world, dispute, false)),
        (true, "needs_response") => Ok(escalate(world, dispute)),
        (_, wanted) => {
            let message = format!(
                "A dispute with a status of {} cannot become {wanted}.",
                field::text(dispute, "status")
            );
            Err(ApiError::invalid(message).param("status"))
        }
    }
}

/// Closes a dispute. What a chargeback took comes back if it is won; an inquiry took nothing.
fn decide(world: &mut World, dispute: &Value, won: bool) -> Value {
    let mut closed = dispute.clone();
    field::set(&mut closed, "_sandbox.due_at", Value::Null);
    let inquiry = is_inquiry(dispute);
    let status = match (inquiry, won) {
        (true, _) => "warning_closed",
        (false, true) => "won",
        (false, false) => "lost",
    };
    field::set(&mut closed, "status", status);
    let reinstated = won && !inquiry;
    if reinstated {
        let posted = balance::post_dispute_reversal(world, dispute);
        add_transaction(&mut closed, posted);
        let refundable = take_from_charge(world, dispute, 0);
        field::set(&mut closed, "is_charge_refundable", refundable);
    }
    let closed = world.update(field::text(dispute, "id"), "charge.dispute.closed", |one| *one = closed);
    if reinstated {
        world.emit("charge.dispute.funds_reinstated", &closed, None);
    }
    Arc::unwrap_or_clone(closed)
}

/// An inquiry becomes a chargeback: it takes what is left of its charge, and can be answered anew.
fn escalate(world: &mut World, dispute: &Value) -> Value {
    let left = world.find(field::text(dispute, "charge")).map(refunds::refundable);
    let mut chargeback = dispute.clone();
    let amount = field::integer(dispute, "amount").min(left.unwrap_or_default());
    field::set(&mut chargeback, "amount", amount);
    field::set(&mut chargeback, "status", "needs_response");
    field::set(&mut chargeback, "payment_method_details.card.case_type", "chargeback");
    field::set(&mut chargeback, "evidence_details.due_by", world.now + RESPONSE);
    field::set(&mut chargeback, "_sandbox.due_at", world.now + RESPONSE);
    withdraw(world, &mut chargeback);
    let id = field::text(dispute, "id");
    let chargeback = world.update(id, "charge.dispute.updated", |one| *one = chargeback);
    world.emit("charge.dispute.funds_withdrawn", &chargeback, None);
    Arc::unwrap_or_clone(chargeback)
}

/// Who has all their money back asks for nothing more: an inquiry of this charge, if there is one, is over.
pub(crate) fn charge_refunded(world: &mut World, charge: &str) {
    let Some(charge) = world.find(charge).filter(|charge| field::flag(charge, "refunded")) else {
        return;
    };
    let Some(dispute) = world.find(field::text(charge, "_sandbox.dispute")) else {
        return;
    };
    if is_inquiry(dispute) && field::text(dispute, "status") != "warning_closed" {
        let mut dispute = dispute.clone();
        field::set(&mut dispute, "is_charge_refundable", false);
        decide(world, &dispute, false);
    }
}

#[cfg(test)]
mod tests;
