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

/// The most characters Stripe takes. Source: <https://docs.stripe.com/api/customers/create>.
const MAX_EMAIL: usize = 512;
const MAX_NAME: usize = 256;

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
        let email = optional_text(&mut violations, "email", message.email, MAX_EMAIL);
        let name = optional_text(&mut violations, "name", message.name, MAX_NAME);
        let (user_id,) = violations.all((user_id,))?;
        Ok(NewCustomer { user_id, email, name })
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

/// A text of at most `most` characters; `None` where it is empty.
fn optional_text(violations: &mut Violations, field: &str, text: String, most: usize) -> Option<String> {
    violations.length(field, &text, ..=most);
    if text.chars().any(char::is_control) {
        violations.add(field, "must not have control characters in it");
    }
    (!text.is_empty()).then_some(text)
}
