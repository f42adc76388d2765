//! What goes wrong here, and the one place where that becomes a gRPC status.

use counterfoil_chassis::status;
use counterfoil_proto::customer::v1::ErrorReason;
use counterfoil_stripe::json::Unreadable;
use tonic::Status;

/// Why an operation did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such customer.
    #[error("no customer `{0}`")]
    NotFound(String),
    /// Others keep changing what this call works on.
    #[error("the user's customer keeps being deleted")]
    Busy,
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

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::NotFound(name) => status::not_found("customer", &name),
            Error::Busy => {
                let message = "the user's customer keeps being deleted";
                status::aborted(status::RETRY, &ErrorReason::CustomerChanging, message)
            }
            Error::Stripe(error) => counterfoil_stripe::status(error, field_of, |_| Some("customer")),
            Error::Store(error) => status::of_store(&error),
            error @ (Error::Unreadable(_) | Error::Event(_) | Error::Overtaken | Error::Bug(_)) => {
                status::internal(&error)
            }
        }
    }
}

/// The field of the caller's request that a parameter of Stripe's stands for.
fn field_of(param: &str) -> Option<String> {
    matches!(param, "email" | "name").then(|| param.to_owned())
}
