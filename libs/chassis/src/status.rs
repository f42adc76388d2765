//! Errors as gRPC statuses with `google.rpc` details. Every status names a reason in [`DOMAIN`]; a client decides by code and
//! reason, never by the message. Source: <https://google.aip.dev/193>.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use counterfoil_proto::Reason;
use counterfoil_proto::common::v1::{ErrorReason, FieldReason};
use counterfoil_store::{Error as StoreError, claim};
pub use counterfoil_telemetry::code_name;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::violations::Violations;

/// The domain of our reasons.
pub const DOMAIN: &str = "counterfoil.dev";

/// How long a caller is asked to wait where nothing better is known.
pub const RETRY: Duration = Duration::from_secs(1);

/// The request breaks a rule: INVALID_ARGUMENT with all the violations. `INVALID_REQUEST`, or, where it is all that is
/// wrong, `INVALID_PAGE_TOKEN` or `INVALID_FIELD_MASK`; `CARD_NUMBER` where a text holds one, whatever else is wrong.
#[must_use]
pub fn invalid(violations: Violations) -> Status {
    let reason = match violations.reason() {
        _ if violations.has(FieldReason::CardNumber) => ErrorReason::CardNumber,
        Some(FieldReason::PageToken) => ErrorReason::InvalidPageToken,
        Some(FieldReason::FieldMask) => ErrorReason::InvalidFieldMask,
        _ => ErrorReason::InvalidRequest,
    };
    invalid_for(&reason, violations)
}

/// As [`invalid`], for a reason of the service's own.
#[must_use]
pub fn invalid_for(reason: &impl Reason, violations: Violations) -> Status {
    let details = ErrorDetails::with_bad_request(violations);
    detailed(Code::InvalidArgument, reason, "the request is invalid", [], details)
}

/// The idempotency key was used before, with another request: INVALID_ARGUMENT, `IDEMPOTENCY_KEY_REUSED`.
#[must_use]
pub fn key_reused() -> Status {
    let description = "was used before with another request";
    let mut violations = Violations::default();
    violations.add("idempotency_key", description);
    let details = ErrorDetails::with_bad_request(violations);
    let message = "the idempotency key was used before with another request";
    let reason = &ErrorReason::IdempotencyKeyReused;
    detailed(Code::InvalidArgument, reason, message, [], details)
}

/// There is no such object: NOT_FOUND, `NOT_FOUND`. `name` is the id that was asked for.
#[must_use]
pub fn not_found(resource_type: &str, name: &str) -> Status {
    let name = clipped(name);
    let details = ErrorDetails::with_resource_info(resource_type, name, "", "does not exist");
    let message = format!("no {resource_type} `{name}`");
    detailed(Code::NotFound, &ErrorReason::NotFound, &message, [], details)
}

/// The object is there already: ALREADY_EXISTS, `ALREADY_EXISTS`. `name` is its id.
#[must_use]
pub fn already_exists(resource_type: &str, name: &str) -> Status {
    let name = clipped(name);
    let details = ErrorDetails::with_resource_info(resource_type, name, "", "exists already");
    let message = format!("{resource_type} `{name}` exists already");
    detailed(Code::AlreadyExists, &ErrorReason::AlreadyExists, &message, [], details)
}

