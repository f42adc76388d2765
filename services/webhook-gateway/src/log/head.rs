//! The head of the log: one row.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// How far the log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Changes when the log was restored from a backup.
    pub(crate) epoch: i64,
    /// The last offset of each partition; 0 where it is empty.
    pub(crate) last: Vec<i64>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = Array<BigInt>)]
    next_offset: Vec<i64>,
}

impl Head {
    /// The last offset of a partition; `None` where there is no such partition.
    pub(crate) fn last(&self, partition: i32) -> Option<i64> {
        self.last.get(usize::try_from(partition).ok()?).copied()
    }
}

/// The head as it is committed.
pub(crate) async fn head(conn: &mut AsyncPgConnection) -> QueryResult<Head> {
    let row: Row = diesel::sql_query("select epoch, next_offset from log_head where id = 1")
        .get_result(conn)
        .await?;
    Ok(Head {
        epoch: row.epoch,
        last: row.next_offset.into_iter().map(|next| next.saturating_sub(1)).collect(),
    })
}

/// What else there is to know of the log, for those who watch it.
#[derive(Debug, QueryableByName)]
pub(crate) struct State {
    /// When the newest event was stored.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) last_at: Option<DateTime<Utc>>,
    /// For how many months after the present one there are tables, without a gap.
    #[diesel(sql_type = Integer)]
    pub(crate) months_ahead: i32,
    #[diesel(sql_type = BigInt)]
    pub(crate) held: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) findings: i64,
}

/// The state as it is committed.
pub(crate) async fn state(conn: &mut AsyncPgConnection) -> QueryResult<State> {
    diesel::sql_query(
        "select nullif(h.last_at, '-infinity') as last_at, \
         (select coalesce(min(i) filter (where to_regclass('event_log_' || to_char( \
         date_trunc('month', greatest(clock_timestamp(), h.last_at) at time zone 'UTC') + make_interval(months => i), \
         'YYYY_MM')) is null) - 1, 25) from generate_series(1, 25) i) as months_ahead, \
         (select count(*) from quarantine where state = 'held') as held, \
         (select count(*) from event_finding) as findings \
         from log_head h where h.id = 1",
    )
    .get_result(conn)
    .await
}
