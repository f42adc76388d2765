//! A service's process: its command line, its configuration, its exit code.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use counterfoil_telemetry as telemetry;
use counterfoil_types::Clock;
use figment::value::Dict;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Error, Source};
use crate::identity;
use crate::reload::{Again, ReadSource};
use crate::server::serve_again;
use crate::service::{Listeners, Service};

/// It did what it was asked.
const DONE: u8 = 0;
/// It could not, or failed later.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const MISUSED: u8 = 2;

#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A configuration file (TOML). The environment overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGINT or SIGTERM (the default). SIGHUP has files read again at once.
    Serve {
        /// Where to listen, in place of server.listen.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Migrates the schema, as its owner (database.owner_url).
    Migrate,
    /// Looks at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Makes the tokens by which people are known.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Prints what is in force, secrets hidden; fails where it cannot be used.
    Check,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Makes a token: prints it, for its holder alone, and then the line that server.token_file needs.
    New {
        /// Who shows it, as in server.policy.
        #[arg(value_parser = identity::parse)]
        identity: String,
    },
    /// Reads a token from standard input and prints the line that server.token_file needs.
    Hash {
        /// Who shows it, as in server.policy.
        #[arg(value_parser = identity::parse)]
        identity: String,
    },
}

/// A service's whole `main`. Serves, migrates, checks its configuration or makes a token, as the command line says.
///
/// Exit codes: 0 done; 1 failed; 2 the command line or the configuration is wrong, which one line on standard error explains.
#[must_use]
pub fn main<S: Service>() -> ExitCode {
    let environment =
        std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    let code = run::<S>(
        std::env::args_os(),
        environment,
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    );
    ExitCode::from(code)
}

/// What [`main`] does, with all it takes from the process given: the exit code.
pub fn run<S: Service>(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let command = Arguments::command()
        .name(S::NAME)
        .about(format!("The {} service of Counterfoil.", S::NAME))
        .after_help(format!(
            "Example: DATABASE_URL=postgres://… counterfoil-{} serve --listen 127.0.0.1:7001",
            S::NAME
        ));
    let parsed = command.try_get_matches_from(arguments);
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(help) => {
            let (text, code) = (help.render(), help.exit_code());
            let _ = if help.use_stderr() {
                write!(err, "{text}")
            } else {
                write!(out, "{text}")
            };
            return u8::try_from(code).unwrap_or(MISUSED);
        }
    };
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let source = Source::read::<S>(arguments.config.as_deref(), environment.clone());
    let again = arguments.config.map(|path| {
        let file = path.clone();
        let read: ReadSource = Arc::new(move || Source::read::<S>(Some(&file), environment.clone()));
        (path, read)
    });
    let ended = source
        .map_err(anyhow::Error::from)
        .and_then(|source| match arguments.command {
            Some(Command::Config {
                command: ConfigCommand::Check,
            }) => {
                let in_force = source.in_force();
                source.config::<S::Config>()?;
                print(out, &in_force)
            }
            Some(Command::Token { command }) => print(out, &token(command, std::io::stdin())?),
            Some(Command::Migrate) => {
                // The service's own keys, its secrets among them, are not needed and may be missing.
                let database = source.config::<Dict>()?.database;
                if database.owner_url.is_none() {
                    return Err(Error::missing("database.owner_url").into());
                }
                in_runtime(migrate::<S>(&database, out))
            }
            Some(Command::Serve { listen }) => in_runtime(serve_process::<S>(source.config()?, again, listen, out)),
            None => in_runtime(serve_process::<S>(source.config()?, again, None, out)),
        });
    match ended {
        Ok(()) => DONE,
        // Some of what cannot be used shows only when the service starts: a key of the other mode, an open address.
        Err(error) if error.is::<Error>() => misconfigured(err, &one_line(&error)),
        Err(error) => {
            let _ = writeln!(err, "{}: {}", S::NAME, one_line(&error));
            FAILED
        }
    }
}

/// The error with its causes. Some messages end with their cause's, which then is not told again.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line.replace('\n', " ")
}

fn misconfigured(err: &mut dyn Write, error: &dyn Display) -> u8 {
    let _ = writeln!(err, "configuration: {error}");
    MISUSED
}

fn print(out: &mut dyn Write, lines: &[String]) -> anyhow::Result<()> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn token(command: TokenCommand, input: impl Read) -> anyhow::Result<Vec<String>> {
    match command {
        TokenCommand::New { identity } => {
            let token = identity::new_token();
            let line = identity::token_line(&token, &identity);
            Ok([token].into_iter().chain(line).collect())
        }
        TokenCommand::Hash { identity } => {
            let text = std::io::read_to_string(input)?;
            let line = identity::token_line(text.trim_end_matches(['\r', '\n']), &identity);
            Ok(vec![
                line.context("a token has at least 32 visible characters of ASCII")?,
            ])
        }
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work)
}

async fn migrate<S: Service>(database: &counterfoil_store::Config, out: &mut dyn Write) -> anyhow::Result<()> {
    let applied = counterfoil_store::migrate(database, S::migrations()).await?;
    let lines: Vec<_> = applied.iter().map(|migration| format!("applied {migration}")).collect();
    print(out, &lines)?;
    print(out, &[format!("schema {} is up to date", database.schema)])
}

async fn serve_process<S: Service>(
    config: Config<S::Config>,
    source: Option<(PathBuf, ReadSource)>,
    listen: Option<SocketAddr>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let _telemetry = telemetry::init(S::NAME, &config.telemetry)?;
    // Before anything is begun, so that no signal falls between.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let (ask, asked) = watch::channel(());
    let again = Again { source, asked };
    let address = listen.unwrap_or(config.server.listen);
    let listener = TcpListener::bind(address);
    let listener = listener
        .await
        .with_context(|| format!("cannot listen on {address} (server.listen)"))?;
    let shutdown = CancellationToken::new();
    let running = serve_again::<S>(
        config,
        again,
        listener,
        Listeners::default(),
        Clock::system(),
        shutdown.clone(),
    )
    .await?;
    writeln!(out, "ready {} {}", S::NAME, running.addr)?;
    out.flush()?;
    let stopped = running.stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            ended = &mut stopped => return ended,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            Some(()) = hangup.recv() => {
                tracing::info!("asked to read files again");
                ask.send_replace(());
            }
        }
    }
    tracing::info!("asked to end");
    shutdown.cancel();
    stopped.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_token_is_the_same_however_it_was_made() {
        let identity = || "ada@company.example".to_owned();
        let made = token(TokenCommand::New { identity: identity() }, std::io::empty()).unwrap();
        let typed = format!("{}\n", made[0]);
        let hashed = token(TokenCommand::Hash { identity: identity() }, typed.as_bytes()).unwrap();
        assert_eq!(hashed, made[1..]);
        let weak = token(TokenCommand::Hash { identity: identity() }, &b"hunter2\n"[..]).unwrap_err();
        assert!(!weak.to_string().contains("hunter2"), "{weak}");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no mode: {0}")]
    struct WithItsCause(#[source] std::fmt::Error);

    #[test]
    fn an_error_is_one_line_and_names_no_cause_twice() {
        let cause = std::fmt::Error.to_string();
        let error = anyhow::Error::from(WithItsCause(std::fmt::Error)).context("cannot\nstart");
        assert_eq!(one_line(&error), format!("cannot start: no mode: {cause}"));
    }
}
