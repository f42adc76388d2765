//! Paying out what is available: by wish and by schedule, on the way for two days, and back in the balance where it does not
//! arrive.
//!
//! Sources: <https://docs.stripe.com/api/payouts>, <https://docs.stripe.com/payouts>.

use std::sync::Arc;

use super::{balance, bank_accounts, payout_schedule, start::symbolic};
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    shapes,
    world::{World, ids},
};

/// A payout waits so long until it goes to the bank; until then it can be canceled. Ours.
const SUBMITTED_AFTER: i64 = 3600;
/// It arrives at the beginning of the day that many days later. Ours; Stripe says two days of business in the US.
const ARRIVES_AFTER: i64 = 2 * 86_400;

/// What of a payout the caller decides.
pub(crate) struct NewPayout<'a> {
    /// In minor units.
    pub(crate) amount: i64,
    pub(crate) currency: &'a str,
    /// The default bank account for the currency where it is not said.
    pub(crate) destination: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
    pub(crate) statement_descriptor: Option<&'a str>,
    pub(crate) metadata: Value,
}

/// Pays out part of what is available.
pub(crate) fn create(world: &mut World, new: &NewPayout<'_>) -> Result<Value, ApiError> {
    if new.amount < 1 {
        return Err(ApiError::not_positive("amount"));
    }
    allowed(world)?;
    let named = match new.destination {
        Some(id) => Some(world.get("bank_account", id, "destination")?),
        None => bank_accounts::destination(world, new.currency),
    };
    let Some(destination) = named.filter(|one| field::text(one, "currency") == new.currency) else {
        let message = format!(
            "Sorry, you don't have any external accounts in that currency ({}).",
            new.currency
        );
        return Err(ApiError::invalid(message).param(if new.destination.is_some() {
            "destination"
        } else {
            "currency"
        }));
    };
    if bank_accounts::is_errored(&destination) {
        let message = "The bank account can't be used for payouts, as a payout to it failed. A different bank account must be \
            used.";
        return Err(ApiError::invalid(message)
            .code("bank_account_unusable")
            .param("destination"));
    }
    let available = balance::available(world, new.currency);
    if available < new.amount {
        let message = "You have insufficient funds in your Stripe account for this transfer. Your card balance is too low.  \
            You can use the /v1/balance endpoint to view your Stripe balance (for more details, see stripe.com/docs/api#balance).";
        return Err(ApiError::invalid(message).code("balance_insufficient"));
    }
    let payout = drafted(world, new, &destination, false);
    Ok(send(world, payout))
}

fn allowed(world: &World) -> Result<(), ApiError> {
    if enabled(world) {
        return Ok(());
    }
    let message =
        "Cannot create payouts: payouts are not enabled on this account. Its `requirements` say what is missing.";
    Err(ApiError::invalid(message).code("payouts_not_allowed"))
}

/// Whether the account at work may be paid out.
pub(crate) fn enabled(world: &World) -> bool {
    let account = world.found("", &world.account);
    world.account.is_empty() || account.is_some_and(|one| field::flag(one, "payouts_enabled"))
}

fn drafted(world: &mut World, new: &NewPayout<'_>, destination: &Value, automatic: bool) -> Value {
    let settings = payout_schedule::settings(world);
    let usual = field::at(&settings, "statement_descriptor").clone();
    let mut payout = shapes::payout();
    for (name, value) in [
        ("id", json!(world.id("po_", 24))),
        ("created", json!(world.now)),
        ("livemode", json!(world.livemode)),
        ("amount", json!(new.amount)),
        ("arrival_date", json!(payout_schedule::day(world.now) + ARRIVES_AFTER)),
        ("automatic", json!(automatic)),
        ("currency", json!(new.currency)),
        ("description", json!(new.description)),
        ("destination", field::at(destination, "id").clone()),
        ("metadata", new.metadata.clone()),
        (
            "statement_descriptor",
            new.statement_descriptor.map_or(usual, |text| json!(text)),
        ),
        ("_sandbox.fails", field::at(destination, "_sandbox.fails").clone()),
        ("_sandbox.due_at", json!(world.now + SUBMITTED_AFTER)),
    ] {
        field::set(&mut payout, name, value);
    }
    if automatic {
        field::set(&mut payout, "reconciliation_status", "in_progress");
    }
    payout
}

