//! Which account, where, and how patiently.

use std::time::Duration;

/// A configuration that cannot work. No message contains the key.
pub use counterfoil_chassis::config::Error as ConfigError;
use counterfoil_types::Mode;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Host, Url};

/// The section `stripe` of a service's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The API key, secret or restricted.
    pub secret_key: SecretString,
    /// The mode of the deployment, which the key must be of.
    pub mode: Mode,
    /// Where the API is. `https://api.stripe.com/`. Plain http is taken for loopback only.
    #[serde(default = "default_base_url")]
    pub base_url: String,
    /// How long one try may take, in milliseconds. 10 000.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How often a call is tried again. 2.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// How long the pause before the first retry is at most, in milliseconds. 500. It doubles with each, up to 8 s.
    #[serde(default = "default_backoff_ms")]
    pub backoff_ms: u64,
}

fn default_base_url() -> String {
    "https://api.stripe.com/".to_owned()
}

fn default_timeout_ms() -> u64 {
    10_000
}

fn default_retries() -> u32 {
    2
}

fn default_backoff_ms() -> u64 {
    500
}

fn bad_key(problem: &str) -> ConfigError {
    ConfigError::invalid("stripe.secret_key", problem)
}

pub(crate) fn bad_url(problem: &str) -> ConfigError {
    ConfigError::invalid("stripe.base_url", problem)
}

impl Config {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.max(1))
    }

    /// The URL that `v1/…` is appended to, ending in a slash.
    pub(crate) fn base(&self) -> Result<Url, ConfigError> {
        let mut url = Url::parse(&self.base_url).map_err(|_| bad_url("is not a URL"))?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(bad_url("has no host")),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => {
                return Err(bad_url("must begin with https:// unless it is on loopback"));
            }
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(bad_url("must be an origin, with a path at most"));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(url)
    }

    /// The `Authorization` header, once the key is known to be of the deployment's mode.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, ConfigError> {
        let key = self.secret_key.expose_secret();
        let checked = self.mode.check_key(key);
        checked.map_err(|error| bad_key(&format!("is {error}")))?;
        let header = HeaderValue::from_str(&format!("Bearer {key}"));
        let mut header = header.map_err(|_| bad_key("has characters that no key has"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(secret_key: &str, mode: Mode, base_url: &str) -> Config {
        Config {
            secret_key: secret_key.into(),
            mode,
            base_url: base_url.to_owned(),
            timeout_ms: 1,
            retries: 0,
            backoff_ms: 1,
        }
    }

    #[test]
    fn a_key_of_the_other_mode_or_with_odd_characters_is_refused_and_not_repeated() {
        for (key, mode, right) in [
            ("sk_test_canary", Mode::Test, true),
            ("rk_live_canary", Mode::Live, true),
            ("sk_live_canary", Mode::Test, false),
            ("sk_test_canary", Mode::Live, false),
            ("pk_test_canary", Mode::Test, false),
            ("sk_test_canary\n", Mode::Test, false),
            ("", Mode::Test, false),
        ] {
            let checked = config(key, mode, "").authorization();
            assert_eq!(checked.is_ok(), right, "{key}");
            if let Err(error) = checked {
                assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
            }
        }
    }

    #[test]
    fn the_base_url_is_https_or_on_loopback_and_ends_in_a_slash() {
        for (given, taken) in [
            ("https://api.stripe.com", Some("https://api.stripe.com/")),
            ("https://proxy.example/stripe", Some("https://proxy.example/stripe/")),
            ("http://127.0.0.1:12111", Some("http://127.0.0.1:12111/")),
            ("http://[::1]:1/", Some("http://[::1]:1/")),
            ("http://localhost:1/", Some("http://localhost:1/")),
            ("http://api.stripe.com/", None),
            ("http://127.0.0.1.example.com/", None),
            ("https://user@api.stripe.com/", None),
            ("https://api.stripe.com/?a=b", None),
            ("ftp://localhost/", None),
            ("unix:/socket", None),
            ("", None),
        ] {
            let base = config("", Mode::Test, given).base().ok();
            assert_eq!(base.as_ref().map(Url::as_str), taken, "{given}");
        }
    }
}
