//! The gRPC server of a service: its layers, its start and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use counterfoil_store::{Db, Error as StoreError, Pulse};
use counterfoil_telemetry::ServerLayer;
use counterfoil_types::Clock;
use prost_reflect::DescriptorPool;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::{Layer, ServiceBuilder};
use tower_http::add_extension::AddExtensionLayer;

use crate::deadline::DeadlineLayer;
use crate::details::DetailsLayer;
use crate::health::{self, HealthOf, Verdict};
use crate::identity::{Identities, Tokens};
use crate::messages::limited;
use crate::policy::{self, GateLayer, Policy, Row};
use crate::redirect::AllowedOrigins;
use crate::reload::{Again, Live};
use crate::resume::Worker;
use crate::rules::Rules;
use crate::service::{Host, Listeners, Service, Started, spawn};
pub use crate::tls::ServerTls as Tls;
use crate::{config, connections, incoming, reflection};

/// The length that tonic's own limit on messages has.
const MAX_MESSAGE_BYTES: u32 = 4 * 1024 * 1024;

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
    /// Milliseconds between two looks at the files of `tls` and `token_file`, and at the configuration where a service follows
    /// it. What says something new is read again when it says the same at the next look. Default 5,000.
    pub reload_ms: u64,
    /// Whether anyone may list the services and their messages. Default true.
    pub reflection: bool,
    /// The origins that a field marked `redirect_url` may lead to, as `https://shop.example`. None by default.
    pub allowed_origins: AllowedOrigins,
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
            tls: None,
            token_file: None,
            dev_identity: false,
            policy: Vec::new(),
            reload_ms: 5_000,
            reflection: true,
            allowed_origins: AllowedOrigins::default(),
            default_deadline_ms: 10_000,
            max_deadline_ms: 60_000,
            work_ms: 60_000,
            resume_every_ms: 5_000,
            resume_tries: 8,
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
        self.check_callers()?;
        self.connections.check(self.max_deadline_ms)
    }

    /// Refuses what would let nobody in, or everybody.
    fn check_callers(&self) -> Result<(), config::Error> {
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
            host.spawn(
                "certificates",
                live.follow(every, host.again.asked.clone(), host.shutdown.clone()),
            );
        }
        if let Some(file) = self.token_file.clone() {
            let live = Live::new(vec![file.clone()], move || Tokens::read(&file))?;
            tokens = Some(live.current());
            host.spawn(
                "tokens",
                live.follow(every, host.again.asked.clone(), host.shutdown.clone()),
            );
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

/// Starts a service and serves it on `listener` until `shutdown` is cancelled. The database need not be there yet; until it
/// is, health says NOT_SERVING. A service that ends without being asked to, since one of its background tasks failed, says so in [`Running::stopped`] and does not
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
    serve_again::<S>(config, Again::never(), listener, listeners, clock, shutdown).await
}

/// As [`serve_with`], with a configuration that can be read again.
pub(crate) async fn serve_again<S: Service>(
    config: crate::Config<S::Config>,
    again: Again,
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
    let pulse = db.pulse();
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
        client: config.client,
        again,
        reload: Duration::from_millis(config.server.reload_ms),
    };
    let callers = config.server.callers(&host)?;
    let started = S::start(config.service, host).await?;
    let descriptors = DescriptorPool::decode(S::descriptors())?;
    let rules = Rules::compile(&descriptors, started.services, config.server.allowed_origins.clone());
    let rules = Arc::new(rules.context("the rules in the protos")?);
    let policy = Policy::new(&descriptors, S::policy(), &config.server.policy, started.services)?;
    let parts = Parts {
        config: config.server,
        db,
        policy,
        callers,
        rules,
        descriptors: S::descriptors(),
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
    db: Db,
    policy: Policy,
    callers: Callers,
    rules: Arc<Rules>,
    descriptors: &'static [u8],
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
            db,
            policy,
            callers,
            rules,
            descriptors,
            started,
            mut pulse,
            tasks,
            stop,
        } = self;
        let rules = AddExtensionLayer::new(rules);
        let calls = TaskTracker::new();
        let deadlines = DeadlineLayer {
            default: Duration::from_millis(config.default_deadline_ms),
            max: Duration::from_millis(config.max_deadline_ms),
            work: Duration::from_millis(config.work_ms),
            calls: calls.clone(),
        };
        let worker = Worker {
            db,
            service: deadlines.layer(rules.layer(started.routes.clone().prepare())),
            every: Duration::from_millis(config.resume_every_ms.max(1)),
            tries: config.resume_tries,
        };
        let verdict = Verdict::first(pulse.beat().await.is_ok());
        let (serving, receiver) = watch::channel(verdict.serves());
        let routes = routes(&config, descriptors, started, receiver, &stop)?;
        let service = ServiceBuilder::new()
            .layer(ServerLayer)
            .layer(DetailsLayer)
            .layer(GateLayer {
                identities: callers.identities,
                policy: Arc::new(policy),
                calls: calls.clone(),
                max_calls: config.max_calls,
            })
            .layer(deadlines)
            .map_request(move |request| limited(request, config.max_message_bytes))
            .layer(rules)
            .service(routes.prepare());
        let incoming = incoming::of(listener, callers.tls);
        let draining = CancellationToken::new();
        let server = connections::serve(config.connections, incoming, service, draining.clone());
        let interval = Duration::from_millis(config.health_interval_ms);
        let health = health::follow(pulse, verdict, interval, serving, stop.clone());
        spawn(&tasks, stop.clone(), "resume", worker.run(stop.clone()));
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
    descriptors: &'static [u8],
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
        reflection::add(routes, descriptors, started.services, stop.clone())
    } else {
        Ok(routes)
    }
}
