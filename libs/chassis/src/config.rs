//! Configuration, read once, by `main`: defaults, then a file, then the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterfoil_telemetry as telemetry;
use counterfoil_types::Mode;
use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::service::Service;
use crate::{client, server};

/// The beginning of the names of our environment variables.
const PREFIX: &str = "COUNTERFOIL_";

/// Variables that others named, and the keys they stand for.
const WELL_KNOWN: [(&str, &str); 3] = [
    ("DATABASE_URL", "database.url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("STRIPE_SECRET_KEY", "stripe.secret_key"),
];

/// Ends of keys that sound secret and hold the path of a file.
const PATHS: [&str; 2] = ["tls.key", "token_file"];

/// The configuration of a process: the chassis's sections and, beside them, the service's own keys.
#[derive(Debug, Clone)]
pub struct Config<S> {
    /// Section `server`.
    pub server: server::Config,
    /// Section `database`.
    pub database: counterfoil_store::Config,
    /// Section `telemetry`.
    pub telemetry: telemetry::Config,
    /// Section `client`.
    pub client: client::Config,
    /// All other keys.
    pub service: S,
}

/// What is wrong with a configuration. The message is one line and repeats no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A key has no value and no default.
    #[error("missing {key} (environment {variable})")]
    Missing {
        /// The key.
        key: String,
        /// The environment variable that gives it a value.
        variable: String,
    },
    /// A key's value cannot be used.
    #[error("{key} {problem} (environment {variable})")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong, or what the value must be.
        problem: String,
        /// The environment variable that gives it a value.
        variable: String,
    },
    /// The file cannot be read.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

/// What was read, before it is given its types.
pub struct Source {
    figment: Figment,
    /// What the file alone says.
    file: Option<(PathBuf, Dict)>,
    environment: BTreeMap<String, String>,
}

/// The chassis's own sections.
#[derive(Deserialize)]
struct Sections {
    server: server::Config,
    database: counterfoil_store::Config,
    telemetry: telemetry::Config,
    client: client::Config,
}

impl Source {
    /// Reads `file`, if any, and `environment`, for the service `S`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read<S: Service>(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Source, Error> {
        let mut figment = Figment::new()
            .merge(Serialized::default("server", server::Config::default()))
            .merge(Serialized::default("telemetry", telemetry::Config::default()))
            .merge(Serialized::default("client", client::Config::default()))
            .merge(Serialized::default("database.schema", S::NAME.replace('-', "_")));
        let file = match file {
            Some(path) => Some((path.to_owned(), read_file(path)?)),
            None => None,
        };
        if let Some((_, dict)) = &file {
            figment = figment.merge(Serialized::defaults(dict));
        }
        let environment = keys(environment);
        for (key, text) in &environment {
            figment = figment.merge(Serialized::default(key, value(text)));
        }
        Ok(Source {
            figment,
            file,
            environment,
        })
    }

    /// The configuration with its types.
    ///
    /// # Errors
    /// When a value is missing or cannot be used.
    pub fn config<S: DeserializeOwned>(mut self) -> Result<Config<S>, Error> {
        let sections: Sections = self.extract()?;
        let service = self.extract()?;
        if let (Some((path, file)), Ok(all)) = (&self.file, self.figment.extract::<Dict>()) {
            known::<S>(path, file, &all)?;
        }
        let config = Config {
            server: sections.server,
            database: sections.database,
            telemetry: sections.telemetry,
            client: sections.client,
            service,
        };
        config.server.check()?;
        Ok(config)
    }

    /// What was given or has a default here, one `key = value` a line, secrets hidden.
    #[must_use]
    pub fn in_force(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Ok(dict) = self.figment.extract::<Dict>() {
            flatten("", &Value::from(dict), &mut lines);
        }
        lines
    }

    /// Reads a `T`. Where figment cannot say which key is missing, because the whole section is, or takes a text that looks
    /// like a number for one, it is helped and asked again; each time another key is settled, so this ends.
    fn extract<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let mut begun: Option<String> = None;
        let mut quoted: Option<String> = None;
        loop {
            let error = match self.figment.extract::<T>() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let mut key = error.path.join(".");
            if begun.as_ref() == Some(&key) && !error.missing() {
                // What was begun as a section is a plain value, and missing.
                return Err(Error::missing(&key));
            }
            match error.kind {
                Kind::MissingField(field) => {
                    if !key.is_empty() {
                        key.push('.');
                    }
                    key.push_str(&field);
                    if begun.as_ref() == Some(&key) {
                        return Err(Error::missing(&key));
                    }
                    self.give(&key, Value::from(Dict::new()));
                    begun = Some(key);
                }
                Kind::InvalidType(_, expected) => {
                    let text = self.environment.get(&key).cloned();
                    match text {
                        Some(text) if expected.contains("string") && quoted.as_ref() != Some(&key) => {
                            self.give(&key, Value::from(text));
                            quoted = Some(key);
                        }
                        _ => return Err(Error::invalid(&key, &format!("must be {expected}"))),
                    }
                }
                kind => return Err(Error::invalid(&key, &problem(kind))),
            }
        }
    }

    fn give(&mut self, key: &str, value: Value) {
        let figment = std::mem::take(&mut self.figment);
        self.figment = figment.merge(Serialized::default(key, value));
    }
}

impl Error {
    pub(crate) fn missing(key: &str) -> Error {
        Error::Missing {
            key: key.to_owned(),
            variable: variable(key),
        }
    }

