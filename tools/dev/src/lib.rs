//! The whole suite in one process, with its own PostgreSQL and sandbox.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        missing_docs,
        reason = "tests"
    )
)]

pub mod postgres;
