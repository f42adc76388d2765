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

mod filter;
mod json;
mod layers;
mod propagation;
mod subscriber;

pub use layers::{ClientLayer, ClientService, ServerLayer, ServerService, code_name};
pub use propagation::{link, set_parent, traceparent, traceparent_of};
pub use subscriber::{Config, Error, Format, Guard, init};
