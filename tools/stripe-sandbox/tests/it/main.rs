//! The sandbox as its clients see it: over HTTP, on a port of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

mod api;
mod authentication;
mod billing;
mod client;
mod connect;
mod faults;
mod idempotency;
mod journal;
mod payments;
mod receiver;
mod saved_cards;
mod webhooks;
