//! What `deploy/` gives an administrator does what it says.

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;
use tokio_postgres::{Client, NoTls};
use url::Url;

use counterfoil_journeys::{binary, database_name, database_url};

const SCHEMAS: [&str; 5] = ["webhook_gateway", "customer", "billing", "tax", "connect"];
/// A password must be able to hold anything.
const PASSWORD: &str = "it's a \"pass\" \\word";

/// A database of the test's own, with nothing in it. Its name keeps the roles apart too.
struct Empty(String);

impl Empty {
    async fn create(test: &str) -> Empty {
        let name = database_name(test);
        let server = connect(&database_url()).await;
        server.batch_execute(&format!("create database {name}")).await.unwrap();
        Empty(name)
    }

    fn url(&self) -> Url {
        let mut url = Url::parse(&database_url()).unwrap();
        url.set_path(&self.0);
        url
    }

    fn url_as(&self, role: &str) -> String {
        let mut url = self.url();
        url.set_username(&format!("{}_{role}", self.0)).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        url.into()
    }

    async fn provision(&self, without: Option<&str>) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/postgres/provision.sql");
        let mut command = Command::new(psql());
        command.arg("-X").arg(self.url().as_str());
        command.args(["-v", &format!("prefix={}_", self.0), "-f"]).arg(script);
        for schema in SCHEMAS {
            for kind in ["OWNER", "APP"] {
                let variable = format!("COUNTERFOIL_{}_{kind}_PASSWORD", schema.to_uppercase());
                if without != Some(&variable) {
                    command.env(variable, PASSWORD);
                }
            }
        }
        command.output().await.unwrap()
    }

    async fn drop(self) {
        let server = connect(&database_url()).await;
        let sql = format!("drop database {} with (force)", self.0);
        server.batch_execute(&sql).await.unwrap();
        for schema in SCHEMAS {
            for kind in ["owner", "app"] {
                let sql = format!("drop role if exists {}_{schema}_{kind}", self.0);
                server.batch_execute(&sql).await.unwrap();
            }
        }
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// In PATH, or where Debian and Homebrew keep it beside the server.
fn psql() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path().join("bin")));
    }
    let mut found = folders.into_iter().map(|folder| folder.join("psql"));
    found
        .find(|psql| psql.exists())
        .expect("psql is missing: Debian's `postgresql-client`")
}

#[tokio::test]
async fn what_the_script_makes_can_be_migrated_and_worked_with_but_not_changed() {
    let empty = Empty::create("provision").await;
    // The second run is an administrator who is not sure.
    for _ in 0..2 {
        let Output { status, stdout, stderr } = empty.provision(None).await;
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(
            status.success() && stderr.is_empty() && stdout.is_empty(),
            "{stdout}{stderr}"
        );
    }
    let environment = [
        ("DATABASE_URL", empty.url_as("billing_app")),
        ("COUNTERFOIL_DATABASE__OWNER_URL", empty.url_as("billing_owner")),
        ("STRIPE_SECRET_KEY", "sk_test_journeys".to_owned()),
        ("COUNTERFOIL_STRIPE__MODE", "test".to_owned()),
        ("COUNTERFOIL_EVENTS__GATEWAY_URL", "http://127.0.0.1:1".to_owned()),
        ("COUNTERFOIL_CUSTOMER_URL", "http://127.0.0.1:1".to_owned()),
        (
            "COUNTERFOIL_SERVER__ALLOWED_ORIGINS",
            r#"["http://127.0.0.1"]"#.to_owned(),
        ),
    ];
    for _ in 0..2 {
        let mut command = Command::new(binary("counterfoil-billing"));
        let migrated = command.arg("migrate").env_clear().envs(environment.clone());
        let Output { status, stderr, .. } = migrated.output().await.unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    }

    let app = connect(&empty.url_as("billing_app")).await;
    let written = "insert into billing.customer_user (customer_id, user_id, deleted, known_from, known_to)
        values ('cus_1', 'ada', false, now(), now())";
    app.batch_execute(written).await.unwrap();
    let read = app
        .query_one("select user_id from billing.customer_user", &[])
        .await
        .unwrap();
    assert_eq!(read.get::<_, String>(0), "ada");
    for refused in [
        "create table billing.own (id int)",
        "create table public.own (id int)",
        "alter table billing.customer_user add column own int",
        "drop table billing.customer_user",
        "truncate billing.customer_user",
        "create schema own",
        "create role own",
        "delete from billing.__diesel_schema_migrations",
        "create table tax.own (id int)",
    ] {
        let error = app.batch_execute(refused).await.unwrap_err();
        let code = error.as_db_error().map(|error| error.code().code().to_owned());
        assert_eq!(code.as_deref(), Some("42501"), "{refused}: {error:?}");
    }
    // Nor does one service see another's schema, as the worker or as the owner.
    let owner = connect(&empty.url_as("billing_owner")).await;
    for (name, client) in [("app", &app), ("owner", &owner)] {
        let usable = "select has_schema_privilege('tax', 'usage')";
        assert!(
            !client.query_one(usable, &[]).await.unwrap().get::<_, bool>(0),
            "{name}"
        );
    }
    empty.drop().await;
}

#[tokio::test]
async fn a_missing_password_is_named_and_nothing_is_done() {
    let empty = Empty::create("nopassword").await;
    let Output { status, stderr, .. } = empty.provision(Some("COUNTERFOIL_CONNECT_APP_PASSWORD")).await;
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(
        !status.success() && stderr.contains("COUNTERFOIL_CONNECT_APP_PASSWORD"),
        "{stderr}"
    );
    let client = connect(empty.url().as_str()).await;
    let roles = "select count(*) from pg_roles where starts_with(rolname, current_database())";
    assert_eq!(client.query_one(roles, &[]).await.unwrap().get::<_, i64>(0), 0);
    empty.drop().await;
}
