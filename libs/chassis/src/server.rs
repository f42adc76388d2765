//! The gRPC server of a service: its layers, its start and its end.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use counterfoil_store::{Db, Error as StoreError};
use counterfoil_telemetry::ServerLayer;
use counterfoil_types::Clock;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;
use tower::Layer;

use crate::config;
use crate::deadline::DeadlineLayer;
use crate::health::HealthOf;
use crate::policy::{GateLayer, Rule, uncovered};
use crate::resume::Worker;
use crate::service::{Host, Listeners, Service, Started, spawn};

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
    /// Where to listen. Default `127.0.0.1:0`, a free port on loopback. Anything but loopback refuses to start, as there is
    /// no encryption.
    pub listen: SocketAddr,
    /// Whether every caller is `dev`. Default false: every call is refused as UNAUTHENTICATED.
    pub dev_identity: bool,
    /// Whether anyone may list the services and their messages. Default true.
    pub reflection: bool,
    /// Milliseconds for a caller who names no deadline. Default 10,000.
    pub default_deadline_ms: u64,
    /// Milliseconds a call may take at most, whatever its caller asks for. Default 60,000.
    pub max_deadline_ms: u64,
    /// Milliseconds that an operation may take, from when it owns its idempotency key, whatever its caller's deadline.
    /// Default 60,000.
    pub work_ms: u64,
    /// Milliseconds between two looks for operations whose owner died, to be completed, and for claims that have expired.
    /// Default 5,000.
    pub resume_every_ms: u64,
    /// How often such an operation is tried before it is left to an operator, with an error in the log. The pauses between
    /// tries double from 10 s. Default 8.
    pub resume_tries: u32,
    /// Milliseconds that calls in flight and background tasks get at the end. Default 10,000.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dev_identity: false,
            reflection: true,
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
            work_ms: 60_000,
            resume_every_ms: 5_000,
            resume_tries: 8,
            drain_ms: 10_000,
        }
    }
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
/// When the service does not start, `listener` is not on loopback, or the policy has no rule for one of the methods.
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
    let addr = listener.local_addr()?;
    if !addr.ip().to_canonical().is_loopback() {
        let problem = format!("is {addr}: without encryption only a loopback address is served");
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
        db: db.clone(),
        clock,
        shutdown: stop.clone(),
        tasks: tasks.clone(),
        listeners,
    };
    let started = S::start(config.service, host).await?;
    if let Some(method) = uncovered(S::policy(), started.services)?.first() {
        bail!("no rule of the policy lets anybody call {method}");
    }
    let parts = Parts {
        config: config.server,
        db,
        policy: S::policy(),
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
    db: Db,
    policy: &'static [Rule],
    started: Started,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Parts {
    /// Builds the server; the future serves and, when `stop` is cancelled, drains.
    fn run(self, listener: TcpListener) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
        let Self {
            config,
            db,
            policy,
            started,
            tasks,
            stop,
        } = self;
        let calls = TaskTracker::new();
        let deadlines = DeadlineLayer {
            default: Duration::from_millis(config.default_deadline_ms),
            max: Duration::from_millis(config.max_deadline_ms),
            work: Duration::from_millis(config.work_ms),
            calls: calls.clone(),
        };
        let worker = Worker {
            db,
            service: deadlines.layer(started.routes.clone()),
            every: Duration::from_millis(config.resume_every_ms.max(1)),
            tries: config.resume_tries,
        };
        let (serving, receiver) = watch::channel(true);
        let routes = routes(&config, started, receiver)?;
        let draining = CancellationToken::new();
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(MAX_HEADERS)
            .layer(ServerLayer)
            .layer(GateLayer {
                dev_identity: config.dev_identity,
                policy,
                calls: calls.clone(),
                max_calls: MAX_CALLS,
            })
            .layer(deadlines)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                draining.clone().cancelled_owned(),
            );
        spawn(&tasks, stop.clone(), "resume", worker.run(stop.clone()));
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
