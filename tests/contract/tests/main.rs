//! The contract: what every service promises, checked for every method of the suite, and for a specimen that is then broken
//! on purpose.
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

mod bad_input;
mod catalogue;
mod numbers;
mod shelf;
mod specimen;
mod suite;
mod twin;
mod twins;
