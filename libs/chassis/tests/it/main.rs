//! The chassis with a small service on it, over a real connection; most of it needs no database.
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
mod configuration;
mod connections;
mod database;
mod details;
mod end;
mod raw;
mod service;
mod tracing;