/// Takes the money out of the balance, stores the payout and tells of it.
fn send(world: &mut World, mut payout: Value) -> Value {
    let posted = balance::post_payout(world, &payout);
    field::set(&mut payout, "balance_transaction", posted);
    world.create("payout.created", &payout);
    payout
}

/// Time has come: it goes to the bank, or has arrived there, or could not.
pub(crate) fn run(world: &mut World, payout: &Value) {
    let id = field::text(payout, "id");
    if field::text(payout, "status") == "pending" {
        let arrives = field::integer(payout, "arrival_date").max(world.now + 1);
        let automatic = field::flag(payout, "automatic");
        let sent = world.update(id, "payout.updated", |one| {
            field::set(one, "status", "in_transit");
            field::set(one, "_sandbox.due_at", arrives);
            if automatic {
                field::set(one, "reconciliation_status", "completed");
            }
        });
        if automatic {
            world.emit("payout.reconciliation_completed", &sent, None);
        }
        return;
    }
    match field::some_text(payout, "_sandbox.fails") {
        None => {
            let trace = ids::letters(id, 12).to_uppercase();
            let paid = world.update(id, "payout.updated", |one| {
                field::set(one, "status", "paid");
                field::set(one, "trace_id", json!({ "status": "supported", "value": trace }));
                field::set(one, "_sandbox.due_at", Value::Null);
            });
            world.emit("payout.paid", &paid, None);
        }
        Some(code) => {
            let failed = give_up(world, payout, "failed", "payout_failure", Some(code));
            world.emit("payout.failed", &failed, None);
            let destination = field::text(payout, "destination");
            if world.get("bank_account", destination, "destination").is_ok() {
                bank_accounts::change(world, destination, |one| field::set(one, "status", "errored"));
            }
        }
    }
}

/// Why a payout fails, in Stripe's words. Source: <https://docs.stripe.com/api/payouts/failures>.
fn failure_message(code: &str) -> &'static str {
    match code {
        "no_account" => {
            "The bank account details on file are probably incorrect. No bank account could be located with those details."
        }
        "account_closed" => "The bank account has been closed.",
        "insufficient_funds" => "Your Stripe account has insufficient funds to cover the payout.",
        "debit_not_authorized" => {
            "Debit transactions are not approved on your bank account. (Stripe requires bank accounts to be set up for both \
             credit and debit payouts.)"
        }
        _ => {
            "The bank was unable to process this payout because of its currency. This is probably because the bank account \
             cannot accept payments in that currency."
        }
    }
}

/// The payout did not come to be: its money is back in the balance.
fn give_up(world: &mut World, payout: &Value, status: &str, kind: &str, code: Option<&str>) -> Arc<Value> {
    let returned = balance::post_payout_return(world, payout, kind);
    world.update(field::text(payout, "id"), "payout.updated", |one| {
        field::set(one, "status", status);
        field::set(one, "failure_balance_transaction", returned);
        field::set(one, "failure_code", json!(code));
        field::set(one, "failure_message", json!(code.map(failure_message)));
        field::set(one, "trace_id", json!({ "status": "unsupported", "value": null }));
        field::set(one, "_sandbox.due_at", Value::Null);
    })
}

/// Cancels a payout that nobody's schedule made and that has not gone to the bank.
pub(crate) fn cancel(world: &mut World, payout: &Value) -> Result<Value, ApiError> {
    let (id, status) = (field::text(payout, "id"), field::text(payout, "status"));
    if field::flag(payout, "automatic") {
        return Err(ApiError::invalid("Automatic payouts cannot be canceled."));
    }
    if status != "pending" || !field::at(payout, "original_payout").is_null() {
        let message =
            format!("Payout {id} cannot be canceled: it has a status of {status}, and only a pending payout can be.");
        return Err(ApiError::invalid(message));
    }
    let canceled = give_up(world, payout, "canceled", "payout_cancel", None);
    world.emit("payout.canceled", &canceled, None);
    Ok(Arc::unwrap_or_clone(canceled))
}

