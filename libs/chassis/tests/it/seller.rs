//! A service with a database: one method claims, the other writes two rows in a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use counterfoil_chassis::client::channel;
use counterfoil_chassis::{
    Clock, Config, EmbeddedMigrations, Host, Rule, Service, Started, accept, serve, server, status,
};
use counterfoil_proto::common::v1::ErrorReason;
use counterfoil_proto::connect::v1 as pb;
use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use counterfoil_proto::connect::v1::connected_account_service_server::{
    ConnectedAccountService, ConnectedAccountServiceServer,
};
use counterfoil_store::claim::{self, Begun, Claims};
use counterfoil_store::{Db, Error};
use counterfoil_test_support::TestDb;
use diesel::sql_types::{Integer, Text};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

pub(crate) type Client = ConnectedAccountServiceClient<counterfoil_chassis::client::Channel>;

/// The country whose accounts are never made.
pub(crate) const NOWHERE: &str = "XX";

pub(crate) struct Sellers;

#[derive(Clone, Deserialize)]
pub(crate) struct Settings {
    /// How often the work of an operation was begun.
    #[serde(skip)]
    pub(crate) begun: Arc<AtomicU32>,
}

struct Api {
    db: Db,
    claims: Claims,
    begun: Arc<AtomicU32>,
}

#[tonic::async_trait]
impl ConnectedAccountService for Api {
    /// The account of the call's caller, once per key.
    async fn create_connected_account(
        &self,
        request: Request<pb::CreateConnectedAccountRequest>,
    ) -> Result<Response<pb::CreateConnectedAccountResponse>, Status> {
        let (context, message) = accept::<_, pb::CreateConnectedAccountRequest>(request)?;
        let country = message.country_code;
        let operation = context.operation().map_err(|error| status::of_claim(&error))?;
        let begun = self.claims.begin(&operation, context.remaining()).await;
        let account_id = match begun.map_err(|error| status::of_claim(&error))? {
            Begun::Finished(id) => id,
            Begun::Owned(claim) => {
                self.begun.fetch_add(1, Ordering::SeqCst);
                if country == NOWHERE {
                    return Err(status::unavailable(status::RETRY, &ErrorReason::StripeUnavailable));
                }
                let id = format!("acct_{}", context.caller);
                let finished = self.db.transaction(async |conn| claim.finish(conn, &id).await);
                finished.await.map_err(|error| status::of_claim(&error))?;
                id
            }
        };
        Ok(Response::new(pb::CreateConnectedAccountResponse {
            connected_account: Some(pb::ConnectedAccount {
                account_id,
                ..pb::ConnectedAccount::default()
            }),
            onboarding_link: None,
        }))
    }

    /// Writes two rows that name the account.
    async fn get_connected_account(
        &self,
        request: Request<pb::GetConnectedAccountRequest>,
    ) -> Result<Response<pb::GetConnectedAccountResponse>, Status> {
        let (_, pb::GetConnectedAccountRequest { account_id: id }) = accept(request)?;
        let written = self.db.transaction(async |conn| {
            for partition in 0..2 {
                diesel::sql_query("insert into checkpoint values ($1, $2, 0, '', 0, '{}')")
                    .bind::<Text, _>(&id)
                    .bind::<Integer, _>(partition)
                    .execute(conn)
                    .await?;
            }
            Ok::<_, Error>(())
        });
        written.await.map_err(|error| status::of_store(&error))?;
        Ok(Response::new(pb::GetConnectedAccountResponse::default()))
    }
}

impl Service for Sellers {
    const NAME: &'static str = "test-sellers";
    type Config = Settings;

    fn migrations() -> &'static EmbeddedMigrations {
        &counterfoil_store::MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.connect.v1.ConnectedAccountService/*",
        }]
    }

    async fn start(config: Settings, host: Host) -> anyhow::Result<Started> {
        let claims = claim::Config { lease_ms: 1_000 };
        let api = Api {
            claims: Claims::new(host.db.clone(), &claims),
            db: host.db,
            begun: config.begun,
        };
        Ok(Started {
            routes: tonic::service::Routes::new(ConnectedAccountServiceServer::new(api)),
            services: &["counterfoil.connect.v1.ConnectedAccountService"],
        })
    }
}

/// The service, until it is dropped.
pub(crate) struct Shop {
    pub(crate) client: Client,
    pub(crate) begun: Arc<AtomicU32>,
    _end: DropGuard,
}

/// Serves on `db` with `server`, as `dev`.
pub(crate) async fn open(db: counterfoil_store::Config, server: server::Config) -> Shop {
    let begun = Arc::new(AtomicU32::new(0));
    let config = Config {
        server: server::Config {
            dev_identity: true,
            allowed_origins: vec!["https://shop.example".to_owned()].try_into().unwrap(),
            ..server
        },
        database: db,
        telemetry: Default::default(),
        client: Default::default(),
        service: Settings { begun: begun.clone() },
    };
    let shutdown = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = serve::<Sellers>(config, listener, Clock::system(), shutdown.clone())
        .await
        .unwrap();
    Shop {
        client: ConnectedAccountServiceClient::new(channel(&format!("http://{}", running.addr)).unwrap()),
        begun,
        _end: shutdown.drop_guard(),
    }
}

/// A schema with the shared tables.
pub(crate) async fn schema() -> TestDb {
    TestDb::new(&counterfoil_store::MIGRATIONS).await
}

/// The number that `sql` selects as `n`.
pub(crate) async fn count(db: &Db, sql: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let row: Count = diesel::sql_query(sql)
        .get_result(&mut db.conn().await.unwrap())
        .await
        .unwrap();
    row.n
}
