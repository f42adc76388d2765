//! Claims: a call with an idempotency key happens once, and every repeat gets its answer.
//!
//! The first caller *owns* the claim under a lease, does its work in named steps, and records its answer in the
//! transaction of the work's results. A repeat with the same request gets that answer, or waits for it; one with another
//! request is refused. When an owner dies its lease lapses, and the next repeat, or the worker ([`orphans`]), takes the
//! claim over: the steps have the same keys for it, so what was done is not done again.

mod expiry;
mod orphan;
mod schema;

pub use expiry::expire;
pub use orphan::{Orphan, orphans};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{BigInt, Binary, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Db, budget};
use schema::{claim, clock_timestamp};

/// The section `claim` of a service's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// For how long an owner is believed alive after its last sign of life, in milliseconds. 30 000. It gives one every
    /// third of this.
    pub lease_ms: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config { lease_ms: 30_000 }
    }
}

/// A call that happens once: who made it, which, under which key, and what it asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Operation {
    /// The identity that calls.
    pub caller: Arc<str>,
    /// The RPC, as `package.Service/Method`.
    pub method: Arc<str>,
    /// The caller's idempotency key.
    pub key: Uuid,
    /// The request in a deterministic encoding. A repeat must be equal to it.
    pub request: Bytes,
}

/// The key of a claim's row, where it is read whole.
#[derive(diesel::QueryableByName)]
struct Scope {
    #[diesel(sql_type = Text)]
    caller: String,
    #[diesel(sql_type = Text)]
    method: String,
    #[diesel(sql_type = SqlUuid)]
    key: Uuid,
}

impl Scope {
    fn operation(self, request: Bytes) -> Operation {
        Operation {
            caller: self.caller.into(),
            method: self.method.into(),
            key: self.key,
            request,
        }
    }
}

/// A service's claims.
#[derive(Clone)]
pub struct Claims {
    db: Db,
    lease: Duration,
}

/// What a caller found.
pub enum Begun<T> {
    /// Nobody did this yet, or who did it died: the work is the caller's.
    Owned(Claim),
    /// It is done; this is the answer.
    Finished(T),
}

/// A claim that is owned. Dropped without an answer its lease lapses, and a repeat or the worker takes it over.
pub struct Claim {
    operation: Operation,
    generation: i64,
    renewal: JoinHandle<()>,
}

/// Why no claim could be had, or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call has no idempotency key, and so cannot be claimed: a bug of ours.
    #[error("a call without an idempotency key cannot be claimed")]
    NoKey,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    Mismatch,
    /// Another call with this key is at work, or was and has answered since: beginning again tells.
    #[error("a call with this idempotency key is at work")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] crate::Error),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Error {
        Error::Store(error.into())
    }
}

/// The longest that a repeat waits for the answer of the call before it.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long a repeat waits before it looks again. Doubled each time, up to the second.
const POLL: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(400)];

#[derive(QueryableByName)]
struct Generation {
    #[diesel(sql_type = BigInt)]
    generation: i64,
}

/// A claim that is there.
#[derive(Queryable)]
struct Found {
    same: bool,
    lapsed: bool,
    released: bool,
    response: Option<Vec<u8>>,
}

impl Claims {
    /// Claims in `db`.
    #[must_use]
    pub fn new(db: Db, config: &Config) -> Claims {
        Claims {
            db,
            lease: Duration::from_millis(config.lease_ms.max(1)),
        }
    }

