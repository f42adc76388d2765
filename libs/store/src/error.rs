//! What can go wrong with the database, by what the caller can do about it.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as QueryError};

use crate::budget;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made. Nothing happened.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// All connections of the pool were busy for as long as the caller may wait, or the caller's time was over before
    /// the statement's end. Nothing happened.
    #[error("the database did not do it in the time there was")]
    Timeout,
    /// A statement failed. When it was a commit and the connection broke, it may have happened.
    #[error("database: {0}")]
    Query(#[source] QueryError),
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// An invariant of ours is broken.
    #[error("bug: {0}")]
    Bug(String),
}

impl Error {
    /// Whether the same work may succeed when it is simply done again: connections, deadlocks and lost races, but not
    /// statements that took too long.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unavailable(_) | Error::Timeout => true,
            Error::Query(error) => is_transient(error),
            Error::Config(_) | Error::Bug(_) => false,
        }
    }

    pub(crate) fn bug(message: impl std::fmt::Display) -> Error {
        Error::Bug(message.to_string())
    }
}

/// A statement that was ended because its work's time is over is no failure of the statement.
impl From<QueryError> for Error {
    fn from(error: QueryError) -> Error {
        match &error {
            QueryError::DatabaseError(_, information)
                if information.message() == STATEMENT_TIMEOUT && budget::remaining() == Some(Duration::ZERO) =>
            {
                Error::Timeout
            }
            _ => Error::Query(error),
        }
    }
}

/// 57014, as told of a statement timeout.
const STATEMENT_TIMEOUT: &str = "canceling statement due to statement timeout";

/// Diesel hands on no SQLSTATE beside its few kinds, so these are told by the server's words (`lc_messages` is English
/// wherever the suite sets the server up): 40P01, 57P01, 57P02, 57P03, 53300.
const TRANSIENT: [&str; 6] = [
    "deadlock detected",
    "terminating connection due to",
    "the database system is",
    "sorry, too many clients already",
    "remaining connection slots are reserved",
    "connection closed",
];

fn is_transient(error: &QueryError) -> bool {
    match error {
        QueryError::BrokenTransactionManager => true,
        QueryError::RollbackErrorOnCommit { commit_error, .. } => is_transient(commit_error),
        QueryError::DatabaseError(
            DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction,
            _,
        ) => true,
        QueryError::DatabaseError(_, information) => {
            let message = information.message();
            TRANSIENT.iter().any(|beginning| message.starts_with(beginning))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database_error(kind: DatabaseErrorKind, message: &str) -> Error {
        Error::Query(QueryError::DatabaseError(kind, Box::new(message.to_owned())))
    }

    #[test]
    fn lost_races_and_connections_are_transient_and_slow_or_wrong_statements_are_not() {
        use DatabaseErrorKind as Kind;
        for (error, transient) in [
            (Error::Timeout, true),
            (Error::Unavailable("refused".into()), true),
            (
                database_error(Kind::SerializationFailure, "could not serialize access"),
                true,
            ),
            (database_error(Kind::Unknown, "deadlock detected"), true),
            (
                database_error(Kind::Unknown, "terminating connection due to administrator command"),
                true,
            ),
            (database_error(Kind::UnableToSendCommand, "connection closed"), true),
            (
                database_error(Kind::Unknown, "canceling statement due to statement timeout"),
                false,
            ),
            (database_error(Kind::UniqueViolation, "duplicate key"), false),
            (Error::Query(QueryError::NotFound), false),
            (Error::Bug("x".into()), false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
        }
    }
}
