//! The specimen service, served, and all that a [`Target`] of it needs.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use counterfoil_chassis::{Clock, Row, Service, client, serve, server};
use counterfoil_contract::examples::{SPECIMEN, by_method};
use counterfoil_contract::specimen::{Config, FILE_DESCRIPTOR_SET, Specimens, pb};
use counterfoil_contract::target::{Audited, List, Target};
use counterfoil_store::{Db, audit};
use counterfoil_test_support::{SANDBOX_TIME, TestDb};
use pb::specimen_service_client::SpecimenServiceClient;
use prost_reflect::DescriptorPool;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub(crate) const SERVICE: &str = "counterfoil.specimen.v1.SpecimenService";
pub(crate) const STRANGER: &str = "a token of somebody whom no row names";
pub(crate) const COLLEAGUE: &str = "a token of somebody who may call everything";
pub(crate) const MAX_MESSAGE: u32 = 64 * 1024;
/// After this an answer is taken never to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Client = SpecimenServiceClient<client::Channel>;

/// A schema of its own, and the service on it until it is dropped.
pub(crate) struct Shelf {
    pub(crate) addr: SocketAddr,
    /// Another one, whose longest deadline is a second.
    pub(crate) hasty: SocketAddr,
    pub(crate) client: Client,
    pub(crate) db: TestDb,
    _tokens: NamedTempFile,
    _end: DropGuard,
}

/// A token file with a stranger and a colleague in it.
pub(crate) fn tokens() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    for (token, identity) in [
        (STRANGER, "stranger@company.example"),
        (COLLEAGUE, "colleague@company.example"),
    ] {
        writeln!(file, "{} {identity}", hex::encode(Sha256::digest(token))).unwrap();
    }
    file
}

impl Shelf {
    pub(crate) async fn open() -> Shelf {
        Shelf::with(|_| {}).await
    }

    /// Served with a configuration that `change` has changed.
    pub(crate) async fn with(change: impl FnOnce(&mut server::Config)) -> Shelf {
        let (db, tokens) = (TestDb::new(Specimens::migrations()).await, tokens());
        let mut config = server::Config {
            dev_identity: true,
            token_file: Some(tokens.path().to_owned()),
            policy: vec![Row {
                identity: "colleague@company.example".to_owned(),
                methods: vec!["/counterfoil.*".to_owned()],
            }],
            allowed_origins: vec!["https://shop.example".to_owned()].try_into().unwrap(),
            max_message_bytes: MAX_MESSAGE,
            default_deadline_ms: 60_000,
            ..server::Config::default()
        };
        change(&mut config);
        let hasty = server::Config {
            default_deadline_ms: 1_000,
            max_deadline_ms: 1_000,
            ..config.clone()
        };
        let shutdown = CancellationToken::new();
        let addr = served(&db, config, &shutdown).await;
        Shelf {
            addr,
            hasty: served(&db, hasty, &shutdown).await,
            client: SpecimenServiceClient::new(client::channel(&format!("http://{addr}")).unwrap()),
            db,
            _tokens: tokens,
            _end: shutdown.drop_guard(),
        }
    }

    /// A new specimen of a user.
    pub(crate) async fn create(&self, user_id: &str, title: &str) -> pb::Specimen {
        create(&self.client, user_id, title).await
    }

    /// The two instances as seen at these addresses: their own, or those of somebody in between.
    pub(crate) async fn target(&self, addr: SocketAddr, hasty: SocketAddr) -> Target {
        let user = Uuid::new_v4().to_string();
        let names = BTreeMap::from([
            ("specimen", self.create("user", "To be read").await.specimen_id),
            ("doomed", self.create("user", "To be deleted").await.specimen_id),
            ("lister", user.clone()),
        ]);
        let list = List {
            request: r#"user_id: "{lister}" title: "Listed" page_size: 3"#,
            other: r#"user_id: "{lister}" page_size: 3"#,
            id: "specimen_id",
            writes: writes(self.client.clone(), user),
        };
        Target {
            pool: DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap(),
            services: Target::connect(&[(SERVICE, addr)], PATIENCE).await.unwrap(),
            hasty: Target::connect(&[(SERVICE, hasty)], PATIENCE / 2).await.unwrap(),
            examples: by_method(SPECIMEN),
            names,
            lists: BTreeMap::from([(format!("/{SERVICE}/ListSpecimens"), list)]),
            audited: audited(self.db.db()),
            samples: usize::MAX,
            stranger: STRANGER.to_owned(),
            colleague: COLLEAGUE.to_owned(),
            max_message_bytes: MAX_MESSAGE as usize,
        }
    }
}

/// Serves one instance; where.
async fn served(db: &TestDb, server: server::Config, shutdown: &CancellationToken) -> SocketAddr {
    let config = counterfoil_chassis::Config {
        server,
        database: db.config(),
        telemetry: Default::default(),
        client: Default::default(),
        service: Config::default(),
    };
    let clock = Clock::fixed(DateTime::from_timestamp(SANDBOX_TIME, 0).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = serve::<Specimens>(config, listener, clock, shutdown.clone());
    running.await.unwrap().addr
}

/// Ten specimens at first; then, after each page, its last row goes and two come.
fn writes(client: Client, user_id: String) -> counterfoil_contract::target::Writes {
    Arc::new(move |step, last| {
        let (mut client, user_id) = (client.clone(), user_id.clone());
        Box::pin(async move {
            let count = if step == 0 { 10 } else { 2 };
            for _ in 0..count {
                create(&client, &user_id, "Listed").await;
            }
            if step == 0 {
                return Ok(Vec::new());
            }
            let request = pb::DeleteSpecimenRequest {
                idempotency_key: Uuid::new_v4().to_string(),
                specimen_id: last.clone(),
            };
            let deleted = client.delete_specimen(request).await;
            deleted.map_err(|error| error.to_string())?;
            Ok(vec![last])
        })
    })
}

fn audited(db: Db) -> Audited {
    Arc::new(move |key| {
        let db = db.clone();
        Box::pin(async move {
            let mut conn = db.conn().await.map_err(|error| error.to_string())?;
            let recorded = audit::page(&mut conn, None, i64::MAX).await;
            let recorded = recorded.map_err(|error| error.to_string())?;
            let of_key = recorded
                .iter()
                .filter(|row| row.idempotency_key.is_some_and(|one| one.to_string() == key));
            Ok(i64::try_from(of_key.count()).unwrap())
        })
    })
}

async fn create(client: &Client, user_id: &str, title: &str) -> pb::Specimen {
    let request = pb::CreateSpecimenRequest {
        idempotency_key: Uuid::new_v4().to_string(),
        user_id: user_id.to_owned(),
        title: title.to_owned(),
        ..pb::CreateSpecimenRequest::default()
    };
    let created = client.clone().create_specimen(request).await.unwrap();
    created.into_inner().specimen.unwrap()
}
