//! Operations. Each says what is atomic; no transaction spans a call to Stripe.

mod checkout_session;
mod entitlement;
mod subscription;

use counterfoil_store::claim::{self, Claim};
use counterfoil_stripe::claimed;

use crate::Billing;
use crate::error::Error;

impl Billing {
    /// Ends a claim whose operation failed. `Ok` where another call took the claim over meanwhile: that one's answer
    /// counts, and who begins again gets it.
    ///
    /// # Errors
    /// What the caller is to be told: in all other cases `error`, unless the database failed.
    async fn give_up(&self, claim: Claim, error: Error) -> Result<(), Error> {
        let by_stripe = match &error {
            Error::Stripe(error) => Some(error),
            _ => None,
        };
        let error = match claimed::give_up(&self.db, claim, by_stripe).await {
            Ok(()) => error,
            Err(failure) => failure.into(),
        };
        match error {
            Error::Claim(claim::Error::Busy) => Ok(()),
            error => Err(error),
        }
    }
}
