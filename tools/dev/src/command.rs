//! `counterfoil-dev postgres`: a command, or a waiting human, beside a private PostgreSQL.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context;
use counterfoil_dev::postgres::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};

/// Starts or adopts the server, runs `command` with `DATABASE_URL` set, stops the server, and tells the command's exit
/// code (128 and the signal's number where a signal ended it). Without a command the url is printed and a signal ends it.
pub(crate) async fn beside_postgres(options: Options, command: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let postgres = tokio::select! {
        started = postgres::start(options) => started?,
        signal = signals.next() => return Ok(code_of_signal(signal)),
    };
    let mut words = command.into_iter();
    let ended = match words.next() {
        Some(program) => run(&program, words, postgres.url(), &mut signals).await,
        None => {
            println!("{}", postgres.url());
            signals.next().await;
            Ok(ExitCode::SUCCESS)
        }
    };
    postgres.stop().await?;
    ended
}

async fn run(
    program: &OsString,
    arguments: impl Iterator<Item = OsString>,
    url: &str,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("DATABASE_URL", url)
        .spawn()
        .with_context(|| format!("cannot run `{}`", program.to_string_lossy()))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code_of_status(status.context("cannot wait for the command")?)),
            signal = signals.next() => forward(signal, &child)?,
        }
    }
}

fn forward(signal: Signal, child: &Child) -> anyhow::Result<()> {
    // Ctrl-C in a terminal has reached the command already, and a second one means more to many programs.
    let typed = matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && std::io::stdin().is_terminal();
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.filter(|_| !typed) {
        kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot forward {signal}"))?;
    }
    Ok(())
}

fn code_of_status(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

fn code_of_signal(signal: Signal) -> ExitCode {
    code_of_status(ExitStatus::from_raw(match signal {
        Signal::SIGINT => 2,
        Signal::SIGQUIT => 3,
        Signal::SIGHUP => 1,
        _ => 15,
    }))
}

/// The signals that end a program by convention.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
    quit: unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hangup.recv() => Signal::SIGHUP,
            _ = self.quit.recv() => Signal::SIGQUIT,
        }
    }
}
