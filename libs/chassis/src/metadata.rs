//! What a caller may write into the metadata of a Stripe object: 50 keys of 40 characters without square brackets, values
//! of 500 characters. Source: <https://docs.stripe.com/metadata> (Data)

use crate::card;

/// How many keys an object has at most.
pub const MAX_KEYS: usize = 50;
/// How many characters a key has at most.
pub const MAX_KEY: usize = 40;
/// How many characters a value has at most.
pub const MAX_VALUE: usize = 500;
/// The keys that we write ourselves and find our objects by, in any case of letters: Stripe tells `op_key` from `Op_Key`,
/// a reader does not.
pub const RESERVED: [&str; 2] = ["op_key", "user_id"];

/// A rule that metadata breaks. It never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The entry. `None` where all entries together are meant, or the key itself is nothing to repeat.
    pub key: Option<String>,
    /// What the entry must be.
    pub description: &'static str,
}

/// Every rule that these entries break, in their order. An empty value is allowed: it asks Stripe to remove the key.
#[must_use]
pub fn check<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut count = 0_usize;
    for (key, value) in pairs {
        count = count.saturating_add(1);
        let (of_key, of_value) = (about_key(key), about_value(value));
        let named = match of_key {
            None | Some(TAKEN) if !card::contains_card_number(key) => Some(key),
            _ => None,
        };
        violations.extend([of_key, of_value].into_iter().flatten().map(|description| Violation {
            key: named.map(str::to_owned),
            description,
        }));
    }
    if count > MAX_KEYS {
        violations.push(Violation {
            key: None,
            description: "must have at most 50 keys",
        });
    }
    violations
}

const TAKEN: &str = "must not be a key that the service writes itself (`op_key`, `user_id`)";

fn about_key(key: &str) -> Option<&'static str> {
    if key.is_empty() || key.chars().count() > MAX_KEY {
        Some("must have a key of 1 to 40 characters")
    } else if key.contains(['[', ']']) {
        Some("must have a key without square brackets")
    } else if key.contains(char::is_control) {
        Some("must have a key without control characters")
    } else if RESERVED
        .iter()
        .any(|reserved| key.trim().eq_ignore_ascii_case(reserved))
    {
        Some(TAKEN)
    } else {
        None
    }
}

fn about_value(value: &str) -> Option<&'static str> {
    if value.chars().count() > MAX_VALUE {
        Some("must have a value of at most 500 characters")
    } else if value.contains(char::is_control) {
        Some("must have a value without control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(key: &str, value: &str) -> Vec<(Option<String>, &'static str)> {
        let violations = check([(key, value)].into_iter());
        violations.into_iter().map(|one| (one.key, one.description)).collect()
    }

    #[test]
    fn each_rule_has_its_sentence_and_names_its_key() {
        let long = "k".repeat(41);
        for (key, named, description) in [
            ("", None, "must have a key of 1 to 40 characters"),
            (long.as_str(), None, "must have a key of 1 to 40 characters"),
            ("a[b]", None, "must have a key without square brackets"),
            ("a]", None, "must have a key without square brackets"),
            ("a\nb", None, "must have a key without control characters"),
            ("a\u{85}", None, "must have a key without control characters"),
            ("op_key", Some("op_key"), TAKEN),
            ("Op_Key", Some("Op_Key"), TAKEN),
            (" user_id ", Some(" user_id "), TAKEN),
        ] {
            assert_eq!(one(key, "value"), [(named.map(str::to_owned), description)], "{key}");
        }
        for key in ["order", "op-key", "user_ids", "größe", "a.b"] {
            assert_eq!(one(key, ""), [], "{key}");
        }
        assert_eq!(
            one("note", "a\u{1b}[31m"),
            [(Some("note".to_owned()), "must have a value without control characters")]
        );
    }

    #[test]
    fn a_key_that_is_a_card_number_is_not_repeated() {
        assert_eq!(
            one("4242424242424242", "\0"),
            [(None, "must have a value without control characters")]
        );
    }

    #[test]
    fn every_entry_with_a_broken_rule_is_told() {
        let violations = check([("", "\n"), ("op_key", "1"), ("fine", "2")].into_iter());
        assert_eq!(violations.len(), 3);
    }

    proptest! {
        #[test]
        fn the_limits_are_exact(keys in 0_usize..=60, key in 1_usize..=60, value in 450_usize..=550, wide: bool) {
            let letter = if wide { "ü" } else { "u" };
            let pairs: Vec<_> = (0..keys).map(|number| {
                (format!("{number:02}{}", letter.repeat(key.saturating_sub(2))), letter.repeat(value))
            }).collect();
            let length = key.max(2);
            let violations = check(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            let expected = usize::from(keys > 50) + keys * (usize::from(length > 40) + usize::from(value > 500));
            prop_assert_eq!(violations.len(), expected);
        }

        #[test]
        fn no_violation_repeats_a_value(key: String, value in ".{8,600}") {
            prop_assume!(!key.contains(&value));
            for violation in check([(key.as_str(), value.as_str())].into_iter()) {
                let told = format!("{violation:?}");
                prop_assert!(!told.contains(&value));
            }
        }

        #[test]
        fn what_passes_is_within_every_limit(pairs in proptest::collection::btree_map(".{0,44}", ".{0,20}", 0..55)) {
            let violations = check(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            if violations.is_empty() {
                prop_assert!(pairs.len() <= 50);
                for (key, value) in pairs {
                    prop_assert!((1..=40).contains(&key.chars().count()) && !key.contains(['[', ']', '\n']));
                    prop_assert!(value.chars().count() <= 500);
                }
            }
        }
    }
}
