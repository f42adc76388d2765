//! The connections of a server: accepted, encrypted where it is configured, and with what they tell of their other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::Connected;

use crate::identity::Peer;

/// Handshakes at a time. Who comes when all are taken is sent away at once, rather than keep others waiting.
const MAX_HANDSHAKES: usize = 256;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long nothing is accepted when that failed, mostly since the process has too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection. Each of its requests carries the [`Peer`].
pub(crate) struct Connection {
    stream: Either<TcpStream, TlsStream<TcpStream>>,
    peer: Peer,
}

/// Where connections come from.
struct Incoming {
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    handshakes: JoinSet<Option<Connection>>,
}

/// The connections to `listener`, encrypted as `tls` says when they come. Never ends; dropping it closes the listener.
pub(crate) fn of(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
) -> impl Stream<Item = Connection> {
    let incoming = Incoming {
        listener,
        tls,
        handshakes: JoinSet::new(),
    };
    futures::stream::unfold(incoming, async |mut incoming| {
        let connection = incoming.next().await;
        Some((connection, incoming))
    })
}

impl Incoming {
    async fn next(&mut self) -> Connection {
        loop {
            let accepted = tokio::select! {
                Some(done) = self.handshakes.join_next() => match done {
                    Ok(Some(connection)) => return connection,
                    _ => continue,
                },
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, from)) => {
                    let is_local = from.ip().to_canonical().is_loopback();
                    if let Some(connection) = self.begin(tcp, is_local) {
                        return connection;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// A connection in plain text is ready; an encrypted one will be, after its handshake.
    fn begin(&mut self, tcp: TcpStream, is_local: bool) -> Option<Connection> {
        // It fails when the other end has left.
        tcp.set_nodelay(true).ok()?;
        let Some(tls) = &self.tls else {
            return Some(Connection {
                stream: Either::Left(tcp),
                peer: if is_local { Peer::Loopback } else { Peer::Remote },
            });
        };
        if self.handshakes.len() < MAX_HANDSHAKES {
            self.handshakes.spawn(handshake(tcp, tls.borrow().clone(), HANDSHAKE));
        } else {
            tracing::warn!("a connection was refused, too many are being made");
        }
        None
    }
}

async fn handshake(tcp: TcpStream, config: Arc<ServerConfig>, within: Duration) -> Option<Connection> {
    match tokio::time::timeout(within, TlsAcceptor::from(config).accept(tcp)).await {
        Ok(Ok(stream)) => Some(Connection {
            peer: Peer::with(stream.get_ref().1.peer_certificates()),
            stream: Either::Right(stream),
        }),
        Ok(Err(error)) => {
            tracing::info!(error = %error, "a connection was refused, its handshake failed");
            None
        }
        Err(_) => {
            tracing::info!("a connection was refused, its handshake took too long");
            None
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn config() -> Arc<ServerConfig> {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key);
        Arc::new(config.unwrap())
    }

    /// Both ends of a connection.
    async fn connected(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let here = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (here, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_handshake_ends_when_the_other_end_says_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (silent, accepted) = connected(&listener).await;
        assert!(handshake(accepted, config(), Duration::from_millis(1)).await.is_none());
        drop(silent);
    }

    #[tokio::test]
    async fn beyond_what_may_be_in_the_making_a_connection_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut incoming = Incoming {
            listener,
            tls: Some(watch::channel(config()).1),
            handshakes: JoinSet::new(),
        };
        let mut silent = Vec::new();
        for _ in 0..=MAX_HANDSHAKES {
            let (here, accepted) = connected(&incoming.listener).await;
            assert!(incoming.begin(accepted, true).is_none());
            silent.push(here);
        }
        assert_eq!(incoming.handshakes.len(), MAX_HANDSHAKES);
        let mut last = silent.pop().unwrap();
        assert_eq!(last.read(&mut [0]).await.unwrap(), 0);
    }
}
