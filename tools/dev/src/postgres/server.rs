//! Making a cluster, running it, finding one that runs, ending it.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use super::binaries::Binaries;
use super::place::{Account, Place};
use super::{USER, ask, url, write_private};

/// How long a server may take to answer, or to end; recovery after a crash is within it.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);

/// What the server runs with. Durable as production is; roomy, as every test has its own pool and schema.
const SETTINGS: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "password_encryption=scram-sha-256",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "max_connections=400",
    "max_locks_per_transaction=256",
    "timezone=UTC",
    "jit=off",
    "log_line_prefix=%m [%p] %a ",
];

/// A running server of ours. Dropped without [`Server::stop`], it is told to shut down and not waited for.
pub(super) struct Server {
    pid: Pid,
    port: u16,
    data: PathBuf,
    // None for an adopted one, which init reaps.
    child: Option<Child>,
    told: bool,
}

impl Server {
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Shuts down fast and waits for the end; after [`PATIENCE`] without any, immediately (the log recovers).
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.told = true;
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            signal_server(self.pid, signal)?;
            let end = async {
                match &mut self.child {
                    Some(child) => child.wait().await.map(drop).context("cannot wait for PostgreSQL"),
                    None => {
                        while runs(self.pid, &self.data) {
                            tokio::time::sleep(POLL).await;
                        }
                        Ok(())
                    }
                }
            };
            if let Ok(ended) = tokio::time::timeout(PATIENCE, end).await {
                return ended;
            }
        }
        bail!("PostgreSQL (process {}) does not end", self.pid)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.told && runs(self.pid, &self.data) {
            // Nobody is left to tell of a failure; the next run on this home finds the server either way.
            signal_server(self.pid, Signal::SIGINT).unwrap_or_default();
        }
    }
}

