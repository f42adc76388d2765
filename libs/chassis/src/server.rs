//! The gRPC server of a service: its layers, its start and its end.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use counterfoil_store::{Db, Error as StoreError, Pulse};
use counterfoil_telemetry::ServerLayer;
use counterfoil_types::Clock;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;
use tower::ServiceBuilder;

use crate::deadline::DeadlineLayer;
use crate::details::DetailsLayer;
use crate::health::{self, HealthOf, Verdict};
use crate::messages::MessageLimitLayer;
use crate::policy::{GateLayer, Rule, uncovered};
use crate::service::{Host, Listeners, Service, Started};
use crate::{config, connections, reflection};

/// The length that tonic's own limit on messages has.
const MAX_MESSAGE_BYTES: u32 = 4 * 1024 * 1024;

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
    /// Milliseconds that calls in flight and background tasks get at the end. Default 10,000.
    pub drain_ms: u64,
    /// Calls at a time in all, those included whose caller has left; one more is refused as RESOURCE_EXHAUSTED. A stream
    /// counts until it has begun. Default 1,024.
    pub max_calls: usize,
    /// Bytes of one message that is received, at most 4,194,304. Default that.
    pub max_message_bytes: u32,
    /// Milliseconds between two questions to the database whether it is there, for health. Default 2,000.
    pub health_interval_ms: u64,
    /// How many connections, for how long, with how much on them.
    pub connections: connections::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dev_identity: false,
            reflection: true,
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
            drain_ms: 10_000,
            max_calls: 1_024,
            max_message_bytes: MAX_MESSAGE_BYTES,
            health_interval_ms: 2_000,
            connections: connections::Config::default(),
        }
    }
}

impl Config {
    /// # Errors
    /// When a value, or two together, make no sense.
    pub(crate) fn check(&self) -> Result<(), config::Error> {
        if self.default_deadline_ms == 0 || self.max_deadline_ms < self.default_deadline_ms {
            let problem = "must be more than 0 and at most server.max_deadline_ms";
            return Err(config::Error::invalid("server.default_deadline_ms", problem));
        }
        if self.max_calls == 0 {
            return Err(config::Error::invalid("server.max_calls", "must be more than 0"));
        }
        if !(1..=MAX_MESSAGE_BYTES).contains(&self.max_message_bytes) {
            let problem = format!("must be more than 0 and at most {MAX_MESSAGE_BYTES}");
            return Err(config::Error::invalid("server.max_message_bytes", &problem));
        }
        if self.health_interval_ms == 0 {
            return Err(config::Error::invalid(
                "server.health_interval_ms",
                "must be more than 0",
            ));
        }
        self.connections.check(self.max_deadline_ms)
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

/// Starts a service and serves it on `listener` until `shutdown` is cancelled. The database need not be there yet; until it
/// is, health says NOT_SERVING. A service that ends without being asked to, since one of its background tasks failed, says so in [`Running::stopped`] and does not
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
    let pulse = db.pulse();
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
    };
    let started = S::start(config.service, host).await?;
    if let Some(method) = uncovered(S::policy(), started.services)?.first() {
        bail!("no rule of the policy lets anybody call {method}");
    }
    let parts = Parts {
        config: config.server,
        policy: S::policy(),
        started,
        pulse,
        tasks,
        stop,
    };
    let served = parts.run(listener).await?;
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
    policy: &'static [Rule],
    started: Started,
    pulse: Pulse,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Parts {
    /// Builds the server, asks the database for the first time, and serves; the future goes on until `stop` is cancelled, and
    /// then drains.
    async fn run(
        self,
        listener: TcpListener,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
        let Self {
            config,
            policy,
            started,
            mut pulse,
            tasks,
            stop,
        } = self;
        let verdict = Verdict::first(pulse.beat().await.is_ok());
        let (serving, receiver) = watch::channel(verdict.serves());
        let routes = routes(&config, started, receiver, &stop)?;
        let calls = TaskTracker::new();
        let service = ServiceBuilder::new()
            .layer(ServerLayer)
            .layer(DetailsLayer)
            .layer(GateLayer {
                dev_identity: config.dev_identity,
                policy,
                calls: calls.clone(),
                max_calls: config.max_calls,
            })
            .layer(DeadlineLayer {
                default: Duration::from_millis(config.default_deadline_ms),
                max: Duration::from_millis(config.max_deadline_ms),
                calls: calls.clone(),
            })
            .layer(MessageLimitLayer {
                max_bytes: config.max_message_bytes,
            })
            .service(routes.prepare());
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let draining = CancellationToken::new();
        let server = connections::serve(config.connections, incoming, service, draining.clone());
        let interval = Duration::from_millis(config.health_interval_ms);
        let health = health::follow(pulse, verdict, interval, serving, stop.clone());
        Ok(async move {
            let mut server = tokio::spawn(server);
            let health = tokio::spawn(health);
            tokio::select! {
                () = stop.cancelled() => {}
                // It ends by itself only when it fails; then everything else ends too.
                failure = &mut server => {
                    stop.cancel();
                    failure?;
                    bail!("the server ended by itself");
                }
            }
            // Watchers are told before anything ends. Even had it panicked, their streams would end.
            let _ = health.await;
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
                Ok(served) => Ok(served?),
                Err(_) => {
                    server.abort();
                    // Awaited, so that the connections are closed when this ends.
                    let _ = server.await;
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
fn routes(
    config: &Config,
    started: Started,
    serving: watch::Receiver<bool>,
    stop: &CancellationToken,
) -> anyhow::Result<Routes> {
    let health = HealthOf {
        services: started.services,
        serving,
    };
    let routes = started.routes.add_service(HealthServer::new(health));
    if config.reflection {
        reflection::add(routes, started.services, stop.clone())
    } else {
        Ok(routes)
    }
}
