//! The keys a world has: the secret one it was started with, the publishable one beside it, and restricted ones.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use super::{error::ApiError, rights};
use crate::{
    field,
    json::{Value, json},
    resources,
    world::World,
};

/// The kind of the objects that restricted keys are stored as; the API does not show them.
const KIND: &str = "_sandbox.key";

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Secret,
    Publishable,
    Restricted { key: String, permissions: Value },
}

/// Whether a restricted key may read, or read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Right {
    None,
    Read,
    Write,
}

/// Stores a restricted key with these rights, by resource.
pub(crate) fn restricted(world: &mut World, permissions: &BTreeMap<String, Right>) -> Result<Value, ApiError> {
    let known: BTreeSet<String> = resources::operations().map(|one| rights::resource(one.path)).collect();
    if let Some(unknown) = permissions.keys().find(|name| !known.contains(*name)) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(ApiError::invalid(format!("no resource `{unknown}`; there are {known}")));
    }
    let key = world.id(if world.livemode { "rk_live_" } else { "rk_test_" }, 24);
    let permissions = Value::of(permissions);
    world.put(&json!({ "id": key, "object": KIND, "created": world.now, "permissions": permissions }));
    Ok(json!({ "key": key, "permissions": permissions }))
}

/// All restricted keys, oldest first.
pub(crate) fn all_restricted(world: &World) -> Vec<Value> {
    let keys = world.all_of("", KIND).into_iter().rev();
    keys.map(|one| json!({ "key": field::at(&one, "id"), "permissions": field::at(&one, "permissions") }))
        .collect()
}

/// The caller whose key the request bears, if it is one of this world's.
pub(crate) fn caller(world: &World, headers: &HeaderMap, secret_key: &str) -> Result<Caller, ApiError> {
    let Some(key) = given_key(headers) else {
        return Err(refused(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer \
             auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
                .to_owned(),
        ));
    };
    if key == secret_key {
        return Ok(Caller::Secret);
    }
    if key == world.publishable_key() {
        return Ok(Caller::Publishable);
    }
    match world.found("", &key) {
        Some(stored) if field::text(stored, "object") == KIND => Ok(Caller::Restricted {
            permissions: field::at(stored, "permissions").clone(),
            key,
        }),
        _ => Err(refused(format!("Invalid API Key provided: {}", masked(&key)))),
    }
}

fn refused(message: String) -> ApiError {
    ApiError::new(401, "invalid_request_error", message).before_execution()
}

/// A key as it may stand in a message: its kind and its end.
pub(crate) fn masked(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    let kind = letters.iter().take(8);
    let end = letters.iter().skip(letters.len().saturating_sub(4));
    format!("{}***{}", String::from_iter(kind), String::from_iter(end))
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

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_given_as_basic_user_is_read() {
        assert_eq!(super::base64("c2tfdGVzdF9hYmM6"), Some(b"sk_test_abc:".to_vec()));
        assert_eq!(super::base64("!"), None);
    }

    #[test]
    fn a_key_in_a_message_shows_its_two_ends() {
        assert_eq!(super::masked("sk_test_wrongkey"), "sk_test_***gkey");
        assert_eq!(super::masked("x"), "x***x");
    }
}
