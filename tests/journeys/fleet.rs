//! The suite as in production: one process a service, and the sandbox in another. Each can be killed and started again.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use counterfoil_dev::addresses::{self, Addresses};
use counterfoil_dev::database::Database;
use counterfoil_dev::settings::{self, SERVICES};
use counterfoil_dev::suite::register_endpoints;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{binary, database_name, database_url};

/// A call whose process died may be taken over after this.
const LEASE_MS: u64 = 1_500;
const PASSWORD: &str = "journeys";

/// A running suite, one process a service.
pub struct Fleet {
    /// Where its parts are found.
    pub addresses: Addresses,
    database: Option<Database>,
    processes: BTreeMap<&'static str, Child>,
    world: TempDir,
    _ports: Ports,
}

/// Seven ports that a part finds free each time it is started: below the range from which the system gives out ports, and
/// no other fleet's, as a lock on the block's file says for as long as this process lives.
struct Ports {
    next: u16,
    _lock: File,
}

impl Ports {
    const FIRST: u16 = 20_000;
    const BLOCK: u16 = 8;
    const BLOCKS: u16 = 1_000;

    fn take() -> Ports {
        let folder = std::env::temp_dir().join(format!("counterfoil-ports-{}", nix::unistd::getuid()));
        std::fs::create_dir_all(&folder).unwrap();
        for block in 0..Self::BLOCKS {
            let lock = File::create(folder.join(block.to_string())).unwrap();
            let first = Self::FIRST + block * Self::BLOCK;
            let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
            if lock.try_lock().is_ok() && (first..first + Self::BLOCK).all(is_free) {
                return Ports {
                    next: first,
                    _lock: lock,
                };
            }
        }
        panic!("no block of ports is free");
    }

    fn next(&mut self) -> String {
        let port = self.next;
        self.next += 1;
        format!("127.0.0.1:{port}")
    }
}

impl Fleet {
    /// Migrates and starts everything. `secret_key` decides the mode.
    pub async fn start(test: &str, secret_key: &str) -> Fleet {
        let database = Database::create(&database_url(), &database_name(test), PASSWORD)
            .await
            .unwrap();
        let mut ports = Ports::take();
        let addresses = Addresses {
            sandbox: addresses::Sandbox {
                url: format!("http://{}", ports.next()),
                secret_key: secret_key.to_owned(),
            },
            gateway: addresses::Gateway {
                webhook_url: format!("http://{}/webhooks/stripe/platform", ports.next()),
                webhook_secret: "whsec_journeys".to_owned(),
            },
            grpc: addresses::Grpc {
                gateway: ports.next(),
                customer: ports.next(),
                billing: ports.next(),
                tax: ports.next(),
                connect: ports.next(),
            },
            postgres: addresses::Postgres {
                url: database.url.clone(),
            },
        };
        let world = tempfile::tempdir().unwrap();
        let mut fleet = Fleet {
            addresses,
            database: Some(database),
            processes: BTreeMap::new(),
            world,
            _ports: ports,
        };
        fleet.start_process("sandbox").await;
        register_endpoints(&fleet.addresses).await.unwrap();
        for service in SERVICES {
            let migrated = fleet.command(service).arg("migrate").output().await.unwrap();
            assert!(
                migrated.status.success(),
                "{}",
                String::from_utf8_lossy(&migrated.stderr)
            );
            fleet.start_process(service).await;
        }
        fleet
    }

    /// Kills a process with SIGKILL and sees it gone.
    pub async fn kill(&mut self, name: &'static str) {
        let mut child = self.processes.remove(name).unwrap();
        kill(Pid::from_raw(child.id().unwrap().cast_signed()), Signal::SIGKILL).unwrap();
        child.wait().await.unwrap();
    }

    /// Starts a process (again) and waits until it says it is ready.
    pub async fn start_process(&mut self, name: &'static str) {
        let mut command = self.command(name);
        if name != "sandbox" {
            command.arg("serve");
        }
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await;
        assert!(
            matches!(ready, Ok(Ok(Some(_)))),
            "{name} did not become ready: {ready:?}"
        );
        // Kept reading, so that the process never meets a closed pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.processes.insert(name, child);
    }

    /// Ends everything as an operator would, and expects each process to end well.
    pub async fn stop(mut self) {
        for (name, mut child) in std::mem::take(&mut self.processes) {
            kill(Pid::from_raw(child.id().unwrap().cast_signed()), Signal::SIGTERM).unwrap();
            let status = tokio::time::timeout(Duration::from_secs(20), child.wait()).await;
            assert!(
                status.is_ok_and(|status| status.unwrap().success()),
                "{name} did not end well"
            );
        }
        self.database.take().unwrap().drop(&database_url()).await.unwrap();
    }

    /// The process id of a part: `sandbox` or a service's name.
    pub fn pid(&self, name: &str) -> u32 {
        self.processes[name].id().unwrap()
    }

    fn command(&self, name: &'static str) -> Command {
        if name == "sandbox" {
            let mut command = Command::new(binary("stripe-sandbox"));
            command.args(["--listen", self.addresses.sandbox.url.trim_start_matches("http://")]);
            command.args(["--secret-key", &self.addresses.sandbox.secret_key, "--seed", "7"]);
            command.arg("--journal").arg(self.world.path().join("journal"));
            return command;
        }
        let database = self.database.as_ref().unwrap();
        let (owner, app) = (database.owner(name).unwrap(), database.app(name).unwrap());
        let environment = settings::environment(name, &self.addresses, &owner, &app, LEASE_MS).unwrap();
        let mut command = Command::new(binary(&format!("counterfoil-{name}")));
        command.env_clear().envs(environment);
        command
    }
}
