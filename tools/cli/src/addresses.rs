//! Where the services are: what is given, else what `suite.json` says.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;

/// Where `make up` writes the addresses of what it started.
const DEFAULT_SUITE: &str = ".counterfoil/suite.json";

/// What the command line and the environment say about addresses.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct Given {
    /// A suite's addresses, used for each service that none is given for [default: .counterfoil/suite.json, where it is]
    #[arg(long, global = true, env = "COUNTERFOIL_SUITE", value_name = "FILE")]
    suite: Option<PathBuf>,
    /// The webhook gateway's gRPC, host:port or https://host:port
    #[arg(long, global = true, env = "COUNTERFOIL_GATEWAY_ADDRESS", value_name = "ADDRESS")]
    gateway: Option<String>,
    /// The customer service
    #[arg(long, global = true, env = "COUNTERFOIL_CUSTOMER_ADDRESS", value_name = "ADDRESS")]
    customer: Option<String>,
    /// The billing service
    #[arg(long, global = true, env = "COUNTERFOIL_BILLING_ADDRESS", value_name = "ADDRESS")]
    billing: Option<String>,
    /// The tax service
    #[arg(long, global = true, env = "COUNTERFOIL_TAX_ADDRESS", value_name = "ADDRESS")]
    tax: Option<String>,
    /// The connect service
    #[arg(long, global = true, env = "COUNTERFOIL_CONNECT_ADDRESS", value_name = "ADDRESS")]
    connect: Option<String>,
}

/// A service of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Gateway,
    Customer,
    Billing,
    Tax,
    Connect,
}

impl Service {
    pub(crate) const ALL: [Service; 5] = [
        Service::Gateway,
        Service::Customer,
        Service::Billing,
        Service::Tax,
        Service::Connect,
    ];

    /// The word for it in options, in `suite.json` and in what is printed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Gateway => "gateway",
            Service::Customer => "customer",
            Service::Billing => "billing",
            Service::Tax => "tax",
            Service::Connect => "connect",
        }
    }
}

/// What we read of `suite.json`. The keys that stand in it too are none of our business.
#[derive(Debug, Deserialize)]
struct Suite {
    grpc: Addresses,
}

/// The addresses of the services, `host:port` or `https://host:port`; `None` where none is known.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Addresses {
    gateway: Option<String>,
    customer: Option<String>,
    billing: Option<String>,
    tax: Option<String>,
    connect: Option<String>,
}

impl Addresses {
    /// Puts together what is given and what the suite's file says.
    ///
    /// # Errors
    /// When a file that was asked for cannot be read.
    pub(crate) fn resolve(given: Given) -> anyhow::Result<Addresses> {
        let from_file = match &given.suite {
            Some(path) => read(path)?,
            None if Path::new(DEFAULT_SUITE).exists() => read(Path::new(DEFAULT_SUITE))?,
            None => Addresses::default(),
        };
        // An empty variable is none.
        let or = |given: Option<String>, other| given.filter(|address| !address.is_empty()).or(other);
        Ok(Addresses {
            gateway: or(given.gateway, from_file.gateway),
            customer: or(given.customer, from_file.customer),
            billing: or(given.billing, from_file.billing),
            tax: or(given.tax, from_file.tax),
            connect: or(given.connect, from_file.connect),
        })
    }

    /// The address of `service`, with no scheme where it is in plain text.
    ///
    /// # Errors
    /// When none is known.
    pub(crate) fn of(&self, service: Service) -> anyhow::Result<&str> {
        let address = match service {
            Service::Gateway => &self.gateway,
            Service::Customer => &self.customer,
            Service::Billing => &self.billing,
            Service::Tax => &self.tax,
            Service::Connect => &self.connect,
        };
        let Some(address) = address else {
            let name = service.name();
            bail!(
                "no address of the {name} service: give --{name} (or COUNTERFOIL_{}_ADDRESS), or run where \
                 {DEFAULT_SUITE} is",
                name.to_uppercase()
            );
        };
        Ok(address.trim_start_matches("http://"))
    }

    /// As [`Addresses::of`], with the scheme.
    ///
    /// # Errors
    /// When none is known.
    pub(crate) fn uri(&self, service: Service) -> anyhow::Result<String> {
        let address = self.of(service)?;
        Ok(match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Addresses> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // What serde would say of a value may repeat it, and there are keys in this file.
    let suite: Suite = serde_json::from_str(&text)
        .map_err(|error| anyhow::anyhow!("{} has no addresses in it (line {})", path.display(), error.line()))?;
    Ok(suite.grpc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("suite.json");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn an_address_that_is_given_goes_before_the_suites() {
        let (_folder, path) = suite(r#"{"grpc":{"gateway":"127.0.0.1:1","billing":"127.0.0.1:2"},"sandbox":{}}"#);
        let given = Given {
            suite: Some(path),
            billing: Some("http://10.0.0.1:3".into()),
            customer: Some("https://customer:4".into()),
            gateway: Some(String::new()),
            ..Given::default()
        };
        let addresses = Addresses::resolve(given).unwrap();
        assert_eq!(addresses.of(Service::Gateway).unwrap(), "127.0.0.1:1");
        assert_eq!(addresses.of(Service::Billing).unwrap(), "10.0.0.1:3");
        assert_eq!(addresses.uri(Service::Billing).unwrap(), "http://10.0.0.1:3");
        assert_eq!(addresses.uri(Service::Customer).unwrap(), "https://customer:4");
        let missing = addresses.of(Service::Tax).unwrap_err().to_string();
        assert!(
            missing.contains("--tax") && missing.contains("COUNTERFOIL_TAX_ADDRESS"),
            "{missing}"
        );
    }

    #[test]
    fn a_file_that_is_asked_for_must_be_there_and_its_secrets_are_not_repeated() {
        let given = |path| Given {
            suite: Some(path),
            ..Given::default()
        };
        assert!(Addresses::resolve(given("/nowhere/suite.json".into())).is_err());
        let (_folder, path) = suite(r#"{"grpc":"sk_live_secret"}"#);
        let error = format!("{:#}", Addresses::resolve(given(path)).unwrap_err());
        assert!(!error.contains("secret"), "{error}");
    }
}
