//! Deliveries that are kept but never applied.

use chrono::{DateTime, Utc};
use counterfoil_store::audit;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::append::sha256;
use crate::delivery::Delivery;
use crate::envelope::Envelope;

/// A quarantined delivery.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Row {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) received_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub(crate) reason: String,
    #[diesel(sql_type = Text)]
    pub(crate) state: String,
    #[diesel(sql_type = Text)]
    pub(crate) endpoint: String,
    #[diesel(sql_type = Text)]
    pub(crate) secret_name: String,
    #[diesel(sql_type = Binary)]
    pub(crate) body_sha256: Vec<u8>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) decided_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) decided_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) event_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) account: Option<String>,
    /// Read only where it was asked for, and there only while it is kept.
    #[diesel(sql_type = Nullable<Binary>)]
    pub(crate) body: Option<Vec<u8>>,
}

/// Why a delivery is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A test event at a live endpoint, or the reverse.
    WrongMode,
    /// Its envelope cannot be indexed.
    Unreadable,
    /// The database cannot store it as an event.
    RowAtFault,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::WrongMode => "wrong_mode",
            Reason::Unreadable => "unreadable_envelope",
            Reason::RowAtFault => "row_at_fault",
        }
    }
}

/// Keeps a delivery, once however often it comes.
pub(crate) async fn put(conn: &mut AsyncPgConnection, reason: Reason, delivery: &Delivery) -> QueryResult<()> {
    diesel::sql_query(
        "insert into quarantine (reason, endpoint, secret_name, signature, traceparent, body_sha256, body) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind::<Text, _>(reason.as_str())
    .bind::<Text, _>(&delivery.endpoint)
    .bind::<Text, _>(&delivery.secret_name)
    .bind::<Text, _>(&delivery.signature)
    .bind::<Text, _>(&delivery.traceparent)
    .bind::<Binary, _>(sha256(&delivery.body))
    .bind::<Binary, _>(&delivery.body[..])
    .execute(conn)
    .await?;
    Ok(())
}

/// At most `rows` deliveries older than the one numbered `before`, newest first, without bodies.
pub(crate) async fn list(
    conn: &mut AsyncPgConnection,
    before: Option<i64>,
    decided: bool,
    rows: i64,
) -> QueryResult<Vec<Row>> {
    diesel::sql_query(
        "select id, received_at, reason, state, endpoint, secret_name, body_sha256, decided_at, decided_by, event_id, \
         account, null::bytea as body from quarantine \
         where ($1 is null or id < $1) and ($2 or state = 'held') order by id desc limit $3",
    )
    .bind::<Nullable<BigInt>, _>(before)
    .bind::<Bool, _>(decided)
    .bind::<BigInt, _>(rows)
    .load(conn)
    .await
}

/// One delivery, with its body while it is kept.
pub(crate) async fn get(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<Option<Row>> {
    diesel::sql_query(
        "select id, received_at, reason, state, endpoint, secret_name, body_sha256, decided_at, decided_by, event_id, \
         account, body from quarantine where id = $1",
    )
    .bind::<BigInt, _>(id)
    .get_result(conn)
    .await
    .optional()
}

#[derive(QueryableByName)]
struct Released {
    #[diesel(sql_type = BigInt)]
    appended: i64,
}

/// Puts a held delivery into the log as the event `envelope` was read of it, and says whether the log got a new event;
/// `None` where it is not held. One statement in autocommit, with the audit's row.
pub(crate) async fn release(
    conn: &mut AsyncPgConnection,
    id: i64,
    envelope: &Envelope,
    entry: &audit::Entry,
) -> QueryResult<Option<bool>> {
    let released: Option<Released> = diesel::sql_query(
        "select appended from release_quarantined($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind::<BigInt, _>(id)
    .bind::<Text, _>(&envelope.account)
    .bind::<Text, _>(&envelope.event_id)
    .bind::<Integer, _>(envelope.partition())
    .bind::<Text, _>(&envelope.event_type)
    .bind::<Text, _>(&envelope.api_version)
    .bind::<Text, _>(&envelope.object_id)
    .bind::<Text, _>(&envelope.key)
    .bind::<Timestamptz, _>(envelope.created)
    .bind::<Text, _>(&entry.caller)
    .bind::<Text, _>(&entry.method)
    .bind::<Binary, _>(&entry.request_sha[..])
    .get_result(conn)
    .await
    .optional()?;
    Ok(released.map(|released| released.appended > 0))
}

/// Deletes the body of a held delivery and says whether it was held. To be called in a transaction with the audit's row.
pub(crate) async fn discard(conn: &mut AsyncPgConnection, id: i64, decided_by: &str) -> QueryResult<bool> {
    let discarded = diesel::sql_query(
        "update quarantine set state = 'discarded', decided_at = clock_timestamp(), decided_by = $2, body = null \
         where id = $1 and state = 'held'",
    )
    .bind::<BigInt, _>(id)
    .bind::<Text, _>(decided_by)
    .execute(conn)
    .await?;
    Ok(discarded > 0)
}
