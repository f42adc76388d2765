//! `CheckoutService`.

use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_chassis::redirect::AllowedOrigins;
use counterfoil_proto::billing::v1 as pb;
use counterfoil_proto::billing::v1::checkout_service_server::CheckoutService;
use counterfoil_types::{PriceId, UserId};
use prost::Message;
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
        let encoded = request.get_ref().encode_to_vec();
        let origins = &self.0.allowed_origins;
        let (cx, new) = counterfoil_chassis::accept_with(request, |request| new_checkout_session(request, origins))?;
        let session = self.0.create_checkout_session(&cx, &new, &encoded).await?;
        Ok(Response::new(pb::CreateCheckoutSessionResponse {
            checkout_session: Some(session.into()),
        }))
    }
}

fn new_checkout_session(
    request: pb::CreateCheckoutSessionRequest,
    origins: &AllowedOrigins,
) -> Result<NewCheckoutSession, Violations> {
    let mut violations = Violations::default();
    let idempotency_key = violations.uuid("idempotency_key", &request.idempotency_key);
    let user_id = violations.field("user_id", UserId::parse(request.user_id));
    let price_id = violations.field("price_id", PriceId::parse(request.price_id));
    let quantity = violations.field("quantity", quantity(request.quantity));
    let success_url = violations.url("success_url", &request.success_url, origins);
    let cancel_url = (!request.cancel_url.is_empty()).then_some(request.cancel_url);
    if let Some(url) = &cancel_url {
        violations.url("cancel_url", url, origins);
    }
    let (idempotency_key, user_id, price_id, quantity, _) =
        violations.all((idempotency_key, user_id, price_id, quantity, success_url))?;
    // As it was written: a URL printed again has lost the braces of {CHECKOUT_SESSION_ID}.
    let success_url = request.success_url;
    Ok(NewCheckoutSession {
        idempotency_key,
        user_id,
        price_id,
        quantity,
        success_url,
        cancel_url,
    })
}

fn quantity(given: i64) -> Result<u64, &'static str> {
    match u64::try_from(given) {
        Ok(0) => Ok(1),
        Ok(quantity) if quantity <= 1_000_000 => Ok(quantity),
        _ => Err("must be between 1 and 1000000"),
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
