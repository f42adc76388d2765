//! The suite's database: one, with a schema and two roles for each service.

use anyhow::Context;
use counterfoil_store::provision;
use secrecy::SecretString;
use tokio_postgres::NoTls;
use url::Url;

use crate::settings::{SERVICES, schema};

/// Creates the suite's databases on one server.
pub struct Database {
    /// As its administrator.
    pub url: String,
    name: String,
    password: String,
}

/// A role, as one logs in with it.
#[derive(Debug, Clone)]
pub struct Role {
    /// `postgres://…`.
    pub url: String,
    name: String,
}

impl Database {
    /// Creates the database `name` on the server at `server_url`, an administrator's, with the schemas and roles of all
    /// services. What is there already stays as it is. `password` is the roles'.
    ///
    /// # Errors
    /// When the server does not answer or the administrator may not do this.
    pub async fn create(server_url: &str, name: &str, password: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(server_url, NoTls)
            .await
            .context("the database server")?;
        tokio::spawn(connection);
        let there = client
            .query_opt("select from pg_database where datname = $1", &[&name])
            .await?;
        if there.is_none() {
            client.batch_execute(&format!(r#"create database "{name}""#)).await?;
        }
        let mut url = Url::parse(server_url).context("the database server's url")?;
        url.set_path(name);
        let database = Self {
            url: url.into(),
            name: name.to_owned(),
            password: password.to_owned(),
        };
        for service in SERVICES {
            let role = |role: Role| counterfoil_store::Role {
                name: role.name,
                password: SecretString::from(password),
            };
            provision(
                &database.url,
                &schema(service),
                &role(database.owner(service)?),
                &role(database.app(service)?),
            )
            .await
            .with_context(|| format!("the {service} service's schema"))?;
        }
        Ok(database)
    }

    /// Drops the database and its roles.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn drop(self, server_url: &str) -> anyhow::Result<()> {
        let (client, connection) = tokio_postgres::connect(server_url, NoTls).await?;
        tokio::spawn(connection);
        client
            .batch_execute(&format!(r#"drop database "{}" with (force)"#, self.name))
            .await?;
        for service in SERVICES {
            let (owner, app) = (self.owner(service)?.name, self.app(service)?.name);
            client
                .batch_execute(&format!(r#"drop role "{owner}"; drop role "{app}""#))
                .await?;
        }
        Ok(())
    }

    /// The role that owns a service's schema and migrates it.
    ///
    /// # Errors
    /// When the administrator's url is none.
    pub fn owner(&self, service: &str) -> anyhow::Result<Role> {
        self.role(service, "owner")
    }

    /// The role a service works as.
    ///
    /// # Errors
    /// When the administrator's url is none.
    pub fn app(&self, service: &str) -> anyhow::Result<Role> {
        self.role(service, "app")
    }

    /// Roles belong to the server, not to a database: the database's name keeps those of two suites apart.
    fn role(&self, service: &str, kind: &str) -> anyhow::Result<Role> {
        let name = format!("{}_{}_{kind}", self.name, schema(service));
        let mut url = Url::parse(&self.url)?;
        let set = url
            .set_username(&name)
            .and_then(|()| url.set_password(Some(&self.password)));
        set.ok().context("the database server's url takes no user")?;
        Ok(Role { url: url.into(), name })
    }
}
