//! What is wrong with a request: everything, not the first thing.

use std::fmt::Display;
use std::ops::RangeBounds;

use tonic_types::FieldViolation;
use url::Url;
use uuid::Uuid;

use crate::redirect::AllowedOrigins;

/// Violations that a status holds at most.
const MOST: usize = 64;

/// The fields of a request that break a rule. Collected while a request is read, so that the caller learns of all at once:
///
/// ```
/// # use counterfoil_chassis::Violations;
/// # use counterfoil_types::UserId;
/// # struct Message { user_id: String, idempotency_key: String, email: String }
/// # fn read(message: Message) -> Result<(UserId, uuid::Uuid), Violations> {
/// let mut violations = Violations::default();
/// let user_id = violations.field("user_id", UserId::parse(message.user_id));
/// let key = violations.uuid("idempotency_key", &message.idempotency_key);
/// violations.length("email", &message.email, ..=512);
/// let (user_id, key) = violations.all((user_id, key))?;
/// # Ok((user_id, key)) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Violations(Vec<FieldViolation>);

/// Values that were read, each `None` where its field broke a rule. Implemented for tuples of up to eight options.
pub trait Given {
    /// The values themselves.
    type Values;
    /// All the values, or `None` where one is missing.
    fn values(self) -> Option<Self::Values>;
}

impl Violations {
    /// Adds a violation of `field`, a path in the caller's message. `description` says what the field must be.
    /// What comes after the sixty-fourth is left out, as a status travels in headers.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.0.len() >= MOST {
            return;
        }
        self.0.push(FieldViolation::new(field, description));
    }

    /// The value, or `None` after adding the error as a violation of `field`. The error must not repeat the value.
    pub fn field<T>(&mut self, field: &str, value: Result<T, impl Display>) -> Option<T> {
        value.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// The value, or `None` after adding that `field` is required.
    pub fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(field, "is required");
        }
        value
    }

    /// A required UUID in its usual form, such as an idempotency key.
    pub fn uuid(&mut self, field: &str, value: &str) -> Option<Uuid> {
        let uuid = Uuid::try_parse(value)
            .ok()
            .filter(|uuid| value.len() == 36 && !uuid.is_nil());
        if uuid.is_none() {
            self.add(field, "must be a UUID, as in 6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d");
        }
        uuid
    }

    /// A required URL of an allowed origin. The text is to be sent on as the caller wrote it; the URL is for reading.
    pub fn url(&mut self, field: &str, value: &str, allowed: &AllowedOrigins) -> Option<Url> {
        self.field(field, allowed.check(value))
    }

    /// A text whose length in characters is in `range`.
    pub fn length(&mut self, field: &str, value: &str, range: impl RangeBounds<usize>) {
        self.range_of(field, value.chars().count(), range, " characters long");
    }

    /// A number in `range`.
    pub fn range<N: PartialOrd + Display>(&mut self, field: &str, value: N, range: impl RangeBounds<N>) {
        self.range_of(field, value, range, "");
    }

    /// Whether nothing was found so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says what was found so far.
    ///
    /// # Errors
    /// The violations, which are taken out, where there are any.
    pub fn check(&mut self) -> Result<(), Violations> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(std::mem::take(self))
        }
    }

    /// The values, all of them there, if no rule was broken.
    ///
    /// # Errors
    /// The violations, which are taken out, where there are any or a value is missing.
    pub fn all<G: Given>(&mut self, given: G) -> Result<G::Values, Violations> {
        self.check()?;
        given.values().ok_or_else(|| {
            let mut unnamed = Violations::default();
            unnamed.add("", "a field is missing");
            unnamed
        })
    }

    fn range_of<N: PartialOrd + Display>(&mut self, field: &str, value: N, range: impl RangeBounds<N>, unit: &str) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        if range.contains(&value) {
            return;
        }
        let least = match range.start_bound() {
            Included(least) => Some(format!("at least {least}")),
            Excluded(least) => Some(format!("more than {least}")),
            Unbounded => None,
        };
        let most = match range.end_bound() {
            Included(most) => Some(format!("at most {most}")),
            Excluded(most) => Some(format!("less than {most}")),
            Unbounded => None,
        };
        let bounds = [least, most].into_iter().flatten().collect::<Vec<_>>().join(" and ");
        self.add(field, format!("must be {bounds}{unit}"));
    }
}

impl From<Violations> for Vec<FieldViolation> {
    fn from(violations: Violations) -> Self {
        violations.0
    }
}

macro_rules! given {
    ($($name:ident)+) => {
        impl<$($name),+> Given for ($(Option<$name>,)+) {
            type Values = ($($name,)+);
            #[expect(non_snake_case, reason = "a type and its value share a name")]
            fn values(self) -> Option<Self::Values> {
                let ($($name,)+) = self;
                Some(($($name?,)+))
            }
        }
    };
}

given!(A);
given!(A B);
given!(A B C);
given!(A B C D);
given!(A B C D E);
given!(A B C D E F);
given!(A B C D E F G);
given!(A B C D E F G H);

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptions(violations: Violations) -> Vec<(String, String)> {
        let violations: Vec<FieldViolation> = violations.into();
        violations.into_iter().map(|one| (one.field, one.description)).collect()
    }

    #[test]
    fn every_broken_rule_is_reported_in_order() {
        let mut violations = Violations::default();
        let number = violations.field("number", "x".parse::<u8>());
        let key = violations.uuid("idempotency_key", "00000000-0000-0000-0000-000000000000");
        let simple = violations.uuid("other_key", "6e9a2b1c4d5f4a3b8c7d0e1f2a3b4c5d");
        violations.length("email", "äöü", ..=2);
        violations.range("page_size", 0, 1..=100);
        violations.required::<()>("price", None);
        let found = descriptions(violations.all((number, key, simple)).unwrap_err());
        let found: Vec<_> = found
            .iter()
            .map(|(field, text)| (field.as_str(), text.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("number", "invalid digit found in string"),
                (
                    "idempotency_key",
                    "must be a UUID, as in 6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d"
                ),
                (
                    "other_key",
                    "must be a UUID, as in 6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d"
                ),
                ("email", "must be at most 2 characters long"),
                ("page_size", "must be at least 1 and at most 100"),
                ("price", "is required"),
            ]
        );
    }

    #[test]
    fn values_come_out_only_when_no_rule_is_broken() {
        let mut violations = Violations::default();
        assert_eq!(violations.all((Some(1), Some("a"))).unwrap(), (1, "a"));
        violations.length("name", "", 1..);
        assert!(violations.all((Some(1),)).is_err());
    }
}