    /// Claims `operation`. While another call with its key is at work its answer is awaited for up to `wait`, and 10 s at
    /// most. Whoever owns the claim has a [budget] of its own from then on, since it works for all who repeat the call.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the key was used for another request, [`Error::Busy`] when the other call is not done in
    /// time.
    pub async fn begin<T: DeserializeOwned>(&self, operation: &Operation, wait: Duration) -> Result<Begun<T>, Error> {
        let deadline = Instant::now() + wait.min(MAX_WAIT);
        let Operation { method, key, .. } = operation;
        let [mut pause, longest] = POLL;
        loop {
            let mut conn = self.db.conn().await?;
            let Some(found) = look(&mut conn, operation).await? else {
                match self.insert(&mut conn, operation).await? {
                    Some(generation) => return Ok(Begun::Owned(self.own(operation, generation))),
                    // Another was faster.
                    None => continue,
                }
            };
            if !found.same {
                return Err(Error::Mismatch);
            }
            if let Some(response) = found.response {
                let answer = serde_json::from_slice(&response);
                return Ok(Begun::Finished(answer.map_err(|error| {
                    crate::Error::Bug(format!("the stored answer of {method} does not fit: {error}"))
                })?));
            }
            if found.lapsed
                && let Some(generation) = self.take_over(&mut conn, operation).await?
            {
                if !found.released {
                    tracing::warn!(method = &**method, %key, generation, "a claim whose owner went silent was taken over");
                }
                return Ok(Begun::Owned(self.own(operation, generation)));
            }
            drop(conn);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Busy);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(longest);
        }
    }

    fn own(&self, operation: &Operation, generation: i64) -> Claim {
        budget::extend();
        let renewal = tokio::spawn(renew(self.db.clone(), self.lease, operation.clone(), generation));
        Claim {
            operation: operation.clone(),
            generation,
            renewal,
        }
    }

    async fn insert(&self, conn: &mut AsyncPgConnection, operation: &Operation) -> Result<Option<i64>, Error> {
        let sql = "insert into claim (caller, method, key, request_sha, request, state, lease_until)
            values ($1, $2, $3, $4, $5, 'running', clock_timestamp() + $6 * interval '1 millisecond')
            on conflict (caller, method, key) do nothing
            returning generation";
        let row: Option<Generation> = diesel::sql_query(sql)
            .bind::<Text, _>(&*operation.caller)
            .bind::<Text, _>(&*operation.method)
            .bind::<SqlUuid, _>(operation.key)
            .bind::<Binary, _>(Sha256::digest(&operation.request).to_vec())
            .bind::<Binary, _>(&*operation.request)
            .bind::<BigInt, _>(milliseconds(self.lease))
            .get_result(conn)
            .await
            .optional()?;
        Ok(row.map(|row| row.generation))
    }

    /// One of those who see a lapsed lease gets the claim: the row's lock makes the others look again.
    async fn take_over(&self, conn: &mut AsyncPgConnection, operation: &Operation) -> Result<Option<i64>, Error> {
        let sql = "update claim
            set generation = generation + 1, lease_until = clock_timestamp() + $4 * interval '1 millisecond',
                released_at = null
            where caller = $1 and method = $2 and key = $3 and state = 'running' and lease_until <= clock_timestamp()
            returning generation";
        let row: Option<Generation> = diesel::sql_query(sql)
            .bind::<Text, _>(&*operation.caller)
            .bind::<Text, _>(&*operation.method)
            .bind::<SqlUuid, _>(operation.key)
            .bind::<BigInt, _>(milliseconds(self.lease))
            .get_result(conn)
            .await
            .optional()?;
        Ok(row.map(|row| row.generation))
    }
}

impl Claim {
    /// The key of one step of the work in the ledger of calls to Stripe. The same for every owner of the claim.
    #[must_use]
    pub fn op_key(&self, step: &str) -> String {
        format!("{}:{step}", self.operation.claim_id())
    }

    /// Records the final answer (a success, or a refusal that will not change), in the transaction of the work's
    /// results. It is kept for at least 35 days. It must hold no link and no secret.
    ///
    /// # Errors
    /// [`Error::Busy`] when another took the claim over meanwhile; the transaction must then be rolled back, and who
    /// begins again gets the other's answer.
    pub async fn finish<T: Serialize>(&self, conn: &mut AsyncPgConnection, answer: &T) -> Result<(), Error> {
        let answer =
            serde_json::to_vec(answer).map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
        let sql = "update claim
            set state = 'finished', response = $5, expires_at = clock_timestamp() + interval '35 days'
            where caller = $1 and method = $2 and key = $3 and state = 'running' and generation = $4";
        let updated = self.bind(sql).bind::<Binary, _>(answer).execute(conn).await?;
        if updated == 1 { Ok(()) } else { Err(Error::Busy) }
    }

