//! The three ways to call Stripe.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_store::{Db, budget};
use counterfoil_types::{AccountId, Stamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use stripe_client_core::StripeRequest;
use tokio::time::Instant;

use crate::API_VERSION;
use crate::answer::{Answer, Meaning};
use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::ledger::{self, Begun, Entry};
use crate::retry::pause;
use crate::transport::{Headers, NoAnswer, Transport};
use crate::wire::{Method, Wire};

/// A client of one Stripe account and its connected accounts. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    timeout: Duration,
    tries: u32,
    backoff: Duration,
}

/// What Stripe answered. `T` is async-stripe's type of the object, which only [`Reply::object`] reads.
#[derive(Clone)]
pub struct Reply<T> {
    /// The JSON as received: an object, with an `id` where a step made it.
    pub raw: Bytes,
    /// Stripe's `req_…`.
    pub stripe_request_id: Option<String>,
    /// The answer comes from Stripe's memory of the idempotency key or from our ledger, so the object may have changed
    /// since: fetch it before it is stored as the present state.
    pub replayed: bool,
    /// What time the object is of; always [`Stamp::Answer`].
    pub stamp: Stamp,
    of: PhantomData<fn() -> T>,
}

impl<T: miniserde::Deserialize> Reply<T> {
    /// The object as async-stripe sees it, which wants every field that Stripe documents as always there. A service
    /// reads what it needs by [`json::read`](crate::json::read) instead, and outlives a field that Stripe drops.
    ///
    /// # Errors
    /// [`Error::Bug`] when a field is missing or of another type. That says nothing about what happened at Stripe.
    pub fn object(&self) -> Result<T, Error> {
        let json = std::str::from_utf8(&self.raw).ok();
        let object = json.and_then(|json| miniserde::json::from_str(json).ok());
        object.ok_or_else(|| Error::Bug("stripe's answer does not fit its type".to_owned()))
    }
}

/// Ids and times; not the JSON.
impl<T> std::fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("stripe_request_id", &self.stripe_request_id)
            .field("replayed", &self.replayed)
            .field("stamp", &self.stamp)
            .finish_non_exhaustive()
    }
}

/// What became of a request after all its tries.
enum Outcome {
    /// Stripe did it or refused it.
    Answered(Answer),
    /// None of the tries was executed, for certain.
    NotExecuted(Error),
    /// One of them may have been.
    Unclear,
}

/// How long a caller waits for another caller of the same step.
const WAIT_FOR_OTHER: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// What a lease has beyond the time of one try: the pause before it, and a margin.
const LEASE_MARGIN: Duration = Duration::from_secs(15);

impl Client {
    /// A client for the account that the key belongs to. Connects when it is first used.
    ///
    /// # Errors
    /// When the key is not of the deployment's mode, or the URL cannot be used.
    pub fn new(config: &Config) -> Result<Client, ConfigError> {
        Ok(Client {
            transport: Transport::new(config)?,
            timeout: config.timeout(),
            tries: config.retries.saturating_add(1),
            backoff: Duration::from_millis(config.backoff_ms),
        })
    }

    /// Reads. Tried again as often as the configuration says.
    ///
    /// # Errors
    /// Never [`Error::OutcomeUnknown`]: without an answer it is [`Error::Unavailable`].
    pub async fn read<R>(&self, request: &R, account: Option<&AccountId>) -> Result<Reply<R::Output>, Error>
    where
        R: StripeRequest + Sync,
    {
        let wire = Wire::of(request.build(), account)?;
        if wire.method != Method::Get {
            return Err(Error::Bug(format!("{} changes something and is no read", name(&wire))));
        }
        let answer = self.repeatable(&wire, None).await?;
        reply(answer, is_object)?.ok_or_else(|| unreadable(&wire))
    }

    /// Makes something that may be made twice without harm: a link, a calculation. The tries of one call share a key.
    ///
    /// # Errors
    /// Never [`Error::OutcomeUnknown`]: without an answer it is [`Error::Unavailable`].
    pub async fn harmless<R>(&self, request: &R, account: Option<&AccountId>) -> Result<Reply<R::Output>, Error>
    where
        R: StripeRequest + Sync,
    {
        let wire = Wire::of(request.build(), account)?;
        let key = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
        let answer = self.repeatable(&wire, Some(&key)).await?;
        reply(answer, is_object)?.ok_or_else(|| unreadable(&wire))
    }

