//! What a test has at hand.

use counterfoil_chassis::Service;
use counterfoil_chassis::client::Channel;
use counterfoil_customer::projection::Customers;
use counterfoil_customer::{Config, Customer};
use counterfoil_events::Event;
use counterfoil_proto::customer::v1::customer_service_client::CustomerServiceClient;
use counterfoil_store::Db;
use counterfoil_test_support::{Stripe, TestDb, feed, no_gateway, serve};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) type Client = CustomerServiceClient<Channel>;

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
            db: TestDb::new(Customer::migrations()).await,
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
        counterfoil_store::revert(&config, Customer::migrations())
            .await
            .unwrap();
        counterfoil_store::migrate(&config, Customer::migrations())
            .await
            .unwrap()
    }

    /// Starts one more instance of the service.
    pub(crate) async fn serve(&self) -> Client {
        let config = Config {
            stripe: self.stripe.config(),
            events: no_gateway(),
        };
        CustomerServiceClient::new(serve::<Customer>(&self.db, config, &self.shutdown).await)
    }

    /// All customers Stripe has.
    pub(crate) async fn customers(&self) -> Vec<Value> {
        self.stripe.list("/v1/customers").await
    }

    /// Spoils the next `times` creations.
    pub(crate) async fn spoil(&self, times: u32, how: Value) {
        self.stripe.spoil("/v1/customers", times, how).await;
    }

    /// Hands an event over as the consumer does; says whether it wrote.
    pub(crate) async fn feed(&self, event: &Event) -> bool {
        let projection = Customers {
            stripe: self.stripe.client(),
        };
        feed(&self.db(), &projection, event).await
    }
}
