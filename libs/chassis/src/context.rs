//! The context of a call, and the way from its message to the service's own request.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_proto::common::v1::FieldReason;
use counterfoil_store::audit;
use counterfoil_store::claim::{self, Operation};
use counterfoil_store::page::{self, Binding, Page};
use prost::{Message, Name};
use prost_reflect::DescriptorPool;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::Status;
use tracing::Span;
use uuid::Uuid;

use crate::redirect::AllowedOrigins;
use crate::rules::{Found, Rules};
use crate::status;
use crate::violations::Violations;

/// Who calls what, and how long they wait.
#[derive(Clone)]
pub struct Context {
    /// The authenticated identity.
    pub caller: Arc<str>,
    /// The RPC, as `package.Service/Method`.
    pub method: Arc<str>,
    /// When the caller is told DEADLINE_EXCEEDED. Work that goes on after it is seen by nobody but the next repeat.
    pub deadline: Instant,
    /// The caller's idempotency key, for a method that has one.
    pub idempotency_key: Option<Uuid>,
    /// The caller only wants to know whether the call would succeed: nothing may be changed, here or at Stripe.
    pub validate_only: bool,
    /// What is asked of a list, for a method that lists.
    paging: Option<Paging>,
    /// The request in a deterministic encoding.
    request: Bytes,
    span: Span,
}

/// Which part of a list is asked for. Its page tokens are good for the same caller, method and filters only.
#[derive(Debug, Clone)]
pub struct Paging {
    size: i32,
    after: Option<String>,
    binding: Binding,
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

/// Without the request, which may hold personal data.
impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("caller", &self.caller)
            .field("method", &self.method)
            .field("idempotency_key", &self.idempotency_key)
            .field("validate_only", &self.validate_only)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// The time that is left; zero when the deadline has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The call's place in its trace as a W3C `traceparent`, to be stored or sent along. `None` where nothing traces.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        counterfoil_telemetry::traceparent_of(&self.span)
    }

    /// This call, to be claimed under its idempotency key.
    ///
    /// # Errors
    /// [`claim::Error::NoKey`], a bug of ours: the method has no field `idempotency_key`.
    pub fn operation(&self) -> Result<Operation, claim::Error> {
        Ok(Operation {
            caller: self.caller.clone(),
            method: self.method.clone(),
            key: self.idempotency_key.ok_or(claim::Error::NoKey)?,
            request: self.request.clone(),
        })
    }

    /// This call of a method for operators, to be recorded in the transaction of its effects: which kind of thing it was
    /// about, that thing's id, and what came of it in a word or two.
    #[must_use]
    pub fn audit(&self, subject_kind: &str, subject_id: &str, outcome: &str) -> audit::Entry {
        audit::Entry {
            caller: self.caller.to_string(),
            method: self.method.to_string(),
            idempotency_key: self.idempotency_key,
            request_sha: Sha256::digest(&self.request).into(),
            subject_kind: subject_kind.to_owned(),
            subject_id: subject_id.to_owned(),
            outcome: outcome.to_owned(),
        }
    }

    /// What is asked of the list.
    ///
    /// # Errors
    /// INTERNAL, a bug of ours: the method's request has no `page_size` and `page_token`.
    pub fn paging(&self) -> Result<&Paging, Status> {
        let missing = || status::internal(&format!("{} is no list", self.method));
        self.paging.as_ref().ok_or_else(missing)
    }
}

impl Paging {
    pub(crate) fn new(size: i32, after: Option<String>, binding: Binding) -> Paging {
        Paging { size, after, binding }
    }

    /// How many rows at most, and the position of the last row of the page before.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, `INVALID_PAGE_TOKEN`, when what the token holds is no such position.
    pub fn page<P: FromStr>(&self) -> Result<Page<P>, Status> {
        let after = self.after.as_deref().map(str::parse).transpose();
        let after = after.map_err(|_| {
            let mut violations = Violations::default();
            violations.add_for(
                FieldReason::PageToken,
                "page_token",
                page::InvalidToken::Malformed.to_string(),
            );
            status::invalid(violations)
        })?;
        Ok(Page {
            limit: i64::from(self.size),
            after,
        })
    }

