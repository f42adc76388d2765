//! Channels to other services.

use std::time::Duration;

use counterfoil_telemetry::{ClientLayer, ClientService};
use tonic::transport::Endpoint;
use tower::Layer;

/// A channel that generated clients take; each call over it continues the current trace. Cheap to clone.
pub type Channel = ClientService<tonic::transport::Channel>;

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
    let channel = endpoint
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .connect_lazy();
    Ok(ClientLayer.layer(channel))
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
