//! A service whose calls wait, panic and complete on command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use counterfoil_chassis::redirect::AllowedOrigins;
use counterfoil_chassis::{
    Clock, Config, EmbeddedMigrations, Host, Rule, Running, Service, Started, Violations, accept, client, config,
    serve, server, status,
};
use counterfoil_proto::connect::v1 as pb;
use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use counterfoil_proto::connect::v1::connected_account_service_server::{
    ConnectedAccountService, ConnectedAccountServiceServer,
};
use counterfoil_store::Db;
use counterfoil_telemetry as telemetry;
use counterfoil_test_support::TestDb;
use counterfoil_types::{AccountId, Mode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

pub(crate) const CREATE: &str = "/counterfoil.connect.v1.ConnectedAccountService/CreateConnectedAccount";
pub(crate) const GET: &str = "/counterfoil.connect.v1.ConnectedAccountService/GetConnectedAccount";

static MIGRATIONS: EmbeddedMigrations = counterfoil_store::MIGRATIONS;

pub(crate) struct Accounts<const ALL_ALLOWED: bool>;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Settings {
    pub(crate) stripe: Stripe,
    #[serde(skip)]
    pub(crate) probe: Arc<Probe>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Stripe {
    pub(crate) secret_key: SecretString,
    pub(crate) mode: Mode,
}

/// What a test and the service's calls tell each other.
#[derive(Debug)]
pub(crate) struct Probe {
    /// One permit for each slow call that has begun.
    pub(crate) begun: Semaphore,
    /// A slow call waits for a permit.
    pub(crate) release: Semaphore,
    /// One permit for each slow call that has completed.
    pub(crate) completed: Semaphore,
    /// Whether the background task came to its own end.
    pub(crate) task_ended: AtomicBool,
    /// One permit makes the other background task panic.
    pub(crate) panic: Semaphore,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            begun: Semaphore::new(0),
            release: Semaphore::new(0),
            completed: Semaphore::new(0),
            task_ended: AtomicBool::new(false),
            panic: Semaphore::new(0),
        }
    }
}

pub(crate) async fn take(semaphore: &Semaphore) {
    semaphore.acquire().await.unwrap().forget();
}

struct Api(Settings, Db);

struct Wanted(AccountId);

impl TryFrom<pb::GetConnectedAccountRequest> for Wanted {
    type Error = Violations;

    fn try_from(message: pb::GetConnectedAccountRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let id = violations.field("account_id", AccountId::parse(message.account_id));
        let (id,) = violations.all((id,))?;
        Ok(Wanted(id))
    }
}

#[tonic::async_trait]
impl ConnectedAccountService for Api {
    async fn create_connected_account(
        &self,
        request: Request<pb::CreateConnectedAccountRequest>,
    ) -> Result<Response<pb::CreateConnectedAccountResponse>, Status> {
        let (_, pb::CreateConnectedAccountRequest { .. }) = accept(request)?;
        Ok(Response::new(pb::CreateConnectedAccountResponse::default()))
    }

    async fn get_connected_account(
        &self,
        request: Request<pb::GetConnectedAccountRequest>,
    ) -> Result<Response<pb::GetConnectedAccountResponse>, Status> {
        assert!(!request.metadata().contains_key("authorization"), "the gate keeps it");
        let (context, Wanted(id)) = accept(request)?;
        let probe = &self.0.probe;
        match id.as_str() {
            "acct_panic" => panic!("the account is cursed"),
            "acct_none" => return Err(status::not_found("connected account", id.as_str())),
            "acct_slow" => {
                probe.begun.add_permits(1);
                take(&probe.release).await;
                probe.completed.add_permits(1);
            }
            "acct_stored" => {
                let _conn = self.1.conn().await.map_err(|error| status::of_store(&error))?;
                probe.begun.add_permits(1);
                take(&probe.release).await;
            }
            _ => {}
        }
        Ok(Response::new(pb::GetConnectedAccountResponse {
            connected_account: Some(pb::ConnectedAccount {
                account_id: id.into(),
                // What the context says, for a test to see.
                country_code: context.caller.to_string(),
                ..pb::ConnectedAccount::default()
            }),
        }))
    }
}

