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

mod access;
mod addresses;
mod caller;
mod customers;
mod events;
mod failure;
mod output;
mod services;
mod status;
mod subscriptions;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::addresses::Addresses;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::services::Services;

/// It could not.
const FAILED: u8 = 1;

#[derive(Parser)]
#[command(
    name = "counterfoil",
    version,
    about = "Looks into a running Counterfoil",
    after_help = "Example: counterfoil status --billing https://billing.internal:7003 --ca ca.pem \
                  --token-file ~/.counterfoil-token"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The form of what is printed, for people or for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORM")]
    output: Format,
    /// How many seconds a call may take
    #[arg(long, global = true, default_value_t = 10, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    #[command(flatten)]
    addresses: addresses::Given,
    #[command(flatten)]
    caller: caller::Credentials,
}

#[derive(Subcommand)]
enum Command {
    /// Shows each service's health, what the gateway received, and how far the log goes
    ///
    /// Fails when a service does not serve.
    #[command(after_help = "Example: counterfoil status --output json")]
    Status,
    /// Looks into the log of Stripe's events
    #[command(subcommand, after_help = "Example: counterfoil events list --type 'invoice.*'")]
    Events(events::Command),
    /// Looks up customers
    #[command(subcommand, after_help = "Example: counterfoil customers get --user ada")]
    Customers(customers::Command),
    /// Looks up subscriptions
    #[command(subcommand, after_help = "Example: counterfoil subscriptions list --user ada")]
    Subscriptions(subscriptions::Command),
    /// Asks what a user may use
    #[command(
        subcommand,
        after_help = "Example: counterfoil access check --user ada --feature reports"
    )]
    Access(access::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::stdout(arguments.output);
    match run(arguments, output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => match failure.text() {
            Some(text) => {
                eprintln!("{text}");
                ExitCode::from(FAILED)
            }
            // Whoever reads has seen enough: `counterfoil events list | head`.
            None => ExitCode::SUCCESS,
        },
    }
}

async fn run(arguments: Arguments, mut output: Output) -> Result<(), Failure> {
    let services = Services {
        addresses: Addresses::resolve(arguments.addresses)?,
        caller: Caller::new(arguments.caller)?,
        timeout: Duration::from_secs(arguments.timeout),
    };
    let output = &mut output;
    match arguments.command {
        Command::Status => status::show(&services, output).await,
        Command::Events(command) => events::run(command, &services, output).await,
        Command::Customers(command) => customers::run(command, &services, output).await,
        Command::Subscriptions(command) => subscriptions::run(command, &services, output).await,
        Command::Access(command) => access::run(command, &services, output).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.starts_with("Example: counterfoil "),
                "{}: {help}",
                command.get_name()
            );
            // An example that the program would not take helps nobody.
            let words = help.trim_start_matches("Example: ").split_whitespace();
            let words = words.map(|word| word.trim_matches('\''));
            Arguments::try_parse_from(words).map(drop).unwrap();
            command
                .get_subcommands()
                .filter(|command| command.get_name() != "help")
                .for_each(check);
        }
        Arguments::command().debug_assert();
        check(&Arguments::command());
    }
}
