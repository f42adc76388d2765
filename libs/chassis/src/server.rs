//! The gRPC server of a service: its layers, its start and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use counterfoil_store::{Db, Error as StoreError};
use counterfoil_telemetry::ServerLayer;
use counterfoil_types::Clock;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;

use crate::deadline::DeadlineLayer;
use crate::health::HealthOf;
use crate::identity::{Identities, Tokens};
use crate::policy::{self, GateLayer, Policy, Row};
use crate::reload::Live;
use crate::service::{Host, Listeners, Service, Started};
pub use crate::tls::ServerTls as Tls;
use crate::{config, incoming};

/// How often an idle connection is asked whether it still lives, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Calls at a time on one connection.
const MAX_STREAMS: u32 = 128;
/// Calls at a time in all, those included whose caller has left. A stream counts until it has begun.
const MAX_CALLS: usize = 1024;
/// Bytes of headers of one call. Messages are bounded by tonic, at 4 MiB.
const MAX_HEADERS: u32 = 16 * 1024;

/// How to serve.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// Where to listen. Default `127.0.0.1:0`, a free port on loopback. Anything but loopback refuses to start without `tls`.
    pub listen: SocketAddr,
    /// Our certificate, and whose clients' certificates we believe. Not set by default: then callers come in plain text.
    pub tls: Option<Tls>,
    /// A file with the hashes of the tokens by which people are known, a line each: `<SHA-256, in hex> <identity>`, as
    /// `token new` prints it. With it, a caller over `tls` needs no certificate. Not set by default.
    pub token_file: Option<PathBuf>,
    /// Whether every caller in plain text who shows no token is `dev`. Default false: they are refused as UNAUTHENTICATED.
    pub dev_identity: bool,
    /// Who may call what, besides what the service itself says. Each pattern of a row must name a method there is. Empty by
    /// default.
    pub policy: Vec<Row>,
    /// Milliseconds between two looks at the files of `tls` and `token_file`. What says something new is read again when it
    /// says the same at the next look. Default 5,000.
    pub reload_ms: u64,
    /// Whether anyone may list the services and their messages. Default true.
    pub reflection: bool,
    /// Milliseconds for a caller who names no deadline. Default 10,000.
    pub default_deadline_ms: u64,
    /// Milliseconds a call may take at most, whatever its caller asks for. Default 60,000.
    pub max_deadline_ms: u64,
    /// Milliseconds that calls in flight and background tasks get at the end. Default 10,000.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            token_file: None,
            dev_identity: false,
            policy: Vec::new(),
            reload_ms: 5_000,
            reflection: true,
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
            drain_ms: 10_000,
        }
    }
}

impl Config {
    /// Refuses what would let nobody in, or everybody.
    pub(crate) fn check_callers(&self) -> Result<(), config::Error> {
        if self.tls.is_some() && self.dev_identity {
            let problem = "must be false with server.tls: nobody is `dev` there";
            return Err(config::Error::invalid("server.dev_identity", problem));
        }
        if self.reload_ms == 0 {
            return Err(config::Error::invalid("server.reload_ms", "must be more than 0"));
        }
        policy::check(&self.policy)
    }

    /// Reads the files by which callers are known, and has `host` follow their changes.
    fn callers(&self, host: &Host) -> Result<Callers, config::Error> {
        let every = Duration::from_millis(self.reload_ms);
        let (mut tls, mut tokens) = (None, None);
        if let Some(files) = self.tls.clone() {
            let people = self.token_file.is_some();
            let live = Live::new(files.files(), move || files.read(people))?;
            tls = Some(live.current());
            host.spawn("certificates", live.follow(every, host.shutdown.clone()));
        }
        if let Some(file) = self.token_file.clone() {
            let live = Live::new(vec![file.clone()], move || Tokens::read(&file))?;
            tokens = Some(live.current());
            host.spawn("tokens", live.follow(every, host.shutdown.clone()));
        }
        let identities = Identities::new(self.dev_identity, tokens);
        Ok(Callers { tls, identities })
    }
}

/// What callers are known by.
struct Callers {
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    identities: Identities,
}

/// A service that serves, until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    end: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Waits until the service has ended: its token was cancelled, or its server or a background task failed.
    ///
    /// # Errors
    /// When it ended without being asked to.
    pub async fn stopped(self) -> anyhow::Result<()> {
        self.end.await.context("the server's task ended badly")?
    }
}

