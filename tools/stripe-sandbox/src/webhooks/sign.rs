//! The signature of a delivery.
//!
//! Source: <https://docs.stripe.com/webhooks/signature> (`v1` is HMAC-SHA256 over `t.body`, hex in lower case).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The `Stripe-Signature` header for `body`, signed with each of `secrets` at `timestamp` (wall time, Unix seconds).
pub(crate) fn header<'a>(secrets: impl IntoIterator<Item = &'a str>, timestamp: i64, body: &[u8]) -> String {
    let mut header = format!("t={timestamp}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&signature(secret, timestamp, body));
    }
    header
}

fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new(); // HMAC takes a key of any length
    };
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    /// Computed with `stripe.WebhookSignature._compute_signature` of the Python SDK 16.0.1.
    #[test]
    fn the_signature_equals_the_one_stripes_own_sdk_computes() {
        assert_eq!(
            super::header(["whsec_test"], 1_700_000_000, br#"{"id":"evt_1"}"#),
            "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925"
        );
    }
}
