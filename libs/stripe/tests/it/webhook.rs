//! Signatures: whatever is not Stripe's is refused.

use std::time::Duration;

use counterfoil_stripe::webhook::{Rejected, Secret, verify};
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

const NOW: i64 = 1_790_000_000;
const TOLERANCE: Duration = Duration::from_secs(300);
const BODY: &[u8] = b"{\"id\": \"evt_1\"}";

fn secret(name: &str) -> Secret {
    Secret::new(name, format!("whsec_{name}").into()).unwrap()
}

/// The signature that `whsec_<name>` makes, as hex.
fn v1(name: &str, time: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(format!("whsec_{name}").as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn check(header: impl AsRef<[u8]>, body: &[u8]) -> Result<String, Rejected> {
    let secrets = [secret("old"), secret("new")];
    verify(header, body, &secrets, TOLERANCE, NOW).map(str::to_owned)
}

fn signed(name: &str, time: i64) -> String {
    let time = time.to_string();
    format!("t={time},v1={}", v1(name, &time, BODY))
}

/// Made with OpenSSL, not with the code under test:
/// `printf '1790000000.{"id": "evt_1"}' | openssl dgst -sha256 -hmac whsec_new`.
#[test]
fn a_signature_made_elsewhere_is_accepted() {
    let header = "t=1790000000,v1=d35e4cffc28ed4b2ae9c8c9ef6b2879a1a8938802a893c01209800d29f5815ea";
    assert_eq!(check(header, BODY), Ok("new".to_owned()));
}

#[test]
fn any_live_secret_and_any_v1_will_do_in_any_order() {
    let (old, new) = (v1("old", "1790000000", BODY), v1("new", "1790000000", BODY));
    let other = v1("other", "1790000000", BODY);
    let hundred = format!("v1={other},").repeat(100);
    for (header, expected) in [
        (format!("t={NOW},v1={old}"), Some("old")),
        (format!("t={NOW},v1={new}"), Some("new")),
        (format!("v1={new},t={NOW}"), Some("new")),
        (format!("t={NOW},v1={old},v1={new}"), Some("old")),
        (format!("t={NOW},v1={new},v1={old}"), Some("old")),
        (format!("t={NOW},v1={other},v0={other},v1={new}"), Some("new")),
        (format!("t={NOW},{hundred}v1={new}"), Some("new")),
        (format!("t={NOW},v1=,v1={new},v2=x"), Some("new")),
        (format!("t={NOW},v1={other}"), None),
        (format!("t={NOW},v1={other},v0={new}"), None),
        (format!("t={NOW},{hundred}v1={other}"), None),
    ] {
        let expected = expected.map(str::to_owned).ok_or(Rejected::NoMatch);
        assert_eq!(check(&header, BODY), expected, "{header}");
    }
}

#[test]
fn a_header_that_is_none_is_malformed() {
    let good = v1("new", "1790000000", BODY);
    let upper = good.to_uppercase();
    let odd = &good[1..];
    let long = format!("t={NOW},v1={good},{}", "v0=x,".repeat(4_000));
    for header in [
        String::new(),
        ",".to_owned(),
        ",,,,".to_owned(),
        "=".to_owned(),
        "t".to_owned(),
        "t=".to_owned(),
        format!("t={NOW}"),
        format!("v1={good}"),
        format!("t={NOW},v0={good}"),
        format!("t={NOW},v1={odd}"),
        format!("t={NOW},v1={upper}"),
        format!("t={NOW},v1={good}00"),
        format!("t={NOW},v1="),
        format!("t={NOW},t={NOW},v1={good}"),
        format!("t={NOW},v1={good},"),
        format!("t={NOW}, v1={good}"),
        format!("t=+{NOW},v1={good}"),
        format!("t=-{NOW},v1={good}"),
        format!("t= {NOW},v1={good}"),
        format!("t={NOW}.0,v1={good}"),
        format!("t=,v1={good}"),
        format!("t={},v1={good}", "9".repeat(19)),
        format!("t={},v1={good}", i64::MIN),
        format!("t=١٧٩,v1={good}"),
        format!("t={NOW};v1={good}"),
        format!("T={NOW},V1={good}"),
        long,
    ] {
        assert_eq!(check(&header, BODY), Err(Rejected::Malformed), "{header}");
    }
    assert_eq!(check([b't', b'=', 0xff], BODY), Err(Rejected::Malformed));
}

#[test]
fn the_extremes_of_time_are_out_of_tolerance_and_no_overflow() {
    let header = signed("new", i64::MAX);
    for now in [i64::MIN, 0, i64::MAX - 301] {
        assert_eq!(
            verify(&header, BODY, &[secret("new")], TOLERANCE, now),
            Err(Rejected::OutOfTolerance)
        );
    }
}

#[test]
fn tolerance_is_the_same_both_ways_and_is_looked_at_last() {
    for (time, accepted) in [
        (NOW - 301, false),
        (NOW - 300, true),
        (NOW - 299, true),
        (NOW + 299, true),
        (NOW + 300, true),
        (NOW + 301, false),
    ] {
        let expected = if accepted {
            Ok("new".to_owned())
        } else {
            Err(Rejected::OutOfTolerance)
        };
        assert_eq!(check(signed("new", time), BODY), expected, "{time}");
    }
    assert_eq!(check(signed("other", NOW - 301), BODY), Err(Rejected::NoMatch));
}

#[test]
fn no_secrets_accept_nothing_and_blank_secrets_cannot_be_made() {
    assert_eq!(
        verify(signed("new", NOW), BODY, &[], TOLERANCE, NOW),
        Err(Rejected::NoMatch)
    );
    for blank in ["", " ", "\t", "whsec_a b", "whsec_a\n"] {
        let error = Secret::new("endpoint", blank.into()).unwrap_err().to_string();
        assert_eq!(error, "the signing secret `endpoint` is empty or has spaces in it");
    }
    let error = serde_json::from_str::<Secret>(r#"{"name": "endpoint", "value": ""}"#).unwrap_err();
    assert!(error.to_string().contains("is empty"), "{error}");
}

#[test]
fn every_flipped_bit_of_body_time_or_signature_is_refused() {
    let header = signed("new", NOW).into_bytes();
    for (at, bit) in (0..header.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = header.clone();
        flipped[at] ^= 1 << bit;
        assert!(check(&flipped, BODY).is_err(), "{at} {bit}");
    }
    for (at, bit) in (0..BODY.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut flipped = BODY.to_vec();
        flipped[at] ^= 1 << bit;
        assert_eq!(check(&header, &flipped), Err(Rejected::NoMatch), "{at} {bit}");
    }
}

proptest! {
    #[test]
    fn no_header_is_a_panic_or_accepted(header: Vec<u8>, body: Vec<u8>) {
        prop_assert!(check(header, &body).is_err());
    }

    #[test]
    fn no_header_of_the_right_alphabet_is_accepted(header in "(t=|v1=|v0=|,|[0-9a-f]{1,70}){0,12}") {
        prop_assert!(check(header, BODY).is_err());
    }

    #[test]
    fn any_body_is_accepted_under_its_signature(body: Vec<u8>, ago in -300_i64..=300) {
        let time = (NOW - ago).to_string();
        let header = format!("t={time},v1={}", v1("new", &time, &body));
        prop_assert_eq!(check(header, &body), Ok("new".to_owned()));
    }
}
