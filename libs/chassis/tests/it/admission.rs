//! Who may call what, and what a request must be.

use std::net::SocketAddr;

use counterfoil_chassis::{Clock, client, serve};
use counterfoil_proto::connect::v1 as pb;
use counterfoil_proto::tax::v1 as tax;
use counterfoil_proto::tax::v1::calculation_service_client::CalculationServiceClient;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;

use crate::service::{Accounts, Served, config, get, reason};

#[tokio::test]
async fn the_dev_identity_calls_what_a_rule_lets_it_and_nothing_else() {
    let served = Served::of::<Accounts<false>>(config()).await;
    let answer = served.client().get_connected_account(get("acct_1")).await.unwrap();
    let account = answer.into_inner().connected_account.unwrap();
    assert_eq!(
        (account.account_id.as_str(), account.country_code.as_str()),
        ("acct_1", "dev")
    );

    let new = pb::CreateConnectedAccountRequest::default();
    let denied = served.client().create_connected_account(new).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(reason(&denied), "DENIED_BY_POLICY");

    // A method that does not exist here is not told apart from one that is denied.
    let mut elsewhere = CalculationServiceClient::new(client::channel(&served.uri()).unwrap());
    let calculation = tax::CreateCalculationRequest::default();
    let denied = elsewhere.create_calculation(calculation).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    served.end().await;
}

#[tokio::test]
async fn without_an_identity_every_call_is_refused() {
    let mut config = config();
    config.server.dev_identity = false;
    let served = Served::new(config).await;
    let refused = served.client().get_connected_account(get("acct_1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(reason(&refused), "NO_IDENTITY");
    served.end().await;
}

#[tokio::test]
async fn plain_text_off_loopback_refuses_to_start() {
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 0))).await.unwrap();
    let refusal = serve::<Accounts<true>>(config(), listener, Clock::system(), CancellationToken::new()).await;
    let refusal = refusal.unwrap_err().to_string();
    assert!(
        refusal.contains("server.listen") && refusal.contains("loopback"),
        "{refusal}"
    );
}

#[tokio::test]
async fn an_invalid_request_is_told_all_its_violations() {
    let served = Served::new(config()).await;
    let new = pb::CreateConnectedAccountRequest {
        idempotency_key: "again".to_owned(),
        country_code: "Austria".to_owned(),
        email: String::new(),
        refresh_url: "https://evil.example".to_owned(),
        return_url: "http://shop.example".to_owned(),
    };
    let invalid = served.client().create_connected_account(new).await.unwrap_err();
    assert_eq!(invalid.code(), Code::InvalidArgument);
    assert_eq!(reason(&invalid), "INVALID_REQUEST");
    let violations = invalid.get_details_bad_request().unwrap().field_violations;
    let violations: Vec<_> = violations
        .iter()
        .map(|one| (one.field.as_str(), one.description.as_str()))
        .collect();
    assert_eq!(
        violations,
        [
            (
                "idempotency_key",
                "must be a UUID, as in 6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d"
            ),
            ("country_code", "must be an ISO 3166-1 alpha-2 code in upper case"),
            ("refresh_url", "must be of an allowed origin"),
            ("return_url", "must be https (or http on loopback)"),
        ]
    );
    served.end().await;
}

#[tokio::test]
async fn reflection_lists_the_services_to_anyone_unless_it_is_off() {
    for reflection in [true, false] {
        let mut config = config();
        config.server.dev_identity = false;
        config.server.reflection = reflection;
        let served = Served::new(config).await;
        let mut client = ServerReflectionClient::new(client::channel(&served.uri()).unwrap());
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answer = client.server_reflection_info(tokio_stream::iter([request])).await;
        if reflection {
            let answer = answer.unwrap().into_inner().next().await.unwrap().unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
                panic!("not a list: {answer:?}");
            };
            let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
            names.sort();
            let own = "counterfoil.connect.v1.ConnectedAccountService";
            assert_eq!(
                names,
                [own, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]
            );
        } else {
            assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
        }
        served.end().await;
    }
}
