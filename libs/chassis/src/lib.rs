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
pub mod connections;
mod context;
pub mod convert;
mod deadline;
mod details;
pub mod etag;
pub mod field_mask;
mod health;
mod identity;
mod incoming;
mod messages;
pub mod metadata;
mod policy;
mod process;
pub mod redirect;
mod reflection;
mod reload;
mod resume;
mod rules;
pub mod server;
mod service;
pub mod status;
mod tls;
mod violations;

pub use config::Config;
pub use context::{Context, Paging, Streamed, accept};
pub use counterfoil_types::Clock;
pub use diesel_migrations::EmbeddedMigrations;
pub use policy::{Row, Rule};
pub use process::{main, run};
pub use server::{Running, serve, serve_with};
pub use service::{Host, Listeners, Service, Started};
pub use violations::{Given, Violations};

/// Every process that has the chassis. What one thread of a service takes another gives back, since calls move between
/// threads, and glibc's allocator has those two wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
