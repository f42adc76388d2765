//! What goes wrong here, and the one place where that becomes a gRPC status.

use counterfoil_chassis::status;
use counterfoil_proto::Reason;
use counterfoil_store::claim;
use tonic::Status;

use super::pb::ErrorReason;

/// Why an operation did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// There is no such specimen.
    #[error("no specimen `{0}`")]
    NotFound(String),
    /// The specimen was changed since the caller saw it.
    #[error("specimen `{0}` was changed")]
    Changed(String),
    /// The user, whose id this is, has as many as a user may have.
    #[error("user `{0}` has too many specimens")]
    ShelfFull(String),
    /// The idempotency key is another request's, or the same call is running.
    #[error(transparent)]
    Claim(#[from] claim::Error),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Error::Store(error.into())
    }
}

impl Reason for ErrorReason {
    fn name(&self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix("ERROR_REASON_").unwrap_or(name)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::NotFound(id) => status::not_found("specimen", &id),
            Error::Changed(id) => status::etag_mismatch("specimen", &id),
            Error::ShelfFull(user_id) => {
                let description = "the user has as many specimens as a user may have";
                status::precondition(&ErrorReason::ShelfFull, "SHELF", &user_id, description, [])
            }
            Error::Claim(error) => status::of_claim(&error),
            Error::Store(error) => status::of_store(&error),
        }
    }
}
