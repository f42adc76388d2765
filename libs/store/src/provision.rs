//! What only an administrator can do: roles and the schema.

use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::Error;
use crate::config::{identifier, parse_url};
use crate::db::describe;

/// A role that can log in.
#[derive(Debug, Clone)]
pub struct Role {
    /// 1 to 63 lower-case letters, digits and underscores.
    pub name: String,
    /// Never sent: the server gets what it needs to check it.
    pub password: SecretString,
}

/// Two that provision from two databases of one server do not see each other's lock, and the later one fails.
const TRIES: usize = 10;

/// Creates both roles, or sets their passwords, and `schema` owned by `owner`. Run again it changes nothing else; many
/// may run at once. `admin_url` is a superuser's, or that of a role that may create roles and schemas.
///
/// # Errors
/// When the server is not reached or the administrator may not do this.
pub async fn provision(admin_url: &str, schema: &str, owner: &Role, app: &Role) -> Result<(), Error> {
    let connected = parse_url(admin_url)?.connect(NoTls).await;
    let (mut client, driver) = connected.map_err(unavailable)?;
    let driver = tokio::spawn(driver);
    let mut tries = TRIES;
    let done = loop {
        tries = tries.saturating_sub(1);
        match provision_once(&mut client, schema, owner, app).await {
            Err(Failed::Race) if tries > 0 => {}
            Err(Failed::Race) => break Err(Error::Unavailable("others keep changing the same roles".into())),
            Err(Failed::Other(error)) => break Err(error),
            Ok(()) => break Ok(()),
        }
    };
    drop(client);
    let _ = driver.await;
    done
}

enum Failed {
    Race,
    Other(Error),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Failed {
        // "tuple concurrently updated" has no code of its own.
        let races = [
            &SqlState::INTERNAL_ERROR,
            &SqlState::UNIQUE_VIOLATION,
            &SqlState::DUPLICATE_OBJECT,
            &SqlState::DUPLICATE_SCHEMA,
        ];
        match error.code() {
            Some(code) if races.contains(&code) => Failed::Race,
            _ => Failed::Other(unavailable(error)),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Other(error)
    }
}

fn unavailable(error: tokio_postgres::Error) -> Error {
    Error::Unavailable(describe(&error))
}

async fn provision_once(client: &mut Client, schema: &str, owner: &Role, app: &Role) -> Result<(), Failed> {
    let transaction = client.transaction().await?;
    let sql = "select pg_advisory_xact_lock(hashtextextended('counterfoil provision', 0))";
    transaction.batch_execute(sql).await?;
    for role in [owner, app] {
        let name = identifier(&role.name)?;
        let known = transaction
            .query_opt("select from pg_roles where rolname = $1", &[&name])
            .await?;
        let verb = if known.is_some() { "alter" } else { "create" };
        // The verifier has neither quotes nor backslashes in it.
        let verifier = scram_sha_256(role.password.expose_secret().as_bytes());
        let sql = format!(r#"{verb} role "{name}" login password '{verifier}'"#);
        transaction.batch_execute(&sql).await?;
    }
    let (schema, owner, app) = (identifier(schema)?, &owner.name, &app.name);
    let superuser = "select rolsuper from pg_roles where rolname = current_user";
    if !transaction.query_one(superuser, &[]).await?.get::<_, bool>(0) {
        // Only members may give away a schema.
        transaction
            .batch_execute(&format!(r#"grant "{owner}" to current_user"#))
            .await?;
    }
    let sql = format!(
        r#"
        create schema if not exists "{schema}" authorization "{owner}";
        grant usage on schema "{schema}" to "{app}";
        "#
    );
    transaction.batch_execute(&sql).await?;
    transaction.commit().await?;
    Ok(())
}
