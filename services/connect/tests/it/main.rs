//! The connect service alone, in process: its own PostgreSQL schema, a Stripe sandbox in memory whose clock stands still.
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

mod connected_account;
mod crashes;
mod projection;
mod world;
