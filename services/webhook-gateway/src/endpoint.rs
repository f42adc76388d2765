//! Endpoints: where Stripe delivers to, and what proves that it is Stripe.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil_stripe::webhook::Secret;
use counterfoil_types::Mode;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// One webhook endpoint, `/webhooks/stripe/<its name>`.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The signing secrets that are in force, several while one is rolled.
    #[serde(default)]
    pub secrets: Vec<NamedSecret>,
    /// The same in one text, separated by commas, for the environment. They are named `1`, `2`, ….
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// The mode of the events that may come. Others are quarantined.
    pub mode: Mode,
    /// Whether Stripe has this endpoint as one for connected accounts. Only told in a warning when an event does not fit.
    #[serde(default)]
    pub connect: bool,
}

/// A signing secret, and a name that may be logged and stored.
#[derive(Debug, Clone, Deserialize)]
pub struct NamedSecret {
    /// 1 to 64 characters.
    pub name: String,
    /// `whsec_…`.
    pub value: SecretString,
}

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There are none.
    #[error(
        "missing endpoints: at least one is needed (environment COUNTERFOIL_ENDPOINTS__PLATFORM__SECRET and __MODE)"
    )]
    None,
    /// The name cannot stand in a path.
    #[error("`{0}`: a name is 1 to 64 of a-z, 0-9, _ and -")]
    Name(String),
    /// Without a secret nothing can be verified.
    #[error("`{0}` has no secret, as in COUNTERFOIL_ENDPOINTS__{upper}__SECRET", upper = .0.to_uppercase())]
    NoSecret(String),
    /// A secret or its name is empty.
    #[error("`{0}`: {1}")]
    Secret(String, String),
}

/// An endpoint that can be served.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) mode: Mode,
    pub(crate) connect: bool,
}

/// Reads endpoints and refuses those that could not be served, so that the configuration is refused and not the start.
pub(crate) fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Config>, D::Error> {
    let configs = BTreeMap::<String, Config>::deserialize(deserializer)?;
    endpoints(configs.clone()).map_err(D::Error::custom)?;
    Ok(configs)
}

/// All endpoints by name.
pub(crate) type Endpoints = BTreeMap<String, Arc<Endpoint>>;

pub(crate) fn endpoints(configs: BTreeMap<String, Config>) -> Result<Endpoints, ConfigError> {
    if configs.is_empty() {
        return Err(ConfigError::None);
    }
    let built = configs
        .into_iter()
        .map(|(name, config)| Ok((name.clone(), Arc::new(endpoint(name, config)?))));
    built.collect()
}

fn endpoint(name: String, config: Config) -> Result<Endpoint, ConfigError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return Err(ConfigError::Name(name));
    }
    let listed = config
        .secret
        .iter()
        .flat_map(|list| list.expose_secret().split(',').zip(1..));
    let listed = listed.map(|(value, place)| (place.to_string(), SecretString::from(value.trim())));
    let named = config.secrets.into_iter().map(|secret| (secret.name, secret.value));
    let secrets = named.chain(listed).map(|(secret, value)| {
        Secret::new(secret, value).map_err(|error| ConfigError::Secret(name.clone(), error.to_string()))
    });
    let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
    if secrets.is_empty() {
        return Err(ConfigError::NoSecret(name));
    }
    Ok(Endpoint {
        name,
        secrets,
        mode: config.mode,
        connect: config.connect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    fn build(name: &str, json: &str) -> Result<Endpoints, ConfigError> {
        endpoints(BTreeMap::from([(name.to_owned(), config(json))]))
    }

    #[test]
    fn secrets_come_as_a_list_or_in_one_text_and_all_are_in_force() {
        let json = r#"{"mode":"test","secrets":[{"name":"new","value":"whsec_1"}],"secret":"whsec_2, whsec_3"}"#;
        let endpoints = build("platform", json).unwrap();
        let names: Vec<&str> = endpoints["platform"].secrets.iter().map(Secret::name).collect();
        assert_eq!(names, ["new", "1", "2"]);
    }

    #[test]
    fn an_endpoint_that_proves_nothing_or_cannot_be_reached_stops_the_start() {
        for (name, json, problem) in [
            (
                "platform",
                r#"{"mode":"live"}"#,
                "`platform` has no secret, as in COUNTERFOIL_ENDPOINTS__PLATFORM__SECRET",
            ),
            (
                "platform",
                r#"{"mode":"live","secret":""}"#,
                "`platform`: the signing secret `1` is empty or has spaces in it",
            ),
            (
                "a/b",
                r#"{"mode":"live","secret":"whsec_1"}"#,
                "`a/b`: a name is 1 to 64 of a-z, 0-9, _ and -",
            ),
        ] {
            assert_eq!(build(name, json).unwrap_err().to_string(), problem);
        }
        assert!(matches!(endpoints(BTreeMap::new()), Err(ConfigError::None)));
    }

    #[test]
    fn no_secret_is_shown() {
        let config = config(r#"{"mode":"test","secret":"whsec_hidden"}"#);
        assert!(!format!("{config:?}").contains("whsec_hidden"));
        let endpoint = endpoint("a".into(), config).unwrap();
        assert!(!format!("{endpoint:?}").contains("whsec_hidden"));
    }
}
