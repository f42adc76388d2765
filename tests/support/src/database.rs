//! A schema for one test.

use counterfoil_store::{Config, Db, EmbeddedMigrations, Role, migrate, provision};
use secrecy::SecretString;
use tokio_postgres::NoTls;
use url::Url;

/// A migrated PostgreSQL schema of the test's own, dropped with this value.
pub struct TestDb {
    config: Config,
    db: Db,
}

/// All tests share two roles. The password guards a throw-away server on loopback.
const OWNER: &str = "counterfoil_test_owner";
const APP: &str = "counterfoil_test_app";
const PASSWORD: &str = "test";

impl TestDb {
    /// Makes the schema `t_<random>` and migrates it with the shared tables and `migrations`.
    ///
    /// # Panics
    /// When `DATABASE_URL` is not set or the server does not do what is asked.
    pub async fn new(migrations: &'static EmbeddedMigrations) -> TestDb {
        let schema = format!("t_{:016x}", rand::random::<u64>());
        let role = |name: &str| Role {
            name: name.to_owned(),
            password: PASSWORD.into(),
        };
        let (owner, app) = (role(OWNER), role(APP));
        provision(&Self::admin_url(), &schema, &owner, &app)
            .await
            .expect("provision the schema");
        let config = Config {
            url: url_as(APP),
            owner_url: Some(url_as(OWNER)),
            schema,
            max_connections: 8,
            // Tests share a machine with their compiler.
            acquire_timeout_ms: 10_000,
            statement_timeout_ms: 10_000,
        };
        let db = Db::connect(&config).await.expect("a pool");
        let test_db = TestDb { config, db };
        migrate(&test_db.config, migrations).await.expect("migrate the schema");
        test_db
    }

    /// The configuration of a service in this schema, as its app role; with the owner's URL too.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// A pool as the app role. All calls give the same one.
    #[must_use]
    pub fn db(&self) -> Db {
        self.db.clone()
    }

    /// The administrator's URL, out of the environment variable `DATABASE_URL`.
    ///
    /// # Panics
    /// When it is not set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration but this")]
    pub fn admin_url() -> String {
        std::env::var("DATABASE_URL").expect("DATABASE_URL names no PostgreSQL server; `make test` starts one")
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let schema = self.config.schema.clone();
        // A thread of its own, because the test's runtime cannot be waited for in here.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(drop_schema(&schema))
        });
        match dropped.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("schema {} is left behind: {error}", self.config.schema),
            Err(_) => eprintln!("schema {} is left behind", self.config.schema),
        }
    }
}

async fn drop_schema(schema: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (client, driver) = tokio_postgres::connect(&TestDb::admin_url(), NoTls).await?;
    let driver = tokio::spawn(driver);
    let sql = format!(r#"set lock_timeout = '5s'; drop schema if exists "{schema}" cascade"#);
    client.batch_execute(&sql).await?;
    drop(client);
    driver.await??;
    Ok(())
}

/// The administrator's URL with another role in it.
fn url_as(role: &str) -> SecretString {
    let mut url = Url::parse(&TestDb::admin_url()).expect("DATABASE_URL is a URL");
    url.set_username(role).expect("DATABASE_URL names a host");
    url.set_password(Some(PASSWORD)).expect("DATABASE_URL names a host");
    String::from(url).into()
}
