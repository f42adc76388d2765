#![doc = include_str!("../README.md")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "only tests use it"
)]

pub mod checks;
pub mod examples;
pub mod fields;
pub mod reasons;
pub mod specimen;
pub mod target;
pub mod wire;
