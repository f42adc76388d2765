//! Who calls: the secret key, as bearer or as basic user, and the account whose data is meant.

use http::{HeaderMap, header};

use super::error::ApiError;
use crate::{field, world::World};

/// Refuses all but the one key.
pub(crate) fn check(headers: &HeaderMap, secret_key: &str) -> Result<(), ApiError> {
    let Some(given) = given_key(headers) else {
        return Err(refused(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer \
             auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
                .to_owned(),
        ));
    };
    if given == secret_key {
        return Ok(());
    }
    let kind: String = given.chars().take(8).collect();
    let end: String = given
        .chars()
        .rev()
        .take(4)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    Err(refused(format!("Invalid API Key provided: {kind}***{end}")))
}

fn refused(message: String) -> ApiError {
    ApiError::new(401, "invalid_request_error", message).before_execution()
}

fn given_key(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(value.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(base64(value.trim())?).ok()?;
            Some(pair.split_once(':').map_or(pair.clone(), |(user, _)| user.to_owned()))
        }
        _ => None,
    }
    .filter(|key| !key.is_empty())
}

/// Standard base64, padding optional: all that Basic authentication needs.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bits = 0u32;
    let mut held = 0u32;
    let mut out = Vec::new();
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(out)
}

/// The account named by `Stripe-Account`; empty for the platform's own data.
pub(crate) fn account(headers: &HeaderMap) -> String {
    headers
        .get("stripe-account")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Refuses an account that this platform does not have.
pub(crate) fn check_account(world: &World, account: &str) -> Result<(), ApiError> {
    let known = account.is_empty()
        || world
            .find(account)
            .is_some_and(|object| field::text(object, "object") == "account" && !field::flag(object, "deleted"));
    if known {
        return Ok(());
    }
    let message = format!(
        "The provided key does not have access to account '{account}' (or that account does not exist). \
         Application access may have been revoked."
    );
    Err(ApiError::new(403, "invalid_request_error", message)
        .code("account_invalid")
        .before_execution())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_given_as_basic_user_is_read() {
        assert_eq!(super::base64("c2tfdGVzdF9hYmM6"), Some(b"sk_test_abc:".to_vec()));
        assert_eq!(super::base64("!"), None);
    }
}
