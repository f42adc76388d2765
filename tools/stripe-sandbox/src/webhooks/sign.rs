//! The signature of a delivery.
//!
//! Source: <https://docs.stripe.com/webhooks/signature> (`v1` is HMAC-SHA256 over `t.body`, hex in lower case).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The `Stripe-Signature` header for `body`, signed with each of `secrets` at `timestamp` (wall time, Unix seconds). Test
/// mode adds a `v0`, which is nobody's signature: a receiver must not take it for one.
pub(crate) fn header(secrets: &[&str], decoy: bool, timestamp: i64, body: &[u8]) -> String {
    let mut header = format!("t={timestamp}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&signature(secret, timestamp, body));
    }
    if decoy {
        header.push_str(",v0=");
        header.push_str(&signature("decoy", timestamp, body));
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
    const OF_SDK: &str = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";

    #[test]
    fn the_signature_equals_the_one_stripes_own_sdk_computes() {
        let header = super::header(&["whsec_test"], false, 1_700_000_000, br#"{"id":"evt_1"}"#);
        assert_eq!(header, format!("t=1700000000,v1={OF_SDK}"));
    }

    #[test]
    fn each_secret_signs_and_test_mode_has_a_decoy() {
        let header = super::header(&["whsec_new", "whsec_test"], true, 1_700_000_000, br#"{"id":"evt_1"}"#);
        let schemes: Vec<&str> = header.split(',').map(|part| &part[..2]).collect();
        assert_eq!(schemes, ["t=", "v1", "v1", "v0"]);
        assert_eq!(header.matches(OF_SDK).count(), 1);
    }
}
