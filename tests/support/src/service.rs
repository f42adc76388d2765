//! A service alone, in the test's process, and events handed to its projection.

use bytes::Bytes;
use chrono::DateTime;
use counterfoil_chassis::client::{Channel, channel};
use counterfoil_chassis::{Clock, Service, server};
use counterfoil_events::{Event, Projection};
use counterfoil_store::Db;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic_types::StatusExt;

use crate::{SANDBOX_TIME, TestDb};

/// Serves one instance of `S` on `db` until `shutdown`, with the fixed `dev` identity, two origins
/// to send browsers back to, and a clock that stands at [`SANDBOX_TIME`].
pub async fn serve<S: Service>(db: &TestDb, service: S::Config, shutdown: &CancellationToken) -> Channel {
    let config = counterfoil_chassis::Config {
        server: server::Config {
            dev_identity: true,
            allowed_origins: vec!["https://shop.example".to_owned(), "https://sellers.example".to_owned()]
                .try_into()
                .unwrap(),
            ..server::Config::default()
        },
        database: db.config(),
        telemetry: Default::default(),
        client: Default::default(),
        service,
    };
    let clock = Clock::fixed(DateTime::from_timestamp(SANDBOX_TIME, 0).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = counterfoil_chassis::serve::<S>(config, listener, clock, shutdown.clone())
        .await
        .unwrap();
    channel(&format!("http://{}", running.addr)).unwrap()
}

/// A gateway that is not there, for a service whose events the test hands over itself.
pub fn no_gateway() -> counterfoil_events::Config {
    counterfoil_events::Config {
        gateway_url: "http://127.0.0.1:9".to_owned(),
        instance: "test".to_owned(),
    }
}

/// Hands an event over as the consumer does; says whether it wrote.
pub async fn feed<P: Projection>(db: &Db, projection: &P, event: &Event) -> bool {
    let prepared = projection.prepare(db, event).await.unwrap();
    let applied = db
        .transaction(async |conn| projection.apply(conn, event, prepared).await.map_err(Failed::from))
        .await;
    applied.unwrap()
}

/// What a projection's transaction failed with.
#[derive(Debug)]
struct Failed(#[expect(dead_code, reason = "shown by Debug")] Box<dyn std::error::Error + Send + Sync>);

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed(Box::new(error))
    }
}

/// An event as the log hands it out, from its JSON.
pub fn event(json: &Value) -> Event {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let created = DateTime::from_timestamp(json["created"].as_i64().unwrap(), 0).unwrap();
    let object_id = text(&json["data"]["object"]["id"]);
    Event {
        partition: 0,
        offset: 1,
        event_id: text(&json["id"]),
        event_type: text(&json["type"]),
        api_version: text(&json["api_version"]),
        account: text(&json["account"]),
        key: format!("/{object_id}"),
        object_id,
        created,
        received: created,
        body: Bytes::from(json.to_string()),
        traceparent: String::new(),
    }
}

/// Code, message and details of an error, for a snapshot.
pub fn told(status: &Status) -> String {
    format!(
        "{:?}: {}\n{:#?}",
        status.code(),
        status.message(),
        status.get_error_details()
    )
}
