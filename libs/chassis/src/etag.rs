//! Etags: which state of a resource a caller has seen, so that it changes none it has not. Source: <https://aip.dev/154>

use prost::Message;
use sha2::{Digest as _, Sha256};

/// The resource is not in the state that the caller saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the resource has changed since this etag was read")]
pub struct Mismatch;

/// The strong etag of a resource as its service answers it, quotes included. The caller clears the resource's own etag
/// field first. It is the same in every process of one version: messages are encoded in the order of their fields and
/// their maps (`libs/proto` generates them as `BTreeMap`). A version that adds a field makes other etags, and a caller
/// that holds an old one reads again.
#[must_use]
pub fn of(message: &impl Message) -> String {
    let hash = Sha256::digest(message.encode_to_vec());
    format!("\"{}\"", hex::encode(hash.get(..16).unwrap_or_default()))
}

/// Whether a change may go on, for a caller that gave this etag, of a resource whose etag is `current`. An empty one is
/// no condition. A weak one (`W/"…"`), `*` or one without quotes is none that [`of`] made, and so matches nothing.
///
/// # Errors
/// When the resource is in another state.
pub fn check(given: &str, current: &str) -> Result<(), Mismatch> {
    if given.is_empty() || given == current {
        Ok(())
    } else {
        Err(Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost_types::Timestamp;

    #[test]
    fn an_etag_is_a_quoted_hash_that_stays_the_same_from_version_to_version() {
        let message = Timestamp { seconds: 1, nanos: 2 };
        assert_eq!(of(&message), "\"f92048cfb1a10368bd183d3af4f21515\"");
    }

    #[test]
    fn no_etag_is_no_condition_and_another_is_refused() {
        let current = of(&Timestamp::default());
        assert_eq!(check("", &current), Ok(()));
        assert_eq!(check(&current, &current), Ok(()));
        let weak = format!("W/{current}");
        for other in [weak.as_str(), "*", "\"\"", current.trim_matches('"'), " "] {
            assert_eq!(check(other, &current), Err(Mismatch), "{other}");
        }
    }

    proptest! {
        #[test]
        fn etags_are_equal_exactly_where_messages_are(a: (i64, i32), b: (i64, i32)) {
            let [first, second] = [a, b].map(|(seconds, nanos)| Timestamp { seconds, nanos });
            prop_assert_eq!(of(&first), of(&first.clone()));
            prop_assert_eq!(of(&first) == of(&second), first == second);
        }
    }
}
