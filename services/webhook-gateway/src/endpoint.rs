//! Endpoints: where Stripe delivers to, and what proves that it is Stripe.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use counterfoil_stripe::webhook::Secret;
use counterfoil_types::Mode;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// One webhook endpoint. A key that nobody reads is refused: one that is mistyped could keep a secret in force for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The path of its URL. Default `/webhooks/stripe/<its name>`.
    #[serde(default)]
    pub path: Option<String>,
    /// The signing secrets, several while one is rolled.
    #[serde(default)]
    pub secrets: Vec<NamedSecret>,
    /// The same in one text, separated by commas, for the environment. They are named `1`, `2`, … and do not expire.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// The mode of the events that may come. Others are quarantined.
    pub mode: Mode,
    /// Whose events come. Default `platform`.
    #[serde(default)]
    pub kind: Kind,
    /// How far a signature's time may be from ours, either way, in seconds, 1 to 86,400. Default 300, as Stripe's own
    /// libraries have it. Source: <https://docs.stripe.com/webhooks#replay-attacks>.
    #[serde(default = "tolerance_s")]
    pub tolerance_s: u64,
}

/// A signing secret, and a name that may be logged and stored.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedSecret {
    /// 1 to 64 of A-Z, a-z, 0-9, `_`, `.` and `-`; another for each secret of the endpoint.
    pub name: String,
    /// `whsec_…`.
    pub value: SecretString,
    /// From when on nothing is believed under it, as RFC 3339 has it. Not set: for as long as it stands here.
    #[serde(default)]
    pub expires: Option<DateTime<Utc>>,
}

/// Whose events an endpoint is for. Only told in a warning when an event does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The account's own.
    #[default]
    Platform,
    /// Those of its connected accounts.
    Connect,
}

/// Why an endpoint cannot be served: the key that is wrong, and never what stands there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key} {problem}")]
pub struct ConfigError {
    key: String,
    problem: &'static str,
}

/// An endpoint that can be served.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    secrets: Vec<Dated>,
    pub(crate) mode: Mode,
    pub(crate) kind: Kind,
    pub(crate) tolerance: Duration,
}

#[derive(Debug)]
struct Dated {
    secret: Secret,
    expires: Option<DateTime<Utc>>,
}

/// All endpoints by path.
pub(crate) type Endpoints = HashMap<String, Arc<Endpoint>>;

