//! A Stripe for one test.

use stripe_sandbox::{Config, Sandbox};
use tokio::net::TcpListener;

/// Where the clock of [`sandbox`] stands, in seconds since 1970: 2026-10-01T00:00:00Z.
pub const SANDBOX_TIME: i64 = 1_790_812_800;

/// Starts a sandbox in memory, on a port of its own, whose clock stands at [`SANDBOX_TIME`]. The same calls give the same
/// ids in each test.
///
/// # Panics
/// When it does not start.
pub async fn sandbox() -> Sandbox {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = Config {
        frozen_time: Some(SANDBOX_TIME),
        ..Config::default()
    };
    Sandbox::start(config, listener).await.expect("a sandbox")
}
