//! Stories through the whole suite: in one process, in one process a service, spoiled, killed, in both modes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test"
)]

mod cli;
mod configuration;
mod demo;
mod deploy;
mod kills;
mod modes;
mod up;
