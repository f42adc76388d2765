//! `make bench`: what the house itself weighs. Prints a table for `docs/benchmarks.md`.
//!
//! Each service is a process of its own, as in production. Memory is the resident set once everything is ready and has
//! been idle for three seconds, and again after one story; the peer beside each is the same process's bare floor: a
//! program that does nothing but hold a multi-threaded Tokio runtime.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark"
)]

use std::time::{Duration, Instant};

use counterfoil_dev::settings::SERVICES;
use counterfoil_dev::story::{Hop, Options, Story};
use counterfoil_journeys::{Fleet, binary};
use uuid::Uuid;

/// How long everything is left alone before it is weighed.
const IDLE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    println!("commit {}", output("git", &["rev-parse", "--short", "HEAD"]));
    println!("machine {} cores, {}", output("nproc", &[]), output("uname", &["-sr"]));
    let floor = resident_mib(std::process::id());

    let begun = Instant::now();
    let mut fleet = Fleet::start("bench", "sk_test_journeys").await;
    println!(
        "all processes migrated and ready in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    tokio::time::sleep(IDLE).await;
    let parts: Vec<&str> = std::iter::once("sandbox").chain(SERVICES).collect();
    let idle: Vec<f64> = parts.iter().map(|part| resident_mib(fleet.pid(part))).collect();

    let options = Options {
        run: Uuid::from_u128(rand::random()),
        spoiled: None,
        patience: Duration::from_secs(30),
    };
    let mut story = Story::new(&fleet.addresses, options).await.unwrap();
    let begun = Instant::now();
    for hop in Hop::ALL {
        story.play(hop).await.unwrap();
    }
    let played = begun.elapsed();
    let webhook_to_access = story.summary().await.unwrap().webhook_to_access;
    println!("| process | binary, MiB | idle RSS, MiB | after a story, MiB | ready again after kill -9, ms |");
    println!("|---|---|---|---|---|");
    for (part, idle) in parts.iter().zip(idle) {
        let after = resident_mib(fleet.pid(part));
        fleet.kill(part).await;
        let begun = Instant::now();
        fleet.start_process(part).await;
        let ready = begun.elapsed().as_millis();
        println!("| {part} | {:.1} | {idle:.1} | {after:.1} | {ready} |", size_mib(part));
    }
    println!("| (peer: this program before it did anything) | | {floor:.1} | | |");
    println!();
    println!("the story, one process a service: {:.2} s", played.as_secs_f64());
    println!(
        "webhook stored to access seen: {:.0} ms",
        webhook_to_access.as_secs_f64() * 1_000.0
    );
    fleet.stop().await;
}

fn size_mib(part: &str) -> f64 {
    let name = if part == "sandbox" {
        "stripe-sandbox".to_owned()
    } else {
        format!("counterfoil-{part}")
    };
    std::fs::metadata(binary(&name)).unwrap().len() as f64 / 1_048_576.0
}

/// `VmRSS` of a process.
fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1_024.0
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
