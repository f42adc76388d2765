//! Appending events, all of a batch in one statement.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest, Sha256};

use crate::delivery::Delivery;
use crate::envelope::Envelope;

/// An event that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) envelope: Envelope,
    pub(crate) source: &'static str,
    pub(crate) delivery: Delivery,
}

/// Where an event was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub(crate) struct Appended {
    /// Its place among those that were given, from 1.
    #[diesel(sql_type = BigInt)]
    pub(crate) n: i64,
    #[diesel(sql_type = Integer)]
    pub(crate) partition: i32,
    #[diesel(sql_type = BigInt)]
    pub(crate) log_offset: i64,
}

/// Stores the events that are not in the log yet and returns those, by their place. One statement in autocommit:
/// when it returns `Ok`, they are durable.
pub(crate) async fn append(conn: &mut AsyncPgConnection, events: &[&NewEvent]) -> QueryResult<Vec<Appended>> {
    let texts = |of: fn(&NewEvent) -> &str| events.iter().map(|event| of(event)).collect::<Vec<&str>>();
    let partitions: Vec<i32> = events.iter().map(|event| event.envelope.partition()).collect();
    let created: Vec<DateTime<Utc>> = events.iter().map(|event| event.envelope.created).collect();
    let hashes: Vec<Vec<u8>> = events.iter().map(|event| sha256(&event.delivery.body)).collect();
    let bodies: Vec<&[u8]> = events.iter().map(|event| &event.delivery.body[..]).collect();
    diesel::sql_query(
        "select n, partition, log_offset from append_events(\
         $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.account))
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.event_id))
    .bind::<Array<Integer>, _>(partitions)
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.event_type))
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.api_version))
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.object_id))
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.key))
    .bind::<Array<Timestamptz>, _>(created)
    .bind::<Array<Text>, _>(texts(|event| event.source))
    .bind::<Array<Text>, _>(texts(|event| &event.delivery.endpoint))
    .bind::<Array<Text>, _>(texts(|event| &event.delivery.secret_name))
    .bind::<Array<Text>, _>(texts(|event| &event.delivery.signature))
    .bind::<Array<Text>, _>(texts(|event| &event.delivery.traceparent))
    .bind::<Array<Binary>, _>(hashes)
    .bind::<Array<Binary>, _>(bodies)
    .load(conn)
    .await
}

/// Whether `append_events` said that a row of the batch cannot be stored, so that the others alone could be.
pub(crate) fn is_row_at_fault(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(_, information) => {
            information.message().starts_with("append_events: a row is at fault")
        }
        _ => false,
    }
}

pub(crate) fn sha256(body: &[u8]) -> Vec<u8> {
    Sha256::digest(body).to_vec()
}
