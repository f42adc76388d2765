//! Listing the log by what it is indexed by, newest first.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::TIMES;
use super::read::Row;

/// Which events are meant: those that fit all that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) event_type: Option<String>,
    pub(crate) object_id: Option<String>,
    /// Empty for the platform.
    pub(crate) account: Option<String>,
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) before: Option<DateTime<Utc>>,
}

/// Which part of a list is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Events behind this one.
    pub(crate) after: Option<Place>,
    /// The most rows.
    pub(crate) rows: i64,
    /// Reading ends with the row whose body reaches this sum: one body may exceed it.
    pub(crate) bytes: i64,
    pub(crate) bodies: bool,
}

/// Where an event stands in the list. Later appends have later times, so nothing new comes behind a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    received_at: DateTime<Utc>,
    partition: i32,
    log_offset: i64,
}

/// A part of the list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) rows: Vec<Row>,
    /// Where the next part begins; `None` where there is none.
    pub(crate) next: Option<Place>,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(embed)]
    event: Row,
    /// How many there are, at most one more than were asked for.
    #[diesel(sql_type = BigInt)]
    found: i64,
}

/// Each run is planned for its values, so that a filter that is not given costs nothing and each finds its index. The
/// bound by `received_at` alone is what spares older months' tables.
const LIST: &str = "
    select l.partition, l.log_offset, l.received_at, l.account, l.event_id, l.type, l.api_version, l.object_id, l.key,
        l.created, l.source, l.endpoint, l.traceparent, true as admitted, case when $3 then l.body end as body,
        d.body_sha256, l.found
    from (
        select page.*, count(*) over () as found,
            sum(case when $3 then octet_length(page.body) else 0 end) over (
                order by page.received_at desc, page.partition desc, page.log_offset desc
                rows between unbounded preceding and 1 preceding
            ) as bytes_before
        from (
            select e.*
            from event_log e
            where ($4 is null or e.type = $4)
                and ($5 is null or e.object_id = $5)
                and ($6 is null or e.account = $6)
                and ($7 is null or e.received_at >= $7)
                and ($8 is null or e.received_at < $8)
                and ($9 is null or e.received_at <= $9)
                and ($9 is null or (e.received_at, e.partition, e.log_offset) < ($9, $10, $11))
            order by e.received_at desc, e.partition desc, e.log_offset desc
            limit $1 + 1
        ) page
    ) l
    join event_dedupe d on d.account = l.account and d.event_id = l.event_id
    where coalesce(l.bytes_before, 0) < $2
    order by l.received_at desc, l.partition desc, l.log_offset desc
    limit $1";

/// A part of the list of what is `wanted`.
pub(crate) async fn list(conn: &mut AsyncPgConnection, wanted: &Wanted, part: Part) -> QueryResult<Listed> {
    let after = part.after;
    let found: Vec<Found> = diesel::sql_query(LIST)
        .bind::<BigInt, _>(part.rows)
        .bind::<BigInt, _>(part.bytes)
        .bind::<Bool, _>(part.bodies)
        .bind::<Nullable<Text>, _>(&wanted.event_type)
        .bind::<Nullable<Text>, _>(&wanted.object_id)
        .bind::<Nullable<Text>, _>(&wanted.account)
        .bind::<Nullable<Timestamptz>, _>(wanted.from)
        .bind::<Nullable<Timestamptz>, _>(wanted.before)
        .bind::<Nullable<Timestamptz>, _>(after.map(|place| place.received_at))
        .bind::<Nullable<Integer>, _>(after.map(|place| place.partition))
        .bind::<Nullable<BigInt>, _>(after.map(|place| place.log_offset))
        .load(conn)
        .await?;
    let there = found.as_slice().first().map_or(0, |first| first.found);
    let rows: Vec<Row> = found.into_iter().map(|found| found.event).collect();
    let more = i64::try_from(rows.len()).is_ok_and(|read| read < there);
    let next = rows.last().filter(|_| more).map(|row| Place {
        received_at: row.received_at,
        partition: row.partition,
        log_offset: row.log_offset,
    });
    Ok(Listed { rows, next })
}

/// As a page token has it. The log's times are whole microseconds.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.received_at.timestamp_micros();
        write!(f, "{micros}.{}.{}", self.partition, self.log_offset)
    }
}

/// What no page token has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Place, NoPlace> {
        let mut parts = text.split('.');
        let (Some(micros), Some(partition), Some(offset), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoPlace);
        };
        let micros = micros.parse().map_err(|_| NoPlace)?;
        // Anything else might be PostgreSQL's error.
        let received_at = DateTime::from_timestamp_micros(micros)
            .filter(|time| TIMES.contains(&time.timestamp()))
            .ok_or(NoPlace)?;
        Ok(Place {
            received_at,
            partition: partition.parse().map_err(|_| NoPlace)?,
            log_offset: offset.parse().map_err(|_| NoPlace)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_read_as_it_was_written(micros in 0_i64..=253_402_300_799_999_999, partition: i32, log_offset: i64) {
            let place = Place {
                received_at: DateTime::from_timestamp_micros(micros).unwrap(),
                partition,
                log_offset,
            };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }

        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = text.parse::<Place>();
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "1.2",
            "1.2.3.4",
            "a.2.3",
            "1.2.x",
            "-1.2.3",
            "9223372036854775807.1.1",
        ] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
