//! Claims that nobody owns any more, for the worker to complete.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Integer};
use diesel_async::RunQueryDsl;

use super::{Operation, Scope};
use crate::{Db, Error};

/// An operation whose owner died, or gave up without knowing what happened at Stripe.
#[derive(Debug)]
pub struct Orphan {
    /// What was asked for.
    pub operation: Operation,
    /// How often it was taken up, this time included.
    pub tries: u32,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    scope: Scope,
    #[diesel(sql_type = Binary)]
    request: Vec<u8>,
    #[diesel(sql_type = Integer)]
    tries: i32,
}

/// Takes up at most `limit` claims whose lease has lapsed, those that wait longest first, and no more than once each until
/// a pause is over, whoever asks: 10 s, doubled with each try, an hour at most. A claim that was tried `tries` times is
/// given once more, with a greater number, to be told of, and then never again.
///
/// Each try is counted before it is made, so that one which ends the process counts too. Nothing is owned by this: who does
/// the work claims it as any repeat does.
///
/// # Errors
/// When the database fails.
pub async fn orphans(db: &Db, tries: u32, limit: u32) -> Result<Vec<Orphan>, Error> {
    let sql = "with orphan as materialized (
            select caller, method, key from claim
            where state = 'running' and released_at is null and tries <= $1
                and lease_until <= clock_timestamp() and coalesce(next_try_at, lease_until) <= clock_timestamp()
            order by coalesce(next_try_at, lease_until) limit $2 for update skip locked
        )
        update claim set tries = claim.tries + 1,
            next_try_at = clock_timestamp() + least(power(2, claim.tries) * interval '10 s', interval '1 hour')
        from orphan
        where (claim.caller, claim.method, claim.key) = (orphan.caller, orphan.method, orphan.key)
        returning claim.caller, claim.method, claim.key, claim.request, claim.tries";
    let rows: Vec<Row> = diesel::sql_query(sql)
        .bind::<Integer, _>(i32::try_from(tries).unwrap_or(i32::MAX))
        .bind::<BigInt, _>(i64::from(limit))
        .load(&mut db.conn().await?)
        .await?;
    Ok(rows.into_iter().map(Row::orphan).collect())
}

impl Row {
    fn orphan(self) -> Orphan {
        Orphan {
            operation: self.scope.operation(self.request.into()),
            tries: u32::try_from(self.tries).unwrap_or_default(),
        }
    }
}
