//! A twin: the specimen with somebody in between who breaks one promise.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use counterfoil_contract::specimen::pb;
use counterfoil_contract::wire::{Body, Wire, envelope, messages, whole};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use crate::shelf::{PATIENCE, SERVICE};

/// A promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is.
    None,
    /// Services that are not there are said to serve.
    KnowsEveryone,
    /// A service is called by another name.
    HidesItself,
    /// A message that cannot be read is refused without details.
    TellsNoDetails,
    /// … for a reason that nobody documented.
    InventsReason,
    /// … with another code than its reason's.
    MixesUpCodes,
    /// … with a field's reason that nobody documented.
    InventsFieldReason,
    /// Long messages are taken.
    TakesLongMessages,
    /// Any number of headers is taken.
    TakesManyHeaders,
    /// A deadline is told as gRPC libraries do by themselves.
    CancelsAtDeadline,
    /// The longest deadline passes without an answer.
    SleepsPastDeadline,
    /// A repeat is done again.
    DoesRepeats,
    /// A key is good for any request.
    AllowsOtherRequest,
    /// The audit row of an operator's call is another call's.
    AuditsAnotherCall,
    /// What is only to be validated is done.
    DoesWhatIsRehearsed,
    /// A change is made whatever state the caller has seen.
    IgnoresEtags,
    /// A mask may name what nobody may write.
    TakesAnyMask,
    /// A page begins one row too late.
    SkipsRow,
    /// A page begins with the last row of the page before.
    RepeatsRow,
    /// The token of another filter is taken.
    TakesOtherToken,
    /// The token of another caller is taken.
    TakesOthersToken,
    /// Of all that is missing one field is not named.
    ForgetsField,
    /// A caller whom no row names is let in.
    LetsStrangersIn,
    /// A card number is taken in one of the texts.
    TakesCardNumber,
    /// What may look like a card number is refused as one.
    RefusesAccountNumber,
    /// A browser is sent wherever.
    TakesAnyRedirect,
    /// The suite's own key is taken in metadata.
    TakesReservedKey,
}

/// A server in between, until it is dropped.
pub(crate) struct Twin {
    pub(crate) addr: SocketAddr,
    _end: DropGuard,
}

/// Who stands in between.
struct Between {
    fault: Fault,
    behind: Wire,
    /// The ids of all rows on the pages so far, for a fault that must know them.
    last_rows: Mutex<Vec<pb::Specimen>>,
    /// The keys that have come.
    keys: Mutex<HashSet<String>>,
}

impl Twin {
    pub(crate) async fn of(behind: SocketAddr, fault: Fault) -> Twin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let end = CancellationToken::new();
        let between = Arc::new(Between {
            fault,
            behind: Wire::connect(behind, PATIENCE).await.unwrap(),
            last_rows: Mutex::default(),
            keys: Mutex::default(),
        });
        tokio::spawn(end.clone().run_until_cancelled_owned(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let between = between.clone();
                let service = service_fn(move |request| {
                    let between = between.clone();
                    async move { Ok::<_, Infallible>(between.call(request).await) }
                });
                let mut server = http2::Builder::new(TokioExecutor::new());
                // What is too long is for the specimen to refuse.
                server.max_header_list_size(1 << 20);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        }));
        Twin {
            addr,
            _end: end.drop_guard(),
        }
    }
}

