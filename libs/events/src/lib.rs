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

mod checkpoint;
mod consume;
pub mod decide;
mod event;
mod filter;
mod lane;
mod projection;
mod replay;
mod run;
mod session;

pub use consume::{PARTITIONS, consume};
pub use event::{Event, Incomplete, UnreadableEvent};
pub use projection::{Projection, Stats};

use serde::Deserialize;

/// Where the events come from.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The gateway's gRPC address, for example `http://127.0.0.1:7001`, or `https://…` with `client.tls`.
    pub gateway_url: String,
    /// Names this process among those of the same consumer, 1 to 255 characters. The host and the process id when not
    /// given.
    #[serde(default = "instance")]
    pub instance: String,
}

fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", host.trim(), std::process::id())
}