impl Endpoint {
    /// The secrets that are in force at `now`, the wall clock's time.
    pub(crate) fn live(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Secret> {
        let live = move |dated: &&Dated| dated.expires.is_none_or(|expires| now < expires);
        self.secrets.iter().filter(live).map(|dated| &dated.secret)
    }
}

/// Reads endpoints and refuses those that could not be served, so that the configuration is refused and not the start.
pub(crate) fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Config>, D::Error> {
    let configs = BTreeMap::<String, Config>::deserialize(deserializer)?;
    endpoints(&configs).map_err(D::Error::custom)?;
    Ok(configs)
}

/// The endpoints as they are served from `now` on, with an error in the log for each that will believe nothing.
pub(crate) fn served(configs: &BTreeMap<String, Config>, now: DateTime<Utc>) -> Result<Endpoints, ConfigError> {
    let endpoints = endpoints(configs)?;
    for endpoint in endpoints.values() {
        if endpoint.live(now).next().is_none() {
            let endpoint = endpoint.name.as_str();
            tracing::error!(endpoint, "all secrets have expired: every delivery will be refused");
        }
    }
    Ok(endpoints)
}

fn endpoints(configs: &BTreeMap<String, Config>) -> Result<Endpoints, ConfigError> {
    if configs.is_empty() {
        let problem = "must have at least one (COUNTERFOIL_ENDPOINTS__PLATFORM__SECRET and __MODE)";
        return Err(wrong("endpoints", problem));
    }
    let mut endpoints = Endpoints::new();
    for (name, config) in configs {
        let (path, endpoint) = endpoint(name, config)?;
        if endpoints.insert(path, Arc::new(endpoint)).is_some() {
            return Err(wrong(&format!("endpoints.{name}.path"), "is another endpoint's too"));
        }
    }
    Ok(endpoints)
}

fn endpoint(name: &str, config: &Config) -> Result<(String, Endpoint), ConfigError> {
    let key = format!("endpoints.{name}");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if !is_name(name, plain) {
        return Err(wrong("endpoints", "must have names of 1 to 64 of a-z, 0-9, _ and -"));
    }
    let path = match &config.path {
        None => format!("/webhooks/stripe/{name}"),
        Some(path) if is_path(path) => path.clone(),
        Some(_) => {
            let problem =
                "must begin with /, and have 1 to 255 of A-Z, a-z, 0-9, -, ., _, ~ and / without empty segments";
            return Err(wrong(&format!("{key}.path"), problem));
        }
    };
    if !(1..=86_400).contains(&config.tolerance_s) {
        return Err(wrong(&format!("{key}.tolerance_s"), "must be 1 to 86,400 seconds"));
    }
    let endpoint = Endpoint {
        name: name.to_owned(),
        secrets: secrets(&key, config)?,
        mode: config.mode,
        kind: config.kind,
        tolerance: Duration::from_secs(config.tolerance_s),
    };
    Ok((path, endpoint))
}

/// The secrets of the endpoint at `key`: at least one, none that anybody could guess, none under two names, as it would
/// outlive the expiry of one.
fn secrets(key: &str, config: &Config) -> Result<Vec<Dated>, ConfigError> {
    let named = config.secrets.iter().enumerate().map(|(place, secret)| {
        let key = format!("{key}.secrets[{place}]");
        (key, secret.name.clone(), secret.value.clone(), secret.expires)
    });
    let texts = config.secret.iter().flat_map(|texts| texts.expose_secret().split(','));
    let listed = texts.zip(1..).map(|(text, place)| {
        let value = SecretString::from(text.trim());
        (format!("{key}.secret"), place.to_string(), value, None)
    });
    let mut secrets: Vec<Dated> = Vec::new();
    let mut values: Vec<SecretString> = Vec::new();
    for (key, name, value, expires) in named.chain(listed) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !is_name(&name, plain) || name.starts_with("whsec_") {
            let problem = "must be 1 to 64 of A-Z, a-z, 0-9, _, . and -, and not begin with whsec_";
            return Err(wrong(&format!("{key}.name"), problem));
        }
        if secrets.iter().any(|other| other.secret.name() == name) {
            return Err(wrong(&format!("{key}.name"), "is another secret's too"));
        }
        if values
            .iter()
            .any(|other| other.expose_secret() == value.expose_secret())
        {
            return Err(wrong(&key, "is given twice"));
        }
        let secret = Secret::new(name, value.clone());
        let secret = secret.map_err(|_| wrong(&key, "is empty or has spaces in it"))?;
        values.push(value);
        secrets.push(Dated { secret, expires });
    }
    if secrets.is_empty() {
        return Err(wrong(
            &format!("{key}.secrets"),
            "must have at least one, or `secret` be set",
        ));
    }
    Ok(secrets)
}

fn wrong(key: &str, problem: &'static str) -> ConfigError {
    ConfigError {
        key: key.to_owned(),
        problem,
    }
}

fn is_name(text: &str, plain: impl Fn(u8) -> bool) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |text: &str| !text.trim_matches('.').is_empty() && text.bytes().all(plain);
    let segments = text.strip_prefix('/').map(|rest| rest.split('/').all(segment));
    text.len() <= 255 && segments == Some(true)
}

