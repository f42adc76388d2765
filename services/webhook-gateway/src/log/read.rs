//! Reading the log, in the order of the offsets.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// A row of the log.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Row {
    #[diesel(sql_type = Integer)]
    pub(crate) partition: i32,
    #[diesel(sql_type = BigInt)]
    pub(crate) log_offset: i64,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) received_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub(crate) account: String,
    #[diesel(sql_type = Text)]
    pub(crate) event_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) r#type: String,
    #[diesel(sql_type = Text)]
    pub(crate) api_version: String,
    #[diesel(sql_type = Text)]
    pub(crate) object_id: String,
    #[diesel(sql_type = Text)]
    pub(crate) key: String,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) created: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub(crate) source: String,
    #[diesel(sql_type = Text)]
    pub(crate) endpoint: String,
    #[diesel(sql_type = Text)]
    pub(crate) traceparent: String,
    #[diesel(sql_type = Binary)]
    pub(crate) body_sha256: Vec<u8>,
    /// Whether the filter admits it.
    #[diesel(sql_type = Bool)]
    pub(crate) admitted: bool,
    /// Read only where the filter admits it and bodies were asked for.
    #[diesel(sql_type = Nullable<Binary>)]
    pub(crate) body: Option<Vec<u8>>,
}

/// Which events of a partition to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range<'a> {
    pub(crate) partition: i32,
    /// Events with greater offsets.
    pub(crate) after: i64,
    /// The most rows, those the filter does not admit included.
    pub(crate) rows: i64,
    /// Reading ends with the row whose body reaches this sum: one body may exceed it.
    pub(crate) bytes: i64,
    pub(crate) bodies: bool,
    pub(crate) filter: &'a Filter,
}

/// Which types of events are meant; all where both lists are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Whole types.
    pub(crate) types: Vec<String>,
    /// Beginnings of types, with the dot.
    pub(crate) beginnings: Vec<String>,
}

/// The length of a body is known without reading it, so a page of large bodies costs no more than its bound.
const RANGE: &str = "
    select l.partition, l.log_offset, l.received_at, l.account, l.event_id, l.type, l.api_version, l.object_id, l.key,
        l.created, l.source, l.endpoint, l.traceparent, l.admitted,
        case when l.admitted and $5 then l.body end as body,
        d.body_sha256
    from (
        select page.*,
            sum(case when page.admitted then octet_length(page.body) else 0 end)
                over (order by page.log_offset rows between unbounded preceding and 1 preceding) as bytes_before
        from (
            select e.*,
                ($6 or e.type = any($7) or exists (select from unnest($8) b where starts_with(e.type, b))) as admitted
            from event_log e
            where e.partition = $1 and e.log_offset > $2
            order by e.log_offset
            limit $3
        ) page
    ) l
    join event_dedupe d on d.account = l.account and d.event_id = l.event_id
    where coalesce(l.bytes_before, 0) < $4
    order by l.log_offset";

/// The events of `range`.
pub(crate) async fn range(conn: &mut AsyncPgConnection, range: Range<'_>) -> QueryResult<Vec<Row>> {
    diesel::sql_query(RANGE)
        .bind::<Integer, _>(range.partition)
        .bind::<BigInt, _>(range.after)
        .bind::<BigInt, _>(range.rows)
        .bind::<BigInt, _>(range.bytes)
        .bind::<Bool, _>(range.bodies)
        .bind::<Bool, _>(range.filter.is_everything())
        .bind::<Array<Text>, _>(&range.filter.types)
        .bind::<Array<Text>, _>(&range.filter.beginnings)
        .load(conn)
        .await
}

