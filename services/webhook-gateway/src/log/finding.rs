//! Deliveries of events the log has, with other `data`.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::Value;

use super::append::{NewEvent, sha256};
use super::read;

#[derive(QueryableByName)]
struct Other {
    /// Its place among those that were given, from 1.
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Looks at events the log had already, keeps those that contradict it, and returns them. Each is kept once.
///
/// Two deliveries of one event differ in `pending_webhooks`, and in much else between endpoints and versions. What may
/// not differ is `data` where both are the same.
pub(crate) async fn keep<'e>(conn: &mut AsyncPgConnection, known: &[&'e NewEvent]) -> QueryResult<Vec<&'e NewEvent>> {
    let texts = |of: fn(&NewEvent) -> &str| known.iter().map(|event| of(event)).collect::<Vec<&str>>();
    let hashes: Vec<Vec<u8>> = known.iter().map(|event| sha256(&event.delivery.body)).collect();
    let others: Vec<Other> = diesel::sql_query(
        "select g.n from unnest($1, $2, $3, $4, $5) \
         with ordinality as g (account, event_id, endpoint, api_version, body_sha256, n) \
         join event_dedupe d on d.account = g.account and d.event_id = g.event_id and d.body_sha256 <> g.body_sha256 \
         join event_log l on l.partition = d.partition and l.log_offset = d.log_offset and l.received_at = d.seen_at \
         and l.endpoint = g.endpoint and l.api_version = g.api_version order by g.n",
    )
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.account))
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.event_id))
    .bind::<Array<Text>, _>(texts(|event| &event.delivery.endpoint))
    .bind::<Array<Text>, _>(texts(|event| &event.envelope.api_version))
    .bind::<Array<Binary>, _>(hashes)
    .load(conn)
    .await?;
    let mut found = Vec::new();
    for Other { n } in others {
        let place = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
        let Some(event) = place.and_then(|place| known.get(place)).copied() else {
            continue;
        };
        // One body at a time: there may be many, and large ones.
        let stored = read::received(conn, &event.envelope.account, &event.envelope.event_id).await?;
        if stored.is_some_and(|stored| differ(&stored.body, &event.delivery.body)) && put(conn, event).await? {
            found.push(event);
        }
    }
    Ok(found)
}

/// Says whether it is new.
async fn put(conn: &mut AsyncPgConnection, event: &NewEvent) -> QueryResult<bool> {
    let put = diesel::sql_query(
        "insert into event_finding (account, event_id, endpoint, api_version, secret_name, signature, body_sha256, body) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
    )
    .bind::<Text, _>(&event.envelope.account)
    .bind::<Text, _>(&event.envelope.event_id)
    .bind::<Text, _>(&event.delivery.endpoint)
    .bind::<Text, _>(&event.envelope.api_version)
    .bind::<Text, _>(&event.delivery.secret_name)
    .bind::<Text, _>(&event.delivery.signature)
    .bind::<Binary, _>(sha256(&event.delivery.body))
    .bind::<Binary, _>(&event.delivery.body[..])
    .execute(conn)
    .await?;
    Ok(put > 0)
}

#[derive(Deserialize)]
struct WithData {
    #[serde(default)]
    data: Value,
}

/// Whether the `data` of two bodies that are not equal differ. What no decoder takes is compared as bytes.
fn differ(one: &[u8], other: &[u8]) -> bool {
    match (
        serde_json::from_slice::<WithData>(one),
        serde_json::from_slice::<WithData>(other),
    ) {
        (Ok(one), Ok(other)) => one.data != other.data,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_counts_however_it_is_written() {
        let one = r#"{"id":"evt_1","pending_webhooks":2,"data":{"object":{"id":"in_1","amount":1}}}"#;
        for (other, expected) in [
            (
                r#"{"pending_webhooks":1,"data":{"object":{"amount":1, "id":"in_1"}},"id":"evt_1"}"#,
                false,
            ),
            (r#"{"data":{"object":{"id":"in_1","amount":2}}}"#, true),
            (r#"{"data":{"object":{"id":"in_1"}}}"#, true),
            (r#"{"data":null}"#, true),
            ("{}", true),
            (r#"{"data":{"object":{"id":"in_1","amount":1}},"odd":"\ud800"}"#, false),
            (r#"{"data":{"object":{"id":"in_1","amount":1,"odd":"\ud800"}}}"#, true),
            ("no JSON", true),
        ] {
            assert_eq!(differ(one.as_bytes(), other.as_bytes()), expected, "{other}");
        }
        // Thin events have none.
        assert!(!differ(br#"{"id":"evt_1"}"#, br#"{"id":"evt_1" }"#));
    }
}
