//! Migrations: the shared tables and a service's own, as one sequence.

use std::collections::HashMap;

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::ExposeSecret;
use tokio_postgres::NoTls;

use crate::config::{identifier, parse_url};
use crate::db::describe;
use crate::{Config, Error};

/// The tables every service has its own copy of: `claim`, `checkpoint`, `stripe_request`, `audit`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The shared migrations and a service's, sorted by version where they are run.
struct Merged(&'static EmbeddedMigrations);

impl MigrationSource<Pg> for Merged {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        let mut all: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations()?;
        all.extend(MigrationSource::<Pg>::migrations(self.0)?);
        let mut names = HashMap::new();
        for migration in &all {
            let name = migration.name().to_string();
            let version = migration.name().version().to_string();
            if let Some(other) = names.insert(version, name.clone()) {
                // Left alone, one of the two would never run.
                if other != name {
                    return Err(format!("migrations `{other}` and `{name}` have one version").into());
                }
            }
        }
        Ok(all)
    }
}

/// Brings the schema up to date, as its owner, and gives the app role of `config.url` its rights: reading and writing
/// rows, sequences, functions. Returns the migrations that ran. Run again it changes nothing; two may run at once.
///
/// # Errors
/// When there is no owner's URL, the schema does not exist, or a migration fails; those before it stay.
pub async fn migrate(config: &Config, own: &'static EmbeddedMigrations) -> Result<Vec<String>, Error> {
    let schema = identifier(&config.schema)?.to_owned();
    let grants = grants(&schema, &app_role(config)?);
    with_owner(config, move |conn| {
        let run = conn
            .run_pending_migrations(Merged(own))
            .map_err(|error| failed(&*error))?;
        let run = run.iter().map(ToString::to_string).collect();
        diesel::connection::SimpleConnection::batch_execute(conn, &grants)?;
        Ok(run)
    })
    .await
}

/// Takes every migration back, newest first, and with them all data. For development and tests. Returns what it took
/// back.
///
/// # Errors
/// As [`migrate`].
pub async fn revert(config: &Config, own: &'static EmbeddedMigrations) -> Result<Vec<String>, Error> {
    with_owner(config, move |conn| {
        let reverted = conn
            .revert_all_migrations(Merged(own))
            .map_err(|error| failed(&*error))?;
        Ok(reverted.iter().map(ToString::to_string).collect())
    })
    .await
}

type Blocking = AsyncConnectionWrapper<AsyncPgConnection>;

/// Migrations are written for blocking connections, so they run on a thread that may block.
async fn with_owner<T, F>(config: &Config, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Blocking) -> Result<T, Error> + Send + 'static,
{
    let schema = identifier(&config.schema)?.to_owned();
    let connected = config.owner()?.connect(NoTls).await;
    let (client, driver) = connected.map_err(|error| Error::Unavailable(describe(&error)))?;
    let driver = tokio::spawn(driver);
    let done = async {
        let row = client.query_one("select current_schema()", &[]).await.map_err(query)?;
        if row.get::<_, Option<String>>(0).is_none() {
            return Err(Error::Config(format!(
                "schema `{schema}` does not exist, or its owner may not use it"
            )));
        }
        // Held to the end of the connection. The wait for it is not a wait for a table, which is kept short so that
        // a migration never queues all traffic behind itself.
        let lock = format!("select pg_advisory_lock(hashtextextended('counterfoil migrate {schema}', 0))");
        client.batch_execute(&lock).await.map_err(query)?;
        client.batch_execute("set lock_timeout = '2s'").await.map_err(query)?;
        let conn = AsyncPgConnection::try_from(client).await;
        let conn = conn.map_err(|error| Error::Unavailable(error.to_string()))?;
        let migrated = tokio::task::spawn_blocking(move || work(&mut Blocking::from(conn)));
        migrated.await.map_err(Error::bug)?
    }
    .await;
    // The client is gone, so the driver ends; awaited, so that the lock is free when this returns.
    let _ = driver.await;
    done
}

fn query(error: tokio_postgres::Error) -> Error {
    Error::Unavailable(describe(&error))
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> Error {
    Error::Config(format!("migrations: {error}"))
}

fn app_role(config: &Config) -> Result<String, Error> {
    let url = parse_url(config.url.expose_secret())?;
    let role = url.get_user();
    let role = role.ok_or_else(|| Error::Config("database.url names no user".into()))?;
    Ok(role.replace('"', "\"\""))
}

/// Rows, sequences and functions, but neither DDL nor the record of what was migrated; the audit can only grow. Sent as one
/// text, which the server runs as one transaction, so that nobody ever sees what is given and taken back.
fn grants(schema: &str, role: &str) -> String {
    format!(
        r#"
        grant usage on schema "{schema}" to "{role}";
        grant select, insert, update, delete on all tables in schema "{schema}" to "{role}";
        grant usage, select on all sequences in schema "{schema}" to "{role}";
        revoke execute on all functions in schema "{schema}" from public;
        grant execute on all functions in schema "{schema}" to "{role}";
        revoke insert, update, delete on "{schema}".__diesel_schema_migrations from "{role}";
        revoke update, delete on "{schema}".audit from "{role}";
        "#
    )
}
