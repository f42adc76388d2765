//! Whether a webhook delivery is Stripe's. Source: <https://docs.stripe.com/webhooks#verify-manually>.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// An endpoint's signing secret. Several may be live at once, while one is being replaced.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Secret {
    name: String,
    value: SecretString,
}

/// A secret that anybody could guess.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the signing secret `{0}` is empty or has spaces in it")]
pub struct BlankSecret(String);

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum Rejected {
    /// The header is not `t=<seconds>,v1=<hex>…`.
    #[error("the signature header is malformed")]
    Malformed,
    /// No signature was made with one of the secrets over these bytes.
    #[error("no signature matches")]
    NoMatch,
    /// It was signed too long ago, or in the future.
    #[error("the signature's time is out of tolerance")]
    OutOfTolerance,
}

/// A longer header is not looked at.
const MAX_HEADER_BYTES: usize = 16 * 1024;

#[derive(Deserialize)]
struct Unchecked {
    name: String,
    value: SecretString,
}

impl TryFrom<Unchecked> for Secret {
    type Error = BlankSecret;

    fn try_from(Unchecked { name, value }: Unchecked) -> Result<Secret, BlankSecret> {
        Secret::new(name, value)
    }
}

impl Secret {
    /// A secret with the name by which it is told from others in logs.
    ///
    /// # Errors
    /// When it is empty or has white space in it: with an empty secret anybody could sign.
    pub fn new(name: impl Into<String>, value: SecretString) -> Result<Secret, BlankSecret> {
        let name = name.into();
        let text = value.expose_secret();
        if text.is_empty()
            || text
                .chars()
                .any(|character| character.is_whitespace() || character.is_control())
        {
            return Err(BlankSecret(name));
        }
        Ok(Secret { name, value })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Checks the `Stripe-Signature` header of a delivery against its raw body: some `v1` must be the HMAC of the time and
/// the body under some secret, and the time within `tolerance` of `now` (seconds since 1970, wall clock), before or
/// after. Returns the name of the secret. Every signature is compared with every secret, in constant time.
///
/// # Errors
/// When it is not Stripe's, or not fresh.
pub fn verify<'s>(
    header: impl AsRef<[u8]>,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'s Secret>,
    tolerance: Duration,
    now: i64,
) -> Result<&'s str, Rejected> {
    Header::parse(header.as_ref())?.verify(body, secrets, tolerance, now)
}

/// A `Stripe-Signature` header that could be Stripe's: before there is a body, nobody knows.
#[derive(Debug)]
pub struct Header<'a> {
    /// The time as it was written, because those are the bytes that were signed.
    time: &'a str,
    seconds: i64,
    signatures: Vec<[u8; 32]>,
}

impl Header<'_> {
    /// Takes one `t` and at least one well-formed `v1`; other schemes are passed over, as `v0` is a decoy.
    ///
    /// Stripe never sends two `t`, and its libraries do not agree on which one would count: the first for those in Python
    /// and Ruby, the last for those in Node and Go. So two are refused.
    /// Source: `stripe-python` 16.0.1, `_webhook.py`; `stripe-node` 23.0.1, `Webhooks.ts`.
    ///
    /// # Errors
    /// [`Rejected::Malformed`].
    pub fn parse(header: &[u8]) -> Result<Header<'_>, Rejected> {
        Header::taken_apart(header).ok_or(Rejected::Malformed)
    }

    /// As [`verify`], of a header that was taken apart already.
    ///
    /// # Errors
    /// [`Rejected::NoMatch`] and [`Rejected::OutOfTolerance`].
    pub fn verify<'s>(
        &self,
        body: &[u8],
        secrets: impl IntoIterator<Item = &'s Secret>,
        tolerance: Duration,
        now: i64,
    ) -> Result<&'s str, Rejected> {
        let mut matched = None;
        for secret in secrets {
            let expected = signature(secret, self.time, body).ok_or(Rejected::NoMatch)?;
            let mut any = Choice::from(0);
            for signature in &self.signatures {
                any |= signature.as_slice().ct_eq(&expected);
            }
            if bool::from(any) {
                matched = matched.or(Some(secret.name.as_str()));
            }
        }
        let name = matched.ok_or(Rejected::NoMatch)?;
        self.fresh(tolerance, now)?;
        Ok(name)
    }

    /// When it says that it was signed, in seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Whether its time is within `tolerance` of `now` (seconds since 1970), before or after.
    ///
    /// # Errors
    /// [`Rejected::OutOfTolerance`].
    pub fn fresh(&self, tolerance: Duration, now: i64) -> Result<(), Rejected> {
        if now.abs_diff(self.seconds) > tolerance.as_secs() {
            return Err(Rejected::OutOfTolerance);
        }
        Ok(())
    }

    fn taken_apart(header: &[u8]) -> Option<Header<'_>> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let mut time = None;
        let mut signatures = Vec::new();
        for item in std::str::from_utf8(header).ok()?.split(',') {
            match item.split_once('=')? {
                ("t", value) if time.is_none() => time = Some(value),
                ("t", _) => return None,
                ("v1", value) => signatures.extend(lower_hex(value)),
                _ => {}
            }
        }
        let time = time?;
        let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || signatures.is_empty() {
            return None;
        }
        Some(Header {
            time,
            seconds: time.parse().ok()?,
            signatures,
        })
    }
}
fn lower_hex(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The whole secret is the key, with its `whsec_`.
fn signature(secret: &Secret, time: &str, body: &[u8]) -> Option<[u8; 32]> {
    // A key of any length will do, so this is never `None`.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.value.expose_secret().as_bytes()).ok()?;
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac.finalize().into_bytes().into())
}
