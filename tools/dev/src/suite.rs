//! The whole suite in one process: the sandbox and five services, each on listeners of its own, as in production but for
//! the process they share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use counterfoil_billing::Billing;
use counterfoil_chassis::config::Source;
use counterfoil_chassis::{Listeners, Running, Service, serve_with};
use counterfoil_connect::Connect;
use counterfoil_customer::Customer;
use counterfoil_tax::Tax;
use counterfoil_types::Clock;
use counterfoil_webhook_gateway::Gateway;
use serde_json::json;
use stripe_sandbox::Sandbox;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::addresses::{self, Addresses};
use crate::database::Database;
use crate::settings;
use crate::story::Stripe;

/// What a suite is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// The secret key the sandbox takes; its prefix decides the suite's mode.
    pub secret_key: String,
    /// The secret that webhooks are signed with.
    pub webhook_secret: String,
    /// The seed of the sandbox's ids.
    pub seed: u64,
    /// Where the sandbox keeps its world; in memory when not given.
    pub journal: Option<PathBuf>,
    /// The ports.
    pub ports: Ports,
    /// How long a call whose process died may hold its key.
    pub lease_ms: u64,
    /// What every service is told besides, as its environment.
    pub environment: Vec<(String, String)>,
}

/// The ports on loopback. 0 takes a free one.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Ports {
    /// The sandbox's API and pages
    #[arg(long, default_value_t = 0)]
    pub sandbox_port: u16,
    /// The gateway's webhook listener
    #[arg(long, default_value_t = 0)]
    pub webhook_port: u16,
    /// The gateway's gRPC
    #[arg(long, default_value_t = 0)]
    pub gateway_port: u16,
    /// The customer service's gRPC
    #[arg(long, default_value_t = 0)]
    pub customer_port: u16,
    /// The billing service's gRPC
    #[arg(long, default_value_t = 0)]
    pub billing_port: u16,
    /// The tax service's gRPC
    #[arg(long, default_value_t = 0)]
    pub tax_port: u16,
    /// The connect service's gRPC
    #[arg(long, default_value_t = 0)]
    pub connect_port: u16,
}

/// A running suite.
pub struct Suite {
    /// Where its parts are found.
    pub addresses: Addresses,
    sandbox: Sandbox,
    running: Vec<Part>,
    clock: Clock,
    lease_ms: u64,
    environment: Vec<(String, String)>,
    shutdown: CancellationToken,
}

/// A service that runs.
struct Part {
    name: &'static str,
    running: Running,
    shutdown: CancellationToken,
}

/// The name of the endpoint for the platform's own events.
pub(crate) const PLATFORM: &str = "counterfoil-platform";

/// How often the services' clock is set to the sandbox's.
const CLOCK_INTERVAL: Duration = Duration::from_millis(250);

impl Suite {
    /// Migrates all schemas of `database` and starts everything.
    ///
    /// # Errors
    /// When a part does not start; those that did are stopped.
    pub async fn start(options: Options, database: &Database) -> anyhow::Result<Suite> {
        let ports = options.ports;
        let sandbox_listener = bind(ports.sandbox_port).await?;
        let webhooks = bind(ports.webhook_port).await?;
        let gateway = bind(ports.gateway_port).await?;
        let customer = bind(ports.customer_port).await?;
        let billing = bind(ports.billing_port).await?;
        let tax = bind(ports.tax_port).await?;
        let connect = bind(ports.connect_port).await?;

        let sandbox = stripe_sandbox::Config {
            secret_key: options.secret_key.clone(),
            seed: options.seed,
            journal: options.journal.clone(),
            ..stripe_sandbox::Config::default()
        };
        let sandbox = Sandbox::start(sandbox, sandbox_listener).await.context("the sandbox")?;
        let addresses = Addresses {
            sandbox: addresses::Sandbox {
                url: sandbox.url().to_owned(),
                secret_key: options.secret_key.clone(),
            },
            gateway: addresses::Gateway {
                webhook_url: format!("http://{}/webhooks/stripe/platform", webhooks.local_addr()?),
                webhook_secret: options.webhook_secret.clone(),
            },
            grpc: addresses::Grpc {
                gateway: gateway.local_addr()?.to_string(),
                customer: customer.local_addr()?.to_string(),
                billing: billing.local_addr()?.to_string(),
                tax: tax.local_addr()?.to_string(),
                connect: connect.local_addr()?.to_string(),
            },
            postgres: addresses::Postgres {
                url: database.url.clone(),
            },
        };

        let mut suite = Suite {
            addresses,
            sandbox,
            running: Vec::new(),
            clock: Clock::system(),
            lease_ms: options.lease_ms,
            environment: options.environment,
            shutdown: CancellationToken::new(),
        };
        let stop_on_failure = suite.shutdown.clone().drop_guard();
        let webhooks = Listeners::default().with("http", webhooks);
        suite.run::<Gateway>(database, gateway, webhooks).await?;
        suite.run::<Customer>(database, customer, Listeners::default()).await?;
        suite.run::<Billing>(database, billing, Listeners::default()).await?;
        suite.run::<Tax>(database, tax, Listeners::default()).await?;
        suite.run::<Connect>(database, connect, Listeners::default()).await?;
        register_endpoints(&suite.addresses).await?;
        tokio::spawn(follow(
            Stripe::new(&suite.addresses.sandbox)?,
            suite.clock.clone(),
            suite.shutdown.clone(),
        ));
        stop_on_failure.disarm();
        Ok(suite)
    }

