//! Deliveries that are kept but never applied.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::append::sha256;
use crate::delivery::Delivery;

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
