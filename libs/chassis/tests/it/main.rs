//! The chassis with a small service on it, over a real connection, and without a database where none is needed.
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

mod admission;
mod bounds;
mod callers;
mod card;
mod certificates;
mod client;
mod configuration;
mod connections;
mod database;
mod deadlines;
mod details;
mod end;
mod raw;
mod redirect;
mod resume;
mod seller;
mod service;
mod tls;
mod tracing;
