//! A client that is no gRPC client and may send anything.

use std::net::SocketAddr;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A connection.
pub(crate) struct Raw {
    addr: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    /// Runs until the connection has ended.
    pub(crate) connection: JoinHandle<hyper::Result<()>>,
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Raw {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Raw {
            addr,
            sender,
            connection: tokio::spawn(connection),
        }
    }

    /// The answer's headers and trailers together.
    pub(crate) fn call(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> impl Future<Output = hyper::Result<HeaderMap>> + use<> {
        let mut request = Request::post(format!("http://{}{method}", self.addr))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let mut sender = self.sender.clone();
        async move {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let mut headers = response.headers().clone();
            let body = response.into_body().collect().await?;
            headers.extend(body.trailers().cloned().unwrap_or_default());
            Ok(headers)
        }
    }
}

/// A message as it travels, in its envelope of five bytes.
pub(crate) fn message(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A request for the account with this id: field 1, a text.
pub(crate) fn asking_for(account_id: &str) -> Vec<u8> {
    let mut payload = vec![0x0a, u8::try_from(account_id.len()).unwrap()];
    payload.extend(account_id.as_bytes());
    message(&payload)
}
