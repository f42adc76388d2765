//! The two servers that `make bench-rpc` holds against each other. Both answer `CustomerService.GetCustomer`, from the
//! same table by the same query, or from nowhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "only a benchmark uses it"
)]

use counterfoil_chassis::{Host, Rule, Service, Started, accept, status};
use counterfoil_proto::customer::v1 as pb;
use counterfoil_proto::customer::v1::customer_service_server::{CustomerService, CustomerServiceServer, SERVICE_NAME};
use counterfoil_proto::customer::v1::get_customer_request::Id;
use counterfoil_store::{Db, Error};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde::Deserialize;
use tonic::{Request, Response, Status};

pub static MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

diesel::table! {
    customer (stripe_customer_id) {
        stripe_customer_id -> Text,
        user_id -> Text,
        email -> Text,
        name -> Text,
    }
}

/// The query, by primary key.
async fn read(db: &Db, id: &str) -> Result<Option<pb::Customer>, Error> {
    let mut conn = db.conn().await?;
    let row: Option<(String, String, String, String)> = customer::table.find(id).first(&mut conn).await.optional()?;
    Ok(row.map(|(stripe_customer_id, user_id, email, name)| pb::Customer {
        user_id,
        stripe_customer_id,
        email,
        name,
        ..pb::Customer::default()
    }))
}

/// What is answered where nothing is read.
fn made_up(id: String) -> pb::Customer {
    pb::Customer {
        user_id: "user-1".to_owned(),
        stripe_customer_id: id,
        email: "user-1@example.com".to_owned(),
        name: "User 1".to_owned(),
        ..pb::Customer::default()
    }
}

fn stripe_id(id: Option<Id>) -> Result<String, Status> {
    match id {
        Some(Id::StripeCustomerId(id)) => Ok(id),
        _ => Err(Status::invalid_argument("stripe_customer_id")),
    }
}

fn response(customer: pb::Customer) -> Response<pb::GetCustomerResponse> {
    Response::new(pb::GetCustomerResponse {
        customer: Some(customer),
    })
}

/// Tonic alone. It reads with `Some` database.
pub struct Bare(pub Option<Db>);

#[tonic::async_trait]
impl CustomerService for Bare {
    async fn get_or_create_customer(
        &self,
        _: Request<pb::GetOrCreateCustomerRequest>,
    ) -> Result<Response<pb::GetOrCreateCustomerResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_customer(
        &self,
        request: Request<pb::GetCustomerRequest>,
    ) -> Result<Response<pb::GetCustomerResponse>, Status> {
        let id = stripe_id(request.into_inner().id)?;
        let Some(db) = &self.0 else {
            return Ok(response(made_up(id)));
        };
        let found = read(db, &id).await.map_err(|_| Status::internal("database"))?;
        Ok(response(found.ok_or_else(|| Status::not_found("customer"))?))
    }
}

/// A service on the chassis. It reads with `SQL`.
pub struct Whole<const SQL: bool>(Option<Db>);

/// A service without settings of its own.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Settings {}

#[tonic::async_trait]
impl<const SQL: bool> CustomerService for Whole<SQL> {
    async fn get_or_create_customer(
        &self,
        _: Request<pb::GetOrCreateCustomerRequest>,
    ) -> Result<Response<pb::GetOrCreateCustomerResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_customer(
        &self,
        request: Request<pb::GetCustomerRequest>,
    ) -> Result<Response<pb::GetCustomerResponse>, Status> {
        let (_, message) = accept::<_, pb::GetCustomerRequest>(request)?;
        let id = stripe_id(message.id)?;
        let Some(db) = &self.0 else {
            return Ok(response(made_up(id)));
        };
        let found = read(db, &id).await.map_err(|error| status::of_store(&error))?;
        Ok(response(found.ok_or_else(|| status::not_found("customer", &id))?))
    }
}

impl<const SQL: bool> Service for Whole<SQL> {
    const NAME: &'static str = "bench";
    type Config = Settings;

    fn migrations() -> &'static EmbeddedMigrations {
        &MIGRATIONS
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.customer.v1.CustomerService/*",
        }]
    }

    async fn start(_: Settings, host: Host) -> anyhow::Result<Started> {
        let whole = Whole::<SQL>(SQL.then_some(host.db));
        Ok(Started {
            routes: tonic::service::Routes::new(CustomerServiceServer::new(whole)),
            services: &[SERVICE_NAME],
        })
    }
}
