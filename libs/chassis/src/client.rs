//! Channels to other services: how long a call may take, and when it is made again.

mod attempt;
mod config;
#[cfg(test)]
mod published;
mod retry;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use counterfoil_telemetry::{ClientLayer, ClientService};
use serde::{Deserialize, Serialize};
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::{Layer, Service};

use attempt::Attempts;
pub use config::InvalidServiceConfig;
use config::ServiceConfig;
use retry::Retrying;

pub use crate::tls::ClientTls as Tls;
use crate::tls::{self, Connector};

/// A channel that generated clients take; each call over it continues the current trace. Cheap to clone.
///
/// A call that gets no answer ends with a status too: UNAVAILABLE where the connection could not be made or was lost,
/// DEADLINE_EXCEEDED where the caller's deadline has passed. With a service config
/// ([`with_service_config`](Channel::with_service_config)) every call has a deadline, and what may be repeated is.
#[derive(Debug, Clone)]
pub struct Channel(Retrying<ClientService<Attempts<tonic::transport::Channel>>>);

/// How other services are called.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// What encrypted connections (`https://…`) are made with. Not set by default: then there are none.
    pub tls: Option<Tls>,
}

/// A text that is not the address of a gRPC server.
#[derive(Debug, thiserror::Error)]
#[error("not the address of a gRPC server, http://host:port: `{0}`")]
pub struct InvalidUri(String);

/// A channel to the server at `uri`, `http://host:port`. Connects when first used and again whenever the connection is
/// lost, so the server need not be there yet. Nothing is repeated. To be called inside a Tokio runtime.
///
/// # Errors
/// When `uri` is not such an address.
pub fn channel(uri: &str) -> Result<Channel, InvalidUri> {
    Ok(Channel::over(endpoint(uri)?.connect_lazy()))
}

fn endpoint(uri: &str) -> Result<Endpoint, InvalidUri> {
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(|_| InvalidUri(uri.to_owned()))?;
    if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().host().is_none() {
        return Err(InvalidUri(uri.to_owned()));
    }
    Ok(settled(endpoint))
}

/// As [`channel`], and to `https://host:port` as `config` says, whose files are read for each new connection. `uri` is the
/// value of the configuration's `key`.
///
/// # Errors
/// When `uri` is no such address, or is encrypted and `config` has no files that can be used.
pub fn channel_to(key: &str, uri: &str, config: &Config) -> Result<Channel, crate::config::Error> {
    let wrong = || crate::config::Error::invalid(key, "must be http://host:port or https://host:port");
    if !uri.starts_with("https://") {
        return channel(uri).map_err(|_| wrong());
    }
    let Some(files) = &config.tls else {
        return Err(crate::config::Error::missing("client.tls.ca"));
    };
    let (endpoint, connector) = (tls::endpoint(uri).ok_or_else(wrong)?, Connector::new(files)?);
    let connect = tower::service_fn(move |uri| connector.clone().connect(uri));
    Ok(Channel::over(settled(endpoint).connect_with_connector_lazy(connect)))
}

fn settled(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
}

impl Channel {
    fn over(transport: tonic::transport::Channel) -> Self {
        Self(Retrying::new(ClientLayer.layer(Attempts(transport))))
    }

    /// The same connection, whose calls keep to a published service config, `pb::SERVICE_CONFIG` of their package: a call
    /// to a method that it names ends at the method's timeout or the caller's, whichever is sooner, and is made again, with
    /// the same bytes, as its retry policy says. A method that it does not name is called as without it.
    ///
    /// # Errors
    /// When `json` is not a service config that can be kept to.
    pub fn with_service_config(self, json: &str) -> Result<Self, InvalidServiceConfig> {
        let config = ServiceConfig::parse(json)?;
        Ok(Self(self.0.keeping(Arc::new(config))))
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_address_of_a_server_makes_a_channel() {
        assert!(channel("http://127.0.0.1:50051").is_ok());
        for wrong in ["", "127.0.0.1:50051", "/path", "ftp://host:1", "http://"] {
            assert!(channel(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_encrypted_channel_needs_the_address_of_a_server_and_an_authority() {
        let without = channel_to("customer_url", "https://customer:7002", &Config::default()).unwrap_err();
        assert!(without.to_string().contains("client.tls.ca"), "{without}");
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (ca, nothing) = (folder.path().join("ca.pem"), folder.path().join("nothing.pem"));
        std::fs::write(&ca, own.cert.pem()).unwrap();
        let config = |ca: &std::path::Path, cert: Option<&std::path::Path>| Config {
            tls: Some(Tls {
                ca: ca.to_owned(),
                cert: cert.map(ToOwned::to_owned),
                key: None,
            }),
        };
        let missing = channel_to("customer_url", "https://customer:7002", &config(&nothing, None)).unwrap_err();
        assert!(missing.to_string().contains("nothing.pem"), "{missing}");
        let half = channel_to("customer_url", "https://customer:7002", &config(&ca, Some(&ca))).unwrap_err();
        assert!(half.to_string().contains("client.tls"), "{half}");
        for wrong in ["https://", "https:// ", "https://-:1", "https://a_b$:1"] {
            let refused = channel_to("customer_url", wrong, &config(&ca, None)).unwrap_err();
            assert!(
                refused.to_string().starts_with("customer_url must be"),
                "{wrong}: {refused}"
            );
        }
    }
}
