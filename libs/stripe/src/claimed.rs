//! Operations under a claim: what Stripe refused for good is kept as the claim's answer, so that a repeat is told the
//! same without asking again.

use counterfoil_store::Db;
use counterfoil_store::claim::{self, Claim};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Refusal};

/// What is kept with a claim, as JSON. It must hold no link and no secret.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer<T> {
    /// It was done.
    Done(T),
    /// Stripe refused.
    Refused(Box<Refusal>),
    /// Stripe has nothing of that name.
    NotFound(Box<Refusal>),
}

impl<T> Answer<T> {
    /// The answer for a repeat.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::NotFound`], as the first call was told.
    pub fn into_result(self) -> Result<T, Error> {
        match self {
            Answer::Done(answer) => Ok(answer),
            Answer::Refused(refusal) => Err(Error::Refused(refusal)),
            Answer::NotFound(refusal) => Err(Error::NotFound(refusal)),
        }
    }
}

/// Ends the claim of an operation that failed. With a final `error` of Stripe's the claim keeps it; with any other, or
/// where it failed for a reason of our own (`None`), the next repeat goes on where this call stopped.
///
/// # Errors
/// When the database fails, and [`claim::Error::Busy`] when another call took the claim over, whose answer counts. What
/// is not on record must not be told as final.
pub async fn give_up(db: &Db, claim: Claim, error: Option<&Error>) -> Result<(), claim::Error> {
    let answer: Answer<()> = match error {
        Some(Error::Refused(refusal)) => Answer::Refused(refusal.clone()),
        Some(Error::NotFound(refusal)) => Answer::NotFound(refusal.clone()),
        _ => return claim.release(db).await,
    };
    db.transaction(async |conn| claim.finish(conn, &answer).await).await
}
