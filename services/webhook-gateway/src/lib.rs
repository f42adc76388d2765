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

mod api;
mod committer;
mod counters;
mod delivery;
pub mod endpoint;
mod envelope;
mod http;
mod log;
mod tailer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_chassis::config::Error as Invalid;
use counterfoil_chassis::{Clock, EmbeddedMigrations, Host, Rule, Started};
use counterfoil_proto::event::v1::event_service_server::{self, EventServiceServer};
use counterfoil_proto::event::v1::quarantine_service_server::{self, QuarantineServiceServer};
use counterfoil_store::Db;
use diesel_migrations::embed_migrations;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::api::Events;
use crate::api::quarantine::Quarantine;
use crate::committer::committer;
use crate::counters::Counters;
use crate::http::Ingest;
use crate::log::head::Head;

/// The gateway's own tables: the log and the quarantine.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

static OWN: EmbeddedMigrations = MIGRATIONS;

/// Under this name whoever starts the gateway may hand over the listener for webhooks.
pub const HTTP_LISTENER: &str = "http";

/// The gateway's own configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// Where webhooks come in.
    #[serde(default)]
    pub http: HttpConfig,
    /// The endpoints by name, at least one. They are read again when the configuration's file changes.
    #[serde(deserialize_with = "endpoint::checked")]
    pub endpoints: BTreeMap<String, endpoint::Config>,
}

/// Where webhooks come in.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct HttpConfig {
    /// The address of the HTTP server. Default `127.0.0.1:0`, a free port on loopback. TLS must end before it.
    pub listen: SocketAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// The webhook gateway.
#[derive(Debug)]
pub struct Gateway;

impl counterfoil_chassis::Service for Gateway {
    const NAME: &'static str = "webhook-gateway";
    type Config = Config;

    fn migrations() -> &'static EmbeddedMigrations {
        &OWN
    }

    fn policy() -> &'static [Rule] {
        &[
            Rule {
                identity: "dev",
                methods: "/counterfoil.event.v1.EventService/*",
            },
            Rule {
                identity: "dev",
                methods: "/counterfoil.event.v1.QuarantineService/*",
            },
        ]
    }

    async fn start(config: Config, mut host: Host) -> anyhow::Result<Started> {
        let endpoints = host.follow(&config, |config: &Config| {
            let served = endpoint::served(&config.endpoints, Clock::system().now());
            served.map_err(|error| Invalid::invalid("endpoints", &format!("cannot be used: {error}")))
        })?;
        let listener = host.listeners.take_or_bind(HTTP_LISTENER, config.http.listen).await?;
        tracing::info!(address = %listener.local_addr()?, "webhooks are received");

        let counters = Arc::new(Counters::default());
        let appended = Arc::new(Notify::new());
        let heads = Arc::new(watch::Sender::new(Head::default()));
        let (queue, committer) = committer(host.db.clone(), counters.clone(), appended.clone());
        let ingest = Ingest::new(endpoints.clone(), queue, host.db.clone(), counters.clone());

        // Before the first delivery, if the database is there.
        let wait = make_partitions(&host.db).await;
        host.spawn(
            "partitions",
            keep_partitions(host.db.clone(), wait, host.shutdown.clone()),
        );
        host.spawn("committer", committer.run());
        host.spawn(
            "tailer",
            tailer::tail(host.db.clone(), appended.clone(), heads.clone(), host.shutdown.clone()),
        );
        host.spawn(
            "http",
            http::serve(listener, http::router(Arc::new(ingest)), host.shutdown.clone()),
        );

        let quarantine = Quarantine {
            db: host.db.clone(),
            appended,
        };
        let events = Events::new(host.db, heads, counters, endpoints, host.tasks, host.shutdown);
        Ok(Started {
            routes: Routes::new(EventServiceServer::new(events)).add_service(QuarantineServiceServer::new(quarantine)),
            services: &[
                event_service_server::SERVICE_NAME,
                quarantine_service_server::SERVICE_NAME,
            ],
        })
    }
}

/// How often the coming months' tables are looked after, and how soon again after a failure.
const DAILY: Duration = Duration::from_secs(24 * 3600);
const SOON: Duration = Duration::from_secs(2);

/// Makes the log's tables daily, the first time after `wait`.
async fn keep_partitions(db: Db, mut wait: Duration, shutdown: CancellationToken) {
    while tokio::time::timeout(wait, shutdown.cancelled()).await.is_err() {
        wait = make_partitions(&db).await;
    }
}

/// Makes the log's tables for this month and the next three, and says when to do it again.
async fn make_partitions(db: &Db) -> Duration {
    let made = async {
        let mut conn = db.conn().await?;
        Ok::<_, counterfoil_store::Error>(log::partitions::make(&mut conn).await?)
    };
    match made.await {
        Ok(made) => {
            tracing::info!(made, "the log's tables for this month and the next three are there");
            DAILY
        }
        Err(error) => {
            tracing::error!(error = %error, "the log's tables for the coming months could not be made");
            SOON
        }
    }
}
