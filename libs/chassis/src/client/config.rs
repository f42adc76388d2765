//! A gRPC service config: what a call may take, and when it is repeated.
//! Source: <https://github.com/grpc/grpc/blob/master/doc/service_config.md>, and of its retries
//! <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use tonic::Code;

use super::retry::{Retry, Throttle};

/// Why a text is not a service config that a channel can keep to.
#[derive(Debug, thiserror::Error)]
pub enum InvalidServiceConfig {
    /// It is no JSON, or not of the schema; a key that we do not keep to is refused, too.
    #[error("not a service config: {0}")]
    Schema(#[from] serde_json::Error),
    /// It breaks a rule that the schema cannot say.
    #[error("not a service config: `{name}`: {rule}")]
    Rule {
        /// The method, or the part of the file.
        name: String,
        /// What must hold.
        rule: &'static str,
    },
}

/// A service config, checked.
#[derive(Debug)]
pub(crate) struct ServiceConfig {
    /// By path: `/package.Service/Method`, or `/package.Service/` for all that have no entry of their own.
    methods: HashMap<String, Method>,
    /// Common to all methods, as their server is.
    pub(crate) throttle: Option<Throttle>,
}

/// How one method is called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Method {
    /// The time for all attempts together. `None`: only as the caller says, and nothing is repeated.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    method_config: Vec<MethodConfig>,
    retry_throttling: Option<RetryThrottling>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct MethodConfig {
    name: Vec<Name>,
    timeout: Option<Seconds>,
    retry_policy: Option<RetryPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    service: String,
    #[serde(default)]
    method: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: Seconds,
    max_backoff: Seconds,
    backoff_multiplier: f64,
    retryable_status_codes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RetryThrottling {
    max_tokens: u32,
    token_ratio: f64,
}

/// A duration as protobuf's JSON writes it, `1.5s`; only above zero.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Seconds(Duration);

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.parse::<prost_types::Duration>().ok();
        parsed
            .and_then(|duration| Duration::try_from(duration).ok())
            .filter(|duration| !duration.is_zero())
            .map(Seconds)
            .ok_or_else(|| format!("`{text}` is not a duration such as 1.5s, above zero"))
    }
}

impl ServiceConfig {
    /// # Errors
    /// When `json` breaks the schema or a rule of it, says one method twice, or has retries that no timeout bounds.
    pub(crate) fn parse(json: &str) -> Result<Self, InvalidServiceConfig> {
        let file: File = serde_json::from_str(json)?;
        let mut methods = HashMap::new();
        for entry in file.method_config {
            let paths: Vec<String> = entry.name.iter().map(Name::path).collect();
            let first = paths.first().map_or("methodConfig", String::as_str);
            let retry = entry.retry_policy.map(|policy| policy.checked(first)).transpose()?;
            let method = Method {
                timeout: entry.timeout.map(|Seconds(timeout)| timeout),
                retry,
            };
            require(
                method.retry.is_none() || method.timeout.is_some(),
                first,
                "a retryPolicy needs a timeout",
            )?;
            require(!paths.is_empty(), first, "an entry names a method")?;
            for (name, path) in entry.name.iter().zip(paths) {
                require(!name.service.is_empty(), &path, "a name has a service")?;
                let repeated = methods.insert(path.clone(), method.clone());
                require(repeated.is_none(), &path, "a method has one entry")?;
            }
        }
        let throttle = file.retry_throttling.map(RetryThrottling::checked).transpose()?;
        Ok(Self { methods, throttle })
    }

    /// How the method at `path`, `/package.Service/Method`, is called.
    pub(crate) fn method(&self, path: &str) -> Option<&Method> {
        let of_service = || {
            let (service, _) = path.rsplit_once('/')?;
            self.methods.get(&format!("{service}/"))
        };
        self.methods.get(path).or_else(of_service)
    }

    /// All that it names.
    #[cfg(test)]
    pub(crate) fn paths(&self) -> Vec<String> {
        self.methods.keys().cloned().collect()
    }
}

impl Name {
    fn path(&self) -> String {
        format!("/{}/{}", self.service, self.method)
    }
}

impl RetryPolicy {
    fn checked(self, name: &str) -> Result<Retry, InvalidServiceConfig> {
        require((2..=5).contains(&self.max_attempts), name, "maxAttempts is 2 to 5")?;
        let grows = (1.0..=100.0).contains(&self.backoff_multiplier);
        require(grows, name, "backoffMultiplier is 1 to 100")?;
        require(
            !self.retryable_status_codes.is_empty(),
            name,
            "retryableStatusCodes names a code",
        )?;
        let mut codes = Vec::new();
        for text in &self.retryable_status_codes {
            let code = code(text);
            require(
                code.is_some_and(|code| code != Code::Ok),
                name,
                "retryableStatusCodes are codes of failures",
            )?;
            codes.extend(code);
        }
        Ok(Retry {
            max_attempts: self.max_attempts,
            initial_backoff: self.initial_backoff.0,
            max_backoff: self.max_backoff.0,
            backoff_multiplier: self.backoff_multiplier,
            codes,
        })
    }
}

