//! What a test has at hand.

use bytes::Bytes;
use chrono::DateTime;
use counterfoil_chassis::client::{Channel, channel};
use counterfoil_chassis::{Service, server};
use counterfoil_connect::projection::ConnectedAccounts;
use counterfoil_connect::{Config, Connect};
use counterfoil_events::{Event, Projection};
use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use counterfoil_store::Db;
use counterfoil_test_support::TestDb;
use counterfoil_types::{Clock, Mode};
use serde_json::{Value, json};
use stripe_sandbox::Sandbox;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use tonic_types::StatusExt;

pub(crate) type Client = ConnectedAccountServiceClient<Channel>;

/// A schema and a sandbox of the test's own. Services started in it end with it.
pub(crate) struct World {
    db: TestDb,
    sandbox: Sandbox,
    http: reqwest::Client,
    _end: DropGuard,
    shutdown: CancellationToken,
}

/// The time at which the sandbox stands.
pub(crate) const NOW: i64 = 1_796_000_000;

impl World {
    pub(crate) async fn new() -> World {
        let config = stripe_sandbox::Config {
            frozen_time: Some(NOW),
            ..stripe_sandbox::Config::default()
        };
        let sandbox = Sandbox::start(config, listener().await).await.unwrap();
        let shutdown = CancellationToken::new();
        World {
            db: TestDb::new(Connect::migrations()).await,
            sandbox,
            http: reqwest::Client::new(),
            _end: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    pub(crate) fn db(&self) -> Db {
        self.db.db()
    }

    /// Starts one more instance of the service.
    pub(crate) async fn serve(&self) -> Client {
        let config = counterfoil_chassis::Config {
            server: server::Config {
                dev_identity: true,
                ..server::Config::default()
            },
            database: self.db.config(),
            telemetry: Default::default(),
            service: Config {
                stripe: self.stripe_config(),
                // Nobody is there: tests hand events over themselves.
                events: counterfoil_events::Config {
                    gateway_url: "http://127.0.0.1:9".to_owned(),
                    instance: "test".to_owned(),
                },
                claims: Default::default(),
                allowed_origins: vec!["https://sellers.example".to_owned()].try_into().unwrap(),
            },
        };
        let clock = Clock::fixed(DateTime::from_timestamp(NOW, 0).unwrap());
        let running = counterfoil_chassis::serve::<Connect>(config, listener().await, clock, self.shutdown.clone());
        let addr = running.await.unwrap().addr;
        ConnectedAccountServiceClient::new(channel(&format!("http://{addr}")).unwrap())
    }

    pub(crate) fn stripe(&self) -> counterfoil_stripe::Client {
        counterfoil_stripe::Client::new(&self.stripe_config()).unwrap()
    }

    fn stripe_config(&self) -> counterfoil_stripe::Config {
        counterfoil_stripe::Config {
            secret_key: self.sandbox.secret_key().to_owned().into(),
            mode: Mode::Test,
            base_url: format!("{}/", self.sandbox.url()),
            timeout_ms: 10_000,
            retries: 1,
            backoff_ms: 1,
        }
    }

    /// A call to the sandbox's API by somebody else; a GET where there is no form.
    pub(crate) async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        let request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.sandbox.url()));
        let request = request.bearer_auth(self.sandbox.secret_key());
        let request = if form.is_empty() { request } else { request.form(form) };
        let answer = request.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{method} {path}: {}",
            answer.text().await.unwrap()
        );
        answer.json().await.unwrap()
    }

    /// The ids of all connected accounts Stripe has.
    pub(crate) async fn accounts(&self) -> Vec<String> {
        let list = self.call("GET", "/v1/accounts?limit=100", &[]).await;
        let accounts = list["data"].as_array().unwrap().iter();
        accounts
            .map(|account| account["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Makes the sandbox answer the next `times` POSTs to `path` badly.
    pub(crate) async fn spoil(&self, path: &str, times: u32, mut how: Value) {
        how["method"] = "POST".into();
        how["path"] = path.into();
        how["times"] = times.into();
        let faults = json!({"seed": 1, "answers": [how]});
        let url = format!("{}/_sandbox/faults", self.sandbox.url());
        let answer = self.http.post(url).json(&faults).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Hands an event over as the consumer does; says whether it wrote.
    pub(crate) async fn feed(&self, event: &Event) -> bool {
        let projection = ConnectedAccounts { stripe: self.stripe() };
        let db = self.db();
        let prepared = projection.prepare(&db, event).await.unwrap();
        let applied = db
            .transaction(async |conn| projection.apply(conn, event, prepared).await)
            .await;
        applied.unwrap()
    }
}

/// An event of the log out of its JSON.
pub(crate) fn event(json: &Value) -> Event {
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

/// Code, message and details of an error.
pub(crate) fn told(status: &Status) -> String {
    format!(
        "{:?}: {}\n{:#?}",
        status.code(),
        status.message(),
        status.get_error_details()
    )
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