/// Takes a payout of a connected account back from its bank: another payout, of less than nothing.
pub(crate) fn reverse(world: &mut World, payout: &Value, metadata: Value) -> Result<Value, ApiError> {
    let (id, status) = (field::text(payout, "id"), field::text(payout, "status"));
    let destination = world
        .find(field::text(payout, "destination"))
        .cloned()
        .unwrap_or_default();
    if world.account.is_empty() || !matches!(field::text(&destination, "country"), "US" | "CA") {
        let message = "Only payouts of connected accounts to US and Canadian bank accounts can be reversed.";
        return Err(ApiError::invalid(message));
    }
    if status != "paid" || !field::at(payout, "original_payout").is_null() {
        let message =
            format!("Payout {id} cannot be reversed: it has a status of {status}, and only a paid payout can be.");
        return Err(ApiError::invalid(message));
    }
    if let Some(by) = field::some_text(payout, "reversed_by") {
        return Err(ApiError::invalid(format!(
            "Payout {id} has already been reversed by {by}."
        )));
    }
    let new = NewPayout {
        amount: -field::integer(payout, "amount"),
        currency: field::text(payout, "currency"),
        destination: None,
        description: None,
        statement_descriptor: None,
        metadata,
    };
    let mut reversal = drafted(world, &new, &destination, false);
    field::set(&mut reversal, "original_payout", id);
    let reversal = send(world, reversal);
    world.update(id, "payout.updated", |one| {
        field::set(one, "reversed_by", field::at(&reversal, "id").clone());
    });
    Ok(reversal)
}

/// The currencies of which something is available that a schedule can pay out.
fn payable(world: &World, balance: &Value) -> Vec<(String, i64)> {
    if !enabled(world) {
        return Vec::new();
    }
    let available = field::elements(balance, "available").iter();
    available
        .map(|one| (field::text(one, "currency").to_owned(), field::integer(one, "amount")))
        .filter(|(currency, amount)| {
            let to = bank_accounts::default_for(world, currency);
            *amount > 0 && to.map_or(world.account.is_empty(), |to| !bank_accounts::is_errored(&to))
        })
        .collect()
}

/// Writes into a balance when the schedule of its account next pays out, if there is anything to pay.
pub(crate) fn plan(world: &World, balance: &mut Value) {
    let planned = field::at(balance, "_sandbox.payout_at")
        .as_i64()
        .filter(|at| *at >= world.present);
    let schedule = field::at(&payout_schedule::settings(world), "schedule").clone();
    let next = payout_schedule::next(&schedule, world.present).filter(|_| !payable(world, balance).is_empty());
    let at = next.map(|next| planned.unwrap_or(next));
    if at.is_some() || !field::at(balance, "_sandbox.payout_at").is_null() {
        field::set(balance, "_sandbox.payout_at", json!(at));
    }
}

/// As [`plan`], where something else than the balance has changed.
pub(crate) fn plan_anew(world: &mut World) {
    let mut balance = balance::of(world);
    let was = balance.clone();
    field::set(&mut balance, "_sandbox.payout_at", Value::Null);
    plan(world, &mut balance);
    if field::at(&was, "_sandbox.payout_at") != field::at(&balance, "_sandbox.payout_at") {
        world.put(&balance);
    }
}

/// The day of the schedule has come: all that is available is paid out, each currency by itself.
pub(crate) fn run_schedule(world: &mut World, balance: &Value) {
    world.edit(field::text(balance, "id"), |one| {
        field::set(one, "_sandbox.payout_at", Value::Null)
    });
    for (currency, amount) in payable(world, balance) {
        let Some(destination) = bank_accounts::destination(world, &currency) else {
            continue;
        };
        let new = NewPayout {
            amount,
            currency: &currency,
            destination: None,
            description: Some("STRIPE PAYOUT"),
            statement_descriptor: None,
            metadata: json!({}),
        };
        let payout = drafted(world, &new, &destination, true);
        balance::claim(world, field::text(&payout, "id"), &currency);
        let payout = send(world, payout);
        let own = field::text(&payout, "balance_transaction");
        world.edit(own, |one| {
            field::set(one, "_sandbox.payout", field::at(&payout, "id").clone())
        });
    }
}

/// Refuses to tell of what a payout is made of where that is not known.
pub(crate) fn reconciled(payout: &Value) -> Result<(), ApiError> {
    let (id, amount) = (field::text(payout, "id"), field::integer(payout, "amount"));
    match field::text(payout, "reconciliation_status") {
        "completed" => Ok(()),
        "in_progress" => {
            let amount = symbolic(amount, field::text(payout, "currency"));
            let message = format!("The transactions of payout {id} ({amount}) are not known yet: try again later.");
            Err(ApiError::invalid(message).code("payout_reconciliation_not_ready"))
        }
        _ => {
            let message = "Balance transaction history can only be filtered on automatic payouts, not manual.";
            Err(ApiError::invalid(message))
        }
    }
    .map_err(|error| error.param("payout"))
}

#[cfg(test)]
mod tests;
