//! Rows of `checkpoint`: how far a consumer is in each partition. Functions on a connection.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// How far a consumer is in one partition.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(crate) struct Checkpoint {
    #[diesel(sql_type = Integer)]
    pub(crate) partition: i32,
    /// The last offset whose effects are committed. 0 before the first.
    #[diesel(sql_type = BigInt)]
    pub(crate) log_offset: i64,
    /// The event at `log_offset`; empty where a filter passed it over.
    #[diesel(sql_type = Text)]
    pub(crate) event_id: String,
    /// The log's epoch the offset belongs to. 0 before the first.
    #[diesel(sql_type = BigInt)]
    pub(crate) epoch: i64,
    /// The types that were asked for up to the offset.
    #[diesel(sql_type = Array<Text>)]
    pub(crate) filter: Vec<String>,
}

/// Makes the rows that are missing, at the beginning of the log.
pub(crate) async fn ensure(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    partitions: i32,
    filter: &[String],
) -> QueryResult<()> {
    diesel::sql_query(
        "insert into checkpoint (consumer, partition, log_offset, event_id, epoch, filter) \
         select $1, p, 0, '', 0, $3 from generate_series(0, $2 - 1) p on conflict do nothing",
    )
    .bind::<Text, _>(consumer)
    .bind::<Integer, _>(partitions)
    .bind::<Array<Text>, _>(filter)
    .execute(conn)
    .await?;
    Ok(())
}

/// All rows of a consumer, by partition.
pub(crate) async fn all(conn: &mut AsyncPgConnection, consumer: &str) -> QueryResult<Vec<Checkpoint>> {
    diesel::sql_query(
        "select partition, log_offset, event_id, epoch, filter from checkpoint where consumer = $1 order by partition",
    )
    .bind::<Text, _>(consumer)
    .load(conn)
    .await
}

/// One row, locked to the end of the transaction. All of a partition's transactions queue up here, those of another
/// process too.
pub(crate) async fn lock(conn: &mut AsyncPgConnection, consumer: &str, partition: i32) -> QueryResult<Checkpoint> {
    diesel::sql_query(
        "select partition, log_offset, event_id, epoch, filter from checkpoint \
         where consumer = $1 and partition = $2 for update",
    )
    .bind::<Text, _>(consumer)
    .bind::<Integer, _>(partition)
    .get_result(conn)
    .await
}

/// Writes a row that is locked, and counts in it: `delivered` events more were taken, `applied` of them changed a row.
pub(crate) async fn write(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    checkpoint: &Checkpoint,
    delivered: i64,
    applied: i64,
) -> QueryResult<()> {
    diesel::sql_query(
        "update checkpoint set log_offset = $3, event_id = $4, epoch = $5, filter = $6, \
         delivered = delivered + $7, applied = applied + $8, updated_at = clock_timestamp() \
         where consumer = $1 and partition = $2",
    )
    .bind::<Text, _>(consumer)
    .bind::<Integer, _>(checkpoint.partition)
    .bind::<BigInt, _>(checkpoint.log_offset)
    .bind::<Text, _>(&checkpoint.event_id)
    .bind::<BigInt, _>(checkpoint.epoch)
    .bind::<Array<Text>, _>(&checkpoint.filter)
    .bind::<BigInt, _>(delivered)
    .bind::<BigInt, _>(applied)
    .execute(conn)
    .await?;
    Ok(())
}
