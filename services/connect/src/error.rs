//! What goes wrong here, and the one place where that becomes a gRPC status.

use std::time::Duration;

use counterfoil_chassis::{Violations, status};
use counterfoil_store::claim;
use counterfoil_stripe::{Error as StripeError, Refusal};
use counterfoil_types::AccountId;
use tonic::Status;

use crate::stripe::Unreadable;

/// How long a caller is asked to wait where nothing better is known.
const RETRY: Duration = Duration::from_secs(1);

/// Why an operation did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such account.
    #[error("no connected account `{0}`")]
    NotFound(AccountId),
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// The same call is running.
    #[error("the same call is running")]
    Busy,
    /// Stripe did not do it.
    #[error(transparent)]
    Stripe(#[from] StripeError),
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

impl From<claim::Error> for Error {
    fn from(error: claim::Error) -> Self {
        match error {
            claim::Error::Mismatch => Error::KeyReused,
            claim::Error::Busy => Error::Busy,
            claim::Error::Store(error) => Error::Store(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::NotFound(id) => status::not_found("connected account", id.as_str()),
            Error::KeyReused => status::key_reused(),
            Error::Busy => status::busy(RETRY),
            Error::Stripe(error) => of_stripe(error),
            Error::Store(error) if error.is_transient() => status::unavailable(RETRY, "DATABASE_UNAVAILABLE"),
            Error::Store(error) => status::internal(&error),
            Error::Unreadable(error) => status::internal(&error),
            error @ (Error::Event(_) | Error::Overtaken | Error::Bug(_)) => status::internal(&error),
        }
    }
}

fn of_stripe(error: StripeError) -> Status {
    match error {
        StripeError::Refused(refusal) => refused(&refusal),
        StripeError::Conflict => status::busy(RETRY),
        StripeError::RateLimited { retry_after } => status::rate_limited(retry_after.unwrap_or(RETRY)),
        StripeError::Unavailable => status::unavailable(RETRY, "STRIPE_UNAVAILABLE"),
        StripeError::OutcomeUnknown { op_key } => status::outcome_unknown(&op_key),
        StripeError::Store(error) => Error::Store(error).into(),
        other => status::internal(&other),
    }
}

/// What Stripe refuses is the caller's to change where it names one of the caller's fields, and ours where it does not.
fn refused(refusal: &Refusal) -> Status {
    let field = match refusal.param.as_deref() {
        Some("country") => "country_code",
        Some(field @ ("email" | "refresh_url" | "return_url")) => field,
        _ => return status::internal(&format!("stripe refused our request: {refusal:?}")),
    };
    let mut violations = Violations::default();
    violations.add(field, "was refused by stripe");
    status::invalid(violations)
}
