//! What a service gives the chassis, and what it gets.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_store::Db;
use counterfoil_types::Clock;
use diesel_migrations::EmbeddedMigrations;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{self, Channel};
use crate::config;
use crate::policy::Rule;
use crate::reload::{Again, Live};

/// A service: what a process is made of.
pub trait Service: Send + Sync + Sized + 'static {
    /// The service's name, for example `webhook-gateway`: in its binary, its telemetry and, with `_` for `-`, its default
    /// schema.
    const NAME: &'static str;
    /// The service's own configuration. Its keys stand beside the chassis's `server`, `database`, `telemetry` and `client`.
    type Config: DeserializeOwned + Send + Clone;
    /// The service's own migrations; the shared tables of `counterfoil-store` are added to them.
    fn migrations() -> &'static EmbeddedMigrations;
    /// Who may call what, to which the configuration adds rows (`server.policy`). Each method needs a rule; what neither a
    /// rule nor a row names is denied.
    fn policy() -> &'static [Rule];
    /// The descriptors of its gRPC services, an encoded file descriptor set: those of the suite.
    #[must_use]
    fn descriptors() -> &'static [u8] {
        counterfoil_proto::FILE_DESCRIPTOR_SET
    }
    /// Builds the service and spawns its background tasks ([`Host::spawn`]). They must end when `host.shutdown` is
    /// cancelled, as must streams the service has open.
    ///
    /// # Errors
    /// When the configuration makes no sense; the process then does not start.
    fn start(config: Self::Config, host: Host) -> impl Future<Output = anyhow::Result<Started>> + Send;
}

/// What a service is given.
pub struct Host {
    /// The service's database, connected when first used.
    pub db: Db,
    /// The clock of schedules. Leases use the database's clock, signatures the wall clock.
    pub clock: Clock,
    /// Cancelled when the process begins to end.
    pub shutdown: CancellationToken,
    /// Where tasks are spawned that the end waits for, within `drain_ms`. For those that must never end before it, see
    /// [`Host::spawn`].
    pub tasks: TaskTracker,
    /// Listeners besides the gRPC server's, for a service that has others.
    pub listeners: Listeners,
    /// How other services are called.
    pub(crate) client: client::Config,
    /// How the configuration is read again, and how often it is looked at.
    pub(crate) again: Again,
    pub(crate) reload: Duration,
}

impl Host {
    /// A channel to another service at `uri`, which is the value of the configuration's `key`: `http://host:port`, or
    /// `https://host:port` as the section `client` says.
    ///
    /// # Errors
    /// When there can be none, see [`client::channel_to`].
    pub fn channel(&self, key: &str, uri: &str) -> Result<Channel, config::Error> {
        client::channel_to(key, uri, &self.client)
    }

    /// What `read` makes of the service's configuration, `config` at first, and again whenever its file has changed: within two
    /// times `server.reload_ms`, or at once on SIGHUP. What cannot be used changes nothing but the log. `read` is for
    /// the keys that may change while they are in force; all others wait for the next start.
    ///
    /// # Errors
    /// When `read` refuses what is there now.
    pub fn follow<C, T>(
        &self,
        config: &C,
        read: impl Fn(&C) -> Result<T, config::Error> + Send + 'static,
    ) -> Result<watch::Receiver<Arc<T>>, config::Error>
    where
        C: DeserializeOwned,
        T: Send + Sync + 'static,
    {
        let Some((file, source)) = self.again.source.clone() else {
            return Ok(watch::channel(Arc::new(read(config)?)).1);
        };
        let live = Live::new(vec![file], move || read(&source()?.config::<C>()?.service))?;
        let current = live.current();
        let task = live.follow(self.reload, self.again.asked.clone(), self.shutdown.clone());
        self.spawn("configuration", task);
        Ok(current)
    }

    /// Spawns a background task that the service cannot be without. When it panics or ends too early, the service ends, to be
    /// started again by whoever keeps it running; the end waits for it, within `drain_ms`.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        spawn(&self.tasks, self.shutdown.clone(), name, task);
    }
}

/// What [`Host::spawn`] does.
pub(crate) fn spawn(
    tasks: &TaskTracker,
    shutdown: CancellationToken,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let running = tokio::spawn(task);
    tasks.spawn(async move {
        let ended = running.await;
        if ended.is_err() || !shutdown.is_cancelled() {
            tracing::error!(
                task = name,
                panicked = ended.is_err(),
                "a background task ended too early"
            );
            shutdown.cancel();
        }
    });
}

/// What a service hands back.
#[derive(Debug)]
pub struct Started {
    /// Its gRPC services.
    pub routes: tonic::service::Routes,
    /// Their full names, `counterfoil.customer.v1.CustomerService`, for health and reflection.
    pub services: &'static [&'static str],
}

/// Listeners that were bound by whoever starts the service, by name. A test or `tools/dev` binds port 0 and knows the
/// address; a process binds what its configuration says.
#[derive(Debug, Default)]
pub struct Listeners(HashMap<&'static str, TcpListener>);

impl Listeners {
    /// Adds a bound listener for the service to take under `name`.
    #[must_use]
    pub fn with(mut self, name: &'static str, listener: TcpListener) -> Self {
        self.0.insert(name, listener);
        self
    }

    /// Takes the listener called `name`, or binds `address` where none was handed over.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn take_or_bind(&mut self, name: &str, address: SocketAddr) -> std::io::Result<TcpListener> {
        match self.0.remove(name) {
            Some(listener) => Ok(listener),
            None => TcpListener::bind(address).await,
        }
    }
}
