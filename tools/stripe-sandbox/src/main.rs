//! `stripe-sandbox`: the sandbox as a process of its own.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use stripe_sandbox::{Config, RetrySchedule, Sandbox};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Worlds are made of many small pieces, some of which another thread frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A stateful stand-in for Stripe at the wire, with a clock that can be moved.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  stripe-sandbox --listen 127.0.0.1:12111 --secret-key sk_test_mine --journal sandbox.journal\n  \
                  curl -u sk_test_mine: http://127.0.0.1:12111/v1/customers -d email=jenny@example.com"
)]
struct Arguments {
    /// Address to listen on; port 0 chooses a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The one key the API accepts; sk_test_… or sk_live_… chooses the mode.
    #[arg(long, default_value = "sk_test_counterfoilsandbox")]
    secret_key: String,
    /// File the world is kept in; without it the world ends with the process.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Says that the world is to end with the process, as it does without --journal.
    #[arg(long, conflicts_with = "journal")]
    in_memory: bool,
    /// Ids are drawn from it: the same seed and the same calls give the same ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Unix seconds the virtual clock stands at until it is advanced; without it the clock ticks.
    #[arg(long)]
    frozen_time: Option<i64>,
    /// Origin that browsers reach this sandbox under, for the URLs of hosted pages.
    #[arg(long)]
    public_url: Option<String>,
    /// Calls a second each account may make before it is answered 429; without it any number.
    #[arg(long)]
    rate_limit: Option<u32>,
    /// When a webhook that was not accepted is sent again: `quick`, after seconds of wall time until it is accepted, or
    /// `stripe`, after hours of virtual time until it is given up.
    #[arg(long, value_enum, default_value_t = Schedule::Quick)]
    retry_schedule: Schedule,
    /// Seconds a webhook's receiver may take to answer.
    #[arg(long, default_value_t = 30)]
    webhook_timeout: u64,
    /// File with the faults to begin with, as JSON: what POST /_sandbox/faults takes.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Snapshot that a new world begins with; its seed and mode must be this sandbox's.
    #[arg(long)]
    restore: Option<PathBuf>,
    /// Folder that snapshots with a name are kept in.
    #[arg(long)]
    snapshots: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Schedule {
    Quick,
    Stripe,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // One line, whatever the environment says of backtraces.
        Err(error) => {
            eprintln!("stripe-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .with_context(|| format!("listen address {}", arguments.listen))?;
    let config = Config {
        secret_key: arguments.secret_key,
        seed: arguments.seed,
        journal: arguments.journal.filter(|_| !arguments.in_memory),
        frozen_time: arguments.frozen_time,
        public_url: arguments.public_url,
        rate_limit: arguments.rate_limit,
        retry_schedule: match arguments.retry_schedule {
            Schedule::Quick => RetrySchedule::Quick,
            Schedule::Stripe => RetrySchedule::Stripe,
        },
        webhook_timeout: Duration::from_secs(arguments.webhook_timeout),
        scenario: arguments.scenario,
        restore: arguments.restore,
        snapshots: arguments.snapshots,
    };
    let sandbox = Sandbox::start(config, listener).await?;
    println!(
        "stripe-sandbox listens on {} with key {}",
        sandbox.url(),
        sandbox.secret_key()
    );
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}
