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

mod configuration;
mod demo;
mod fleet;
mod kills;
mod modes;
mod up;

use std::path::PathBuf;

/// The server that `make test` started.
fn database_url() -> String {
    std::env::var("DATABASE_URL").expect("DATABASE_URL: run `make test`, or `counterfoil-dev postgres -- …`")
}

/// A binary of the workspace, built by `make test` (`cargo build --workspace --bins`).
fn binary(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(|deps| deps.parent()).unwrap().join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace --bins",
        path.display()
    );
    path
}

/// A name for a database of this test's own.
fn database_name(test: &str) -> String {
    format!("journey_{test}_{:08x}", rand::random::<u32>())
}
