//! What goes wrong here, and the one place where that becomes a gRPC status.

use counterfoil_chassis::{Violations, status};
use counterfoil_proto::common::v1::FieldReason;
use counterfoil_proto::connect::v1::ErrorReason;
use counterfoil_store::claim;
use counterfoil_stripe::Error as StripeError;
use counterfoil_stripe::claimed::{Cause, Failure};
use counterfoil_stripe::json::Unreadable;
use counterfoil_types::AccountId;
use tonic::Status;

/// Stripe's code for a country it takes no sellers from. Source: <https://docs.stripe.com/error-codes>.
const COUNTRY_UNSUPPORTED: &str = "country_unsupported";

/// Why an operation did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such account.
    #[error("no connected account `{0}`")]
    NotFound(AccountId),
    /// The idempotency key is another request's, or the same call is running.
    #[error(transparent)]
    Claim(#[from] claim::Error),
    /// Stripe did not do it.
    #[error(transparent)]
    Stripe(#[from] counterfoil_stripe::Error),
    /// The database did not.
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
    /// Stripe answered something we cannot read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// An event carries no object.
    #[error(transparent)]
    Event(#[from] counterfoil_events::UnreadableEvent),
    /// While an event was looked at something was stored that may be newer. Looked at again it will be told.
    #[error("overtaken by a call's answer")]
    Overtaken,
    /// An invariant of ours is broken.
    #[error("bug: {0}")]
    Bug(String),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Error::Store(error.into())
    }
}

impl Failure for Error {
    fn cause(&self) -> Cause<'_> {
        match self {
            Error::Stripe(error) => Cause::Stripe(error),
            Error::Claim(error) => Cause::Claim(error),
            _ => Cause::Other,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::NotFound(id) => status::not_found("connected account", id.as_str()),
            Error::Claim(error) => status::of_claim(&error),
            Error::Stripe(StripeError::Refused(refusal)) if refusal.code.as_deref() == Some(COUNTRY_UNSUPPORTED) => {
                let mut violations = Violations::default();
                violations.add_for(
                    FieldReason::RefusedByStripe,
                    "country_code",
                    "is no country of sellers here",
                );
                status::invalid_for(&ErrorReason::CountryUnsupported, violations)
            }
            Error::Stripe(error) => counterfoil_stripe::status(error, field_of, |_| Some("connected account")),
            Error::Store(error) => status::of_store(&error),
            error @ (Error::Unreadable(_) | Error::Event(_) | Error::Overtaken | Error::Bug(_)) => {
                status::internal(&error)
            }
        }
    }
}

/// The field of the caller's request that a parameter of Stripe's stands for.
fn field_of(param: &str) -> Option<String> {
    match param {
        "country" => Some("country_code".to_owned()),
        "email" | "refresh_url" | "return_url" => Some(param.to_owned()),
        _ => None,
    }
}
