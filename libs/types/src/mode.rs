//! Stripe's two modes. This is the only module of the suite that reads an object's mode or a key's prefix; a check in
//! `make check` holds that. Every other line runs the same in both modes.

use serde::{Deserialize, Deserializer};

/// The mode of a Stripe account's data: real money or play money. A deployment serves one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Real money.
    Live,
    /// Play money.
    Test,
}

/// A secret that does not look like one of Stripe's API keys.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a Stripe secret key: it must begin with sk_test_, rk_test_, sk_live_ or rk_live_")]
pub struct InvalidKey;

/// A key that does not fit the deployment.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ModeError {
    /// Not a key at all.
    #[error(transparent)]
    Invalid(#[from] InvalidKey),
    /// A key of the other mode.
    #[error("a {key} key in a {deployment} deployment")]
    Mismatch {
        /// The key's mode.
        key: Mode,
        /// The deployment's mode.
        deployment: Mode,
    },
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Live => "live",
            Mode::Test => "test",
        })
    }
}

impl Mode {
    /// The mode a secret key works in. Source: <https://docs.stripe.com/keys>.
    ///
    /// # Errors
    /// When the key has none of Stripe's prefixes for secret and restricted keys.
    pub fn of_key(secret_key: &str) -> Result<Mode, InvalidKey> {
        let is = |prefixes: [&str; 2]| prefixes.iter().any(|prefix| secret_key.starts_with(prefix));
        if is(["sk_live_", "rk_live_"]) {
            Ok(Mode::Live)
        } else if is(["sk_test_", "rk_test_"]) {
            Ok(Mode::Test)
        } else {
            Err(InvalidKey)
        }
    }

    /// Checks that `secret_key` works in this mode.
    ///
    /// # Errors
    /// When it is no key or one of the other mode. The message does not contain the key.
    pub fn check_key(self, secret_key: &str) -> Result<(), ModeError> {
        let key = Mode::of_key(secret_key)?;
        if key == self {
            Ok(())
        } else {
            Err(ModeError::Mismatch { key, deployment: self })
        }
    }
}

/// The mode field of an event or object, to be read beside its other fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModeOfEvent(pub Mode);

impl<'de> Deserialize<'de> for ModeOfEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            livemode: bool,
        }
        let object = Object::deserialize(deserializer)?;
        Ok(ModeOfEvent(if object.livemode { Mode::Live } else { Mode::Test }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_fits_only_its_own_mode() {
        for (key, mode) in [
            ("sk_live_1", Mode::Live),
            ("rk_live_1", Mode::Live),
            ("sk_test_1", Mode::Test),
            ("rk_test_1", Mode::Test),
        ] {
            assert_eq!(mode.check_key(key), Ok(()));
            let other = if mode == Mode::Live { Mode::Test } else { Mode::Live };
            assert_eq!(
                other.check_key(key),
                Err(ModeError::Mismatch {
                    key: mode,
                    deployment: other
                })
            );
        }
        assert_eq!(Mode::Test.check_key("whsec_1"), Err(ModeError::Invalid(InvalidKey)));
    }

    #[test]
    fn an_events_mode_is_read_beside_its_other_fields() {
        let mode: ModeOfEvent = serde_json::from_str(r#"{"id":"evt_1","livemode":true}"#).unwrap();
        assert_eq!(mode.0, Mode::Live);
    }
}
