//! A running gateway, and Stripe's side of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use counterfoil_chassis::client::{Channel, channel};
use counterfoil_chassis::{Clock, Config, Listeners, Running, serve_with, server};
use counterfoil_proto::event::v1::event_service_client::EventServiceClient;
use counterfoil_store::Config as Database;
use counterfoil_telemetry as telemetry;
use counterfoil_test_support::TestDb;
use counterfoil_types::Mode;
use counterfoil_webhook_gateway::endpoint::{self, Kind, NamedSecret};
use counterfoil_webhook_gateway::{Gateway as Service, HTTP_LISTENER, MIGRATIONS};
use diesel_migrations::EmbeddedMigrations;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{RequestBuilder, StatusCode};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

pub(crate) static OWN: EmbeddedMigrations = MIGRATIONS;

pub(crate) const SECRET: &str = "whsec_new";
pub(crate) const OLD_SECRET: &str = "whsec_old";

pub(crate) struct Gateway {
    pub db: Arc<TestDb>,
    pub http: SocketAddr,
    pub grpc_url: String,
    pub client: EventServiceClient<Channel>,
    pub shutdown: CancellationToken,
    pub running: Running,
    http_client: reqwest::Client,
}

impl Gateway {
    /// A gateway with a log of its own.
    pub(crate) async fn start() -> Gateway {
        let db = Arc::new(TestDb::new(&OWN).await);
        Gateway::on(&db).await
    }

    /// One more gateway on the log of `db`.
    pub(crate) async fn on(db: &Arc<TestDb>) -> Gateway {
        Gateway::with(db, db.config()).await
    }

    pub(crate) async fn with(db: &Arc<TestDb>, database: Database) -> Gateway {
        let endpoint = endpoint::Config {
            path: None,
            secrets: vec![NamedSecret {
                name: "new".into(),
                value: SECRET.into(),
                expires: None,
            }],
            secret: Some(OLD_SECRET.into()),
            mode: Mode::Test,
            kind: Kind::Platform,
            tolerance_s: 300,
        };
        let config = Config {
            server: server::Config {
                dev_identity: true,
                ..server::Config::default()
            },
            database,
            telemetry: telemetry::Config::default(),
            client: Default::default(),
            service: counterfoil_webhook_gateway::Config {
                http: counterfoil_webhook_gateway::HttpConfig::default(),
                endpoints: BTreeMap::from([("platform".to_owned(), endpoint)]),
            },
        };
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http_address, grpc_url) = (
            http.local_addr().unwrap(),
            format!("http://{}", grpc.local_addr().unwrap()),
        );
        let shutdown = CancellationToken::new();
        let listeners = Listeners::default().with(HTTP_LISTENER, http);
        let running = serve_with::<Service>(config, grpc, listeners, Clock::system(), shutdown.clone())
            .await
            .unwrap();
        Gateway {
            db: db.clone(),
            http: http_address,
            client: EventServiceClient::new(channel(&grpc_url).unwrap()),
            grpc_url,
            shutdown,
            running,
            http_client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        self.http_client.post(format!("http://{}{path}", self.http))
    }

    /// Delivers `body` with this header.
    pub(crate) async fn deliver_with(&self, body: impl Into<Vec<u8>>, signature: &str) -> StatusCode {
        let request = self
            .request("/webhooks/stripe/platform")
            .header("stripe-signature", signature);
        request.body(body.into()).send().await.unwrap().status()
    }

    /// Delivers `body` as Stripe does.
    pub(crate) async fn deliver(&self, body: impl Into<Vec<u8>>) -> StatusCode {
        let body = body.into();
        let signature = sign(&body, SECRET, now());
        self.deliver_with(body, &signature).await
    }

    /// Delivers `count` events of one customer, ids `<prefix>1` to `<prefix><count>`, one after the other.
    pub(crate) async fn deliver_many(&self, prefix: &str, customer: &str, count: usize) {
        for number in 1..=count {
            let body = event(&format!("{prefix}{number}"), "invoice.paid", customer);
            assert_eq!(self.deliver(body).await, 200);
        }
    }

    /// A connection as administrator that sees the log's schema.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        sql(&self.db).await
    }

    /// The offsets of the log, whose events are all of one partition.
    pub(crate) async fn offsets(&self) -> Vec<i64> {
        let offsets = "select log_offset from event_log order by 1";
        let rows = self.sql().await.query(offsets, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let row = self
            .sql()
            .await
            .query_one(&format!("select count(*) from {table}"), &[])
            .await
            .unwrap();
        row.get(0)
    }
}

pub(crate) async fn sql(db: &TestDb) -> tokio_postgres::Client {
    let mut config: tokio_postgres::Config = TestDb::admin_url().parse().unwrap();
    config.options(format!("-c search_path={}", db.config().schema));
    let (client, driver) = config.connect(NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

/// The wall clock, as Stripe's and ours.
pub(crate) fn now() -> i64 {
    Clock::system().now().timestamp()
}

/// The header Stripe sends.
pub(crate) fn sign(body: &[u8], secret: &str, time: i64) -> String {
    format!("t={time},v1={}", signature(body, secret, time))
}

pub(crate) fn signature(body: &[u8], secret: &str, time: i64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// An event about an invoice of `customer`.
pub(crate) fn event(id: &str, event_type: &str, customer: &str) -> String {
    format!(
        r#"{{"id":"{id}","object":"event","api_version":"2026-09-30.endive","created":1790000000,"livemode":false,
            "type":"{event_type}","data":{{"object":{{"id":"in_1","object":"invoice","customer":"{customer}"}}}}}}"#
    )
}
