//! The chassis with a small service on it, over a real connection and without a database.
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
mod card;
mod configuration;
mod end;
mod redirect;
mod service;
mod tracing;
