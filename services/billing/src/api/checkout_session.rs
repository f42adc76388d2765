//! `CheckoutService`.

use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_proto::billing::v1 as pb;
use counterfoil_proto::billing::v1::checkout_service_server::CheckoutService;
use counterfoil_types::{PriceId, UserId};
use tonic::{Request, Response};

use super::Reply;
use crate::Billing;
use crate::model::checkout_session::{CheckoutSession, NewCheckoutSession};

/// The service.
pub struct Checkout(pub Arc<Billing>);

#[tonic::async_trait]
impl CheckoutService for Checkout {
    async fn create_checkout_session(
        &self,
        request: Request<pb::CreateCheckoutSessionRequest>,
    ) -> Reply<pb::CreateCheckoutSessionResponse> {
        let (cx, new) = counterfoil_chassis::accept::<_, NewCheckoutSession>(request)?;
        let session = self.0.create_checkout_session(&cx, &new).await?;
        Ok(Response::new(pb::CreateCheckoutSessionResponse {
            checkout_session: Some(session.into()),
        }))
    }
}

impl TryFrom<pb::CreateCheckoutSessionRequest> for NewCheckoutSession {
    type Error = Violations;

    fn try_from(request: pb::CreateCheckoutSessionRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let user_id = violations.field("user_id", UserId::parse(request.user_id));
        let price_id = violations.field("price_id", PriceId::parse(request.price_id));
        let (user_id, price_id) = violations.all((user_id, price_id))?;
        Ok(NewCheckoutSession {
            user_id,
            price_id,
            // Where it is negative the request is refused by its rules.
            quantity: u64::try_from(request.quantity).unwrap_or_default().max(1),
            // As they were written: a URL printed again has lost the braces of {CHECKOUT_SESSION_ID}.
            success_url: request.success_url,
            cancel_url: (!request.cancel_url.is_empty()).then_some(request.cancel_url),
        })
    }
}

impl From<CheckoutSession> for pb::CheckoutSession {
    fn from(session: CheckoutSession) -> Self {
        pb::CheckoutSession {
            checkout_session_id: session.id,
            url: session.url.map(String::from).unwrap_or_default(),
            user_id: session.user_id,
            stripe_customer_id: session.customer_id,
        }
    }
}
