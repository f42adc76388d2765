//! The server's connections: how many there are, what they may ask for, and how they end.
//!
//! Hyper serves each of them. Tonic's own server would, but it has one age for all connections, so that all clients of a
//! process come back at once, and it cannot let go of those that do not end.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::Connected;
use tower::{Service, ServiceExt};

use crate::config;

/// The section `server.connections`. Nothing in it may be zero.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// How many there may be; one more is closed at once. Default 1,000.
    pub max: usize,
    /// Milliseconds in which a client must begin to speak HTTP/2. Default 10,000.
    pub handshake_ms: u64,
    /// Milliseconds until a connection is asked to end, so that clients spread over the servers there are; for each connection
    /// up to a tenth more or less, so that they do not come back together. Default 1,800,000, half an hour.
    pub max_age_ms: u64,
    /// Milliseconds for the calls that are in flight then; afterwards the connection is closed, and streams with it. At least
    /// `server.max_deadline_ms`. Default 60,000.
    pub age_grace_ms: u64,
    /// Milliseconds after which a silent client is asked whether it still lives. Default 30,000.
    pub keepalive_ms: u64,
    /// Milliseconds it may take to answer that. Default 10,000.
    pub keepalive_timeout_ms: u64,
    /// Calls at a time on one connection. Default 128.
    pub max_streams: u32,
    /// Bytes of the headers of one call, at least 4,096. Default 16,384.
    pub max_header_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max: 1_000,
            handshake_ms: 10_000,
            max_age_ms: 1_800_000,
            age_grace_ms: 60_000,
            keepalive_ms: 30_000,
            keepalive_timeout_ms: 10_000,
            max_streams: 128,
            max_header_bytes: 16_384,
        }
    }
}

/// How many bytes a client of HTTP/2 begins with, before all else.
const PREFACE: usize = 24;

impl Config {
    /// # Errors
    /// When a value, or two together, make no sense.
    pub(crate) fn check(&self, max_deadline_ms: u64) -> Result<(), config::Error> {
        let zeros = [
            ("max", self.max == 0),
            ("handshake_ms", self.handshake_ms == 0),
            ("max_age_ms", self.max_age_ms == 0),
            ("keepalive_ms", self.keepalive_ms == 0),
            ("keepalive_timeout_ms", self.keepalive_timeout_ms == 0),
            ("max_streams", self.max_streams == 0),
        ];
        for (key, zero) in zeros {
            if zero {
                let key = format!("server.connections.{key}");
                return Err(config::Error::invalid(&key, "must be more than 0"));
            }
        }
        if self.age_grace_ms < max_deadline_ms {
            let problem = "must be at least server.max_deadline_ms, or calls are cut before their deadline";
            return Err(config::Error::invalid("server.connections.age_grace_ms", problem));
        }
        if self.max_header_bytes < 4_096 {
            let problem = "must be at least 4096, or calls with a trace and an identity do not fit";
            return Err(config::Error::invalid("server.connections.max_header_bytes", problem));
        }
        Ok(())
    }

    /// The age of one connection.
    fn age(&self) -> Duration {
        let tenth = self.max_age_ms / 10;
        let (low, high) = (
            self.max_age_ms.saturating_sub(tenth),
            self.max_age_ms.saturating_add(tenth),
        );
        Duration::from_millis(rand::random_range(low..=high))
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(self.age_grace_ms)
    }

    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_millis(self.keepalive_ms)))
            .keep_alive_timeout(Duration::from_millis(self.keepalive_timeout_ms))
            .max_concurrent_streams(self.max_streams)
            .max_header_list_size(self.max_header_bytes);
        builder
    }
}

/// Serves `service` on what `incoming` gives until `draining` is cancelled; then nothing more is accepted, and the future
/// waits until the connections there are have ended. Dropped, it closes them.
pub(crate) async fn serve<IO, S>(
    config: Config,
    incoming: impl Stream<Item = IO>,
    service: S,
    draining: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut open = JoinSet::new();
    {
        // Dropped at the end of this block, which closes the listener before anything is waited for.
        let mut incoming = pin!(incoming);
        loop {
            tokio::select! {
                () = draining.cancelled() => break,
                Some(_) = open.join_next() => {}
                accepted = incoming.next() => match accepted {
                    Some(io) if open.len() < config.max => {
                        open.spawn(connection(config.clone(), io, service.clone(), draining.clone()));
                    }
                    Some(_) => tracing::warn!(max = config.max, "a connection was closed at once, there are too many"),
                    None => break,
                },
            }
        }
    }
    while open.join_next().await.is_some() {}
}

/// Serves one connection until its client ends it, or until it is asked to end and the grace is over.
async fn connection<IO, S>(config: Config, io: IO, service: S, draining: CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let info = io.connect_info();
    let handshake = Duration::from_millis(config.handshake_ms);
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(handshake, greeted(io)) => greeted,
        () = draining.cancelled() => return,
    };
    let Ok(Ok(io)) = greeted else { return };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(info.clone());
        service.clone().oneshot(request)
    });
    let mut served = pin!(config.http2().serve_connection(TokioIo::new(io), service));
    let asked = async {
        tokio::select! {
            () = tokio::time::sleep(config.age()) => {}
            () = draining.cancelled() => {}
        }
    };
    tokio::select! {
        // How a connection ended tells only of its client.
        _ = &mut served => return,
        () = asked => served.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(config.grace(), served).await;
}

/// Waits for a client's first words, as hyper does too, but for ever; and puts them back.
async fn greeted<IO>(io: IO) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut reader, writer) = tokio::io::split(io);
    let mut preface = [0; PREFACE];
    reader.read_exact(&mut preface).await?;
    Ok(tokio::io::join(Cursor::new(preface).chain(reader), writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_an_age_of_its_own_near_the_greatest() {
        let config = Config {
            max_age_ms: 1_000_000,
            ..Config::default()
        };
        let ages: Vec<_> = (0..100).map(|_| config.age().as_millis()).collect();
        assert!(ages.iter().all(|age| (900_000..=1_100_000).contains(age)), "{ages:?}");
        assert!(ages.iter().any(|age| *age != ages[0]), "{ages:?}");
        // The greatest of all is no overflow.
        let eternal = Config {
            max_age_ms: u64::MAX,
            ..Config::default()
        };
        assert!(eternal.age() > Duration::from_secs(1));
    }
}
