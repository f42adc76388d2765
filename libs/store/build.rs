//! Makes cargo build this crate anew when a migration changes: `embed_migrations!` reads them unseen by cargo.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
