//! Calls by a service config over real connections, to a server that answers by a script.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::tracing::Instrument;
use counterfoil_chassis::client::{self, Channel};
use counterfoil_proto::connect::v1 as pb;
use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use counterfoil_proto::connect::v1::connected_account_service_server::{
    ConnectedAccountService, ConnectedAccountServiceServer,
};
use opentelemetry::trace::SpanKind;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use crate::tracing::{attribute, traced};

type Create = Request<pb::CreateConnectedAccountRequest>;

/// What a server does with one call.
#[derive(Clone)]
enum Answer {
    Account,
    Fail(Code),
    Silence,
    /// Its successor listens on the same port before the call fails.
    HandOver,
}

/// What a server was sent: the whole message and the number of attempts before.
type Seen = (pb::CreateConnectedAccountRequest, Option<String>);

/// A server without a chassis, and its successors on the same port.
#[derive(Clone)]
struct Scripted {
    addr: SocketAddr,
    answers: Arc<Mutex<Vec<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    leaving: CancellationToken,
}

impl Scripted {
    async fn new<const N: usize>(answers: [Answer; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut scripted = Self::at(listener.local_addr().unwrap());
        scripted.answers = Arc::new(Mutex::new(answers.into_iter().rev().collect()));
        scripted.serve(listener);
        scripted
    }

    fn at(addr: SocketAddr) -> Self {
        Self {
            addr,
            answers: Arc::default(),
            seen: Arc::default(),
            leaving: CancellationToken::new(),
        }
    }

    fn serve(&self, listener: TcpListener) {
        let (service, leaving) = (ConnectedAccountServiceServer::new(self.clone()), self.leaving.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), leaving.cancelled_owned()));
    }

    /// Leaves, and makes room for another one that does the rest of the script.
    async fn hand_over(&self) {
        self.leaving.cancel();
        let successor = Self {
            leaving: CancellationToken::new(),
            ..self.clone()
        };
        // The port is free when the server's own task has dropped its listener.
        let listener = loop {
            match TcpListener::bind(self.addr).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        successor.serve(listener);
    }

    async fn create(&self, config: &str) -> Result<(), Status> {
        let mut client = ConnectedAccountServiceClient::new(self.channel(config));
        client.create_connected_account(account()).await.map(|_| ())
    }

    fn channel(&self, config: &str) -> Channel {
        let channel = client::channel(&format!("http://{}", self.addr)).unwrap();
        channel.with_service_config(config).unwrap()
    }

    fn attempts(&self) -> Vec<Option<String>> {
        let seen = self.seen.lock().unwrap();
        assert!(seen.iter().all(|(message, _)| *message == account()));
        seen.iter().map(|(_, attempts)| attempts.clone()).collect()
    }
}

#[tonic::async_trait]
impl ConnectedAccountService for Scripted {
    async fn create_connected_account(
        &self,
        request: Create,
    ) -> Result<Response<pb::CreateConnectedAccountResponse>, Status> {
        let attempts = request.metadata().get("grpc-previous-rpc-attempts");
        let attempts = attempts.map(|value| value.to_str().unwrap().to_owned());
        self.seen.lock().unwrap().push((request.into_inner(), attempts));
        let answer = self.answers.lock().unwrap().pop().expect("no more attempts");
        match answer {
            Answer::Account => Ok(Response::new(pb::CreateConnectedAccountResponse::default())),
            Answer::Fail(code) => Err(Status::new(code, "as the script says")),
            Answer::Silence => pending().await,
            Answer::HandOver => {
                self.hand_over().await;
                Err(Status::unavailable("leaving"))
            }
        }
    }

    async fn get_connected_account(
        &self,
        _: Request<pb::GetConnectedAccountRequest>,
    ) -> Result<Response<pb::GetConnectedAccountResponse>, Status> {
        Err(Status::unavailable("as always"))
    }
}

fn account() -> pb::CreateConnectedAccountRequest {
    pb::CreateConnectedAccountRequest {
        idempotency_key: "6f1cf9f8-53c4-4c02-8f76-6c9d4f1c5a31".to_owned(),
        country_code: "DE".to_owned(),
        ..Default::default()
    }
}

/// Retries creation quickly, for as long as `timeout`.
fn config(timeout: &str) -> String {
    format!(
        r#"{{ "methodConfig": [{{
            "name": [{{
                "service": "counterfoil.connect.v1.ConnectedAccountService",
                "method": "CreateConnectedAccount"
            }}],
            "timeout": "{timeout}",
            "retryPolicy": {{
                "maxAttempts": 5,
                "initialBackoff": "0.001s",
                "maxBackoff": "0.001s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"]
            }}
        }}]}}"#
    )
}

