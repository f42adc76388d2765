//! What a test has at hand.

use counterfoil_chassis::Service;
use counterfoil_chassis::client::Channel;
use counterfoil_proto::tax::v1::calculation_service_client::CalculationServiceClient;
use counterfoil_store::Db;
use counterfoil_tax::{Config, Tax};
use counterfoil_test_support::{Stripe, TestDb, serve};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) type Client = CalculationServiceClient<Channel>;

/// A schema and a Stripe of the test's own. Services started in it end with it.
pub(crate) struct World {
    pub(crate) stripe: Stripe,
    db: TestDb,
    shutdown: CancellationToken,
    _end: DropGuard,
}

impl World {
    pub(crate) async fn new() -> World {
        let shutdown = CancellationToken::new();
        World {
            stripe: Stripe::start().await,
            db: TestDb::new(Tax::migrations()).await,
            _end: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    pub(crate) fn db(&self) -> Db {
        self.db.db()
    }

    /// Takes all migrations back and runs them again; their names.
    pub(crate) async fn migrate_again(&self) -> Vec<String> {
        let config = self.db.config();
        counterfoil_store::revert(&config, Tax::migrations()).await.unwrap();
        counterfoil_store::migrate(&config, Tax::migrations()).await.unwrap()
    }

    /// Starts one more instance of the service.
    pub(crate) async fn serve(&self) -> Client {
        let config = Config {
            stripe: self.stripe.config(),
        };
        CalculationServiceClient::new(serve::<Tax>(&self.db, config, &self.shutdown).await)
    }

    /// Spoils the next `times` calculations.
    pub(crate) async fn spoil(&self, times: u32, how: Value) {
        self.stripe.spoil("/v1/tax/calculations", times, how).await;
    }
}
