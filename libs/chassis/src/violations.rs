//! What is wrong with a request: everything, not the first thing.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeBounds;

use counterfoil_proto::Reason;
use counterfoil_proto::common::v1::FieldReason;
use tonic_types::FieldViolation;

/// Violations that a status holds at most.
const MOST: usize = 64;

/// The fields of a request that break a rule. Collected while a request is read, so that the caller learns of all at once:
///
/// ```
/// # use counterfoil_chassis::Violations;
/// # use counterfoil_types::{CustomerId, UserId};
/// # struct Message { user_id: String, customer_id: String }
/// # fn read(message: Message) -> Result<(UserId, CustomerId), Violations> {
/// let mut violations = Violations::default();
/// let user_id = violations.field("user_id", UserId::parse(message.user_id));
/// let customer_id = violations.field("customer_id", CustomerId::parse(message.customer_id));
/// violations.all((user_id, customer_id))
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Violations(Vec<Violation>);

#[derive(Debug, Clone)]
struct Violation {
    reason: FieldReason,
    field: String,
    description: String,
}

/// Values that were read, each `None` where its field broke a rule. Implemented for tuples of up to eight options.
pub trait Given {
    /// The values themselves.
    type Values;
    /// All the values, or `None` where one is missing.
    fn values(self) -> Option<Self::Values>;
}

impl Violations {
    /// Adds a violation of `field`, a path in the caller's message, which does not go with the other fields or with what
    /// is stored. `description` says what the field must be. What comes after the sixty-fourth is left out, as a status
    /// travels in headers.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.add_for(FieldReason::Inconsistent, field, description);
    }

    /// As [`Violations::add`], for another reason.
    pub fn add_for(&mut self, reason: FieldReason, field: impl Into<String>, description: impl Into<String>) {
        if self.0.len() < MOST {
            self.0.push(Violation {
                reason,
                field: field.into(),
                description: description.into(),
            });
        }
    }

    /// The value, or `None` after adding the error as a violation of `field`. The error must not repeat the value.
    pub fn field<T>(&mut self, field: &str, value: Result<T, impl Display>) -> Option<T> {
        value
            .map_err(|error| self.add_for(FieldReason::Format, field, error.to_string()))
            .ok()
    }

    /// The value, or `None` after adding that `field` is required.
    pub fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add_for(FieldReason::Required, field, "is required");
        }
        value
    }

    /// These violations and a service's own ones. Where both complain of a field the service's words stand, as they say
    /// what is meant rather than which pattern; but a card number is all that is said of a field that holds one.
    #[must_use]
    pub(crate) fn and(self, own: Violations) -> Violations {
        let mut own = own.0;
        let mut all = Vec::new();
        let mut settled = HashSet::new();
        for one in self.0 {
            let said = own.extract_if(.., |own| own.field == one.field).collect::<Vec<_>>();
            if matches!(one.reason, FieldReason::Required | FieldReason::CardNumber) || said.is_empty() {
                if !settled.contains(&one.field) {
                    all.push(one);
                }
            } else {
                settled.insert(one.field);
                all.extend(said);
            }
        }
        all.extend(own);
        all.truncate(MOST);
        Violations(all)
    }

    /// The one reason of all violations, where they have one.
    pub(crate) fn reason(&self) -> Option<FieldReason> {
        let first = self.0.first()?.reason;
        self.0.iter().all(|one| one.reason == first).then_some(first)
    }

    /// Whether there is a violation for `reason`.
    pub(crate) fn has(&self, reason: FieldReason) -> bool {
        self.0.iter().any(|one| one.reason == reason)
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

    /// Adds a violation where `value` is not within `range`; `unit` ends the sentence.
    pub(crate) fn bound<N: PartialOrd + Display>(
        &mut self,
        reason: FieldReason,
        field: impl Display,
        value: N,
        range: impl RangeBounds<N>,
        unit: &str,
    ) {
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
        self.add_for(reason, field.to_string(), format!("must be {bounds}{unit}"));
    }
}

/// A message that is taken as it is breaks no rule of the service's.
impl From<Infallible> for Violations {
    fn from(never: Infallible) -> Violations {
        match never {}
    }
}

impl From<Violations> for Vec<FieldViolation> {
    fn from(violations: Violations) -> Self {
        let told = violations.0.into_iter().map(|one| FieldViolation {
            reason: one.reason.name().to_owned(),
            ..FieldViolation::new(one.field, one.description)
        });
        told.collect()
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

    fn told(violations: Violations) -> Vec<String> {
        let violations: Vec<FieldViolation> = violations.into();
        let told = |one: FieldViolation| format!("{}: {} ({})", one.field, one.description, one.reason);
        violations.into_iter().map(told).collect()
    }

    #[test]
    fn every_broken_rule_is_reported_in_order() {
        let mut violations = Violations::default();
        let number = violations.field("number", "x".parse::<u8>());
        violations.bound(FieldReason::Range, "page_size", 0, 1..=100, "");
        violations.bound(FieldReason::Length, "email", 3, ..=2, " characters long");
        violations.required::<()>("price", None);
        violations.add("end", "must be after start");
        assert_eq!(
            told(violations.all((number,)).unwrap_err()),
            [
                "number: invalid digit found in string (FORMAT)",
                "page_size: must be at least 1 and at most 100 (RANGE)",
                "email: must be at most 2 characters long (LENGTH)",
                "price: is required (REQUIRED)",
                "end: must be after start (INCONSISTENT)",
            ]
        );
    }

    #[test]
    fn of_one_field_the_service_says_more_unless_it_is_missing_or_holds_a_card_number() {
        let mut protos = Violations::default();
        protos.add_for(FieldReason::Length, "id", "must be at most 255 characters long");
        protos.add_for(FieldReason::Format, "id", "must match ^cus_");
        protos.add_for(FieldReason::Required, "key", "is required");
        protos.add_for(FieldReason::CardNumber, "name", "must not hold a card number");
        protos.add_for(FieldReason::Range, "size", "must be at least 0");
        let mut own = Violations::default();
        for field in ["id", "key", "name", "other"] {
            own.add(field, "must be what the service says");
        }
        assert_eq!(
            told(protos.and(own)),
            [
                "id: must be what the service says (INCONSISTENT)",
                "key: is required (REQUIRED)",
                "name: must not hold a card number (CARD_NUMBER)",
                "size: must be at least 0 (RANGE)",
                "other: must be what the service says (INCONSISTENT)",
            ]
        );
    }

    #[test]
    fn values_come_out_only_when_no_rule_is_broken() {
        let mut violations = Violations::default();
        assert_eq!(violations.all((Some(1), Some("a"))).unwrap(), (1, "a"));
        violations.required::<()>("name", None);
        assert!(violations.all((Some(1),)).is_err());
    }
}
