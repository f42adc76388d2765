//! The gateway alone, in process, over PostgreSQL, HTTP and gRPC.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    missing_docs,
    reason = "a test"
)]

mod consume;
mod find;
mod finding;
mod gateway;
mod ingest;
mod list;
mod log;
mod outage;
mod quarantine;
mod reload;
mod subscribe;
mod trace;
