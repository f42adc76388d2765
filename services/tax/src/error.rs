//! What goes wrong here, and the one place where that becomes a gRPC status.

use std::time::Duration;

use counterfoil_chassis::{Violations, status};
use counterfoil_stripe::{Error as StripeError, Refusal};
use tonic::Status;

use crate::stripe::{Unreadable, field_of};

/// How long a caller is asked to wait where nothing better is known.
const RETRY: Duration = Duration::from_secs(1);

/// Stripe's codes for a place it cannot calculate for. Source: <https://docs.stripe.com/error-codes>.
const UNPLACED: [&str; 3] = [
    "customer_tax_location_invalid",
    "shipping_address_invalid",
    "invalid_tax_location",
];

/// Why an operation did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Stripe did not do it.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// The database did not.
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
    /// Stripe answered something we cannot read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Error::Store(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::Stripe(error) => of_stripe(error),
            Error::Store(error) if error.is_transient() => status::unavailable(RETRY, "DATABASE_UNAVAILABLE"),
            Error::Store(error) => status::internal(&error),
            Error::Unreadable(error) => status::internal(&error),
        }
    }
}

fn of_stripe(error: StripeError) -> Status {
    match error {
        StripeError::Refused(refusal) => refused(&refusal),
        StripeError::Conflict => status::busy(RETRY),
        StripeError::RateLimited { retry_after } => status::rate_limited(retry_after.unwrap_or(RETRY)),
        // A lost answer harms nothing here: the next call makes another calculation.
        StripeError::Unavailable | StripeError::OutcomeUnknown { .. } => {
            status::unavailable(RETRY, "STRIPE_UNAVAILABLE")
        }
        StripeError::Store(error) => Error::Store(error).into(),
        other => status::internal(&other),
    }
}

/// What Stripe refuses is the caller's to change where it concerns one of the caller's fields, and ours where it does
/// not.
fn refused(refusal: &Refusal) -> Status {
    let unplaced = refusal.code.as_deref().is_some_and(|code| UNPLACED.contains(&code));
    let mut violations = Violations::default();
    match refusal.param.as_deref().and_then(field_of) {
        _ if unplaced => violations.add("address", "is not a place that tax can be calculated for"),
        Some(field) => violations.add(field, "was refused by stripe"),
        None => return status::internal(&format!("stripe refused our request: {refusal:?}")),
    }
    status::invalid(violations)
}
