//! A billing service that answers with who called, and the files it and its callers have.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use counterfoil_chassis::config::Source;
use counterfoil_chassis::{Clock, EmbeddedMigrations, Host, Rule, Running, Service, Started, accept, run, serve};
use counterfoil_proto::billing::v1 as pb;
use counterfoil_proto::billing::v1::entitlement_service_server::{EntitlementService, EntitlementServiceServer};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

static MIGRATIONS: EmbeddedMigrations = EmbeddedMigrations::new(&[]);

struct Billing;

#[derive(Clone, Deserialize)]
struct Settings {}

#[tonic::async_trait]
impl EntitlementService for Billing {
    async fn check_access(
        &self,
        request: Request<pb::CheckAccessRequest>,
    ) -> Result<Response<pb::CheckAccessResponse>, Status> {
        let (context, pb::CheckAccessRequest { .. }) = accept(request)?;
        let access = pb::Access {
            plan: context.caller.to_string(),
            ..pb::Access::default()
        };
        Ok(Response::new(pb::CheckAccessResponse { access: Some(access) }))
    }
}

impl Service for Billing {
    const NAME: &'static str = "billing";
    type Config = Settings;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.billing.v1.EntitlementService/*",
        }]
    }

    async fn start(_: Settings, _: Host) -> anyhow::Result<Started> {
        Ok(Started {
            routes: tonic::service::Routes::new(EntitlementServiceServer::new(Billing)),
            services: &["counterfoil.billing.v1.EntitlementService"],
        })
    }
}

/// Where the files are.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        std::fs::write(self.file(name), text).unwrap();
        std::fs::set_permissions(self.file(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Writes a new token for `identity`, made by the service's own command; returns the service's line for it.
    fn token(&self, name: &str, identity: &str) -> String {
        let mut out = Vec::new();
        let arguments = ["billing", "token", "new", identity].map(Into::into);
        assert_eq!(run::<Billing>(arguments, [], &mut out, &mut std::io::stderr()), 0);
        let out = String::from_utf8(out).unwrap();
        let (token, line) = out.split_once('\n').unwrap();
        self.write(name, &format!("{token}\n"), 0o600);
        line.to_owned()
    }
}

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for `uri` on loopback, and its key.
    fn signs(&self, uri: &str) -> String {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        format!("{}{cert}", key.serialize_pem())
    }
}

/// The service, which lets Ada and the orders service in.
pub(crate) struct Served {
    pub(crate) running: Running,
    shutdown: CancellationToken,
}

impl Served {
    /// Starts it with files in `folder`, and puts those of its callers there.
    pub(crate) async fn new(folder: &Folder) -> Served {
        let (ours, other) = (Authority::new("ours"), Authority::new("other"));
        folder.write("ca.pem", &ours.pem, 0o644);
        folder.write("other.pem", &other.pem, 0o644);
        folder.write("billing.pem", &ours.signs("spiffe://company/billing"), 0o600);
        folder.write("orders.pem", &ours.signs("spiffe://company/orders"), 0o600);
        let lines = folder.token("adas", "ada@company.example") + &folder.token("bos", "bo@company.example");
        folder.write("tokens", &lines, 0o600);
        folder.token("nobodys", "nobody@company.example");
        // Nobody listens where the database should be.
        let text = format!(
            r#"
            database.url = "postgres://nobody@127.0.0.1:1/none"
            [server]
            tls = {{ cert = "{0}/billing.pem", key = "{0}/billing.pem", client_ca = "{0}/ca.pem" }}
            token_file = "{0}/tokens"
            [[server.policy]]
            identity = "ada@company.example"
            methods = ["/counterfoil.billing.v1.*"]
            [[server.policy]]
            identity = "spiffe://company/orders"
            methods = ["/counterfoil.billing.v1.*"]
            "#,
            folder.path().display()
        );
        folder.write("billing.toml", &text, 0o600);
        let source = Source::read::<Billing>(Some(&folder.file("billing.toml")), []).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let running = serve::<Billing>(source.config().unwrap(), listener, Clock::system(), shutdown.clone());
        Served {
            running: running.await.unwrap(),
            shutdown,
        }
    }

    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        self.running.stopped().await.unwrap();
    }
}
