//! One trace from the delivery to its effect.

use std::sync::{Arc, Mutex};

use counterfoil_proto::event::v1 as pb;
use counterfoil_test_support::{TestDb, eventually};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;

use crate::consume::{EFFECTS, start};
use crate::gateway::{Gateway, SECRET, event, now, sign, sql};

/// Version, trace, span and flags of a W3C context.
fn parts(traceparent: &str) -> Vec<&str> {
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [2, 32, 16, 2],
        "{traceparent}"
    );
    parts
}

#[tokio::test]
async fn an_effect_belongs_to_the_trace_of_the_delivery_and_not_to_one_its_sender_names() {
    let provider = SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // This thread is all of the test's: its runtime has no other.
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans));

    let gateway = Gateway::start().await;
    let db = TestDb::new(&EFFECTS).await;
    let body = event("evt_1", "invoice.paid", "cus_1");
    let forged = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = gateway
        .request("/webhooks/stripe/platform")
        .header("traceparent", forged);
    let request = request
        .header("stripe-signature", sign(body.as_bytes(), SECRET, now()))
        .body(body);
    assert_eq!(request.send().await.unwrap().status(), 200);

    let request = pb::GetEventRequest {
        event_id: "evt_1".into(),
        account: String::new(),
    };
    let stored = gateway
        .client
        .clone()
        .get_event(request)
        .await
        .unwrap()
        .into_inner()
        .event
        .unwrap()
        .traceparent;
    assert_ne!(parts(&stored)[1], parts(forged)[1]);

    let (_, shutdown, consumer) = start(&gateway, &db);
    let sql = sql(&db).await;
    let applied: String = eventually("the effect", async || {
        let row = sql.query_opt("select traceparent from effect", &[]).await.unwrap();
        row.map(|row| row.get(0))
    })
    .await;
    assert_eq!(parts(&applied)[1], parts(&stored)[1]);
    assert_ne!(parts(&applied)[2], parts(&stored)[2]);
    shutdown.cancel();
    consumer.await.unwrap();
}

/// What was logged.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Told {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_a_path_says_is_told_only_of_an_endpoint_that_there_is() {
    let told = Told::default();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer({
            let told = told.clone();
            move || told.clone()
        });
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let gateway = Gateway::start().await;
    for path in ["platform", "ann@example.com%0d%0a"] {
        let request = gateway.request(&format!("/webhooks/stripe/{path}"));
        assert!(!request.send().await.unwrap().status().is_success());
    }
    let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
    let webhooks: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("webhook{") && line.contains("close"))
        .collect();
    assert!(
        webhooks.len() == 2 && webhooks[0].contains(r#"endpoint="platform""#),
        "{told}"
    );
    assert!(!told.contains("ann@example.com"), "{told}");
}
