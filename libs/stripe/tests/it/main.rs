//! The client against a server that misbehaves, with a real ledger.
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

mod chaos;
mod claimed;
mod fake;
mod read;
mod sandbox;
mod secrets;
mod signatures;
mod step;
mod webhook;
