//! Stripe's objects as JSON. A service reads from them what its model needs, whether they came in an event, a fetch or
//! the answer to its own call, and passes over the rest, so that a field Stripe adds or drops elsewhere harms nothing.

use chrono::{DateTime, Utc};
use serde::Deserialize;

/// A Stripe object that cannot be read. The message repeats no value.
#[derive(Debug, thiserror::Error)]
#[error("stripe's {object} cannot be read: {reason}")]
pub struct Unreadable {
    object: &'static str,
    reason: String,
}

impl Unreadable {
    /// `object` is what Stripe calls it; `reason` must repeat no value.
    pub fn new(object: &'static str, reason: impl Into<String>) -> Unreadable {
        let reason = reason.into();
        Unreadable { object, reason }
    }
}

/// Reads the fields of `T` from what Stripe calls an `object`.
///
/// # Errors
/// When one is missing or of another type.
pub fn read<'a, T: Deserialize<'a>>(object: &'static str, json: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(json).map_err(|error| {
        // serde's own message may quote a value; its place does not.
        let (category, line, column) = (error.classify(), error.line(), error.column());
        Unreadable::new(object, format!("{category:?} error at line {line} column {column}"))
    })
}

/// A time of an `object`, which Stripe gives in seconds since 1970.
///
/// # Errors
/// When no calendar goes so far.
pub fn time(object: &'static str, seconds: i64) -> Result<DateTime<Utc>, Unreadable> {
    DateTime::from_timestamp(seconds, 0).ok_or_else(|| Unreadable::new(object, "a time is out of range"))
}

/// The text with another sign for each NUL: JSON's strings may hold one, PostgreSQL's text may not.
#[must_use]
pub fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_object_is_told_without_its_content() {
        #[derive(Debug, Deserialize)]
        struct Object {
            #[expect(dead_code, reason = "read only")]
            id: String,
        }
        for json in [&br#"{"id": 4242}"#[..], br#""4242""#, b"4242", b"{4242"] {
            let error = read::<Object>("customer", json).unwrap_err().to_string();
            assert!(error.starts_with("stripe's customer cannot be read: "), "{error}");
            assert!(!error.contains("4242"), "{error}");
        }
        let error = time("customer", i64::MAX).unwrap_err().to_string();
        assert_eq!(error, "stripe's customer cannot be read: a time is out of range");
    }
}