    /// Makes one step of an operation, through the ledger in `db`: executed at most once for one `op_key`, whoever calls,
    /// however often and whenever, and all get the first answer. Where the row has another request, the row's counts.
    ///
    /// Must not be called inside a transaction. May be dropped at any time. The work has a [budget] of its own from here
    /// on, as what is sent must be recorded.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::NotFound`] are final. After [`Error::OutcomeUnknown`] the step may have been
    /// executed; after all others it was not, and the step may be made again.
    pub async fn step<R>(
        &self,
        db: &Db,
        op_key: &str,
        request: &R,
        account: Option<&AccountId>,
    ) -> Result<Reply<R::Output>, Error>
    where
        R: StripeRequest + Sync,
    {
        let wire = Wire::of(request.build(), account)?;
        if wire.method == Method::Get {
            return Err(Error::Bug(format!(
                "{} changes nothing and needs no ledger",
                name(&wire)
            )));
        }
        budget::extend();
        let answer = self.answer_of_step(db, op_key, &wire).await?;
        // The effect has happened, and the ledger keeps the answer, but nobody can say what it is.
        reply(answer, has_id)?.ok_or_else(|| {
            tracing::error!(op_key, request = name(&wire), "stripe's answer is no object with an id");
            unknown(op_key)
        })
    }

