#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        missing_docs,
        reason = "tests"
    )
)]

pub mod api;
mod app;
pub mod error;
pub mod model;
pub mod projection;
pub mod store;
pub mod stripe;

use std::sync::Arc;

use counterfoil_chassis::{Host, Rule, Service, Started};
use counterfoil_proto::connect::v1::connected_account_service_server::{ConnectedAccountServiceServer, SERVICE_NAME};
use counterfoil_store::Db;
use counterfoil_store::claim::{self, Claims};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::Deserialize;
use tonic::service::Routes;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The name under which the service follows the event log.
const CONSUMER: &str = "connect";

/// The service's own configuration.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Where Stripe is, and with which key.
    pub stripe: counterfoil_stripe::Config,
    /// Where the event log is.
    pub events: counterfoil_events::Config,
    /// How long a call may be silent before another one takes its work over.
    #[serde(default)]
    pub claims: claim::Config,
}

/// The connect service.
pub struct Connect {
    db: Db,
    claims: Claims,
    stripe: counterfoil_stripe::Client,
}

impl Service for Connect {
    const NAME: &'static str = "connect";
    type Config = Config;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.connect.v1.ConnectedAccountService/*",
        }]
    }

    async fn start(config: Config, host: Host) -> anyhow::Result<Started> {
        let stripe = counterfoil_stripe::Client::new(&config.stripe)?;
        let projection = projection::ConnectedAccounts { stripe: stripe.clone() };
        let follow = counterfoil_events::consume(
            host.channel("events.gateway_url", &config.events.gateway_url)?,
            config.events.instance,
            CONSUMER,
            host.db.clone(),
            projection,
            Arc::default(),
            host.shutdown.clone(),
        );
        host.spawn("consumer", follow);
        let connect = Arc::new(Connect {
            claims: Claims::new(host.db.clone(), &config.claims),
            db: host.db,
            stripe,
        });
        Ok(Started {
            routes: Routes::new(ConnectedAccountServiceServer::new(api::ConnectedAccounts(connect))),
            services: &[SERVICE_NAME],
        })
    }
}
