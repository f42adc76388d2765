//! What went wrong, told in one block that reads alone.

use std::error::Error as _;
use std::fmt::Write;

use counterfoil_chassis::status::code_name;
use counterfoil_proto::Reason;
use counterfoil_proto::common::v1::ErrorReason;
use tonic::Status;
use tonic_types::StatusExt;

use crate::output::printable;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A service, named first, answered with an error or could not be reached.
    Status(String, Box<Status>),
    /// What was printed says it already, or the reader left.
    Printed(std::io::Error),
    /// Anything else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Printed(error)
    }
}

impl Failure {
    /// What to say, in one or more lines without an end; nothing where the reader of the output has left.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Failure::Printed(error) if error.kind() == std::io::ErrorKind::BrokenPipe => None,
            Failure::Printed(error) => Some(format!("counterfoil: standard output: {error}")),
            Failure::Other(error) => Some(format!("counterfoil: {error:#}")),
            Failure::Status(service, status) => Some(describe(service, status)),
        }
    }
}

/// Code, reason and message, and a line for each detail.
fn describe(service: &str, status: &Status) -> String {
    let details = status.get_error_details();
    let mut text = format!("counterfoil: {service}: {}", code_name(status.code()));
    // Writing to a String does not fail.
    if let Some(info) = details.error_info() {
        let _ = write!(text, " ({})", printable(&info.reason));
    }
    let _ = write!(text, ": {}", printable(status.message()));
    let mut line = |name: &str, value: &str| {
        let _ = write!(text, "\n  {}: {}", printable(name), printable(value));
    };
    if let Some(bad) = details.bad_request() {
        for violation in &bad.field_violations {
            line(&violation.field, &violation.description);
        }
    }
    if let Some(failed) = details.precondition_failure() {
        for violation in &failed.violations {
            line(
                &format!("{} {}", violation.r#type, violation.subject),
                &violation.description,
            );
        }
    }
    if let Some(info) = details.error_info() {
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (name, value) in metadata {
            line(name, value);
        }
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        line("may be tried again after", &format!("{delay:?}"));
    }
    if let Some(hint) = details.error_info().and_then(|info| hint(&info.reason)) {
        line("hint", hint);
    }
    // Where nobody answered, the transport knows why: the last in its chain of causes.
    let mut cause = status.source();
    while let Some(deeper) = cause.and_then(|cause| cause.source()) {
        cause = Some(deeper);
    }
    if let Some(cause) = cause {
        line("because", &cause.to_string());
    }
    text
}

/// What whoever is not let in can do about it.
fn hint(reason: &str) -> Option<&'static str> {
    let hints = [
        (
            ErrorReason::NoIdentity,
            "--token-file FILE shows a token, --cert FILE --key FILE a certificate",
        ),
        (
            ErrorReason::UnknownToken,
            "no line of the service's server.token_file is for it: it was revoked, or never put there",
        ),
        (
            ErrorReason::DeniedByPolicy,
            "a row of the service's server.policy would allow it",
        ),
    ];
    let found = hints.into_iter().find(|(known, _)| known.name() == reason);
    found.map(|(_, hint)| hint)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use counterfoil_chassis::{Violations, status};

    use super::*;

    fn text(status: Status) -> String {
        Failure::Status("billing at 127.0.0.1:1".into(), Box::new(status))
            .text()
            .unwrap()
    }

    #[test]
    fn an_invalid_request_is_told_with_all_its_violations() {
        let mut violations = Violations::default();
        violations.add("user_id", "must not be empty");
        violations.add("feature", "must be 1 to 80 characters");
        assert_eq!(
            text(status::invalid(violations)),
            "counterfoil: billing at 127.0.0.1:1: INVALID_ARGUMENT (INVALID_REQUEST): the request is invalid\
             \n  user_id: must not be empty\
             \n  feature: must be 1 to 80 characters"
        );
    }

    #[test]
    fn what_the_caller_can_do_is_told() {
        let metadata = HashMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
        let refused = status::precondition(&ErrorReason::CardDeclined, "CARD", "pm_1", "was declined", metadata);
        assert!(text(refused).ends_with("\n  CARD pm_1: was declined\n  a: 1\n  b: 2"));
        let unavailable = text(status::unavailable(
            Duration::from_secs(1),
            &ErrorReason::DatabaseUnavailable,
        ));
        assert!(
            unavailable.ends_with("\n  may be tried again after: 1s"),
            "{unavailable}"
        );
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert!(
            Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
                .text()
                .is_none()
        );
    }
}