    /// Gives the claim up without an answer: the next repeat begins at once, and the key stays bound to its request. Where
    /// the ledger says that none of its steps can have happened at Stripe the claim is left to its caller, who alone
    /// knows whether the operation is still wanted; else the worker takes it up as if its owner had died.
    ///
    /// # Errors
    /// When the database fails; the lease then lapses by itself.
    pub async fn release(&self, db: &Db) -> Result<(), Error> {
        self.renewal.abort();
        let sql = "update claim
            set lease_until = clock_timestamp(),
                released_at = case when not exists (
                    select from stripe_request where split_part(op_key, ':', 1) = $5 and state <> 'pending'
                ) then clock_timestamp() end
            where caller = $1 and method = $2 and key = $3 and state = 'running' and generation = $4";
        let released = self.bind(sql).bind::<Text, _>(self.operation.claim_id().to_string());
        released.execute(&mut db.conn().await?).await?;
        Ok(())
    }

    fn bind(&self, sql: &'static str) -> Bound<'_> {
        bind(sql, &self.operation, self.generation)
    }
}

impl Operation {
    /// The id of its claim: the same for the same caller, method and key, for ever.
    #[must_use]
    pub fn claim_id(&self) -> Uuid {
        let Operation {
            caller, method, key, ..
        } = self;
        // No method has a line break in it, and the key is of one length, so no two operations have one name.
        let name = format!("{key}\n{method}\n{caller}");
        Uuid::new_v5(&CLAIM, name.as_bytes())
    }
}

/// Without the request, which may hold personal data.
impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation")
            .field("caller", &self.caller)
            .field("method", &self.method)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Shows that the owner lives, until the claim is finished, lost or dropped.
async fn renew(db: Db, lease: Duration, operation: Operation, generation: i64) {
    let sql = "update claim set lease_until = clock_timestamp() + $5 * interval '1 millisecond'
        where caller = $1 and method = $2 and key = $3 and state = 'running' and generation = $4";
    let mut ticks = tokio::time::interval(lease / 3);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let renewed = async {
            let mut conn = db.conn().await?;
            let query = bind(sql, &operation, generation).bind::<BigInt, _>(milliseconds(lease));
            Ok::<_, crate::Error>(query.execute(&mut conn).await?)
        };
        match renewed.await {
            Ok(1) => {}
            Ok(_) => return,
            Err(error) => {
                let Operation { method, key, .. } = &operation;
                tracing::warn!(method = &**method, %key, %error, "a claim's lease could not be renewed");
            }
        }
    }
}

/// The claim of `operation`, where there is one. Built by diesel, which prepares it once a connection: nothing is asked as
/// often.
async fn look(conn: &mut AsyncPgConnection, operation: &Operation) -> Result<Option<Found>, Error> {
    let by_key = claim::table.find((&*operation.caller, &*operation.method, operation.key));
    let same = claim::request_sha.eq(Sha256::digest(&operation.request).to_vec());
    let lapsed = claim::lease_until.le(clock_timestamp());
    let found = by_key.select((same, lapsed, claim::released_at.is_not_null(), claim::response));
    Ok(found.first(conn).await.optional()?)
}

type Bound<'a> = BoxedSqlQuery<'a, Pg, SqlQuery>;

/// Binds the operation as `$1` to `$3` and the generation as `$4`.
fn bind<'a>(sql: &'static str, operation: &'a Operation, generation: i64) -> Bound<'a> {
    diesel::sql_query(sql)
        .into_boxed()
        .bind::<Text, _>(&*operation.caller)
        .bind::<Text, _>(&*operation.method)
        .bind::<SqlUuid, _>(operation.key)
        .bind::<BigInt, _>(generation)
}

/// The namespace of claims' ids.
const CLAIM: Uuid = Uuid::from_u128(0x6d0b_5f0e_9c1c_4a57_8f5e_2f0a_c1a1_3001);

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claims_id_never_changes_and_differs_by_caller_method_and_key() {
        let operation = |caller: &str, method: &str, key| Operation {
            caller: caller.into(),
            method: method.into(),
            key: Uuid::from_u128(key),
            request: Bytes::new(),
        };
        let id = operation("spiffe://x", "a.B/C", 1).claim_id();
        assert_eq!(id.to_string(), "aaccdd82-29ee-563d-841e-ce6c027142ef");
        let others = [
            operation("spiffe://y", "a.B/C", 1),
            operation("spiffe://x", "a.B/D", 1),
            operation("spiffe://x", "a.B/C", 2),
        ];
        assert!(others.iter().all(|other| other.claim_id() != id));
    }
}
