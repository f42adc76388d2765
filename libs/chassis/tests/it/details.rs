//! Statuses that tonic makes, each provoked.

use counterfoil_chassis::{client, status};
use counterfoil_proto::connect::v1 as pb;
use http::HeaderMap;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_types::{ErrorInfo, StatusExt};

use crate::raw::{Raw, asking_for, message};
use crate::service::{Accounts, GET, Served, config, get};

fn info(status: &Status) -> ErrorInfo {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, status::DOMAIN);
    info
}

fn status_in(headers: &HeaderMap) -> Status {
    Status::from_header_map(headers).unwrap()
}

#[tokio::test]
async fn whatever_is_wrong_with_a_call_has_a_reason_and_none_of_tonics_text() {
    let served = Served::new(config()).await;
    let raw = Raw::connect(served.running.addr).await;
    let nowhere = "/counterfoil.connect.v1.ConnectedAccountService/Nothing";
    let gzip = &[("grpc-encoding", "gzip")][..];
    let mut compressed = asking_for("acct_1");
    compressed[0] = 1;
    let mut flagged = asking_for("acct_1");
    flagged[0] = 7;
    let mut cut = asking_for("acct_1");
    cut.pop();
    for (method, headers, body, code, reason) in [
        (
            nowhere,
            &[][..],
            asking_for("acct_1"),
            Code::Unimplemented,
            "UNKNOWN_METHOD",
        ),
        (
            GET,
            gzip,
            compressed.clone(),
            Code::Unimplemented,
            "UNSUPPORTED_COMPRESSION",
        ),
        (GET, &[], compressed, Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (GET, &[], flagged, Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (GET, &[], cut, Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (
            GET,
            &[],
            message(&[0x0a, 9, b'x']),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            GET,
            &[],
            message(&[0x0a, 1, 0xff]),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (GET, &[], Vec::new(), Code::InvalidArgument, "MISSING_MESSAGE"),
    ] {
        let status = status_in(&raw.call(method, headers, body).await.unwrap());
        assert_eq!((status.code(), info(&status).reason.as_str()), (code, reason));
        let text = status.message().to_lowercase();
        assert!(
            !text.is_empty() && !text.contains("protobuf") && !text.contains("gzip"),
            "{text}"
        );
    }
    let headers = raw.call(GET, &[], asking_for("acct_1")).await.unwrap();
    assert_eq!(status_in(&headers).code(), Code::Ok);
    assert!(!headers.contains_key("grpc-status-details-bin"));
    served.end().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_the_limit() {
    // The second is tonic's own too, which never gets to answer.
    for limit in [1_000, 4 * 1024 * 1024] {
        let mut config = config();
        config.server.max_message_bytes = limit;
        let served = Served::new(config).await;
        let envelope = 8;
        let fits = "a".repeat(usize::try_from(limit).unwrap() - envelope);
        let large = get(&format!("{fits}{}", "a".repeat(envelope)));
        let refused = served.client().get_connected_account(large).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let info = info(&refused);
        assert_eq!(info.reason, "MESSAGE_TOO_LARGE");
        assert_eq!(info.metadata["limit_bytes"], limit.to_string());

        let invalid = served.client().get_connected_account(get(&fits)).await.unwrap_err();
        assert_eq!(invalid.code(), Code::InvalidArgument, "it was read");
        served.end().await;
    }
}

#[tokio::test]
async fn a_stream_that_fails_has_its_details_in_the_trailers() {
    let served = Served::new(config()).await;
    let mut client = ServerReflectionClient::new(client::channel(&served.uri()).unwrap());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol("no.such.Symbol".to_owned())),
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let failure = answers.next().await.unwrap().unwrap_err();
    assert_eq!(failure.code(), Code::NotFound);
    assert_eq!(info(&failure).reason, "UNEXPLAINED");
    assert!(!failure.message().contains("Symbol"), "{failure}");
    served.end().await;
}

#[tokio::test]
async fn who_may_not_call_a_method_is_not_told_whether_it_exists() {
    let (there, nowhere) = (
        "/counterfoil.connect.v1.ConnectedAccountService/CreateConnectedAccount",
        "/counterfoil.connect.v1.ConnectedAccountService/Nothing",
    );
    for (dev_identity, code) in [(true, Code::PermissionDenied), (false, Code::Unauthenticated)] {
        let mut config = config();
        config.server.dev_identity = dev_identity;
        let served = Served::of::<Accounts<false>>(config).await;
        let raw = Raw::connect(served.running.addr).await;
        let empty = prost::Message::encode_to_vec(&pb::CreateConnectedAccountRequest::default());
        let mut answers = Vec::new();
        for method in [there, nowhere, "/no.such.Service/Nothing"] {
            let status = status_in(&raw.call(method, &[], message(&empty)).await.unwrap());
            assert_eq!(status.code(), code);
            answers.push((status.message().to_owned(), status.details().to_vec()));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        served.end().await;
    }
}
