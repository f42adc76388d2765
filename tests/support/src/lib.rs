#![doc = include_str!("../README.md")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "only tests use it"
)]

mod database;
mod log;
#[cfg(feature = "service")]
mod merchant;
#[cfg(feature = "service")]
mod service;
mod stripe;

use std::time::Duration;

pub use database::TestDb;
pub use log::Log;
#[cfg(feature = "service")]
pub use merchant::Stripe;
#[cfg(feature = "service")]
pub use service::{event, feed, no_gateway, serve, told};
pub use stripe::{SANDBOX_TIME, sandbox};
pub use stripe_sandbox::Sandbox;

/// Asks `f` every 20 ms until it returns something, for at most 30 s.
///
/// # Panics
/// When it never does; the message says `what` was waited for.
pub async fn eventually<T, F>(what: &str, mut f: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let wait = async {
        loop {
            if let Some(value) = f().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.unwrap_or_else(|_| panic!("waited 30 s in vain for {what}"))
}