/// Starts a service and serves it on `listener` until `shutdown` is cancelled. The database need not be there yet. A service
/// that ends without being asked to, since one of its background tasks failed, says so in [`Running::stopped`] and does not
/// cancel the token, which may be that of several services.
///
/// # Errors
/// When the service does not start, `listener` is neither on loopback nor encrypted, a file of `server.tls` or
/// `server.token_file` cannot be used, the policy has no rule for one of the methods, or a row for none.
pub async fn serve<S: Service>(
    config: crate::Config<S::Config>,
    listener: TcpListener,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<Running> {
    serve_with::<S>(config, listener, Listeners::default(), clock, shutdown).await
}

/// As [`serve`], for a service that has other listeners besides.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with<S: Service>(
    config: crate::Config<S::Config>,
    listener: TcpListener,
    listeners: Listeners,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<Running> {
    config.server.check_callers()?;
    let addr = listener.local_addr()?;
    if config.server.tls.is_none() && !addr.ip().to_canonical().is_loopback() {
        let problem = format!("is {addr}: without server.tls only a loopback address is served");
        return Err(config::Error::invalid("server.listen", &problem).into());
    }
    let db = Db::connect(&config.database).await.map_err(|error| match error {
        StoreError::Config(problem) => config::Error::invalid("database", &format!("cannot be used: {problem}")).into(),
        error => anyhow::Error::from(error),
    })?;
    let tasks = TaskTracker::new();
    let stop = shutdown.child_token();
    // Whatever fails from here on, the tasks the service has begun are told to end.
    let begun = stop.clone().drop_guard();
    let host = Host {
        db,
        clock,
        shutdown: stop.clone(),
        tasks: tasks.clone(),
        listeners,
        client: config.client,
    };
    let callers = config.server.callers(&host)?;
    let started = S::start(config.service, host).await?;
    let policy = Policy::new(S::policy(), &config.server.policy, started.services)?;
    let parts = Parts {
        config: config.server,
        policy,
        callers,
        started,
        tasks,
        stop,
    };
    let served = parts.run(listener)?;
    begun.disarm();
    tracing::info!(service = S::NAME, %addr, "serving");
    let end = tokio::spawn(async move {
        served.await?;
        if !shutdown.is_cancelled() {
            bail!("a background task failed");
        }
        Ok(())
    });
    Ok(Running { addr, end })
}

/// What is served, and what has to end.
struct Parts {
    config: Config,
    policy: Policy,
    callers: Callers,
    started: Started,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Parts {
    /// Builds the server; the future serves and, when `stop` is cancelled, drains.
    fn run(self, listener: TcpListener) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
        let Self {
            config,
            policy,
            callers,
            started,
            tasks,
            stop,
        } = self;
        let (serving, receiver) = watch::channel(true);
        let routes = routes(&config, started, receiver)?;
        let calls = TaskTracker::new();
        let draining = CancellationToken::new();
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(MAX_HEADERS)
            .layer(ServerLayer)
            .layer(GateLayer {
                identities: callers.identities,
                policy: Arc::new(policy),
                calls: calls.clone(),
                max_calls: MAX_CALLS,
            })
            .layer(DeadlineLayer {
                default: Duration::from_millis(config.default_deadline_ms),
                max: Duration::from_millis(config.max_deadline_ms),
                calls: calls.clone(),
            })
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming::of(listener, callers.tls), draining.clone().cancelled_owned());
        Ok(async move {
            let mut server = tokio::spawn(server);
            tokio::select! {
                () = stop.cancelled() => {}
                // It ends by itself only when it fails; then everything else ends too.
                failure = &mut server => {
                    stop.cancel();
                    failure??;
                    bail!("the server ended by itself");
                }
            }
            // Watchers are told, and their streams end as the sender goes.
            serving.send_replace(false);
            drop(serving);
            draining.cancel();
            let drained = tokio::time::timeout(Duration::from_millis(config.drain_ms), async {
                let served = (&mut server).await;
                calls.close();
                calls.wait().await;
                tasks.close();
                tasks.wait().await;
                served
            });
            match drained.await {
                Ok(served) => Ok(served??),
                Err(_) => {
                    server.abort();
                    tracing::warn!(
                        calls = calls.len(),
                        tasks = tasks.len(),
                        "the time to drain is over, what still runs is left behind"
                    );
                    Ok(())
                }
            }
        })
    }
}

/// The service's own routes, health, and reflection of them all.
fn routes(config: &Config, started: Started, serving: watch::Receiver<bool>) -> anyhow::Result<Routes> {
    let health = HealthOf {
        services: started.services,
        serving,
    };
    let routes = started.routes.add_service(HealthServer::new(health));
    if !config.reflection {
        return Ok(routes);
    }
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(counterfoil_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection");
    for service in started.services {
        reflection = reflection.with_service_name(*service);
    }
    Ok(routes.add_service(reflection.build_v1()?))
}
