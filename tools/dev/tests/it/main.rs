//! The private PostgreSQL and `counterfoil-dev postgres`, with real servers in homes of their own.
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

mod postgres;
