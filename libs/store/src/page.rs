//! Pages of lists, by position rather than by number, so that rows that come and go shift nothing.
//!
//! A page token holds the position of its page's last row, and is bound to the list it was made for: the same caller,
//! method and filter. It is no secret and no proof: who forges one gets a page of their own list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<P> {
    /// How many rows at most. At least 1.
    pub limit: i64,
    /// The position of the last row of the page before; `None` for the first page.
    pub after: Option<P>,
}

impl<P> Page<P> {
    /// How many rows to read: one more than is asked for, which tells whether there are more.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.limit.saturating_add(1)
    }

    /// The page, of what was read as [`Page::rows`] says, and the position to go on from where there are more.
    pub fn cut<T>(&self, mut read: Vec<T>, position: impl Fn(&T) -> P) -> (Vec<T>, Option<P>) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = read.len() > limit;
        read.truncate(limit);
        let next = read.last().filter(|_| more).map(position);
        (read, next)
    }
}

/// What a list's page tokens are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding([u8; BINDING]);

/// Why a page token is refused.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum InvalidToken {
    /// It is none of ours.
    #[error("must be a token from an earlier answer")]
    Malformed,
    /// It is of a list with another filter, or of another caller's.
    #[error("must be a token of this list: the filter was another one")]
    OtherList,
}

/// The first byte of a token. Another layout has another one.
const VERSION: u8 = 1;
const BINDING: usize = 16;
/// The most characters of a token that is looked at.
const MAX_TOKEN: usize = 4_096;

impl Binding {
    /// The binding of the list that `caller` asks `method` for. `filter` is the request in a deterministic encoding,
    /// without the size and the token of the page.
    #[must_use]
    pub fn new(caller: &str, method: &str, filter: &[u8]) -> Binding {
        let mut hash = Sha256::new_with_prefix(b"counterfoil page 1");
        for part in [caller.as_bytes(), method.as_bytes(), filter] {
            // The length keeps apart what would be the same when put together.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let mut binding = [0; BINDING];
        for (byte, hashed) in binding.iter_mut().zip(hash.finalize()) {
            *byte = hashed;
        }
        Binding(binding)
    }
}

/// The opaque token for the page after the row at `position`.
#[must_use]
pub fn encode(binding: &Binding, position: &str) -> String {
    URL_SAFE_NO_PAD.encode([&[VERSION], &binding.0[..], position.as_bytes()].concat())
}

/// The position inside a token.
///
/// # Errors
/// When the token is not one of ours, or of another list.
pub fn decode(binding: &Binding, token: &str) -> Result<String, InvalidToken> {
    if token.len() > MAX_TOKEN {
        return Err(InvalidToken::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken::Malformed)?;
    let (version, rest) = bytes.split_first().ok_or(InvalidToken::Malformed)?;
    let (bound, position) = rest.split_at_checked(BINDING).ok_or(InvalidToken::Malformed)?;
    if *version != VERSION {
        return Err(InvalidToken::Malformed);
    }
    if bound != binding.0 {
        return Err(InvalidToken::OtherList);
    }
    String::from_utf8(position.to_vec()).map_err(|_| InvalidToken::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_it_is_full_and_goes_on_where_there_is_more() {
        let page = Page {
            limit: 2,
            after: Some(9),
        };
        assert_eq!(page.rows(), 3);
        let cut = |read: &[i64]| page.cut(read.to_vec(), |row| *row);
        assert_eq!(cut(&[]), (vec![], None));
        assert_eq!(cut(&[8, 7]), (vec![8, 7], None));
        assert_eq!(cut(&[8, 7, 6]), (vec![8, 7], Some(7)));
    }
    use proptest::prelude::*;

    fn binding() -> Binding {
        Binding::new("caller", "a.B/List", b"filter")
    }

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        let other_version = URL_SAFE_NO_PAD.encode([&[9], &binding().0[..]].concat());
        for token in ["!", "a", "_w", "==", "AQ", &other_version, &"A".repeat(4_097)] {
            assert_eq!(decode(&binding(), token), Err(InvalidToken::Malformed), "{token}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let token = encode(&binding(), "7");
        for other in [
            Binding::new("other", "a.B/List", b"filter"),
            Binding::new("caller", "a.B/ListOthers", b"filter"),
            Binding::new("caller", "a.B/List", b"another filter"),
            Binding::new("callera", ".B/List", b"filter"),
        ] {
            assert_eq!(decode(&other, &token), Err(InvalidToken::OtherList));
        }
    }

    #[test]
    fn a_token_made_by_the_last_release_is_good_in_this_one() {
        assert_eq!(encode(&binding(), "7"), "AYxiPcEL5oA8HhoUfB-N9dQ3");
    }

    proptest! {
        #[test]
        fn a_token_gives_its_position_back(position: String) {
            prop_assert_eq!(decode(&binding(), &encode(&binding(), &position)), Ok(position));
        }

        #[test]
        fn no_token_is_a_panic(token: String) {
            let _ = decode(&binding(), &token);
        }
    }
}