impl RetryThrottling {
    fn checked(self) -> Result<Throttle, InvalidServiceConfig> {
        let name = "retryThrottling";
        require((1..=1000).contains(&self.max_tokens), name, "maxTokens is 1 to 1000")?;
        require(self.token_ratio > 0.0, name, "tokenRatio is above zero")?;
        Ok(Throttle::new(f64::from(self.max_tokens), self.token_ratio))
    }
}

/// A code by gRPC's own name for it.
fn code(text: &str) -> Option<Code> {
    (0..=16)
        .map(Code::from_i32)
        .find(|code| counterfoil_telemetry::code_name(*code) == text)
}

fn require(holds: bool, name: &str, rule: &'static str) -> Result<(), InvalidServiceConfig> {
    if holds {
        return Ok(());
    }
    Err(InvalidServiceConfig::Rule {
        name: name.to_owned(),
        rule,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
      "methodConfig": [
        {
          "name": [{ "service": "a.v1.AService", "method": "Get" }],
          "timeout": "1.500s",
          "retryPolicy": {
            "maxAttempts": 3,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"]
          }
        },
        { "name": [{ "service": "a.v1.AService" }], "timeout": "20s" },
        { "name": [{ "service": "a.v1.AService", "method": "Subscribe" }] }
      ],
      "retryThrottling": { "maxTokens": 100, "tokenRatio": 0.1 }
    }"#;

    #[test]
    fn a_method_has_its_own_entry_or_its_services() {
        let config = ServiceConfig::parse(CONFIG).unwrap();
        let timeout = |path| config.method(path).map(|method| method.timeout);
        assert_eq!(timeout("/a.v1.AService/Get"), Some(Some(Duration::from_millis(1500))));
        assert_eq!(timeout("/a.v1.AService/Create"), Some(Some(Duration::from_secs(20))));
        assert_eq!(timeout("/a.v1.AService/Subscribe"), Some(None));
        assert_eq!(timeout("/b.v1.BService/Get"), None);
        let retry = config.method("/a.v1.AService/Get").unwrap().retry.clone().unwrap();
        assert_eq!((retry.max_attempts, retry.codes), (3, vec![Code::Unavailable]));
        assert!(config.throttle.is_some());
    }

    #[test]
    fn what_cannot_be_kept_to_is_refused() {
        for (valid, wrong, told) in [
            (r#""timeout": "20s""#, r#""timeOut": "20s""#, "unknown field `timeOut`"),
            (
                r#""timeout": "20s""#,
                r#""timeout": "20s", "waitForReady": true"#,
                "unknown field `waitForReady`",
            ),
            ("20s", "20", "`20` is not a duration"),
            ("20s", "-20s", "`-20s` is not a duration"),
            ("20s", "0s", "`0s` is not a duration"),
            ("20s", "99999999999999999999s", "is not a duration"),
            (r#""1.500s""#, "null", "a retryPolicy needs a timeout"),
            (r#""maxAttempts": 3"#, r#""maxAttempts": 1"#, "maxAttempts is 2 to 5"),
            (r#""maxAttempts": 3"#, r#""maxAttempts": 6"#, "maxAttempts is 2 to 5"),
            (r#""maxAttempts": 3,"#, "", "missing field `maxAttempts`"),
            (
                r#""backoffMultiplier": 2"#,
                r#""backoffMultiplier": 0.5"#,
                "backoffMultiplier is 1 to 100",
            ),
            (r#"["UNAVAILABLE"]"#, "[]", "retryableStatusCodes names a code"),
            (r#"["UNAVAILABLE"]"#, r#"["OK"]"#, "codes of failures"),
            (r#"["UNAVAILABLE"]"#, r#"["unavailable"]"#, "codes of failures"),
            (r#", "method": "Subscribe""#, "", "a method has one entry"),
            (
                r#"[{ "service": "a.v1.AService" }]"#,
                r#"[{ "service": "" }]"#,
                "a name has a service",
            ),
            (r#"[{ "service": "a.v1.AService" }]"#, "[]", "an entry names a method"),
            (r#""maxTokens": 100"#, r#""maxTokens": 1001"#, "maxTokens is 1 to 1000"),
            (r#""tokenRatio": 0.1"#, r#""tokenRatio": 0"#, "tokenRatio is above zero"),
        ] {
            let json = CONFIG.replacen(valid, wrong, 1);
            let refused = ServiceConfig::parse(&json).unwrap_err().to_string();
            assert!(refused.contains(told), "{wrong}: {refused}");
        }
    }
}
