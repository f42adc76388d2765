//! Operations under a claim: done once per key, and what Stripe refused for good is kept as the claim's answer, so that a
//! repeat is told the same without asking again.

use std::time::Duration;

use counterfoil_store::claim::{self, Begun, Claim, Claims, Operation};
use counterfoil_store::{Db, Work};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Refusal};
use crate::ledger;

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

/// What came of an operation.
#[derive(Debug)]
pub enum Outcome<S, F> {
    /// A call before this one did it and recorded this.
    Stored(S),
    /// This call did it.
    Fresh(F),
}

/// A service's error, as far as its claims must know it.
pub trait Failure: From<claim::Error> + From<Error> + Send {
    /// What it was that failed.
    fn cause(&self) -> Cause<'_>;
}

/// What a [`Failure`] comes from.
#[derive(Debug)]
pub enum Cause<'e> {
    /// From Stripe.
    Stripe(&'e Error),
    /// From the claim.
    Claim(&'e claim::Error),
    /// From somewhere else.
    Other,
}

/// Does `operation` once: `work` does it under a claim and records an [`Answer::Done`] by [`Claim::finish`]; every repeat
/// gets what was recorded, and waits up to `wait` for a call that is at work. `work` is done again where another call took
/// its claim over and then gave it up.
///
/// When `work` fails, a final error of Stripe's is kept with the claim; after any other the next repeat, or the worker
/// where something may have happened, goes on where this call stopped.
///
/// # Errors
/// What `work` returned, or was recorded as final. [`claim::Error::Mismatch`] when the key was used for another request,
/// [`claim::Error::Busy`] when the call at work takes too long, or [`Error::OutcomeUnknown`] where it resumes one whose
/// answer was lost.
#[expect(clippy::manual_async_fn, reason = "the signature says that the future is `Send`")]
pub fn once<'a, S, F, E, W>(
    claims: &'a Claims,
    db: &'a Db,
    operation: &'a Operation,
    wait: Duration,
    work: W,
) -> impl Future<Output = Result<Outcome<S, F>, E>> + Send + 'a
where
    S: DeserializeOwned + Send + 'a,
    F: Send + 'a,
    E: Failure + 'a,
    for<'c> W: Work<&'c Claim, Result<F, E>, Fut: Send> + Copy + Send + 'a,
{
    async move {
        loop {
            let claim = match claims.begin::<Answer<S>>(operation, wait).await {
                Ok(Begun::Finished(answer)) => return Ok(Outcome::Stored(answer.into_result()?)),
                Ok(Begun::Owned(claim)) => claim,
                Err(error) => return Err(told_of(db, operation, error).await),
            };
            let error = match work(&claim).await {
                Ok(done) => return Ok(Outcome::Fresh(done)),
                Err(error) => error,
            };
            let error = match give_up(db, &claim, refusal(&error)).await {
                Ok(()) => error,
                // What is not on record must not be told as final.
                Err(failure) => failure.into(),
            };
            // Another call took the claim over meanwhile: that one's answer counts.
            if !matches!(error.cause(), Cause::Claim(claim::Error::Busy)) {
                return Err(error);
            }
        }
    }
}

async fn give_up(db: &Db, claim: &Claim, refusal: Option<Answer<()>>) -> Result<(), claim::Error> {
    match refusal {
        Some(answer) => db.transaction(async |conn| claim.finish(conn, &answer).await).await,
        None => claim.release(db).await,
    }
}

/// Why no claim could be had. Another call at work is none, where it tries to learn what became of a step that may have
/// happened: the caller must know that.
async fn told_of<E: Failure>(db: &Db, operation: &Operation, error: claim::Error) -> E {
    if matches!(error, claim::Error::Busy) {
        match ledger::unclear(db, operation.claim_id()).await {
            Ok(Some(op_key)) => return Error::OutcomeUnknown { op_key, too_old: None }.into(),
            Ok(None) => {}
            Err(error) => return Error::Store(error).into(),
        }
    }
    error.into()
}

/// What is kept of a failure, where it is final.
fn refusal(error: &impl Failure) -> Option<Answer<()>> {
    match error.cause() {
        Cause::Stripe(Error::Refused(refusal)) => Some(Answer::Refused(refusal.clone())),
        Cause::Stripe(Error::NotFound(refusal)) => Some(Answer::NotFound(refusal.clone())),
        _ => None,
    }
}

impl<T> Answer<T> {
    fn into_result(self) -> Result<T, Error> {
        match self {
            Answer::Done(answer) => Ok(answer),
            Answer::Refused(refusal) => Err(Error::Refused(refusal)),
            Answer::NotFound(refusal) => Err(Error::NotFound(refusal)),
        }
    }
}