    /// The token of the page after the row at `position`; empty where there is none.
    #[must_use]
    pub fn token(&self, position: Option<&impl Display>) -> String {
        position.map_or_else(String::new, |position| {
            page::encode(&self.binding, &position.to_string())
        })
    }
}

/// The one way from a call to a handler: the context that the layers put into the request, and the message as the
/// service's own request. Whatever the protos say of the message is checked here (required fields, bounds and forms, card
/// numbers, redirect URLs, metadata, page tokens, update masks); `T` adds what only the service can tell. Where there is
/// nothing to add, `T` is the message itself.
///
/// # Errors
/// INVALID_ARGUMENT with all violations, the protos' and the service's, when the message breaks a rule. INTERNAL when the
/// request did not come through this crate's server.
pub fn accept<P, T>(request: tonic::Request<P>) -> Result<(Context, T), Status>
where
    P: Message + Name + Default,
    T: TryFrom<P, Error: Into<Violations>>,
{
    let past = || status::internal(&"a request came past the chassis's layers");
    let extensions = request.extensions();
    let rules = extensions.get::<Arc<Rules>>().cloned().ok_or_else(past)?;
    let call = extensions.get::<Call>().cloned().ok_or_else(past)?;
    let Deadline(deadline) = extensions.get().copied().ok_or_else(past)?;
    let mut message = request.into_inner();
    let mut encoded = Bytes::from(message.encode_to_vec());
    let found = rules.check(&P::full_name(), &encoded, &call);
    let Found {
        violations,
        idempotency_key,
        validate_only,
        paging,
        without_output,
    } = found.map_err(|error| status::internal(&error))?;
    if let Some(without) = without_output {
        message = P::decode(without.clone()).map_err(|error| status::internal(&error))?;
        encoded = without;
    }
    let message = match T::try_from(message) {
        Ok(message) if violations.is_empty() => message,
        Ok(_) => return Err(status::invalid(violations)),
        Err(own) => return Err(status::invalid(violations.and(own.into()))),
    };
    let context = Context {
        caller: call.caller,
        method: call.method,
        deadline,
        idempotency_key,
        validate_only,
        paging,
        request: encoded,
        span: Span::current(),
    };
    Ok((context, message))
}

/// The rules for the messages of a stream, which come one by one and past [`accept`].
#[derive(Debug, Clone)]
pub struct Streamed(Arc<Rules>);

impl Streamed {
    /// The rules of the service that takes `request`.
    ///
    /// # Errors
    /// INTERNAL when the request did not come through this crate's server.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Streamed, Status> {
        let rules = request.extensions().get::<Arc<Rules>>().cloned();
        let past = || status::internal(&"a request came past the chassis's layers");
        Ok(Streamed(rules.ok_or_else(past)?))
    }

    /// The rules in an encoded file descriptor set, for the messages that the methods of `services` take, as a server
    /// reads them when it starts: for whoever wants to know of a message without calling.
    ///
    /// # Errors
    /// When a service is not described, or a field has a rule that is not understood.
    pub fn described(descriptors: &[u8], services: &[&str], origins: AllowedOrigins) -> anyhow::Result<Streamed> {
        Ok(Streamed(Arc::new(Rules::compile(
            &DescriptorPool::decode(descriptors)?,
            services,
            origins,
        )?)))
    }

    /// As [`Streamed::check`], for an encoded message by its full name.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all violations.
    pub fn check_encoded(&self, name: &str, message: &Bytes) -> Result<(), Status> {
        let checked = self.0.check_streamed(name, message);
        let mut violations = checked.map_err(|error| status::internal(&error))?;
        violations.check().map_err(status::invalid)
    }

    /// Checks one message as [`accept`] checks a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all violations.
    pub fn check<P: Message + Name>(&self, message: &P) -> Result<(), Status> {
        self.check_encoded(&P::full_name(), &message.encode_to_vec().into())
    }
}