impl<const ALL_ALLOWED: bool> Service for Accounts<ALL_ALLOWED> {
    const NAME: &'static str = "test-accounts";
    type Config = Settings;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        if ALL_ALLOWED {
            &[Rule {
                identity: "dev",
                methods: "/counterfoil.connect.v1.ConnectedAccountService/*",
            }]
        } else {
            &[
                Rule {
                    identity: "dev",
                    methods: GET,
                },
                Rule {
                    identity: "operator",
                    methods: CREATE,
                },
            ]
        }
    }

    async fn start(config: Settings, host: Host) -> anyhow::Result<Started> {
        let checked = config.stripe.mode.check_key(config.stripe.secret_key.expose_secret());
        checked.map_err(|error| config::Error::invalid("stripe.secret_key", &format!("is {error}")))?;
        let probe = Arc::clone(&config.probe);
        let shutdown = host.shutdown.clone();
        host.tasks.spawn(async move {
            shutdown.cancelled().await;
            probe.task_ended.store(true, Ordering::SeqCst);
        });
        let (probe, shutdown) = (Arc::clone(&config.probe), host.shutdown.clone());
        host.spawn("cursed", async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = take(&probe.panic) => panic!("the task is cursed"),
            }
        });
        Ok(Started {
            routes: tonic::service::Routes::new(ConnectedAccountServiceServer::new(Api(config, host.db))),
            services: &["counterfoil.connect.v1.ConnectedAccountService"],
        })
    }
}

pub(crate) fn config() -> Config<Settings> {
    Config {
        server: server::Config {
            dev_identity: true,
            allowed_origins: AllowedOrigins::try_from(vec!["https://shop.example".to_owned()]).unwrap(),
            ..server::Config::default()
        },
        // Nobody listens there: nothing here needs a database.
        database: counterfoil_store::Config {
            url: "postgres://nobody@127.0.0.1:1/none".into(),
            owner_url: None,
            schema: "test_accounts".to_owned(),
            max_connections: 1,
            acquire_timeout_ms: 100,
            statement_timeout_ms: 100,
        },
        telemetry: telemetry::Config::default(),
        client: client::Config::default(),
        service: Settings {
            stripe: Stripe {
                secret_key: "sk_test_1".into(),
                mode: Mode::Test,
            },
            probe: Arc::default(),
        },
    }
}

/// As [`config`], with a database that is there.
pub(crate) fn config_on(db: &TestDb) -> Config<Settings> {
    Config {
        database: db.config(),
        ..config()
    }
}

/// A service that runs, the token that ends it, and what its calls tell.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) shutdown: CancellationToken,
    pub(crate) probe: Arc<Probe>,
}

impl Served {
    pub(crate) async fn new(config: Config<Settings>) -> Served {
        Self::of::<Accounts<true>>(config).await
    }

    pub(crate) async fn of<S: Service<Config = Settings>>(config: Config<Settings>) -> Served {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let probe = Arc::clone(&config.service.probe);
        let shutdown = CancellationToken::new();
        let running = serve::<S>(config, listener, Clock::system(), shutdown.clone())
            .await
            .unwrap();
        Served {
            running,
            shutdown,
            probe,
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.running.addr)
    }

    pub(crate) fn client(&self) -> ConnectedAccountServiceClient<client::Channel> {
        ConnectedAccountServiceClient::new(client::channel(&self.uri()).unwrap())
    }

    pub(crate) fn secure_channel(&self, config: &client::Config) -> client::Channel {
        client::channel_to("uri", &format!("https://{}", self.running.addr), config).unwrap()
    }

    pub(crate) fn secure_client(&self, config: &client::Config) -> ConnectedAccountServiceClient<client::Channel> {
        ConnectedAccountServiceClient::new(self.secure_channel(config))
    }

    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        self.running.stopped().await.unwrap();
    }
}

pub(crate) fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, status::DOMAIN);
    info.reason
}

pub(crate) fn get(account_id: &str) -> pb::GetConnectedAccountRequest {
    pb::GetConnectedAccountRequest {
        account_id: account_id.to_owned(),
    }
}
