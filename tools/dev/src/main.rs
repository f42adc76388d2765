//! `counterfoil-dev`: what a developer runs. Each subcommand reads its configuration here and nowhere else.

mod command;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "counterfoil-dev", version, about = "Counterfoil on a developer's machine")]
struct Arguments {
    #[command(subcommand)]
    subcommand: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Runs COMMAND beside a private PostgreSQL, with DATABASE_URL set for it
    #[command(after_help = "Example: counterfoil-dev postgres -- cargo nextest run -p counterfoil-store")]
    Postgres(PostgresArguments),
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
            let database_url = database_url.filter(|url| !url.is_empty());
            command::beside_postgres(
                counterfoil_dev::postgres::Options {
                    home,
                    port,
                    database_url,
                },
                command,
            )
            .await
        }
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("counterfoil-dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}