impl Between {
    async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        // A body of unknown length may never come, and is passed on as it does.
        let mut sent = Bytes::new();
        let body: Body = if parts.headers.contains_key("content-length") {
            let whole_body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            sent = self.ask(&path, &mut parts.headers, whole_body);
            parts.headers.remove("content-length");
            whole(sent.clone())
        } else {
            body.boxed_unsync()
        };
        let hours = parts
            .headers
            .get("grpc-timeout")
            .is_some_and(|timeout| timeout.as_bytes().ends_with(b"H"));
        if self.fault == Fault::SleepsPastDeadline && hours {
            std::future::pending::<()>().await;
        }
        if self.fault == Fault::TakesLongMessages && is_cut(&sent) {
            return answered(&[]);
        }
        if self.fault == Fault::RefusesAccountNumber
            && path == method("CreateSpecimen")
            && decoded(&sent).is_some_and(|new: pb::CreateSpecimenRequest| new.account_number.starts_with("4242"))
        {
            let details = ErrorDetails::with_error_info("CARD_NUMBER", "counterfoil.dev", []);
            return refused(&Status::with_error_details(
                Code::InvalidArgument,
                "a card number",
                details,
            ));
        }
        if self.fault == Fault::TakesManyHeaders {
            parts.headers.remove("x-much");
        }
        let response = match self.behind.send(Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(error) => return refused(&Status::unavailable(error)),
        };
        self.answer(&path, &sent, response).await
    }

    /// What is passed on of a request.
    fn ask(&self, path: &str, headers: &mut HeaderMap, sent: Bytes) -> Bytes {
        match self.fault {
            Fault::LetsStrangersIn if path == method("GetSpecimen") => {
                headers.remove("authorization");
            }
            Fault::DoesRepeats if path == method("CreateSpecimen") => {
                if let Some(mut request) = decoded::<pb::CreateSpecimenRequest>(&sent) {
                    if !self.keys.lock().unwrap().insert(request.idempotency_key.clone()) && request.title == "A title"
                    {
                        request.idempotency_key = Uuid::new_v4().to_string();
                    }
                    return envelope(&request.encode_to_vec());
                }
            }
            Fault::TakesOthersToken
                if path == method("ListSpecimens")
                    && decoded(&sent).is_some_and(|list: pb::ListSpecimensRequest| !list.page_token.is_empty()) =>
            {
                headers.remove("authorization");
            }
            Fault::AuditsAnotherCall if path == method("DeleteSpecimen") => {
                if let Some(mut request) = decoded::<pb::DeleteSpecimenRequest>(&sent)
                    && let Ok(key) = Uuid::try_parse(&request.idempotency_key)
                {
                    request.idempotency_key = Uuid::new_v5(&key, b"another").to_string();
                    return envelope(&request.encode_to_vec());
                }
            }
            Fault::DoesWhatIsRehearsed if path == method("CreateSpecimen") => {
                if let Some(mut request) = decoded::<pb::CreateSpecimenRequest>(&sent) {
                    request.validate_only = false;
                    return envelope(&request.encode_to_vec());
                }
            }
            Fault::IgnoresEtags if path == method("UpdateSpecimen") => {
                if let Some(mut request) = decoded::<pb::UpdateSpecimenRequest>(&sent)
                    && request.etag == "\"stale\""
                {
                    request.etag = String::new();
                    return envelope(&request.encode_to_vec());
                }
            }
            Fault::TakesOtherToken if path == method("ListSpecimens") => {
                if let Some(mut request) = decoded::<pb::ListSpecimensRequest>(&sent)
                    && request.title.is_empty()
                {
                    request.page_token = String::new();
                    return envelope(&request.encode_to_vec());
                }
            }
            _ => {}
        }
        sent
    }

    /// What is passed on of an answer.
    async fn answer(&self, path: &str, sent: &Bytes, response: Response<Incoming>) -> Response<Body> {
        if let Some(status) = Status::from_header_map(response.headers()) {
            return match self.failure(path, sent, &status) {
                Some(other) => other,
                None => response.map(|body| body.boxed_unsync()),
            };
        }
        let listing = path == method("ListSpecimens");
        let reflecting = path.starts_with("/grpc.reflection.");
        match self.fault {
            Fault::SkipsRow | Fault::RepeatsRow if listing && response.status() == StatusCode::OK => {
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let mut list: pb::ListSpecimensResponse = decoded(&body).unwrap();
                let token = decoded::<pb::ListSpecimensRequest>(sent).unwrap().page_token;
                let mut last_rows = self.last_rows.lock().unwrap();
                if !token.is_empty() && self.fault == Fault::SkipsRow {
                    list.specimens.remove(0);
                } else if !token.is_empty() {
                    list.specimens.insert(0, last_rows.pop().unwrap());
                }
                last_rows.extend(list.specimens.last().cloned());
                answered(&list.encode_to_vec())
            }
            Fault::HidesItself if reflecting => {
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let hidden = SERVICE.replace("SpecimenService", "SomebodyService");
                answered_with(replaced(&body, SERVICE, &hidden).into())
            }
            Fault::KnowsEveryone if path == "/grpc.health.v1.Health/Watch" => {
                let serving = envelope(&HealthCheckResponse { status: 1 }.encode_to_vec());
                answered_with(serving)
            }
            _ => response.map(|body| body.boxed_unsync()),
        }
    }

    /// Another answer than this failure; `None` where it is passed on.
    fn failure(&self, path: &str, sent: &Bytes, status: &Status) -> Option<Response<Body>> {
        let mut details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let is_malformed = reason == "MALFORMED_MESSAGE" && path == method("GetSpecimen");
        let names = |details: &ErrorDetails, field: &str, reason: &str| {
            let violations = details.bad_request().map(|bad| bad.field_violations.clone());
            let mut violations = violations.unwrap_or_default().into_iter();
            violations.any(|one| one.field == field && one.reason == reason)
        };
        let other = |code, details| refused(&Status::with_error_details(code, status.message(), details));
        match self.fault {
            Fault::KnowsEveryone if path == "/grpc.health.v1.Health/Check" => {
                let serving = HealthCheckResponse { status: 1 };
                decoded::<HealthCheckRequest>(sent).map(|_| answered(&serving.encode_to_vec()))
            }
            Fault::TellsNoDetails if is_malformed => Some(refused(&Status::new(status.code(), status.message()))),
            Fault::InventsReason if is_malformed => {
                details.set_error_info("BAD_LUCK", "counterfoil.dev", []);
                Some(other(status.code(), details))
            }
            Fault::MixesUpCodes if is_malformed => {
                details.set_error_info("UNKNOWN_METHOD", "counterfoil.dev", []);
                Some(other(status.code(), details))
            }
            Fault::InventsFieldReason if names(&details, "specimen_id", "REQUIRED") => {
                let mut bad = details.bad_request().unwrap().clone();
                bad.field_violations[0].reason = "TOO_BAD".to_owned();
                details.set_bad_request(bad.field_violations);
                Some(other(status.code(), details))
            }
            Fault::CancelsAtDeadline if reason == "DEADLINE_EXCEEDED" && path == method("ListSpecimens") => {
                details.set_error_info("CANCELLED", "counterfoil.dev", []);
                Some(other(Code::Cancelled, details))
            }
            Fault::AllowsOtherRequest if reason == "IDEMPOTENCY_KEY_REUSED" => Some(answered(&[])),
            Fault::TakesAnyMask if reason == "INVALID_FIELD_MASK" => Some(answered(&[])),
            Fault::ForgetsField if names(&details, "user_id", "REQUIRED") => {
                let mut bad = details.bad_request().unwrap().clone();
                bad.field_violations.retain(|one| one.field != "user_id");
                details.set_bad_request(bad.field_violations);
                Some(other(status.code(), details))
            }
            Fault::TakesCardNumber if names(&details, "title", "CARD_NUMBER") => Some(answered(&[])),
            Fault::TakesAnyRedirect if names(&details, "return_url", "REDIRECT_URL") => Some(answered(&[])),
            Fault::TakesReservedKey if names(&details, "metadata[\"op_key\"]", "METADATA") => Some(answered(&[])),
            _ => None,
        }
    }
}

fn method(name: &str) -> String {
    format!("/{SERVICE}/{name}")
}

/// Whether of a message only the beginning is there.
fn is_cut(sent: &[u8]) -> bool {
    sent.len() == 5 && sent[1..] != [0; 4]
}

fn decoded<M: Message + Default>(body: &[u8]) -> Option<M> {
    M::decode(&**messages(body).first()?).ok()
}

/// Bytes with one name in place of another, which is as long.
fn replaced(bytes: &[u8], name: &str, by: &str) -> Vec<u8> {
    assert_eq!(name.len(), by.len());
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(name.len()).position(|window| window == name.as_bytes()) {
        bytes[at..at + by.len()].copy_from_slice(by.as_bytes());
    }
    bytes
}

/// The answer with one message.
fn answered(message: &[u8]) -> Response<Body> {
    answered_with(envelope(message))
}

fn answered_with(body: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = futures::stream::iter([Ok(Frame::data(body)), Ok(Frame::trailers(trailers))]);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", content_type);
    response
}

/// The answer that is a failure.
fn refused(status: &Status) -> Response<Body> {
    let response: Response<Full<Bytes>> = status.clone().into_http();
    response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
}
