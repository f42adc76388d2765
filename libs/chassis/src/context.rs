//! The context of a call, and the way from its message to the service's own request.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_store::claim::Operation;
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use crate::status;
use crate::violations::Violations;

/// Who calls, and how long they wait.
#[derive(Debug, Clone)]
pub struct Context {
    /// The authenticated identity.
    pub caller: Arc<str>,
    /// The RPC, as `package.Service/Method`.
    pub method: Arc<str>,
    /// When the caller is told DEADLINE_EXCEEDED. Work that goes on after it is seen by nobody but the next repeat.
    pub deadline: Instant,
}

/// Who calls what, put into a request by the gate.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) caller: Arc<str>,
    pub(crate) method: Arc<str>,
}

/// The deadline, put into a request by its layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

impl Context {
    /// The time that is left; zero when the deadline has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// This call, to be claimed under `key`. `request` is its deterministic encoding.
    #[must_use]
    pub fn operation(&self, key: Uuid, request: &[u8]) -> Operation {
        Operation {
            caller: self.caller.clone(),
            method: self.method.clone(),
            key,
            request: request.to_vec().into(),
        }
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
    let (Some(Call { caller, method }), Some(Deadline(deadline))) = (extensions.get(), extensions.get()) else {
        return Err(status::internal(&"a request came past the chassis's layers"));
    };
    let context = Context {
        caller: caller.clone(),
        method: method.clone(),
        deadline: *deadline,
    };
    let message = read(request.into_inner()).map_err(status::invalid)?;
    Ok((context, message))
}
