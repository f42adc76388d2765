//! What a test has at hand.

use counterfoil_chassis::Service;
use counterfoil_chassis::client::Channel;
use counterfoil_connect::projection::ConnectedAccounts;
use counterfoil_connect::{Config, Connect};
use counterfoil_events::Event;
use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use counterfoil_store::Db;
use counterfoil_test_support::{Stripe, TestDb, feed, no_gateway, serve};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) type Client = ConnectedAccountServiceClient<Channel>;

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
            db: TestDb::new(Connect::migrations()).await,
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
        counterfoil_store::revert(&config, Connect::migrations()).await.unwrap();
        counterfoil_store::migrate(&config, Connect::migrations())
            .await
            .unwrap()
    }

    /// Starts one more instance of the service.
    pub(crate) async fn serve(&self) -> Client {
        self.serve_with(self.stripe.config()).await
    }

    /// Starts one more instance, which reaches Stripe in its own way.
    pub(crate) async fn serve_with(&self, stripe: counterfoil_stripe::Config) -> Client {
        let config = Config {
            stripe,
            events: no_gateway(),
            claims: Default::default(),
        };
        ConnectedAccountServiceClient::new(serve::<Connect>(&self.db, config, &self.shutdown).await)
    }

    /// The ids of all connected accounts Stripe has.
    pub(crate) async fn accounts(&self) -> Vec<String> {
        let accounts = self.stripe.list("/v1/accounts").await;
        accounts
            .iter()
            .map(|account| account["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Hands an event over as the consumer does; says whether it wrote.
    pub(crate) async fn feed(&self, event: &Event) -> bool {
        let projection = ConnectedAccounts {
            stripe: self.stripe.client(),
        };
        feed(&self.db(), &projection, event).await
    }
}
