//! One trace across a call.

use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tonic::Request;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tracing_subscriber::layer::SubscriberExt;

use crate::service::{Served, config, get};

const NAME: &str = "counterfoil.connect.v1.ConnectedAccountService/GetConnectedAccount";

/// Traces this thread, which is all of a test's: its runtime has no other.
pub(crate) fn traced() -> (InMemorySpanExporter, tracing::subscriber::DefaultGuard) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans));
    (exporter, guard)
}

fn calls(exporter: &InMemorySpanExporter, kind: SpanKind) -> Vec<SpanData> {
    let spans = exporter.get_finished_spans().unwrap();
    spans
        .into_iter()
        .filter(|span| span.name == NAME && span.span_kind == kind)
        .collect()
}

pub(crate) fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found
        .unwrap_or_else(|| panic!("no {key} in {span:?}"))
        .value
        .to_string()
}

#[tokio::test]
async fn the_servers_span_is_the_child_of_the_one_the_client_names() {
    let (exporter, _guard) = traced();
    let served = Served::new(config()).await;
    let channel = Endpoint::from_shared(served.uri()).unwrap().connect_lazy();
    let mut client = ConnectedAccountServiceClient::new(channel);
    let mut request = Request::new(get("acct_none"));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    client.get_connected_account(request).await.unwrap_err();
    drop(client);
    served.end().await;

    let spans = calls(&exporter, SpanKind::Server);
    assert_eq!(spans.len(), 1);
    assert_eq!(
        spans[0].span_context.trace_id().to_string(),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(spans[0].parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(attribute(&spans[0], "rpc.system.name"), "grpc");
    assert_eq!(attribute(&spans[0], "rpc.method"), NAME);
    assert_eq!(attribute(&spans[0], "rpc.response.status_code"), "NOT_FOUND");
    assert_eq!(
        spans[0].status,
        opentelemetry::trace::Status::Unset,
        "the caller's mistake is no error of the server"
    );
}

#[tokio::test]
async fn a_call_over_our_channel_is_one_trace_and_a_health_check_is_none() {
    let (exporter, _guard) = traced();
    let served = Served::new(config()).await;
    served.client().get_connected_account(get("acct_1")).await.unwrap();
    let channel = Endpoint::from_shared(served.uri()).unwrap().connect_lazy();
    let mut health = HealthClient::new(channel);
    health.check(HealthCheckRequest::default()).await.unwrap();
    drop(health);
    served.end().await;

    let (client, server) = (calls(&exporter, SpanKind::Client), calls(&exporter, SpanKind::Server));
    assert_eq!((client.len(), server.len()), (1, 1));
    assert_eq!(server[0].span_context.trace_id(), client[0].span_context.trace_id());
    assert_eq!(server[0].parent_span_id, client[0].span_context.span_id());
    assert_eq!(attribute(&client[0], "rpc.response.status_code"), "OK");
    assert_eq!(attribute(&server[0], "rpc.response.status_code"), "OK");
    let spans = exporter.get_finished_spans().unwrap();
    assert!(
        spans
            .iter()
            .all(|span| !span.name.contains("Health") && span.name != "_OTHER"),
        "{spans:?}"
    );
}
