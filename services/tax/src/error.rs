//! What goes wrong here, and the one place where that becomes a gRPC status.

use counterfoil_chassis::{Violations, status};
use counterfoil_proto::common::v1::FieldReason;
use counterfoil_proto::tax::v1::ErrorReason;
use counterfoil_stripe::json::Unreadable;
use counterfoil_stripe::{Error as StripeError, Refusal};
use tonic::Status;

use crate::stripe::field_of;

/// Stripe's codes for a place it cannot calculate for. Source: <https://docs.stripe.com/error-codes>.
const UNPLACED: [&str; 3] = [
    "customer_tax_location_invalid",
    "shipping_address_invalid",
    "invalid_tax_location",
];

/// Why an operation did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such calculation.
    #[error("no calculation `{0}`")]
    NotFound(String),
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
            Error::NotFound(id) => status::not_found("calculation", &id),
            Error::Stripe(StripeError::Refused(refusal)) if is_unplaced(&refusal) => {
                let mut violations = Violations::default();
                let description = "is not a place that tax can be calculated for";
                violations.add_for(FieldReason::RefusedByStripe, "address", description);
                status::invalid_for(&ErrorReason::TaxLocationInvalid, violations)
            }
            // No object is named but by a field of the caller's.
            Error::Stripe(error) => counterfoil_stripe::status(error, field_of, |_| None),
            Error::Store(error) => status::of_store(&error),
            error @ Error::Unreadable(_) => status::internal(&error),
        }
    }
}

fn is_unplaced(refusal: &Refusal) -> bool {
    refusal.code.as_deref().is_some_and(|code| UNPLACED.contains(&code))
}
