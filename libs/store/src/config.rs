//! Where the database is and how it is used.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_postgres::config::TargetSessionAttrs;

use crate::Error;

/// The section `database` of a service's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// `postgres://…` as the service's app role, which has no right to create or alter tables.
    pub url: SecretString,
    /// `postgres://…` as the role that owns the schema. Only migrations need it.
    #[serde(default)]
    pub owner_url: Option<SecretString>,
    /// The service's schema: a lower-case name of at most 63 letters, digits and underscores.
    pub schema: String,
    /// How many connections the pool opens at most, beside the one that is kept for health. 8.
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
    /// How long a caller waits for a connection, in milliseconds. 1000.
    #[serde(default = "default_acquire_timeout_ms")]
    pub acquire_timeout_ms: u64,
    /// How long one statement may take, in milliseconds. 3000. Less where the call it serves has less time left.
    #[serde(default = "default_statement_timeout_ms")]
    pub statement_timeout_ms: u64,
}

fn default_max_connections() -> usize {
    8
}

fn default_acquire_timeout_ms() -> u64 {
    1_000
}

fn default_statement_timeout_ms() -> u64 {
    3_000
}

/// How long a transaction may wait for its own process before the server ends it.
const IDLE_IN_TRANSACTION_MS: u64 = 10_000;

impl Config {
    pub(crate) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }

    /// The connection of the app role. Every connection sees the service's schema only, so no query spells it.
    pub(crate) fn app(&self) -> Result<tokio_postgres::Config, Error> {
        let statement_timeout = self.statement_timeout_ms;
        let options = format!(
            "-c statement_timeout={statement_timeout} -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
        );
        self.connection(&self.url, &options)
    }

    /// The connection of the owner. A migration may take as long as it takes.
    pub(crate) fn owner(&self) -> Result<tokio_postgres::Config, Error> {
        let url = self.owner_url.as_ref();
        let url = url.ok_or_else(|| Error::Config("missing database.owner_url, which migrations need".into()))?;
        self.connection(url, "-c statement_timeout=0")
    }

    fn connection(&self, url: &SecretString, options: &str) -> Result<tokio_postgres::Config, Error> {
        let schema = identifier(&self.schema)?;
        let mut config = parse_url(url.expose_secret())?;
        let given = config.get_options().unwrap_or_default();
        let options = format!("{given} -c search_path={schema} {options}");
        config
            .options(options.trim_start())
            .application_name(format!("counterfoil {schema}"))
            .connect_timeout(self.acquire_timeout())
            // A standby, or a primary that became one, is no place to write to.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(config)
    }
}

/// Reads a connection URL; the error does not repeat it, as it may hold a password.
pub(crate) fn parse_url(url: &str) -> Result<tokio_postgres::Config, Error> {
    url.parse()
        .map_err(|_| Error::Config("the database url is not a postgres:// url".into()))
}

/// Takes names that need no quotes, so that none can end a quoted one.
pub(crate) fn identifier(name: &str) -> Result<&str, Error> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_with_digit = name.starts_with(|first: char| first.is_ascii_digit());
    if name.is_empty() || name.len() > 63 || begins_with_digit || !name.bytes().all(plain) {
        return Err(Error::Config(format!(
            "`{name}` must be 1 to 63 lower-case letters, digits and underscores, not beginning with a digit"
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        for right in ["billing", "t_0f", "_x"] {
            assert!(identifier(right).is_ok(), "{right}");
        }
        for wrong in ["", "1a", "Billing", "a b", "a\"b", "a,public", &"x".repeat(64)] {
            assert!(identifier(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unreadable_url_is_not_repeated_in_the_error() {
        let error = parse_url("postgres://u:hunter2@[::1/x").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
