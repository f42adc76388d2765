//! Channels to other services.

use std::time::Duration;

use counterfoil_telemetry::{ClientLayer, ClientService};
use http::Uri;
use http::uri::Scheme;
use serde::{Deserialize, Serialize};
use tonic::transport::Endpoint;
use tower::Layer;

use crate::config;
pub use crate::tls::ClientTls as Tls;
use crate::tls::Connector;

/// A channel that generated clients take; each call over it continues the current trace. Cheap to clone.
pub type Channel = ClientService<tonic::transport::Channel>;

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
/// lost, so the server need not be there yet. To be called inside a Tokio runtime.
///
/// # Errors
/// When `uri` is not such an address.
pub fn channel(uri: &str) -> Result<Channel, InvalidUri> {
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(|_| InvalidUri(uri.to_owned()))?;
    if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().host().is_none() {
        return Err(InvalidUri(uri.to_owned()));
    }
    Ok(ClientLayer.layer(settled(endpoint).connect_lazy()))
}

/// As [`channel`], and to `https://host:port` as `config` says, whose files are read for each new connection. `uri` is the
/// value of the configuration's `key`.
///
/// # Errors
/// When `uri` is no such address, or is encrypted and `config` has no files that can be used.
pub fn channel_to(key: &str, uri: &str, config: &Config) -> Result<Channel, config::Error> {
    let wrong = || config::Error::invalid(key, "must be http://host:port or https://host:port");
    if !uri.starts_with("https://") {
        return channel(uri).map_err(|_| wrong());
    }
    let Some(tls) = &config.tls else {
        return Err(config::Error::missing("client.tls.ca"));
    };
    let origin = Uri::try_from(uri).map_err(|_| wrong())?;
    // Tonic is shown a plain address: the encryption is ours.
    let mut plain = origin.clone().into_parts();
    plain.scheme = Some(Scheme::HTTP);
    let plain = Uri::from_parts(plain).map_err(|_| wrong())?;
    let connector = Connector::new(tls)?;
    let connect = tower::service_fn(move |uri| connector.clone().connect(uri));
    let endpoint = settled(Endpoint::from(plain)).origin(origin);
    Ok(ClientLayer.layer(endpoint.connect_with_connector_lazy(connect)))
}

fn settled(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
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
}
