//! The end of a claim: its answer has been kept long enough.

use bytes::Bytes;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::RunQueryDsl;

use super::Scope;
use crate::{Db, Error};

/// Deletes at most `limit` claims that were finished or released 35 days ago, with the ledger's rows of their steps, and
/// says how many. Their keys are new again: a call under one is a new operation, with new keys at Stripe.
///
/// Kept for ever: a claim that is neither finished nor released, which is the worker's or an operator's; and rows of the
/// ledger under natural keys, which belong to no claim. The records of their service say for how long those are needed.
///
/// # Errors
/// When the database fails; nothing is deleted then.
pub async fn expire(db: &Db, limit: u32) -> Result<u32, Error> {
    // `statement_timestamp()`, unlike `clock_timestamp()`, can be looked up in an index.
    let expired = "with expired as materialized (
            select caller, method, key from claim
            where state = 'finished' and expires_at <= statement_timestamp()
                or state = 'running' and released_at <= statement_timestamp() - interval '35 days'
                    and lease_until <= statement_timestamp() - interval '35 days'
            limit $1 for update skip locked
        )
        delete from claim using expired
        where (claim.caller, claim.method, claim.key) = (expired.caller, expired.method, expired.key)
        returning claim.caller, claim.method, claim.key";
    let steps = "delete from stripe_request where split_part(op_key, ':', 1) = any($1)";
    db.transaction(async |conn| {
        let query = diesel::sql_query(expired).bind::<BigInt, _>(i64::from(limit));
        let rows: Vec<Scope> = query.load(conn).await?;
        let claim_id = |scope: Scope| scope.operation(Bytes::new()).claim_id().to_string();
        let claims: Vec<String> = rows.into_iter().map(claim_id).collect();
        let query = diesel::sql_query(steps).bind::<Array<Text>, _>(&claims);
        query.execute(conn).await?;
        Ok(u32::try_from(claims.len()).unwrap_or(limit))
    })
    .await
}
