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

use counterfoil_chassis::client::Channel;
use counterfoil_chassis::{Host, Rule, Service, Started};
use counterfoil_events::Stats;
use counterfoil_proto::billing::v1 as pb;
use counterfoil_proto::customer::v1::customer_service_client::CustomerServiceClient;
use counterfoil_store::Db;
use counterfoil_store::claim::Claims;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::Deserialize;
use tonic::service::Routes;

use crate::projection::BillingProjection;

/// The service's own tables.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// What billing is told beside what every service is told.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// How Stripe is reached.
    pub stripe: counterfoil_stripe::Config,
    /// Where the events come from.
    pub events: counterfoil_events::Config,
    /// Where the customer service is, for example `http://127.0.0.1:50052`, or `https://…` with `client.tls`.
    pub customer_url: String,
    /// How long a call that died may hold its key.
    #[serde(default)]
    pub claims: counterfoil_store::claim::Config,
}

/// The billing service.
pub struct Billing {
    db: Db,
    stripe: counterfoil_stripe::Client,
    claims: Claims,
    customers: CustomerServiceClient<Channel>,
}

impl Service for Billing {
    const NAME: &'static str = "billing";
    type Config = Config;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[
            Rule {
                identity: "dev",
                methods: "/counterfoil.billing.v1.CheckoutService/*",
            },
            Rule {
                identity: "dev",
                methods: "/counterfoil.billing.v1.SubscriptionService/*",
            },
            Rule {
                identity: "dev",
                methods: "/counterfoil.billing.v1.EntitlementService/*",
            },
        ]
    }

    async fn start(config: Config, host: Host) -> anyhow::Result<Started> {
        let stripe = counterfoil_stripe::Client::new(&config.stripe)?;
        let customers = host
            .channel("customer_url", &config.customer_url)?
            .with_service_config(counterfoil_proto::customer::v1::SERVICE_CONFIG)?;
        let billing = Arc::new(Billing {
            claims: Claims::new(host.db.clone(), &config.claims),
            customers: CustomerServiceClient::new(customers),
            stripe: stripe.clone(),
            db: host.db.clone(),
        });
        let projection = BillingProjection { stripe };
        let stats = Arc::new(Stats::default());
        let consume = counterfoil_events::consume(
            host.channel("events.gateway_url", &config.events.gateway_url)?,
            config.events.instance,
            Self::NAME,
            host.db.clone(),
            projection,
            stats,
            host.shutdown.clone(),
        );
        host.spawn("consumer", consume);

        let routes = Routes::new(pb::checkout_service_server::CheckoutServiceServer::new(api::Checkout(
            billing.clone(),
        )))
        .add_service(pb::subscription_service_server::SubscriptionServiceServer::new(
            api::Subscriptions(billing.clone()),
        ))
        .add_service(pb::entitlement_service_server::EntitlementServiceServer::new(
            api::Entitlements(billing),
        ));
        let services = &[
            pb::checkout_service_server::SERVICE_NAME,
            pb::subscription_service_server::SERVICE_NAME,
            pb::entitlement_service_server::SERVICE_NAME,
        ];
        Ok(Started { routes, services })
    }
}
