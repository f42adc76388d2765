//! A consumer over PostgreSQL and a gateway that is faked at the wire.
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
mod effects;
mod failure;
mod filter;
mod gateway;
