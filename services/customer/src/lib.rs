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

use counterfoil_chassis::{Clock, Host, Rule, Service, Started};
use counterfoil_proto::customer::v1::customer_service_server::{CustomerServiceServer, SERVICE_NAME};
use counterfoil_store::Db;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::Deserialize;
use tonic::service::Routes;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The name under which the service follows the event log.
const CONSUMER: &str = "customer";

/// The service's own configuration.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Where Stripe is, and with which key.
    pub stripe: counterfoil_stripe::Config,
    /// Where the event log is.
    pub events: counterfoil_events::Config,
}

/// The customer service.
pub struct Customer {
    db: Db,
    clock: Clock,
    stripe: counterfoil_stripe::Client,
}

impl Service for Customer {
    const NAME: &'static str = "customer";
    type Config = Config;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.customer.v1.CustomerService/*",
        }]
    }

    async fn start(config: Config, host: Host) -> anyhow::Result<Started> {
        let stripe = counterfoil_stripe::Client::new(&config.stripe)?;
        let projection = projection::Customers { stripe: stripe.clone() };
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
        let customer = Arc::new(Customer {
            db: host.db,
            clock: host.clock,
            stripe,
        });
        Ok(Started {
            routes: Routes::new(CustomerServiceServer::new(api::Customers(customer))),
            services: &[SERVICE_NAME],
        })
    }
}
