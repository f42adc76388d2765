//! What stories through the whole suite share: where the binaries and the server are, and a suite of many processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "only tests and benchmarks use it"
)]

mod fleet;

pub use fleet::Fleet;

use std::path::PathBuf;

/// The server that `make test` started.
pub fn database_url() -> String {
    std::env::var("DATABASE_URL").expect("DATABASE_URL: run `make test`, or `counterfoil-dev postgres -- …`")
}

/// A binary of the workspace, built before (`cargo build --workspace --bins`), of the same profile as the caller.
pub fn binary(name: &str) -> PathBuf {
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
pub fn database_name(test: &str) -> String {
    format!("journey_{test}_{:08x}", rand::random::<u32>())
}
