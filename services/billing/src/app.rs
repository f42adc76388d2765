//! Operations. Each says what is atomic; no transaction spans a call to Stripe.

mod checkout_session;
mod entitlement;
mod subscription;

use counterfoil_store::claim::Claim;
use counterfoil_stripe::{self as stripe, Refusal};
use serde::{Deserialize, Serialize};

use crate::Billing;
use crate::error::Error;

/// What is kept with a claim: the answer, or Stripe's refusal of it. A repeat is told the same.
#[derive(Debug, Serialize, Deserialize)]
enum Answer<T> {
    Done(T),
    Refused(Box<Refusal>),
    NotFound(Box<Refusal>),
}

impl<T> Answer<T> {
    fn into_result(self) -> Result<T, Error> {
        match self {
            Answer::Done(answer) => Ok(answer),
            Answer::Refused(refusal) => Err(stripe::Error::Refused(refusal).into()),
            Answer::NotFound(refusal) => Err(stripe::Error::NotFound(refusal).into()),
        }
    }
}

impl Billing {
    /// Ends a claim whose operation failed: a final refusal is kept, so that a repeat is told the same; after anything
    /// else a repeat goes on where this call stopped.
    async fn give_up(&self, claim: Claim, error: Error) -> Error {
        let refusal: Answer<()> = match &error {
            Error::Stripe(stripe::Error::Refused(refusal)) => Answer::Refused(refusal.clone()),
            Error::Stripe(stripe::Error::NotFound(refusal)) => Answer::NotFound(refusal.clone()),
            _ => return claim.release(&self.db).await.map_or_else(Error::from, |()| error),
        };
        let kept = self
            .db
            .transaction(async |conn| Ok::<_, Error>(claim.finish(conn, &refusal).await?))
            .await;
        kept.map_or_else(|failure| failure, |()| error)
    }
}