/// These columns of one event, by its id.
async fn one<T: diesel::deserialize::QueryableByName<Pg> + Send + 'static>(
    conn: &mut AsyncPgConnection,
    columns: &str,
    (account, event_id): (&str, &str),
) -> QueryResult<Option<T>> {
    let query = format!(
        "select {columns} from event_dedupe d \
         join event_log l on l.partition = d.partition and l.log_offset = d.log_offset and l.received_at = d.seen_at \
         where d.account = $1 and d.event_id = $2"
    );
    diesel::sql_query(query)
        .bind::<Text, _>(account)
        .bind::<Text, _>(event_id)
        .get_result(conn)
        .await
        .optional()
}

/// One event by its id.
pub(crate) async fn by_id(conn: &mut AsyncPgConnection, account: &str, event_id: &str) -> QueryResult<Option<Row>> {
    let columns = "l.partition, l.log_offset, l.received_at, l.account, l.event_id, l.type, l.api_version, l.object_id, \
        l.key, l.created, l.source, l.endpoint, l.traceparent, true as admitted, l.body, d.body_sha256";
    one(conn, columns, (account, event_id)).await
}

/// What is needed to check an event's signature again.
#[derive(QueryableByName)]
pub(crate) struct Received {
    #[diesel(sql_type = Text)]
    pub(crate) endpoint: String,
    #[diesel(sql_type = Text)]
    pub(crate) secret_name: String,
    #[diesel(sql_type = Text)]
    pub(crate) signature: String,
    #[diesel(sql_type = Binary)]
    pub(crate) body_sha256: Vec<u8>,
    #[diesel(sql_type = Binary)]
    pub(crate) body: Vec<u8>,
}

/// How one event was received.
pub(crate) async fn received(
    conn: &mut AsyncPgConnection,
    account: &str,
    event_id: &str,
) -> QueryResult<Option<Received>> {
    let columns = "l.endpoint, l.secret_name, l.signature, d.body_sha256, l.body";
    one(conn, columns, (account, event_id)).await
}

#[derive(QueryableByName)]
struct IdAt {
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = Text)]
    event_id: String,
}

/// The ids of the events at positions, one of each partition, by partition. Nothing stands for a position without one.
pub(crate) async fn ids_at(conn: &mut AsyncPgConnection, at: &[(i32, i64)]) -> QueryResult<HashMap<i32, String>> {
    let (partitions, offsets): (Vec<i32>, Vec<i64>) = at.iter().copied().unzip();
    let found: Vec<IdAt> = diesel::sql_query(
        "select e.partition, e.event_id from unnest($1, $2) as at (partition, log_offset) \
         join event_log e on e.partition = at.partition and e.log_offset = at.log_offset",
    )
    .bind::<Array<Integer>, _>(partitions)
    .bind::<Array<BigInt>, _>(offsets)
    .load(conn)
    .await?;
    Ok(found
        .into_iter()
        .map(|found| (found.partition, found.event_id))
        .collect())
}

impl Filter {
    /// Takes entries that are types, or beginnings followed by `.*`.
    pub(crate) fn new(entries: &[String]) -> Filter {
        let mut filter = Filter::default();
        for entry in entries {
            match entry.strip_suffix('*') {
                Some(beginning) => filter.beginnings.push(beginning.to_owned()),
                None => filter.types.push(entry.clone()),
            }
        }
        filter
    }

    fn is_everything(&self) -> bool {
        self.types.is_empty() && self.beginnings.is_empty()
    }

    /// Whether events of this type are meant.
    pub(crate) fn admits(&self, event_type: &str) -> bool {
        let begins = |beginning: &String| event_type.starts_with(beginning.as_str());
        self.is_everything() || self.types.iter().any(|one| one == event_type) || self.beginnings.iter().any(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_a_star_is_a_beginning_that_keeps_its_dot() {
        let filter = Filter::new(&["invoice.paid".into(), "price.*".into()]);
        assert_eq!(filter.types, ["invoice.paid"]);
        assert_eq!(filter.beginnings, ["price."]);
        let admitted = ["invoice.paid", "price.created", "invoice.paid.x", "prices"].map(|one| filter.admits(one));
        assert_eq!(admitted, [true, true, false, false]);
        assert!(Filter::default().admits("anything"));
    }
}
