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
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::{Layer, Service};

use attempt::Attempts;
pub use config::InvalidServiceConfig;
use config::ServiceConfig;
use retry::Retrying;

/// A channel that generated clients take; each call over it continues the current trace. Cheap to clone.
///
/// A call that gets no answer ends with a status too: UNAVAILABLE where the connection could not be made or was lost,
/// DEADLINE_EXCEEDED where the caller's deadline has passed. With a service config
/// ([`with_service_config`](Channel::with_service_config)) every call has a deadline, and what may be repeated is.
#[derive(Debug, Clone)]
pub struct Channel(Retrying<ClientService<Attempts<tonic::transport::Channel>>>);

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
    Ok(endpoint
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true))
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
}