    /// Drains and stops everything.
    ///
    /// # Errors
    /// When a service ended badly.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        for part in self.running {
            part.running.stopped().await?;
        }
        self.sandbox.stop().await;
        Ok(())
    }

    /// Stops billing, lets `meanwhile` happen, and starts billing again where it was.
    ///
    /// # Errors
    /// When it does not end or start well, or `meanwhile` fails.
    pub async fn restart_billing(
        &mut self,
        database: &Database,
        meanwhile: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let place = self.running.iter().position(|part| part.name == Billing::NAME);
        let part = self.running.remove(place.context("billing does not run")?);
        let port = part.running.addr.port();
        part.shutdown.cancel();
        part.running.stopped().await?;
        meanwhile.await?;
        self.run::<Billing>(database, bind(port).await?, Listeners::default())
            .await
    }

    async fn run<S: Service>(
        &mut self,
        database: &Database,
        listener: TcpListener,
        listeners: Listeners,
    ) -> anyhow::Result<()> {
        let (owner, app) = (database.owner(S::NAME)?, database.app(S::NAME)?);
        let mut environment = settings::environment(S::NAME, &self.addresses, &owner, &app, self.lease_ms)?;
        environment.extend(self.environment.iter().cloned());
        let config = Source::read::<S>(None, environment)?.config::<S::Config>()?;
        counterfoil_store::migrate(&config.database, S::migrations()).await?;
        let shutdown = self.shutdown.child_token();
        let running = serve_with::<S>(config, listener, listeners, self.clock.clone(), shutdown.clone());
        let running = running.await.with_context(|| format!("the {} service", S::NAME))?;
        self.running.push(Part {
            name: S::NAME,
            running,
            shutdown,
        });
        Ok(())
    }
}

async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Tells the sandbox where to deliver, once for the platform's own events and once for those of connected accounts.
///
/// # Errors
/// When the sandbox does not answer.
pub async fn register_endpoints(addresses: &Addresses) -> anyhow::Result<()> {
    let stripe = Stripe::new(&addresses.sandbox)?;
    let platform = &addresses.gateway.webhook_url;
    let connected = platform.replace("/platform", "/connect");
    for (name, url, connect) in [(PLATFORM, platform, false), ("counterfoil-connect", &connected, true)] {
        // By its name the sandbox knows an endpoint again that had another port before.
        let secret = &addresses.gateway.webhook_secret;
        let endpoint = json!({"name": name, "url": url, "secret": secret, "connect": connect});
        stripe.control("/_sandbox/webhook_endpoints", &endpoint).await?;
    }
    Ok(())
}

/// Keeps the services' clock at the sandbox's, whoever moves it.
async fn follow(stripe: Stripe, clock: Clock, shutdown: CancellationToken) {
    let follow = async {
        loop {
            if let Ok(now) = stripe.now().await {
                let behind = now.saturating_sub(clock.now().timestamp());
                if behind != 0 {
                    clock.advance(chrono::TimeDelta::seconds(behind));
                }
            }
            tokio::time::sleep(CLOCK_INTERVAL).await;
        }
    };
    shutdown.run_until_cancelled(follow).await;
}
