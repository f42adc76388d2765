//! What can go wrong in billing, and what a caller is told.

use counterfoil_chassis::status;
use counterfoil_proto::billing::v1::ErrorReason;
use counterfoil_store::claim;
use counterfoil_stripe::claimed::{Cause, Failure};
use counterfoil_stripe::json::Unreadable;
use tonic::Status;

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
    /// The idempotency key is another request's, or the same call is running.
    #[error(transparent)]
    Claim(#[from] claim::Error),
    /// Stripe did not do it.
    #[error(transparent)]
    Stripe(#[from] counterfoil_stripe::Error),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
    /// Stripe answered something we cannot read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// An event carries no object.
    #[error(transparent)]
    Event(#[from] counterfoil_events::UnreadableEvent),
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

impl Failure for Error {
    fn cause(&self) -> Cause<'_> {
        match self {
            Error::Stripe(error) => Cause::Stripe(error),
            Error::Claim(error) => Cause::Claim(error),
            _ => Cause::Other,
        }
    }
}

/// The one mapping to what a caller sees.
impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::NotFound { kind, name } => status::not_found(kind, &name),
            Error::SubscriptionEnded(id) => status::precondition(
                &ErrorReason::SubscriptionEnded,
                "subscription",
                &id,
                "the subscription has ended",
                [],
            ),
            Error::Claim(error) => status::of_claim(&error),
            Error::Stripe(error) => counterfoil_stripe::status(error, field_of, resource_of),
            Error::Store(error) => status::of_store(&error),
            Error::CustomerService(_) => status::unavailable(status::RETRY, &ErrorReason::CustomerServiceUnavailable),
            Error::Unreadable(_) | Error::Event(_) | Error::Overtaken | Error::Bug(_) => status::internal(&error),
        }
    }
}

/// The field of the caller's request that a parameter of Stripe's stands for.
fn field_of(param: &str) -> Option<String> {
    let field = match param {
        "success_url" | "cancel_url" => param,
        "line_items[0][price]" => "price_id",
        "line_items[0][quantity]" => "quantity",
        _ => return None,
    };
    Some(field.to_owned())
}

/// The kind of object that a parameter of Stripe's names. An id in the path, which comes as `id` or under no name, is a
/// subscription's.
fn resource_of(param: &str) -> Option<&'static str> {
    match param {
        "customer" => Some("customer"),
        "" | "id" | "subscription" => Some("subscription"),
        param if param.ends_with("[price]") => Some("price"),
        _ => None,
    }
}
