//! Rows of the log to protobuf.

use counterfoil_chassis::convert::timestamp;
use counterfoil_proto::event::v1 as pb;

use crate::log::read::Row;

impl From<Row> for pb::Event {
    fn from(row: Row) -> Self {
        let source = match row.source.as_str() {
            "webhook" => pb::Source::Webhook,
            "backfill" => pb::Source::Backfill,
            "import" => pb::Source::Import,
            _ => pb::Source::Unspecified,
        };
        pb::Event {
            partition: row.partition,
            offset: row.log_offset,
            envelope: Some(pb::Envelope {
                event_id: row.event_id,
                r#type: row.r#type,
                api_version: row.api_version,
                account: row.account,
                object_id: row.object_id,
                key: row.key,
                created_time: Some(timestamp(row.created)),
                received_time: Some(timestamp(row.received_at)),
                source: source.into(),
                endpoint: row.endpoint,
            }),
            body: row.body.unwrap_or_default(),
            sha256: row.body_sha256,
            traceparent: row.traceparent,
        }
    }
}