fn tolerance_s() -> u64 {
    300
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(json: &str) -> BTreeMap<String, Config> {
        serde_json::from_str(json).unwrap()
    }

    fn build(json: &str) -> Result<Endpoints, ConfigError> {
        endpoints(&configs(json))
    }

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_endpoint_has_its_name_in_its_path_unless_it_says_otherwise() {
        let endpoints = build(
            r#"{"platform": {"mode":"test","secret":"whsec_1"},
                "accounts": {"mode":"live","secret":"whsec_1","path":"/stripe/v2.hook","kind":"connect","tolerance_s":60}}"#,
        );
        let endpoints = endpoints.unwrap();
        let platform = &endpoints["/webhooks/stripe/platform"];
        assert_eq!((platform.mode, platform.kind), (Mode::Test, Kind::Platform));
        assert_eq!(platform.tolerance, Duration::from_secs(300));
        let accounts = &endpoints["/stripe/v2.hook"];
        assert_eq!((accounts.mode, accounts.kind), (Mode::Live, Kind::Connect));
        assert_eq!((accounts.name.as_str(), accounts.tolerance.as_secs()), ("accounts", 60));
    }

    #[test]
    fn secrets_come_as_a_list_or_in_one_text_and_are_in_force_until_they_expire() {
        let endpoints = build(
            r#"{"platform": {"mode":"test","secret":"whsec_2, whsec_3","secrets":[
                {"name":"new","value":"whsec_1"}, {"name":"old","value":"whsec_0","expires":"2026-11-28T12:00:00+02:00"}]}}"#,
        );
        let endpoints = endpoints.unwrap();
        let live = |at: &str| -> Vec<&str> {
            let live = endpoints["/webhooks/stripe/platform"].live(time(at));
            live.map(Secret::name).collect()
        };
        assert_eq!(live("2026-11-28T09:59:59.999Z"), ["new", "old", "1", "2"]);
        assert_eq!(live("2026-11-28T10:00:00Z"), ["new", "1", "2"]);
    }

    #[test]
    fn an_endpoint_that_proves_nothing_or_cannot_be_reached_is_refused_by_its_key() {
        let names = "must be 1 to 64 of A-Z, a-z, 0-9, _, . and -, and not begin with whsec_";
        let path = "must begin with /, and have 1 to 255 of A-Z, a-z, 0-9, -, ., _, ~ and / without empty segments";
        for (json, key, problem) in [
            (
                r#""a": {"mode":"live"}"#,
                "endpoints.a.secrets",
                "must have at least one, or `secret` be set",
            ),
            (
                r#""a": {"mode":"live","secrets":[]}"#,
                "endpoints.a.secrets",
                "must have at least one, or `secret` be set",
            ),
            (
                r#""a": {"mode":"live","secret":""}"#,
                "endpoints.a.secret",
                "is empty or has spaces in it",
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1,"}"#,
                "endpoints.a.secret",
                "is empty or has spaces in it",
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1,whsec_1"}"#,
                "endpoints.a.secret",
                "is given twice",
            ),
            (
                r#""a": {"mode":"live","secrets":[{"name":"x","value":" "}]}"#,
                "endpoints.a.secrets[0]",
                "is empty or has spaces in it",
            ),
            (
                r#""a": {"mode":"live","secrets":[{"name":"x","value":"whsec_1"},{"name":"y","value":"whsec_1"}]}"#,
                "endpoints.a.secrets[1]",
                "is given twice",
            ),
            (
                r#""a": {"mode":"live","secrets":[{"name":"x","value":"whsec_1"},{"name":"x","value":"whsec_2"}]}"#,
                "endpoints.a.secrets[1].name",
                "is another secret's too",
            ),
            (
                r#""a": {"mode":"live","secrets":[{"name":"1","value":"whsec_1"}],"secret":"whsec_2"}"#,
                "endpoints.a.secret.name",
                "is another secret's too",
            ),
            (
                r#""a": {"mode":"live","secrets":[{"name":"","value":"whsec_1"}]}"#,
                "endpoints.a.secrets[0].name",
                names,
            ),
            (
                r#""a": {"mode":"live","secrets":[{"name":"whsec_1","value":"x"}]}"#,
                "endpoints.a.secrets[0].name",
                names,
            ),
            (
                r#""a/b": {"mode":"live","secret":"whsec_1"}"#,
                "endpoints",
                "must have names of 1 to 64 of a-z, 0-9, _ and -",
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1","path":"/"}"#,
                "endpoints.a.path",
                path,
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1","path":"a"}"#,
                "endpoints.a.path",
                path,
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1","path":"/a//b"}"#,
                "endpoints.a.path",
                path,
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1","path":"/a/../b"}"#,
                "endpoints.a.path",
                path,
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1","path":"/a?b"}"#,
                "endpoints.a.path",
                path,
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1"}, "b": {"mode":"live","secret":"whsec_1","path":"/webhooks/stripe/a"}"#,
                "endpoints.b.path",
                "is another endpoint's too",
            ),
            (
                r#""a": {"mode":"live","secret":"whsec_1","tolerance_s":0}"#,
                "endpoints.a.tolerance_s",
                "must be 1 to 86,400 seconds",
            ),
        ] {
            assert_eq!(
                build(&format!("{{{json}}}")).unwrap_err(),
                wrong(key, problem),
                "{json}"
            );
        }
        assert_eq!(build("{}").unwrap_err().key, "endpoints");
    }

    #[test]
    fn a_key_that_nobody_reads_is_refused() {
        for json in [
            r#"{"a": {"mode":"live","secret":"whsec_1","connect":true}}"#,
            r#"{"a": {"mode":"live","secrets":[{"name":"x","value":"whsec_1","expire":"2026-11-28T10:00:00Z"}]}}"#,
        ] {
            let refused = serde_json::from_str::<BTreeMap<String, Config>>(json).unwrap_err();
            assert!(refused.to_string().contains("unknown field"), "{refused}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let configs = configs(r#"{"a": {"mode":"test","secret":"whsec_hidden"}}"#);
        assert!(!format!("{configs:?}").contains("whsec_hidden"));
        let endpoints = endpoints(&configs).unwrap();
        assert!(!format!("{endpoints:?}").contains("whsec_hidden"));
    }
}
