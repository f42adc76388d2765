//! A service with one method of each standard kind: how a service uses each piece of the chassis, and what stands for all
//! services where a test must break one.

pub mod api;
mod app;
mod error;
mod store;

use std::sync::Arc;

use counterfoil_chassis::{Clock, Host, Rule, Service, Started};
use counterfoil_store::Db;
use counterfoil_store::claim::{self, Claims};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use pb::specimen_service_server::{SERVICE_NAME, SpecimenServiceServer};
use serde::Deserialize;
use tonic::service::Routes;

/// Package `counterfoil.specimen.v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    rustdoc::all,
    reason = "generated"
)]
pub mod pb {
    tonic::include_proto!("counterfoil.specimen.v1");
}

/// The descriptors of the specimen's protos and their imports, encoded.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/file_descriptor_set.bin"));

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The service's own configuration.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Config {
    /// How long a call may be silent before another one takes its work over.
    #[serde(default)]
    pub claims: claim::Config,
}

/// The specimen service.
pub struct Specimens {
    db: Db,
    clock: Clock,
    claims: Claims,
}

impl Service for Specimens {
    const NAME: &'static str = "specimen";
    type Config = Config;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.specimen.v1.SpecimenService/*",
        }]
    }

    fn descriptors() -> &'static [u8] {
        FILE_DESCRIPTOR_SET
    }

    async fn start(config: Config, host: Host) -> anyhow::Result<Started> {
        let specimens = Arc::new(Specimens {
            claims: Claims::new(host.db.clone(), &config.claims),
            db: host.db,
            clock: host.clock,
        });
        Ok(Started {
            routes: Routes::new(SpecimenServiceServer::new(api::Specimens(specimens))),
            services: &[SERVICE_NAME],
        })
    }
}