    async fn answer_of_step(&self, db: &Db, op_key: &str, wire: &Wire) -> Result<Answer, Error> {
        let deadline = Instant::now() + WAIT_FOR_OTHER;
        let lease = self.timeout + LEASE_MARGIN;
        loop {
            match ledger::begin(db, op_key, wire, lease).await? {
                Begun::Done(answer) => return Ok(answer),
                Begun::Owned(entry) => return self.send(db, &entry).await,
                Begun::TooOld(first_sent) => {
                    return Err(Error::OutcomeUnknown {
                        op_key: op_key.to_owned(),
                        too_old: Some(first_sent),
                    });
                }
                Begun::Busy if Instant::now() >= deadline => return Err(Error::Conflict),
                Begun::Busy => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn send(&self, db: &Db, entry: &Entry) -> Result<Answer, Error> {
        let op_key = entry.op_key.as_str();
        let key = (entry.wire.method == Method::Post).then_some(entry.idempotency_key.as_str());
        let headers = Headers {
            stripe_version: &entry.stripe_version,
            idempotency_key: key,
        };
        let (outcome, maybe_executed) = self.try_all(&entry.wire, &headers, Some((db, entry))).await;
        let maybe_executed = maybe_executed || entry.resumed;
        let recorded = match outcome {
            // Deletions know no key: after one that was executed, the next is told that there is nothing to delete.
            Outcome::Answered(answer) if answer.is_success() || key.is_some() || !maybe_executed => {
                let Some(stamp) = answer.stamp else {
                    return Err(Error::Bug("an answer without a date was believed".to_owned()));
                };
                match self.keep(db, entry, &answer, stamp).await {
                    Ok(()) => return Ok(answer),
                    Err(error) => Err(error),
                }
            }
            Outcome::NotExecuted(error) if !maybe_executed => {
                if let Err(error) = entry.not_executed(db).await {
                    tracing::warn!(op_key, %error, "the ledger could not be told that nothing happened");
                }
                return Err(error);
            }
            Outcome::Answered(_) | Outcome::NotExecuted(_) | Outcome::Unclear => entry.unknown(db).await,
        };
        match recorded {
            Ok(()) => tracing::warn!(op_key, request = name(&entry.wire), "the outcome at stripe is unknown"),
            Err(error) => tracing::error!(op_key, %error, "the ledger could not be told what happened at stripe"),
        }
        Err(unknown(op_key))
    }

    /// Stores the answer, and insists on it while the lease lasts: without it all others of this step wait for the lease
    /// to lapse, only to ask Stripe for the same answer again.
    async fn keep(
        &self,
        db: &Db,
        entry: &Entry,
        answer: &Answer,
        stamp: Stamp,
    ) -> Result<(), counterfoil_store::Error> {
        let end = Instant::now() + self.timeout + LEASE_MARGIN;
        loop {
            match entry.done(db, answer, stamp).await {
                Err(error) if error.is_transient() && Instant::now() < end => {
                    tracing::warn!(op_key = entry.op_key, %error, "the ledger could not be told the answer yet");
                    tokio::time::sleep(POLL).await;
                }
                kept => return kept,
            }
        }
    }

    /// A request that may be executed twice, or changes nothing.
    async fn repeatable(&self, wire: &Wire, idempotency_key: Option<&str>) -> Result<Answer, Error> {
        let headers = Headers {
            stripe_version: API_VERSION,
            idempotency_key,
        };
        match self.try_all(wire, &headers, None).await.0 {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::NotExecuted(error) => Err(error),
            Outcome::Unclear => Err(Error::Unavailable),
        }
    }

    /// Tries until there is an answer that ends it, or no try is left; says too whether a try before the last may have
    /// been executed. A ledger's entry is renewed before each further try, and lost when it cannot be. No try and no pause
    /// goes beyond what is left of the work's budget.
    async fn try_all(&self, wire: &Wire, headers: &Headers<'_>, entry: Option<(&Db, &Entry)>) -> (Outcome, bool) {
        let mut maybe_executed = false;
        let mut tried = 0_u32;
        loop {
            let sent = self.transport.send(wire, headers, tried).await;
            tried = tried.saturating_add(1);
            let (outcome, again, retry_after) = match sent {
                Ok(answer) => {
                    let (again, retry_after) = (answer.asks_for_retry(), answer.retry_after);
                    let outcome = match answer.meaning() {
                        Meaning::Final => Outcome::Answered(answer),
                        Meaning::NotExecuted(error) => Outcome::NotExecuted(error),
                        Meaning::Unclear => Outcome::Unclear,
                    };
                    (outcome, again, retry_after)
                }
                Err(NoAnswer::NotSent) => (Outcome::NotExecuted(Error::Unavailable), true, None),
                Err(NoAnswer::Lost) => (Outcome::Unclear, true, None),
                Err(NoAnswer::Bug(error)) => (Outcome::NotExecuted(error), false, None),
            };
            if !again || tried >= self.tries {
                return (outcome, maybe_executed);
            }
            let Some(pause) = pause(self.backoff, tried, retry_after, rand::random_range(0..=1_000)) else {
                return (outcome, maybe_executed);
            };
            if budget::remaining().is_some_and(|left| left <= pause) {
                return (outcome, maybe_executed);
            }
            tokio::time::sleep(pause).await;
            if let Some((db, entry)) = entry
                && !matches!(entry.renew(db).await, Ok(true))
            {
                // Another may be sending by now.
                return (Outcome::Unclear, maybe_executed);
            }
            maybe_executed = maybe_executed || matches!(outcome, Outcome::Unclear);
        }
    }
}

/// The reply in a final answer, or the refusal; `None` where it is a success whose body is not `as_expected`.
fn reply<T>(answer: Answer, as_expected: impl Fn(&[u8]) -> bool) -> Result<Option<Reply<T>>, Error> {
    if !answer.is_success() {
        let refusal = answer.refusal();
        let refusal = refusal.ok_or_else(|| Error::Bug("a refusal in the ledger is not readable".to_owned()))?;
        let not_found = refusal.status == 404;
        let refusal = Box::new(refusal);
        return Err(if not_found {
            Error::NotFound(refusal)
        } else {
            Error::Refused(refusal)
        });
    }
    let stamp = answer.stamp.filter(|_| as_expected(&answer.body));
    Ok(stamp.map(|stamp| Reply {
        raw: answer.body,
        stripe_request_id: answer.stripe_request_id,
        replayed: answer.replayed,
        stamp,
        of: PhantomData,
    }))
}

fn is_object(json: &[u8]) -> bool {
    serde_json::from_slice::<HashMap<String, IgnoredAny>>(json).is_ok()
}

fn has_id(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Object {
        #[serde(rename = "id")]
        _id: String,
    }
    serde_json::from_slice::<Object>(json).is_ok()
}

fn name(wire: &Wire) -> String {
    format!("{} {}", wire.method.as_str(), wire.template())
}

fn unreadable(wire: &Wire) -> Error {
    Error::Bug(format!("stripe's answer to {} is no object", name(wire)))
}

fn unknown(op_key: &str) -> Error {
    Error::OutcomeUnknown {
        op_key: op_key.to_owned(),
        too_old: None,
    }
}
