//! Protobuf to model and back. Nothing is decided here.

use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_chassis::convert::timestamp;
use counterfoil_proto::customer::v1 as pb;
use counterfoil_proto::customer::v1::customer_service_server::CustomerService;
use counterfoil_types::{CustomerId, UserId};
use tonic::{Request, Response, Status};

use crate::model::customer::{Customer, Name};
use crate::model::signup::NewCustomer;

type Reply<T> = Result<Response<T>, Status>;

/// The RPCs on customers.
pub struct Customers(pub Arc<crate::Customer>);

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn get_or_create_customer(
        &self,
        request: Request<pb::GetOrCreateCustomerRequest>,
    ) -> Reply<pb::GetOrCreateCustomerResponse> {
        let (_, new) = counterfoil_chassis::accept::<_, NewCustomer>(request)?;
        let customer = self.0.get_or_create_customer(new).await?;
        Ok(Response::new(pb::GetOrCreateCustomerResponse {
            customer: Some(customer.into()),
        }))
    }

    async fn get_customer(&self, request: Request<pb::GetCustomerRequest>) -> Reply<pb::GetCustomerResponse> {
        let (_, name) = counterfoil_chassis::accept::<_, Name>(request)?;
        let customer = self.0.get_customer(&name).await?;
        Ok(Response::new(pb::GetCustomerResponse {
            customer: Some(customer.into()),
        }))
    }
}

impl From<Customer> for pb::Customer {
    fn from(customer: Customer) -> pb::Customer {
        pb::Customer {
            user_id: customer.user_id.unwrap_or_default(),
            stripe_customer_id: customer.id.into(),
            email: customer.email.unwrap_or_default(),
            name: customer.name.unwrap_or_default(),
            deleted: customer.deleted,
            create_time: customer.created_at.map(timestamp),
        }
    }
}

impl TryFrom<pb::GetOrCreateCustomerRequest> for NewCustomer {
    type Error = Violations;

    fn try_from(message: pb::GetOrCreateCustomerRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let user_id = violations.field("user_id", UserId::parse(message.user_id));
        let (user_id,) = violations.all((user_id,))?;
        Ok(NewCustomer {
            user_id,
            email: (!message.email.is_empty()).then_some(message.email),
            name: (!message.name.is_empty()).then_some(message.name),
        })
    }
}

impl TryFrom<pb::GetCustomerRequest> for Name {
    type Error = Violations;

    fn try_from(message: pb::GetCustomerRequest) -> Result<Self, Violations> {
        use pb::get_customer_request::Id;
        let mut violations = Violations::default();
        let id = violations.required("id", message.id);
        let name = id.and_then(|id| match id {
            Id::UserId(id) => violations.field("user_id", UserId::parse(id)).map(Name::User),
            Id::StripeCustomerId(id) => violations
                .field("stripe_customer_id", CustomerId::parse(id))
                .map(Name::Stripe),
        });
        let (name,) = violations.all((name,))?;
        Ok(name)
    }
}
