//! The audit: who did what with rights beyond a service's daily work.
//!
//! An admin call records itself in the transaction of its effects, so that there is neither an effect without its row nor
//! a row without its effect. The app role may add rows and read them; nothing but the schema's owner can change one.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Binary, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// An admin call. Nothing in it is personal: ids, words of ours, a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The identity that called.
    pub caller: String,
    /// The RPC, as `package.Service/Method`.
    pub method: String,
    /// The caller's idempotency key, where the RPC takes one.
    pub idempotency_key: Option<Uuid>,
    /// SHA-256 of the request in a deterministic encoding.
    pub request_sha: [u8; 32],
    /// What kind of thing the call was about, such as `customer`.
    pub subject_kind: String,
    /// Its id.
    pub subject_id: String,
    /// What came of it, in a word or two, such as `released`.
    pub outcome: String,
}

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Eq, diesel::QueryableByName)]
pub struct Recorded {
    /// Newer rows have greater ids, but of two calls at once the greater may become visible first.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// When, by the database's clock.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    /// As in [`Entry`], like all that follows.
    #[diesel(sql_type = Text)]
    pub caller: String,
    /// The RPC.
    #[diesel(sql_type = Text)]
    pub method: String,
    /// The caller's key.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub idempotency_key: Option<Uuid>,
    /// The request's hash.
    #[diesel(sql_type = Binary)]
    pub request_sha: Vec<u8>,
    /// What it was about.
    #[diesel(sql_type = Text)]
    pub subject_kind: String,
    /// Its id.
    #[diesel(sql_type = Text)]
    pub subject_id: String,
    /// What came of it.
    #[diesel(sql_type = Text)]
    pub outcome: String,
}

/// Records `entry`. To be called in the transaction of the admin call's effects.
///
/// # Errors
/// When the database refuses; the transaction must then not commit.
pub async fn record(conn: &mut AsyncPgConnection, entry: &Entry) -> QueryResult<()> {
    let sql = "insert into audit (caller, method, idempotency_key, request_sha, subject_kind, subject_id, outcome)
        values ($1, $2, $3, $4, $5, $6, $7)";
    diesel::sql_query(sql)
        .bind::<Text, _>(&entry.caller)
        .bind::<Text, _>(&entry.method)
        .bind::<Nullable<SqlUuid>, _>(entry.idempotency_key)
        .bind::<Binary, _>(&entry.request_sha[..])
        .bind::<Text, _>(&entry.subject_kind)
        .bind::<Text, _>(&entry.subject_id)
        .bind::<Text, _>(&entry.outcome)
        .execute(conn)
        .await?;
    Ok(())
}

/// At most `limit` recorded calls, newest first, of those older than the row `before`; `None` for the newest of all.
///
/// # Errors
/// When the database does not answer.
pub async fn page(conn: &mut AsyncPgConnection, before: Option<i64>, limit: i64) -> QueryResult<Vec<Recorded>> {
    let sql =
        "select id, at, caller, method, idempotency_key, request_sha, subject_kind, subject_id, outcome from audit
        where id < coalesce($1, 9223372036854775807) order by id desc limit $2";
    diesel::sql_query(sql)
        .bind::<Nullable<BigInt>, _>(before)
        .bind::<BigInt, _>(limit)
        .get_results(conn)
        .await
}
