#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )
)]

mod app;
mod billing;
mod config;
mod control;
mod field;
mod http;
mod json;
mod pages;
mod resources;
mod shapes;
mod webhooks;
mod world;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{any, get, post},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub use crate::config::{Config, RetrySchedule};
use crate::{app::App, http::route::Routes, world::World};

/// A running sandbox. Dropped without [`Sandbox::stop`] it goes on until its runtime ends.
#[derive(Debug)]
pub struct Sandbox {
    url: String,
    secret_key: String,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    sender: JoinHandle<()>,
    advancer: JoinHandle<()>,
    ticker: Option<JoinHandle<()>>,
}

/// How often a ticking clock looks for work that has come due.
const TICK: Duration = Duration::from_millis(500);

/// How long, in wall time, a test clock advances while nobody looks.
const ADVANCE_TAKES: Duration = Duration::from_secs(1);

impl Sandbox {
    /// Reads the journal, if there is one, and serves on `listener`. Deliveries still pending are taken up again.
    ///
    /// # Errors
    /// When a setting is wrong, or the journal cannot be read, is another world's, or is in use.
    pub async fn start(config: Config, listener: TcpListener) -> anyhow::Result<Self> {
        config.check()?;
        let url = format!("http://{}", listener.local_addr()?);
        let public_url = config
            .public_url
            .as_deref()
            .unwrap_or(&url)
            .trim_end_matches('/')
            .to_owned();
        let mut world = World::open(&config, public_url)?;
        if let Some(file) = &config.restore {
            world.start_from(file)?;
        }
        let ticks = world.clock.ticks();
        let routes = Routes::new().map_err(anyhow::Error::msg)?;
        let app = Arc::new(App::new(world, &config, routes));
        if let Some(file) = &config.scenario {
            control::scenario::begin(&app, file)?;
        }
        app.tick();
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(http::server::serve(listener, router(app.clone()), stopped));
        let sender = tokio::spawn(webhooks::deliver::run(app.clone(), webhooks::deliver::client()?));
        let advancer = tokio::spawn({
            let app = app.clone();
            async move {
                loop {
                    app.clock_set_out.notified().await;
                    tokio::time::sleep(ADVANCE_TAKES).await;
                    app.tick();
                }
            }
        });
        let ticker = ticks.then(|| {
            tokio::spawn(async move {
                let mut interval = tokio::time::interval(TICK);
                loop {
                    interval.tick().await;
                    app.tick_present();
                }
            })
        });
        Ok(Self {
            url,
            secret_key: config.secret_key,
            stop,
            server,
            sender,
            advancer,
            ticker,
        })
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash: the base for the API, the hosted pages and `/_sandbox/`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The key the API accepts.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// Stops: no new connections, answers at work are finished (for at most two seconds), deliveries end where they are
    /// and stay pending in the journal. The journal is free when this returns.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        if let Some(ticker) = self.ticker {
            ticker.abort();
            let _ = ticker.await;
        }
        for task in [self.advancer, self.sender] {
            task.abort();
            let _ = task.await;
        }
        let _ = self.server.await;
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(http::api))
        .route(
            "/3d_secure/{id}",
            get(pages::authenticate::show).post(pages::authenticate::submit),
        )
        .route("/_sandbox/pay/{id}", get(pages::pay::show).post(pages::pay::submit))
        .route("/c/pay/{id}", get(pages::checkout::show).post(pages::checkout::submit))
        .route("/p/session/{id}", get(pages::portal::show).post(pages::portal::submit))
        .route("/p/{id}", get(pages::link::open))
        .route("/p/{id}/paid", get(pages::link::paid))
        .route("/r/{id}", get(pages::checkout::recover))
        .route(
            "/setup/s/{account}/{token}",
            get(pages::onboarding::show).post(pages::onboarding::submit),
        )
        .route("/_sandbox/clock", get(control::api::clock).post(control::api::advance))
        .route(
            "/_sandbox/faults",
            get(control::api::faults).post(control::api::set_faults),
        )
        .route(
            "/_sandbox/billing",
            get(control::billing::show).post(control::billing::set),
        )
        .route("/_sandbox/keys", get(control::keys::list).post(control::keys::create))
        .route("/_sandbox/webhook_endpoints", post(control::webhooks::register))
        .route("/_sandbox/webhook_endpoints/{id}/roll", post(control::webhooks::roll))
        .route("/_sandbox/deliveries", get(control::webhooks::deliveries))
        .route("/_sandbox/deliveries/retry", post(control::webhooks::retry_now))
        .route("/_sandbox/disputes", post(control::disputes::open))
        .route("/_sandbox/disputes/{id}", post(control::disputes::decide))
        .route("/_sandbox/trigger", post(control::trigger::trigger))
        .route("/_sandbox/ledger", get(control::api::ledger))
        .route("/_sandbox/objects", get(control::api::counts))
        .route("/_sandbox/objects/{kind}", get(control::api::objects))
        .route("/_sandbox/snapshot", post(control::snapshot::take))
        .route(
            "/_sandbox/restore",
            post(control::snapshot::restore).layer(DefaultBodyLimit::disable()),
        )
        .route("/_sandbox/world", get(control::api::world))
        .with_state(app)
}
