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
pub mod store;
pub mod stripe;

use std::sync::Arc;

use counterfoil_chassis::{Clock, Host, Rule, Service, Started};
use counterfoil_proto::tax::v1::calculation_service_server::{CalculationServiceServer, SERVICE_NAME};
use counterfoil_store::Db;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::Deserialize;
use tonic::service::Routes;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The service's own configuration.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Where Stripe is, and with which key.
    pub stripe: counterfoil_stripe::Config,
}

/// The tax service.
pub struct Tax {
    db: Db,
    clock: Clock,
    stripe: counterfoil_stripe::Client,
}

impl Service for Tax {
    const NAME: &'static str = "tax";
    type Config = Config;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.tax.v1.CalculationService/*",
        }]
    }

    async fn start(config: Config, host: Host) -> anyhow::Result<Started> {
        let stripe = counterfoil_stripe::Client::new(&config.stripe)?;
        let tax = Arc::new(Tax {
            db: host.db,
            clock: host.clock,
            stripe,
        });
        Ok(Started {
            routes: Routes::new(CalculationServiceServer::new(api::Calculations(tax))),
            services: &[SERVICE_NAME],
        })
    }
}
