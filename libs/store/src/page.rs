//! Pages of lists, by key rather than by number, so that rows that come and go shift nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many rows at most. At least 1.
    pub limit: i64,
    /// The key of the last row of the page before; `None` for the first page.
    pub after: Option<String>,
}

/// Why a page token is of no use.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum InvalidToken {
    /// Not one of ours, damaged, or of a version that is not read any more.
    #[error("must be a token from an earlier answer")]
    Malformed,
    /// Made for another caller, method or filter.
    #[error("must be a token from an earlier answer to the same list with the same filter")]
    OtherListing,
}

/// The list that a token is a place in. A token of one list is refused in another, where its place means nothing.
///
/// It is no seal: who knows the layout can write a token, which leads them to another place of a list that they may see
/// anyway. What they may see is for the query to say, never for the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding([u8; BINDING]);

/// How many rows a page has where the caller does not say.
pub const DEFAULT_SIZE: i32 = 50;
/// How many rows a page has at most.
pub const MAX_SIZE: i32 = 100;
/// How many characters a token has at most. A position of 1,500 bytes fits.
pub const MAX_TOKEN: usize = 2_048;

/// The first byte of a token: how the rest is to be read.
const VERSION: u8 = 1;
const BINDING: usize = 16;
const CHECK: usize = 4;

impl Binding {
    /// The list that `caller` gets from `method` (`/counterfoil.billing.v1.SubscriptionService/ListSubscriptions`) with
    /// `filter`: the encoded request without its page size and token.
    #[must_use]
    pub fn new(caller: &str, method: &str, filter: &[u8]) -> Self {
        Self(hash(
            b"counterfoil page binding 1",
            &[caller.as_bytes(), method.as_bytes(), filter],
        ))
    }

    /// The opaque token for the page after the row at `position`. A version byte, the list, `position`, and four bytes
    /// that tell a token cut short from a whole one.
    #[must_use]
    pub fn encode(&self, position: &str) -> String {
        let mut token = vec![VERSION];
        token.extend(self.0);
        token.extend(position.as_bytes());
        token.extend(check(&token));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The position inside a token of this list.
    ///
    /// # Errors
    /// When it is not one of ours, or of another list.
    pub fn decode(&self, token: &str) -> Result<String, InvalidToken> {
        if token.len() > MAX_TOKEN {
            return Err(InvalidToken::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken::Malformed)?;
        let (body, sum) = bytes.split_last_chunk::<CHECK>().ok_or(InvalidToken::Malformed)?;
        let Some((&VERSION, rest)) = body.split_first().filter(|_| *sum == check(body)) else {
            return Err(InvalidToken::Malformed);
        };
        let (list, position) = rest.split_first_chunk::<BINDING>().ok_or(InvalidToken::Malformed)?;
        if *list != self.0 {
            return Err(InvalidToken::OtherListing);
        }
        String::from_utf8(position.to_vec()).map_err(|_| InvalidToken::Malformed)
    }

    /// Takes the two fields of a list request, as [`Page::parse`] does.
    ///
    /// # Errors
    /// When the token is not one of this list.
    pub fn page(&self, page_size: i32, page_token: &str) -> Result<Page, InvalidToken> {
        let after = match page_token {
            "" => None,
            token => Some(self.decode(token)?),
        };
        Ok(Page {
            after,
            ..Page::parse(page_size, "")?
        })
    }
}

/// The beginning of a hash of `parts`, each behind its length, so that no two lists of parts are hashed as one.
fn hash<const N: usize>(purpose: &[u8], parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = Sha256::new();
    for part in [purpose].iter().chain(parts) {
        // Wider than a length can be, so that it is hashed alike on every machine.
        hasher.update(u128::try_from(part.len()).unwrap_or(u128::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().first_chunk().copied().unwrap_or([0; N])
}

fn check(body: &[u8]) -> [u8; CHECK] {
    hash(b"counterfoil page check 1", &[body])
}

// The functions below make tokens that are bound to no list. They stay until `billing` and `webhook-gateway` use
// `Binding`.

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
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken::Malformed)?;
    String::from_utf8(bytes).map_err(|_| InvalidToken::Malformed)
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
            assert_eq!(Page::parse(1, token), Err(InvalidToken::Malformed), "{token}");
        }
    }

    fn binding() -> Binding {
        Binding::new("spiffe://shop/backend", "/a.b.C/ListThings", b"\x0a\x02u1")
    }

    #[test]
    fn a_token_stays_readable_from_version_to_version() {
        assert_eq!(binding().encode("42"), "AYM2DY8G095Oquc3aro8FKg0MgT8Cr8");
    }

    #[test]
    fn a_token_of_another_caller_method_or_filter_is_of_another_list() {
        let token = binding().encode("42");
        for other in [
            Binding::new("spiffe://shop/backenD", "/a.b.C/ListThings", b"\x0a\x02u1"),
            Binding::new("spiffe://shop/backend", "/a.b.C/ListThing", b"\x0a\x02u1"),
            Binding::new("spiffe://shop/backend", "/a.b.C/ListThings", b"\x0a\x02u2"),
            Binding::new("spiffe://shop/backend", "/a.b.C/ListThings", b""),
            Binding::new("spiffe://shop/backend/", "a.b.C/ListThings", b"\x0a\x02u1"),
        ] {
            assert_eq!(other.decode(&token), Err(InvalidToken::OtherListing));
            assert_eq!(other.page(1, &token), Err(InvalidToken::OtherListing));
        }
        assert_eq!(binding().page(1, &token).unwrap().after.as_deref(), Some("42"));
        assert_eq!(binding().page(0, "").unwrap(), Page { limit: 50, after: None });
    }

    #[test]
    fn a_damaged_token_or_one_of_another_version_is_malformed() {
        let token = binding().encode("1234567");
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            for damaged in [&changed[..], &bytes[..at], &bytes[at + 1..]] {
                let damaged = URL_SAFE_NO_PAD.encode(damaged);
                assert_eq!(binding().decode(&damaged), Err(InvalidToken::Malformed));
            }
        }
        let later = {
            let mut body = bytes[..bytes.len() - CHECK].to_vec();
            body[0] = 2;
            body.extend(check(&body));
            URL_SAFE_NO_PAD.encode(body)
        };
        assert_eq!(binding().decode(&later), Err(InvalidToken::Malformed));
        let endless = binding().encode(&"9".repeat(2_000));
        assert_eq!(binding().decode(&endless), Err(InvalidToken::Malformed));
    }

    proptest! {
        #[test]
        fn a_bound_token_gives_its_position_back(position in ".{0,300}") {
            let token = binding().encode(&position);
            prop_assert!(token.len() <= MAX_TOKEN);
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(binding().decode(&token), Ok(position));
        }

        #[test]
        fn lists_are_told_apart_wherever_one_part_ends(
            a: (String, String, Vec<u8>), b: (String, String, Vec<u8>), cut in 0_usize..8
        ) {
            let of = |(caller, method, filter): &(String, String, Vec<u8>)| Binding::new(caller, method, filter);
            prop_assert_eq!(of(&a) == of(&b), a == b);
            let joined = "abcdefgh";
            let moved = Binding::new(&joined[..cut], &joined[cut..], &a.2);
            prop_assert!((0..8).filter(|other| *other != cut)
                .all(|other| Binding::new(&joined[..other], &joined[other..], &a.2) != moved));
        }

        #[test]
        fn no_bound_token_is_a_panic(token: String, bytes: Vec<u8>) {
            let _ = binding().decode(&token);
            prop_assert!(binding().decode(&URL_SAFE_NO_PAD.encode(bytes)).is_err());
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
