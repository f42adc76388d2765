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

pub mod audit;
pub mod budget;
pub mod claim;
mod config;
mod db;
mod error;
mod migrate;
pub mod page;
mod provision;
mod pulse;
mod session;

pub use config::Config;
pub use db::{Conn, Db, Work};
pub use diesel_async::AsyncPgConnection;
pub use diesel_migrations::EmbeddedMigrations;
pub use error::Error;
pub use migrate::{MIGRATIONS, migrate, revert};
pub use provision::{Role, provision};
pub use pulse::Pulse;
