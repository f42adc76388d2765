//! The context of a call, and the way from its message to the service's own request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use crate::status;
use crate::violations::Violations;

/// Who calls, and how long they wait.
#[derive(Debug, Clone)]
pub struct Context {
    /// The authenticated identity.
    pub caller: String,
    /// When the caller is told DEADLINE_EXCEEDED. Work that goes on after it is seen by nobody but the next repeat.
    pub deadline: Instant,
}

/// The caller, put into a request by the gate.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Arc<str>);

/// The deadline, put into a request by its layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

impl Context {
    /// The time that is left; zero when the deadline has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Takes a request apart: the context that the layers put there, and the message as the service's own request.
///
/// # Errors
/// INVALID_ARGUMENT with all violations when the message breaks a rule. INTERNAL when the request did not come through
/// this crate's server.
pub fn accept<P, T>(request: tonic::Request<P>) -> Result<(Context, T), Status>
where
    T: TryFrom<P, Error = Violations>,
{
    accept_with(request, T::try_from)
}

/// As [`accept`], for a message that is read with something besides, such as the allowed origins of a redirect.
///
/// # Errors
/// As [`accept`].
pub fn accept_with<P, T>(
    request: tonic::Request<P>,
    read: impl FnOnce(P) -> Result<T, Violations>,
) -> Result<(Context, T), Status> {
    let extensions = request.extensions();
    let (Some(Caller(caller)), Some(Deadline(deadline))) = (extensions.get(), extensions.get()) else {
        return Err(status::internal(&"a request came past the chassis's layers"));
    };
    let context = Context {
        caller: caller.to_string(),
        deadline: *deadline,
    };
    let message = read(request.into_inner()).map_err(status::invalid)?;
    Ok((context, message))
}
