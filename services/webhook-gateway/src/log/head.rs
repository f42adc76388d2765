//! The head of the log: one row.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};
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
