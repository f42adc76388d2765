//! What can go wrong in billing, and what a caller is told.

use std::time::Duration;

use counterfoil_chassis::{Violations, status};
use counterfoil_store::claim;
use counterfoil_stripe::{self as stripe, Refusal};
use tonic::Status;

use crate::stripe::Unreadable;

/// When a caller may try again what did not happen.
const RETRY: Duration = Duration::from_secs(1);

/// An error of billing, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object. Kind and name.
    #[error("there is no {kind} {name}")]
    NotFound {
        /// The kind, for example `subscription`.
        kind: &'static str,
        /// The id asked for.
        name: String,
    },
    /// The subscription has ended and cannot be changed.
    #[error("subscription {0} has ended")]
    SubscriptionEnded(String),
    /// A field of the request is refused by Stripe.
    #[error("stripe refuses the field {field}")]
    InvalidField {
        /// The field of our request.
        field: &'static str,
        /// What is wrong, in words of ours.
        description: &'static str,
    },
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// The same call is still running.
    #[error("the same call is still running")]
    Busy,
    /// Stripe did not do it.
    #[error(transparent)]
    Stripe(#[from] stripe::Error),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
    /// The customer service did not answer.
    #[error("the customer service did not answer: {0}")]
    CustomerService(tonic::Code),
    /// While an event was looked at something was stored that may be newer. Looked at again it will be told.
    #[error("overtaken by a call's answer")]
    Overtaken,
    /// Something that should not be.
    #[error("{0}")]
    Bug(String),
}

impl Error {
    /// A broken invariant.
    pub fn bug(what: impl Into<String>) -> Self {
        Error::Bug(what.into())
    }
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

impl From<Unreadable> for Error {
    fn from(error: Unreadable) -> Self {
        Error::Bug(error.to_string())
    }
}

impl From<counterfoil_events::UnreadableEvent> for Error {
    fn from(error: counterfoil_events::UnreadableEvent) -> Self {
        Error::Bug(error.to_string())
    }
}

/// The one mapping to what a caller sees.
impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::NotFound { kind, name } => status::not_found(kind, &name),
            Error::SubscriptionEnded(id) => status::precondition(
                "SUBSCRIPTION_ENDED",
                "subscription",
                &id,
                "the subscription has ended",
                [],
            ),
            Error::InvalidField { field, description } => {
                let mut violations = Violations::default();
                violations.add(field, description);
                status::invalid(violations)
            }
            Error::KeyReused => status::key_reused(),
            Error::Busy => status::busy(RETRY),
            Error::Stripe(error) => of_stripe(error),
            Error::Store(error) if error.is_transient() => status::unavailable(RETRY, "DATABASE_UNAVAILABLE"),
            Error::CustomerService(_) => status::unavailable(RETRY, "CUSTOMER_SERVICE_UNAVAILABLE"),
            Error::Store(_) | Error::Overtaken | Error::Bug(_) => status::internal(&error),
        }
    }
}

fn of_stripe(error: stripe::Error) -> Status {
    match error {
        stripe::Error::Refused(refusal) => of_refusal(&refusal),
        stripe::Error::NotFound(refusal) => match refusal.param.as_deref() {
            Some("customer") => status::not_found("customer", ""),
            Some(param) if param.contains("price") => status::not_found("price", ""),
            _ => status::not_found("subscription", ""),
        },
        stripe::Error::Conflict => status::busy(RETRY),
        stripe::Error::RateLimited { retry_after } => status::rate_limited(retry_after.unwrap_or(RETRY)),
        stripe::Error::Unavailable => status::unavailable(RETRY, "STRIPE_UNAVAILABLE"),
        stripe::Error::OutcomeUnknown { op_key } => status::outcome_unknown(&op_key),
        stripe::Error::Store(error) => Error::Store(error).into(),
        error @ (stripe::Error::Unauthorised | stripe::Error::Bug(_)) => status::internal(&error),
    }
}

/// A refusal of a good request: the caller learns Stripe's codes, never its message, which may name a customer.
fn of_refusal(refusal: &Refusal) -> Status {
    let codes = [
        ("stripe_code", &refusal.code),
        ("decline_code", &refusal.decline_code),
        ("advice_code", &refusal.advice_code),
        ("stripe_request_id", &refusal.stripe_request_id),
    ];
    let metadata = codes
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name.to_owned(), value.clone())));
    status::precondition(
        "STRIPE_REFUSED",
        "stripe",
        refusal.code.as_deref().unwrap_or_default(),
        "stripe refused the request",
        metadata,
    )
}