/// Makes the cluster of `place` unless there is one. It appears whole or not at all.
pub(super) async fn initialise(
    binaries: &Binaries,
    account: &Account,
    place: &Place,
    password: &str,
) -> anyhow::Result<()> {
    let data = place.data();
    if data.exists() {
        return Ok(());
    }
    remove_half_made(place.base())?;
    // A name of its own: an `initdb` that outlived a killed run cleans up after itself, and not after us.
    let new = place
        .base()
        .join(format!("data.{}", hex::encode(rand::random::<[u8; 4]>())));
    fs::create_dir(&new).with_context(|| format!("cannot create `{}`", new.display()))?;
    account.own(&new)?;
    let secret = new.with_extension("password");
    write_private(&secret, password).with_context(|| format!("cannot write `{}`", secret.display()))?;
    account.own(&secret)?;
    let output = account
        .command(&binaries.initdb())
        .args([
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            "--no-instructions",
            "--username",
            USER,
        ])
        .arg("--pwfile")
        .arg(&secret)
        .arg("--pgdata")
        .arg(&new)
        .kill_on_drop(true)
        .output()
        .await;
    fs::remove_file(&secret).with_context(|| format!("cannot remove `{}`", secret.display()))?;
    let output = output.with_context(|| format!("cannot run `{}`", binaries.initdb().display()))?;
    if !output.status.success() {
        bail!("`initdb` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    fs::rename(&new, &data).with_context(|| format!("cannot rename `{}`", new.display()))
}

/// Removes what a killed `initialise` left.
fn remove_half_made(base: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(base).with_context(|| format!("cannot list `{}`", base.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("data.") || name == "data.path" {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}

/// Starts the cluster of `place` and waits until it answers.
pub(super) async fn launch(
    binaries: &Binaries,
    account: &Account,
    place: &Place,
    password: &str,
    port: Option<u16>,
) -> anyhow::Result<Server> {
    let begun = Instant::now();
    loop {
        let number = match port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut server = spawn(binaries, account, place, number)?;
        if wait_until_ready(&mut server, password).await? {
            return Ok(server);
        }
        // It ended by itself.
        let log = fs::read_to_string(place.log()).unwrap_or_default();
        let taken = log.contains("Address already in use");
        if taken && let Some(port) = port {
            bail!("port {port} is in use");
        }
        // Someone took the free port just before us, or the last backends of a killed server are still ending.
        let passing = taken || log.contains("is still in use");
        if !passing || begun.elapsed() > PATIENCE {
            let lines: Vec<&str> = log.lines().collect();
            let last = lines
                .get(lines.len().saturating_sub(5)..)
                .unwrap_or_default()
                .join("\n");
            bail!(
                "PostgreSQL does not start; the end of `{}`:\n{last}",
                place.log().display()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

fn spawn(binaries: &Binaries, account: &Account, place: &Place, port: u16) -> anyhow::Result<Server> {
    let path = place.log();
    let log = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open `{}`", path.display()))?;
    let copy = log
        .try_clone()
        .with_context(|| format!("cannot share `{}`", path.display()))?;
    let data = place.data();
    let mut command = account.command(&binaries.postgres());
    command.arg("-D").arg(&data).args(["-c", &format!("port={port}")]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.stdout(Stdio::from(log)).stderr(Stdio::from(copy));
    let child = command
        .spawn()
        .with_context(|| format!("cannot run `{}`", binaries.postgres().display()))?;
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .context("PostgreSQL has no process id")?;
    Ok(Server {
        pid: Pid::from_raw(pid),
        port,
        data,
        child: Some(child),
        told: false,
    })
}

/// True when the server answers, false when it ended instead.
async fn wait_until_ready(server: &mut Server, password: &str) -> anyhow::Result<bool> {
    let Server {
        data,
        port,
        child: Some(child),
        told,
        ..
    } = server
    else {
        return Ok(true);
    };
    let begun = Instant::now();
    loop {
        // Both at once: on a port that is taken, another program may keep the question waiting.
        let answer = tokio::select! {
            ended = child.wait() => {
                ended.context("cannot watch PostgreSQL")?;
                *told = true;
                return Ok(false);
            }
            answer = answers(data, password, *port) => answer,
        };
        match answer {
            Ok(()) => return Ok(true),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.context("PostgreSQL does not answer")),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Whether the server on `port` knows our password and serves `data`.
async fn answers(data: &Path, password: &str, port: u16) -> anyhow::Result<()> {
    let served = ask(&url(password, port), "SHOW data_directory").await?;
    if Path::new(&served) != data {
        bail!("port {port} belongs to another server");
    }
    Ok(())
}

/// The server that a killed run left on the cluster of `place`, once it answers. One that does not is ended.
pub(super) async fn left_behind(place: &Place, password: &str) -> anyhow::Result<Option<Server>> {
    let data = place.data();
    let begun = Instant::now();
    while let Some(found) = read_pid_file(&data)? {
        if found.stopping || begun.elapsed() > PATIENCE {
            break;
        }
        if let Some(port) = found.port
            && answers(&data, password, port).await.is_ok()
        {
            return Ok(Some(Server {
                pid: found.pid,
                port,
                data,
                child: None,
                told: false,
            }));
        }
        tokio::time::sleep(POLL).await;
    }
    end(&data).await?;
    Ok(None)
}

/// Ends a server that runs on `data`, if one does.
pub(super) async fn end(data: &Path) -> anyhow::Result<()> {
    match read_pid_file(data)? {
        Some(found) => {
            let server = Server {
                pid: found.pid,
                port: 0,
                data: data.to_owned(),
                child: None,
                told: false,
            };
            server.stop().await
        }
        None => Ok(()),
    }
}

struct PidFile {
    pid: Pid,
    port: Option<u16>,
    stopping: bool,
}

/// What `postmaster.pid` says, if the process it names is a server on `data`.
///
/// Lines: process id, data folder, start time, port, socket folder, address, shared memory, status.
/// Source: PostgreSQL, src/include/utils/pidfile.h.
fn read_pid_file(data: &Path) -> anyhow::Result<Option<PidFile>> {
    let path = data.join("postmaster.pid");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let mut lines = text.lines().map(str::trim);
    let Some(pid) = lines
        .next()
        .and_then(|line| line.parse::<i32>().ok())
        .filter(|pid| *pid > 1)
    else {
        return Ok(None);
    };
    let pid = Pid::from_raw(pid);
    if !runs(pid, data) {
        if kill(pid, None) != Err(Errno::ESRCH) {
            // Another program has this number by now, which PostgreSQL cannot know and would refuse to start over.
            fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
        return Ok(None);
    }
    let port = lines.nth(2).and_then(|line| line.parse().ok());
    let stopping = lines.nth(3).is_some_and(|status| status == "stopping");
    Ok(Some(PidFile { pid, port, stopping }))
}

/// Whether process `pid` is a server that was started on `data`; a zombie is not.
fn runs(pid: Pid, data: &Path) -> bool {
    let wanted = data.as_os_str().as_encoded_bytes();
    if Path::new("/proc/self/cmdline").exists() {
        return fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == wanted));
    }
    std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .is_ok_and(|output| output.stdout.windows(wanted.len()).any(|part| part == wanted))
}

/// Signals the server; that it is gone already is no error.
fn signal_server(pid: Pid, signal: Signal) -> anyhow::Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to PostgreSQL (process {pid})")),
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("no free port on 127.0.0.1")?.port())
}
