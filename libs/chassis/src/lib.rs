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

pub mod card;
pub mod client;
pub mod config;
mod context;
pub mod convert;
mod deadline;
pub mod etag;
pub mod field_mask;
mod health;
pub mod metadata;
mod policy;
mod process;
pub mod redirect;
pub mod server;
mod service;
pub mod status;
mod violations;

pub use config::Config;
pub use context::{Context, accept, accept_with};
pub use counterfoil_types::Clock;
pub use diesel_migrations::EmbeddedMigrations;
pub use policy::Rule;
pub use process::{main, run};
pub use server::{Running, serve, serve_with};
pub use service::{Host, Listeners, Service, Started};
pub use violations::{Given, Violations};
