//! A connection that speaks HTTP/2 and nothing of gRPC by itself: what is sent may be wrong, and what comes back is what the
//! server said rather than what a client library made of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What is sent or answered.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// A connection. Clones share it.
#[derive(Clone)]
pub struct Wire {
    addr: SocketAddr,
    sender: SendRequest<Body>,
    patience: Duration,
}

/// What a call was answered with.
#[derive(Debug)]
pub struct Answer {
    /// 200 for every answer of gRPC's.
    pub http: StatusCode,
    /// The answer's headers and trailers together.
    pub headers: HeaderMap,
    /// The messages, each in its envelope.
    pub body: Bytes,
}

impl Wire {
    /// Connects. Who does not answer within `patience` is taken never to do.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(addr: SocketAddr, patience: Duration) -> Result<Wire, String> {
        let stream = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Wire { addr, sender, patience })
    }

    /// Calls `path`, and waits for the whole answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn call(&self, path: &str, headers: &[(&str, &str)], body: Body) -> Result<Answer, String> {
        let answered = async {
            let response = self.open(path, headers, body).await?;
            let (http, mut headers) = (response.status(), response.headers().clone());
            let collected = response.into_body().collect().await;
            let collected = collected.map_err(|error| error.to_string())?;
            headers.extend(collected.trailers().cloned().unwrap_or_default());
            Ok(Answer {
                http,
                headers,
                body: collected.to_bytes(),
            })
        };
        let within = timeout(self.patience, answered).await;
        within.unwrap_or_else(|_| Err(format!("{path} was not answered in {:?}", self.patience)))
    }

    /// Calls `path`, and waits for the first message only.
    ///
    /// # Errors
    /// When there is none.
    pub async fn first<M: Message + Default>(&self, path: &str, message: &impl Message) -> Result<M, String> {
        let answered = async {
            let mut body = self
                .open(path, &[], framed(&message.encode_to_vec()))
                .await?
                .into_body();
            let mut read = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| error.to_string())?;
                read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                if let Some(message) = messages(&read).first() {
                    return M::decode(&**message).map_err(|error| error.to_string());
                }
            }
            Err(format!("{path} was answered without a message"))
        };
        let within = timeout(self.patience, answered).await;
        within.unwrap_or_else(|_| Err(format!("{path} was not answered in {:?}", self.patience)))
    }

    /// Calls `path`, and waits for the beginning of the answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn open(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<http::Response<Incoming>, String> {
        let mut request = Request::post(format!("http://{}{path}", self.addr))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body).map_err(|error| error.to_string())?).await
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: Request<Body>) -> Result<http::Response<Incoming>, String> {
        let mut sender = self.sender.clone();
        sender.ready().await.map_err(|error| error.to_string())?;
        sender.send_request(request).await.map_err(|error| error.to_string())
    }
}

impl Answer {
    /// How the call ended.
    ///
    /// # Errors
    /// When the answer is none of gRPC's.
    pub fn status(&self) -> Result<Status, String> {
        let status = Status::from_header_map(&self.headers);
        status.ok_or_else(|| format!("an answer without a status: {} {:?}", self.http, self.headers))
    }

    /// The code, and the reason where there is one.
    ///
    /// # Errors
    /// When the answer is none of gRPC's.
    pub fn told(&self) -> Result<(Code, String), String> {
        let status = self.status()?;
        let info = status.get_details_error_info();
        Ok((status.code(), info.map(|info| info.reason).unwrap_or_default()))
    }

    /// All details of a failure.
    ///
    /// # Errors
    /// When the answer is none of gRPC's, or the details cannot be read.
    pub fn details(&self) -> Result<ErrorDetails, String> {
        let details = self.status()?.check_error_details();
        details.map_err(|error| format!("details that cannot be read: {error}"))
    }

    /// The one message of a call that went well.
    ///
    /// # Errors
    /// How it failed.
    pub fn message(&self) -> Result<Bytes, String> {
        let status = self.status()?;
        if status.code() != Code::Ok {
            return Err(format!("was refused: {status:?}"));
        }
        let mut messages = messages(&self.body);
        match (messages.pop(), messages.is_empty()) {
            (Some(message), true) => Ok(message),
            _ => Err("was answered without a message, or with several".to_owned()),
        }
    }
}

/// A message as it travels, in its envelope of five bytes.
#[must_use]
pub fn envelope(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}

/// The body that is one message.
#[must_use]
pub fn framed(message: &[u8]) -> Body {
    whole(envelope(message))
}

/// The body that is these bytes.
#[must_use]
pub fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(never).boxed_unsync()
}

/// The body of which nothing ever comes.
#[must_use]
pub fn withheld() -> Body {
    let frames = futures::stream::pending::<Result<Frame<Bytes>, hyper::Error>>();
    StreamBody::new(frames.boxed()).boxed_unsync()
}

/// The whole messages in a body.
#[must_use]
pub fn messages(mut body: &[u8]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while body.len() >= 5 {
        let length = (&body[1..5]).get_u32() as usize;
        let Some(message) = body.get(5..5 + length) else { break };
        messages.push(Bytes::copy_from_slice(message));
        body = &body[5 + length..];
    }
    messages
}

fn never(never: Infallible) -> hyper::Error {
    match never {}
}
