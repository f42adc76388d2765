#![doc = include_str!("../README.md")]
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

mod answer;
pub mod claimed;
mod client;
mod config;
mod decline;
mod error;
pub mod json;
mod ledger;
mod resources;
mod retry;
mod stamp;
mod status;
mod transport;
pub mod webhook;
mod wire;

pub use client::{Client, Reply};
pub use config::{Config, ConfigError};
pub use error::{Error, Refusal};
pub use resources::*;
pub use status::status;
pub use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
pub use stripe_shared as objects;
pub use stripe_types::{Currency, Expandable, List, RangeBoundsTs, RangeQueryTs, Timestamp};

/// The API version that every request pins. Source: <https://docs.stripe.com/changelog>.
pub const API_VERSION: &str = "2026-09-30.endive";
