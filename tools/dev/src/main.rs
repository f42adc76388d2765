//! `counterfoil-dev`: what a developer runs. Each subcommand reads its configuration here and nowhere else.

mod command;
mod demo;
mod paint;
mod secrets;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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

#[derive(Args)]
struct DemoArguments {
    /// The folder that holds the server's data and the sandbox's world
    #[arg(long, default_value = ".counterfoil/demo", value_name = "FOLDER")]
    home: PathBuf,
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
    let arguments = Arguments::parse();
    let ended = match arguments.subcommand {
        Subcommands::Postgres(PostgresArguments {
            home,
            port,
            database_url,
            command,
        }) => {
            command::beside_postgres(
                counterfoil_dev::postgres::Options {
                    home,
                    port,
                    database_url: given(database_url),
                },
                command,
            )
            .await
        }
        Subcommands::Demo(DemoArguments {
            home,
            database_url,
            spoiled,
        }) => demo::demo(home, given(database_url), spoiled)
            .await
            .map(|()| ExitCode::SUCCESS),
        Subcommands::Up(UpArguments {
            home,
            database_url,
            ports,
        }) => up::up(home, given(database_url), ports)
            .await
            .map(|()| ExitCode::SUCCESS),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("counterfoil-dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// An empty variable is none.
fn given(database_url: Option<String>) -> Option<String> {
    database_url.filter(|url| !url.is_empty())
}