/// A good request in the wrong state: FAILED_PRECONDITION with one violation. `subject` is the id of what is in the wrong
/// state, `description` is for people; `metadata` goes with the reason.
#[must_use]
pub fn precondition(
    reason: &impl Reason,
    kind: &str,
    subject: &str,
    description: &str,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Status {
    let details = ErrorDetails::with_precondition_failure_violation(kind, subject, description);
    detailed(Code::FailedPrecondition, reason, description, metadata, details)
}

/// A good request that somebody else refuses: as [`precondition`], with a sentence (in English) that a customer may read.
#[must_use]
pub fn refused(
    reason: &impl Reason,
    kind: &str,
    subject: &str,
    description: &str,
    sentence: &str,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Status {
    let mut details = ErrorDetails::with_precondition_failure_violation(kind, subject, description);
    details.set_localized_message("en", sentence);
    detailed(Code::FailedPrecondition, reason, description, metadata, details)
}

/// The object was changed since the caller read it: ABORTED, `ETAG_MISMATCH`. `name` is its id.
#[must_use]
pub fn etag_mismatch(resource_type: &str, name: &str) -> Status {
    let name = clipped(name);
    let description = "was changed since its etag was read";
    let details = ErrorDetails::with_resource_info(resource_type, name, "", description);
    let message = format!("{resource_type} `{name}` {description}");
    detailed(Code::Aborted, &ErrorReason::EtagMismatch, &message, [], details)
}

/// Something else, for a reason of the service's own; `metadata` goes with the reason.
#[must_use]
pub fn other(
    code: Code,
    reason: &impl Reason,
    message: &str,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Status {
    detailed(code, reason, message, metadata, ErrorDetails::new())
}

/// The same call of the service's own making is running, or a race was lost: ABORTED, for a reason of its own.
#[must_use]
pub fn aborted(retry: Duration, reason: &impl Reason, message: &str) -> Status {
    retriable(Code::Aborted, reason, message, retry, [])
}

/// The same call is running, or a race was lost: ABORTED, `BUSY`. The caller may repeat after `retry`.
#[must_use]
pub fn busy(retry: Duration) -> Status {
    let message = "the same operation is in progress";
    retriable(Code::Aborted, &ErrorReason::Busy, message, retry, [])
}

/// Stripe or we are limiting: RESOURCE_EXHAUSTED, `RATE_LIMITED`. Nothing happened; the caller may repeat after `retry`.
#[must_use]
pub fn rate_limited(retry: Duration) -> Status {
    let message = "too many calls at the moment";
    retriable(Code::ResourceExhausted, &ErrorReason::RateLimited, message, retry, [])
}

/// Something we need is out of reach: UNAVAILABLE. Nothing happened; the caller may repeat after `retry`.
#[must_use]
pub fn unavailable(retry: Duration, reason: &impl Reason) -> Status {
    let message = "temporarily unavailable, nothing was done";
    retriable(Code::Unavailable, reason, message, retry, [])
}

/// Stripe's answer was lost: UNAVAILABLE, `OUTCOME_UNKNOWN`, with the operation's id as `operation` in the metadata. The
/// caller repeats with the *same* idempotency key, or the operation may happen twice.
#[must_use]
pub fn outcome_unknown(op_key: &str) -> Status {
    let message = "the outcome is unknown, repeat with the same idempotency key";
    let metadata = [("operation".to_owned(), op_key.to_owned())];
    retriable(
        Code::Unavailable,
        &ErrorReason::OutcomeUnknown,
        message,
        RETRY,
        metadata,
    )
}

/// The database did not do it: UNAVAILABLE, `DATABASE_UNAVAILABLE`, where the same call may succeed later, else as
/// [`internal`].
#[must_use]
pub fn of_store(error: &StoreError) -> Status {
    if error.is_transient() {
        unavailable(RETRY, &ErrorReason::DatabaseUnavailable)
    } else {
        internal(error)
    }
}

/// No claim could be had: as [`key_reused`], [`busy`] or [`of_store`].
#[must_use]
pub fn of_claim(error: &claim::Error) -> Status {
    match error {
        claim::Error::Mismatch => key_reused(),
        claim::Error::Busy => busy(RETRY),
        claim::Error::NoKey => internal(error),
        claim::Error::Store(error) => of_store(error),
    }
}

/// Something that should not happen: INTERNAL, `INTERNAL`. Logs `error`, once, with an error id, which is all the caller gets.
#[must_use]
pub fn internal(error: &dyn Display) -> Status {
    let id = format!("err_{:016x}", rand::random::<u64>());
    tracing::error!(error_id = id, error = %error, "internal error");
    let message = format!("internal error {id}");
    other(
        Code::Internal,
        &ErrorReason::Internal,
        &message,
        [("error_id".to_owned(), id)],
    )
}

/// Nobody known calls: UNAUTHENTICATED, `NO_IDENTITY`.
pub(crate) fn unauthenticated() -> Status {
    let message = "the caller has no identity";
    other(Code::Unauthenticated, &ErrorReason::NoIdentity, message, [])
}

/// The caller shows a token that nobody holds, or that cannot be believed as it came: UNAUTHENTICATED, `UNKNOWN_TOKEN`.
pub(crate) fn unknown_token() -> Status {
    let message = "the token is not known";
    other(Code::Unauthenticated, &ErrorReason::UnknownToken, message, [])
}

/// The caller's certificate names nobody, or several: UNAUTHENTICATED, `UNUSABLE_CERTIFICATE`.
pub(crate) fn unusable_certificate() -> Status {
    let message = "the certificate must have exactly one URI among its alternative names";
    other(Code::Unauthenticated, &ErrorReason::UnusableCertificate, message, [])
}

/// The policy does not let the caller: PERMISSION_DENIED, `DENIED_BY_POLICY`.
pub(crate) fn denied(identity: &str) -> Status {
    let metadata = [("identity".to_owned(), identity.to_owned())];
    let message = "the policy does not allow this call";
    other(Code::PermissionDenied, &ErrorReason::DeniedByPolicy, message, metadata)
}

/// The deadline has passed: DEADLINE_EXCEEDED, `DEADLINE_EXCEEDED`. The work goes on.
pub(crate) fn deadline_exceeded() -> Status {
    let message = "the deadline has passed, the operation may still complete";
    other(Code::DeadlineExceeded, &ErrorReason::DeadlineExceeded, message, [])
}

/// The beginning of a name: a status travels in headers, and the name may be as long as the caller made it.
fn clipped(name: &str) -> &str {
    name.char_indices()
        .nth(255)
        .and_then(|(end, _)| name.get(..end))
        .unwrap_or(name)
}

fn retriable(
    code: Code,
    reason: &impl Reason,
    message: &str,
    retry: Duration,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Status {
    let details = ErrorDetails::with_retry_info(Some(retry));
    detailed(code, reason, message, metadata, details)
}

/// The one place where a status gets its reason, beside the `details` that say more.
fn detailed(
    code: Code,
    reason: &impl Reason,
    message: &str,
    metadata: impl IntoIterator<Item = (String, String)>,
    mut details: ErrorDetails,
) -> Status {
    let metadata: HashMap<_, _> = metadata.into_iter().collect();
    details.set_error_info(reason.name(), DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_names_its_reason_and_domain() {
        let second = Duration::from_secs(1);
        for (status, code, reason) in [
            (invalid(Violations::default()), Code::InvalidArgument, "INVALID_REQUEST"),
            (key_reused(), Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED"),
            (not_found("customer", "cus_1"), Code::NotFound, "NOT_FOUND"),
            (
                already_exists("customer", "cus_1"),
                Code::AlreadyExists,
                "ALREADY_EXISTS",
            ),
            (
                precondition(&ErrorReason::CardDeclined, "CARD", "pm_1", "declined", []),
                Code::FailedPrecondition,
                "CARD_DECLINED",
            ),
            (busy(second), Code::Aborted, "BUSY"),
            (rate_limited(second), Code::ResourceExhausted, "RATE_LIMITED"),
            (
                unavailable(second, &ErrorReason::StripeUnavailable),
                Code::Unavailable,
                "STRIPE_UNAVAILABLE",
            ),
            (outcome_unknown("claim:create"), Code::Unavailable, "OUTCOME_UNKNOWN"),
            (internal(&"secret"), Code::Internal, "INTERNAL"),
            (
                of_store(&StoreError::Timeout),
                Code::Unavailable,
                "DATABASE_UNAVAILABLE",
            ),
            (of_store(&StoreError::Bug("x".into())), Code::Internal, "INTERNAL"),
            (
                of_claim(&claim::Error::Mismatch),
                Code::InvalidArgument,
                "IDEMPOTENCY_KEY_REUSED",
            ),
            (of_claim(&claim::Error::Busy), Code::Aborted, "BUSY"),
            (unauthenticated(), Code::Unauthenticated, "NO_IDENTITY"),
            (unknown_token(), Code::Unauthenticated, "UNKNOWN_TOKEN"),
            (unusable_certificate(), Code::Unauthenticated, "UNUSABLE_CERTIFICATE"),
            (denied("dev"), Code::PermissionDenied, "DENIED_BY_POLICY"),
            (deadline_exceeded(), Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        ] {
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (status.code(), info.reason.as_str(), info.domain.as_str()),
                (code, reason, DOMAIN)
            );
            let retries = matches!(code, Code::Aborted | Code::ResourceExhausted | Code::Unavailable);
            assert_eq!(status.get_details_retry_info().is_some(), retries, "{reason}");
        }
    }

    #[test]
    fn a_name_of_any_length_makes_a_short_status() {
        let status = not_found("customer", &"ä".repeat(1_000_000));
        assert_eq!(
            status.get_details_resource_info().unwrap().resource_name,
            "ä".repeat(255)
        );
        assert!(status.message().len() < 600);
    }

    #[test]
    fn an_internal_error_tells_the_caller_its_id_and_nothing_else() {
        let status = internal(&"relation \"customer\" does not exist");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            status.message(),
            format!("internal error {}", info.metadata["error_id"])
        );
    }
}
