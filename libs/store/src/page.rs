//! Pages of lists, by key rather than by number, so that rows that come and go shift nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many rows at most. At least 1.
    pub limit: i64,
    /// The key of the last row of the page before; `None` for the first page.
    pub after: Option<String>,
}

/// A page token that is not one of ours.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("must be a token from an earlier answer")]
pub struct InvalidToken;

/// How many rows a page has where the caller does not say.
pub const DEFAULT_SIZE: i32 = 50;
/// How many rows a page has at most.
pub const MAX_SIZE: i32 = 100;

impl Page {
    /// Takes the two fields of a list request. A size of zero or less means [`DEFAULT_SIZE`], one above [`MAX_SIZE`]
    /// means that.
    ///
    /// # Errors
    /// When the token is not one of ours.
    pub fn parse(page_size: i32, page_token: &str) -> Result<Page, InvalidToken> {
        let size = if page_size <= 0 {
            DEFAULT_SIZE
        } else {
            page_size.min(MAX_SIZE)
        };
        let after = if page_token.is_empty() {
            None
        } else {
            Some(decode(page_token)?)
        };
        Ok(Page {
            limit: i64::from(size),
            after,
        })
    }
}

/// The opaque token for the page after the row with this key.
#[must_use]
pub fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The key inside a token.
///
/// # Errors
/// When it is not one of ours.
pub fn decode(token: &str) -> Result<String, InvalidToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken)?;
    String::from_utf8(bytes).map_err(|_| InvalidToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_brought_into_their_bounds() {
        for (asked, given) in [(0, 50), (-5, 50), (1, 1), (100, 100), (101, 100), (i32::MAX, 100)] {
            assert_eq!(Page::parse(asked, "").unwrap().limit, given);
        }
    }

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        for token in ["!", "a", "_w", "=="] {
            assert_eq!(Page::parse(1, token), Err(InvalidToken), "{token}");
        }
    }

    proptest! {
        #[test]
        fn a_token_gives_its_key_back(key: String) {
            prop_assert_eq!(decode(&encode(&key)), Ok(key));
        }

        #[test]
        fn no_token_is_a_panic(token: String) {
            let _ = decode(&token);
        }
    }
}
