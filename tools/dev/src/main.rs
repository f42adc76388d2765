//! `counterfoil-dev`: what a developer runs. Each subcommand reads its configuration here and nowhere else.

mod command;
mod demo;
mod paint;
mod secrets;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use counterfoil_telemetry as telemetry;

#[derive(Parser)]
#[command(
    name = "counterfoil-dev",
    version,
    about = "Counterfoil on a developer's machine",
    after_help = "Example: counterfoil-dev demo"
)]
struct Arguments {
    #[command(subcommand)]
    subcommand: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Runs COMMAND beside a private PostgreSQL, with DATABASE_URL set for it
    #[command(after_help = "Example: counterfoil-dev postgres -- cargo nextest run -p counterfoil-store")]
    Postgres(PostgresArguments),
    /// Plays the story from signup to a paid subscription and back
    #[command(after_help = "Example: counterfoil-dev demo --break drop-delete")]
    Demo(DemoArguments),
    /// Keeps the suite running and prints its addresses
    #[command(after_help = "Example: counterfoil-dev up --sandbox-port 12111")]
    Up(UpArguments),
}

/// What the services say of themselves.
#[derive(Args)]
struct TelemetryArguments {
    /// Which log lines are written to standard error
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    log: String,
    /// Where traces go: an OTLP collector that speaks gRPC, for example http://127.0.0.1:4317
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
}

impl TelemetryArguments {
    fn init(self) -> anyhow::Result<telemetry::Guard> {
        let config = telemetry::Config {
            log: self.log,
            format: telemetry::Format::Text,
            otlp_endpoint: self.otlp_endpoint.filter(|url| !url.is_empty()),
        };
        Ok(telemetry::init("counterfoil-dev", &config)?)
    }
}

#[derive(Args)]
struct DemoArguments {
    /// The folder that holds the server's data and the sandbox's world
    #[arg(long, default_value = ".counterfoil/demo", value_name = "FOLDER")]
    home: PathBuf,
    #[command(flatten)]
    telemetry: TelemetryArguments,
    /// A server that is already there, to be used instead of a private one
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// Spoils one hop, in a world of its own: the demo must notice and fail
    #[arg(long = "break", value_name = "HOP")]
    spoiled: Option<counterfoil_dev::story::Spoiled>,
}

#[derive(Args)]
struct UpArguments {
    /// The folder that holds the server's data, the sandbox's world and suite.json
    #[arg(long, default_value = ".counterfoil", value_name = "FOLDER")]
    home: PathBuf,
    #[command(flatten)]
    telemetry: TelemetryArguments,
    /// A server that is already there, to be used instead of a private one
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(flatten)]
    ports: counterfoil_dev::suite::Ports,
}

#[derive(Args)]
struct PostgresArguments {
    /// The folder that holds the server's data, password and log
    #[arg(long, default_value = ".counterfoil/test", value_name = "FOLDER")]
    home: PathBuf,
    /// The port to listen on, on 127.0.0.1 [default: a free one]
    #[arg(long)]
    port: Option<u16>,
    /// A server that is already there, to be used instead of a private one
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// What to run; without it the url is printed and the server kept until SIGINT or SIGTERM
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().subcommand).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("counterfoil-dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(subcommand: Subcommands) -> anyhow::Result<ExitCode> {
    match subcommand {
        Subcommands::Postgres(arguments) => {
            let options = counterfoil_dev::postgres::Options {
                home: arguments.home,
                port: arguments.port,
                database_url: given(arguments.database_url),
            };
            command::beside_postgres(options, arguments.command).await
        }
        Subcommands::Demo(arguments) => {
            let _telemetry = arguments.telemetry.init()?;
            demo::demo(arguments.home, given(arguments.database_url), arguments.spoiled).await?;
            Ok(ExitCode::SUCCESS)
        }
        Subcommands::Up(arguments) => {
            let _telemetry = arguments.telemetry.init()?;
            up::up(arguments.home, given(arguments.database_url), arguments.ports).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// An empty variable is none.
fn given(database_url: Option<String>) -> Option<String> {
    database_url.filter(|url| !url.is_empty())
}
