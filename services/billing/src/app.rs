//! Operations. Each says what is atomic; no transaction spans a call to Stripe.

mod checkout_session;
mod entitlement;
mod subscription;

use counterfoil_store::claim::Claim;
use counterfoil_stripe::claimed;

use crate::Billing;
use crate::error::Error;

impl Billing {
    /// Ends a claim whose operation failed, and says what the caller is to be told.
    async fn give_up(&self, claim: Claim, error: Error) -> Error {
        let by_stripe = match &error {
            Error::Stripe(error) => Some(error),
            _ => None,
        };
        match claimed::give_up(&self.db, claim, by_stripe).await {
            Ok(()) => error,
            Err(failure) => failure.into(),
        }
    }
}
