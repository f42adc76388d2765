//! How invoices are collected, as a subscription's parameters say it: charged, or sent and due after some days.

use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::Value,
};

/// Most days until an invoice is due; the limit is ours.
pub(crate) const MOST_DAYS: i64 = 3650;

/// After how many days the invoices are due, where they are sent. What was not said is as it was `before`.
pub(crate) fn days_until_due(params: &Params, before: &Value, customer: &Value) -> Result<Option<i64>, ApiError> {
    let method = params
        .text("collection_method")
        .unwrap_or_else(|| field::text(before, "collection_method"));
    let sent = checked_days(params)?;
    if method != "send_invoice" {
        return match sent {
            Some(_) => Err(not_sent()),
            None => Ok(None),
        };
    }
    let days = sent.or_else(|| field::at(before, "days_until_due").as_i64());
    let Some(days) = days else {
        return Err(ApiError::parameter_missing("days_until_due"));
    };
    check_email(customer)?;
    Ok(Some(days))
}

/// The `days_until_due` that were sent.
pub(crate) fn checked_days(params: &Params) -> Result<Option<i64>, ApiError> {
    match params.integer("days_until_due") {
        Some(days) if !(0..=MOST_DAYS).contains(&days) => {
            let message = format!("Invalid number of days: {days} is not between 0 and {MOST_DAYS}");
            Err(ApiError::invalid_integer("days_until_due", message))
        }
        days => Ok(days),
    }
}

/// What is charged is due at once.
pub(crate) fn not_sent() -> ApiError {
    let message = "`days_until_due` and `due_date` can only be sent with `collection_method=send_invoice`.";
    ApiError::invalid(message).param("days_until_due")
}

/// Invoices are sent to whoever has an email address.
pub(crate) fn check_email(customer: &Value) -> Result<(), ApiError> {
    if field::some_text(customer, "email").is_some() {
        return Ok(());
    }
    let message = "Missing email. In order to create invoices that are sent to the customer, the customer must have a valid email.";
    Err(ApiError::invalid(message))
}

/// Writes how the invoices of a subscription are collected.
pub(crate) fn write(subscription: &mut Value, days_until_due: Option<i64>) {
    let method = match days_until_due {
        Some(_) => "send_invoice",
        None => "charge_automatically",
    };
    field::set(subscription, "collection_method", method);
    field::set(subscription, "days_until_due", days_until_due);
}