    /// A file that cannot be used. `problem` completes a sentence that begins with its path, and repeats nothing of it.
    pub(crate) fn file(path: &Path, problem: &str) -> Error {
        Error::File {
            path: path.to_owned(),
            problem: first_line(problem),
        }
    }

    /// A value that can be read and not be used. `problem` completes a sentence that begins with the key, and repeats
    /// no secret. A service that starts with this error ends with the exit code of a wrong configuration.
    #[must_use]
    pub fn invalid(key: &str, problem: &str) -> Error {
        Error::Invalid {
            key: key.to_owned(),
            problem: problem.to_owned(),
            variable: variable(key),
        }
    }
}

/// What the file says. The parser's own message would repeat the line that is wrong, and with it what stands there.
fn read_file(path: &Path) -> Result<Dict, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, &error.to_string()))?;
    Toml::from_str(&text).map_err(|error| Error::file(path, &error.to_string()))
}

/// Refuses a key in the file that nobody reads: it is a mistyped one. The environment is not searched for such, as several
/// services may share it.
fn known<S: DeserializeOwned>(path: &Path, file: &Dict, all: &Dict) -> Result<(), Error> {
    let Ok(all) = serde_json::to_value(all) else {
        return Ok(());
    };
    let (mut by_chassis, mut by_service) = (Vec::new(), Vec::new());
    // Both succeeded before, as figment read them.
    let _ = serde_ignored::deserialize::<_, _, Sections>(&all, |key| by_chassis.push(key.to_string()));
    let _ = serde_ignored::deserialize::<_, _, S>(&all, |key| by_service.push(key.to_string()));
    // Each passes over the other's sections.
    by_chassis.retain(|key| is_of_chassis(key));
    by_service.retain(|key| !is_of_chassis(key));
    let file = Figment::from(Serialized::defaults(file));
    let mut unread = by_chassis.iter().chain(&by_service);
    match unread.find(|key| file.contains(&key.replace("?.", ""))) {
        Some(key) => Err(Error::File {
            path: path.to_owned(),
            problem: format!("nobody reads {key}"),
        }),
        None => Ok(()),
    }
}

fn is_of_chassis(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    ["server", "database", "telemetry", "client"].contains(&section)
}

/// The variables that are ours, by key; those with our prefix win, and an empty one is as good as none.
fn keys(environment: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut named = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (variable, text) in environment.into_iter().filter(|(_, text)| !text.is_empty()) {
        if let Some(key) = variable.strip_prefix(PREFIX).filter(|key| !key.is_empty()) {
            named.insert(key.to_ascii_lowercase().replace("__", "."), text);
        } else if let Some((_, key)) = WELL_KNOWN.iter().find(|(name, _)| *name == variable) {
            keys.insert((*key).to_owned(), text);
        }
    }
    keys.append(&mut named);
    keys
}

/// A variable's text as a number, a truth value, a list or a table where it looks like one, else as it is.
fn value(text: &str) -> Value {
    match text.parse() {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// The variable that gives `key` a value, to be named in an error.
fn variable(key: &str) -> String {
    match WELL_KNOWN.iter().find(|(_, known)| *known == key) {
        Some((name, _)) => (*name).to_owned(),
        None => format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__")),
    }
}

/// What is wrong, without the value that is.
fn problem(kind: Kind) -> String {
    match kind {
        Kind::Message(message) => format!("cannot be used: {}", first_line(&message)),
        Kind::InvalidValue(_, expected) => format!("must be {expected}"),
        Kind::InvalidLength(_, expected) => format!("must have {expected}"),
        Kind::UnknownVariant(_, variants) => format!("must be one of {}", variants.join(", ")),
        Kind::UnknownField(field, _) => format!("has no key `{field}`"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "is out of range".to_owned(),
        _ => "cannot be used".to_owned(),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn flatten(key: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Dict(_, dict) => {
            for (name, value) in dict {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                flatten(&key, value, lines);
            }
        }
        Value::Array(_, values) => {
            for (position, value) in values.iter().enumerate() {
                flatten(&format!("{key}[{position}]"), value, lines);
            }
        }
        Value::String(_, text) => lines.push(format!("{key} = {}", shown(key, text))),
        Value::Char(_, character) => lines.push(format!("{key} = {}", shown(key, &character.to_string()))),
        Value::Bool(_, truth) => lines.push(format!("{key} = {truth}")),
        Value::Num(_, number) => {
            let number = number.to_actual().to_string();
            let number = number.rsplit('`').nth(1).unwrap_or(&number).to_owned();
            let number = if is_secret(key) { "(hidden)".to_owned() } else { number };
            lines.push(format!("{key} = {number}"));
        }
        Value::Empty(..) => lines.push(format!("{key} is not set")),
    }
}

/// Hides what a key's name or the text's own form says is secret: rather too much than too little.
fn shown(key: &str, text: &str) -> String {
    let is_key = Mode::of_key(text).is_ok() || text.starts_with("whsec_") || text.contains("-----BEGIN");
    if is_secret(key) || is_key {
        return "(hidden)".to_owned();
    }
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() || url.query().is_some() => {
            // Some schemes can have no password; then there is none to hide.
            let _ = url.set_password(url.password().map(|_| "hidden"));
            url.set_query(url.query().map(|_| "hidden"));
            format!("\"{url}\"")
        }
        _ => format!("{text:?}"),
    }
}

fn is_secret(key: &str) -> bool {
    !PATHS.iter().any(|path| key.ends_with(path))
        && ["secret", "password", "token", "key", "credential"]
            .iter()
            .any(|word| key.contains(word))
}