fn numbers(previous: std::ops::Range<u32>) -> Vec<Option<String>> {
    previous
        .map(|number| (number > 0).then(|| number.to_string()))
        .collect()
}

#[tokio::test]
async fn the_same_message_is_sent_until_the_server_is_available() {
    let down = Answer::Fail(Code::Unavailable);
    let server = Scripted::new([down.clone(), down, Answer::Account]).await;
    server.create(&config("10s")).await.unwrap();
    assert_eq!(server.attempts(), numbers(0..3));
}

#[tokio::test]
async fn what_will_not_pass_is_told_at_once() {
    for code in [Code::Aborted, Code::Internal, Code::ResourceExhausted, Code::NotFound] {
        let server = Scripted::new([Answer::Fail(code)]).await;
        assert_eq!(server.create(&config("10s")).await.unwrap_err().code(), code);
        assert_eq!(server.attempts(), numbers(0..1));
    }
}

#[tokio::test]
async fn a_method_that_the_config_does_not_name_is_called_once() {
    let server = Scripted::new([]).await;
    let mut client = ConnectedAccountServiceClient::new(server.channel(&config("10s")));
    let request = pb::GetConnectedAccountRequest::default();
    let refused = client.get_connected_account(request).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "as always"));
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_at_the_deadline() {
    let server = Scripted::new([Answer::Silence]).await;
    let late = server.create(&config("0.05s")).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert_eq!(late.get_details_error_info().unwrap().reason, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_server_that_hangs_before_it_speaks_is_left_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = Scripted::at(listener.local_addr().unwrap());
    let late = mute.create(&config("0.05s")).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    drop(listener);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let absent = Scripted::at(free).create(&config("10s")).await.unwrap_err();
    assert_eq!(absent.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_server_that_leaves_is_followed_to_its_successor_on_the_same_port() {
    let server = Scripted::new([Answer::HandOver, Answer::Account]).await;
    server.create(&config("10s")).await.unwrap();
    assert_eq!(server.attempts().len(), 2);
}

#[tokio::test]
async fn a_connection_lost_halfway_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Scripted::at(listener.local_addr().unwrap());
    server.answers.lock().unwrap().push(Answer::Account);
    let served = server.clone();
    let config = config("10s");
    let (answer, ()) = tokio::join!(server.create(&config), async move {
        let (mut first, _) = listener.accept().await.unwrap();
        // More than the preface: the call itself is under way when the connection goes.
        let mut preface = [0; 64];
        tokio::io::AsyncReadExt::read_exact(&mut first, &mut preface)
            .await
            .unwrap();
        drop(first);
        served.serve(listener);
    });
    answer.unwrap();
    assert_eq!(server.attempts().len(), 1);
}

#[tokio::test]
async fn without_a_service_config_nothing_is_repeated() {
    let server = Scripted::new([Answer::Fail(Code::Unavailable)]).await;
    let channel = client::channel(&format!("http://{}", server.addr)).unwrap();
    let mut client = ConnectedAccountServiceClient::new(channel);
    let mut request = Request::new(account());
    request.set_timeout(Duration::from_secs(10));
    let refused = client.create_connected_account(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(server.attempts(), numbers(0..1));
}

#[tokio::test]
async fn each_attempt_is_a_span_of_the_same_work() {
    let (exporter, _guard) = traced();
    let server = Scripted::new([Answer::Fail(Code::Unavailable), Answer::Account]).await;
    let work = ::tracing::info_span!("work");
    server.create(&config("10s")).instrument(work.clone()).await.unwrap();
    drop(work);

    let spans = exporter.get_finished_spans().unwrap();
    let work = spans
        .iter()
        .find(|span| span.name == "work")
        .unwrap()
        .span_context
        .clone();
    let attempts = spans.iter().filter(|span| span.span_kind == SpanKind::Client);
    let of_work = attempts.filter(|span| {
        let context = &span.span_context;
        span.parent_span_id == work.span_id() && context.trace_id() == work.trace_id()
    });
    let codes: Vec<_> = of_work
        .map(|span| attribute(span, "rpc.response.status_code"))
        .collect();
    assert_eq!(codes, ["UNAVAILABLE", "OK"]);
}
