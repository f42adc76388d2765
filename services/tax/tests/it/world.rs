//! What a test has at hand.

use chrono::DateTime;
use counterfoil_chassis::client::{Channel, channel};
use counterfoil_chassis::{Service, server};
use counterfoil_proto::tax::v1::calculation_service_client::CalculationServiceClient;
use counterfoil_store::Db;
use counterfoil_tax::{Config, Tax};
use counterfoil_test_support::TestDb;
use counterfoil_types::{Clock, Mode};
use serde_json::{Value, json};
use stripe_sandbox::Sandbox;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use tonic_types::StatusExt;

pub(crate) type Client = CalculationServiceClient<Channel>;

/// A schema and a sandbox of the test's own. Services started in it end with it.
pub(crate) struct World {
    db: TestDb,
    sandbox: Sandbox,
    _end: DropGuard,
    shutdown: CancellationToken,
}

/// The time at which the sandbox stands.
const NOW: i64 = 1_796_000_000;

impl World {
    pub(crate) async fn new() -> World {
        let config = stripe_sandbox::Config {
            frozen_time: Some(NOW),
            ..stripe_sandbox::Config::default()
        };
        let sandbox = Sandbox::start(config, listener().await).await.unwrap();
        let shutdown = CancellationToken::new();
        World {
            db: TestDb::new(Tax::migrations()).await,
            sandbox,
            _end: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    pub(crate) fn db(&self) -> Db {
        self.db.db()
    }

    /// Starts the service.
    pub(crate) async fn serve(&self) -> Client {
        let config = counterfoil_chassis::Config {
            server: server::Config {
                dev_identity: true,
                ..server::Config::default()
            },
            database: self.db.config(),
            telemetry: Default::default(),
            service: Config {
                stripe: counterfoil_stripe::Config {
                    secret_key: self.sandbox.secret_key().to_owned().into(),
                    mode: Mode::Test,
                    base_url: format!("{}/", self.sandbox.url()),
                    timeout_ms: 10_000,
                    retries: 1,
                    backoff_ms: 1,
                },
            },
        };
        let clock = Clock::fixed(DateTime::from_timestamp(NOW, 0).unwrap());
        let running = counterfoil_chassis::serve::<Tax>(config, listener().await, clock, self.shutdown.clone());
        let addr = running.await.unwrap().addr;
        CalculationServiceClient::new(channel(&format!("http://{addr}")).unwrap())
    }

    /// Makes the sandbox answer the next `times` calculations badly.
    pub(crate) async fn spoil(&self, times: u32, mut how: Value) {
        how["method"] = "POST".into();
        how["path"] = "/v1/tax/calculations".into();
        how["times"] = times.into();
        let faults = json!({"seed": 1, "answers": [how]});
        let url = format!("{}/_sandbox/faults", self.sandbox.url());
        let answer = reqwest::Client::new().post(url).json(&faults).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
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
