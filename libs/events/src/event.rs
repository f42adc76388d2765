//! An event as a projection sees it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use counterfoil_proto::event::v1 as pb;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A verified Stripe event out of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The partition of the log, from 0.
    pub partition: i32,
    /// The position in the partition, dense from 1.
    pub offset: i64,
    /// Stripe's id, `evt_…`.
    pub event_id: String,
    /// The type, for example `customer.subscription.updated`.
    pub event_type: String,
    /// The API version the body is rendered in; empty for thin events.
    pub api_version: String,
    /// The connected account, empty for the platform.
    pub account: String,
    /// The id of the object the event is about; empty where it has none.
    pub object_id: String,
    /// The ordering key.
    pub key: String,
    /// When Stripe made the event, in Stripe's clock, to the second.
    pub created: DateTime<Utc>,
    /// When the log stored it.
    pub received: DateTime<Utc>,
    /// The JSON as Stripe signed it.
    pub body: Bytes,
    /// The W3C trace context it was stored under; may be empty.
    pub traceparent: String,
}

/// A frame of the stream that lacks what every event has.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("event {partition}/{offset} has no {lacks}")]
pub struct Incomplete {
    partition: i32,
    offset: i64,
    lacks: &'static str,
}

/// An event whose object is missing or not what was expected. Says where, and nothing of what stands there.
#[derive(Debug, thiserror::Error)]
#[error("event {event_id} cannot be read: {category:?} error at line {line}, column {column}")]
pub struct UnreadableEvent {
    event_id: String,
    category: serde_json::error::Category,
    line: usize,
    column: usize,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
    #[serde(borrow)]
    previous_attributes: Option<&'a RawValue>,
}

impl Event {
    /// The object the event carries, as Stripe wrote it.
    ///
    /// # Errors
    /// When the body is not JSON or has no `data.object`, as in a thin event.
    pub fn object(&self) -> Result<&str, UnreadableEvent> {
        Ok(self.data()?.object.get())
    }

    /// The object the event carries, read as `T`.
    ///
    /// # Errors
    /// When there is none or it is not a `T`.
    pub fn object_as<T: DeserializeOwned>(&self) -> Result<T, UnreadableEvent> {
        serde_json::from_str(self.object()?).map_err(|error| self.unreadable(&error))
    }

    /// The former values of what changed, in an `….updated` event.
    ///
    /// # Errors
    /// When the body is not JSON or has no `data.object`.
    pub fn previous_attributes(&self) -> Result<Option<&str>, UnreadableEvent> {
        Ok(self.data()?.previous_attributes.map(RawValue::get))
    }

    fn data(&self) -> Result<Data<'_>, UnreadableEvent> {
        let body: Body<'_> = serde_json::from_slice(&self.body).map_err(|error| self.unreadable(&error))?;
        Ok(body.data)
    }

    fn unreadable(&self, error: &serde_json::Error) -> UnreadableEvent {
        UnreadableEvent {
            event_id: self.event_id.clone(),
            category: error.classify(),
            line: error.line(),
            column: error.column(),
        }
    }
}

impl TryFrom<pb::Event> for Event {
    type Error = Incomplete;

    fn try_from(event: pb::Event) -> Result<Self, Incomplete> {
        let (partition, offset) = (event.partition, event.offset);
        let without = |lacks| Incomplete {
            partition,
            offset,
            lacks,
        };
        let envelope = event.envelope.ok_or_else(|| without("envelope"))?;
        Ok(Event {
            partition,
            offset,
            created: time(envelope.created_time).ok_or_else(|| without("created_time"))?,
            received: time(envelope.received_time).ok_or_else(|| without("received_time"))?,
            event_id: envelope.event_id,
            event_type: envelope.r#type,
            api_version: envelope.api_version,
            account: envelope.account,
            object_id: envelope.object_id,
            key: envelope.key,
            body: event.body.into(),
            traceparent: event.traceparent,
        })
    }
}

fn time(timestamp: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    let timestamp = timestamp?;
    DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &'static str) -> Event {
        Event {
            partition: 0,
            offset: 1,
            event_id: "evt_1".into(),
            event_type: "customer.updated".into(),
            api_version: "2026-09-30.endive".into(),
            account: String::new(),
            object_id: "cus_1".into(),
            key: "/cus_1".into(),
            created: DateTime::UNIX_EPOCH,
            received: DateTime::UNIX_EPOCH,
            body: Bytes::from_static(body.as_bytes()),
            traceparent: String::new(),
        }
    }

    #[test]
    fn the_object_is_handed_out_as_it_was_written() {
        let event = event(r#"{"data":{"object":{"b": 1e2, "a":"\ud800"},"previous_attributes":{"b":1}},"id":"evt_1"}"#);
        assert_eq!(event.object().unwrap(), r#"{"b": 1e2, "a":"\ud800"}"#);
        assert_eq!(event.previous_attributes().unwrap().unwrap(), r#"{"b":1}"#);
    }

    #[test]
    fn a_thin_event_has_no_object() {
        assert!(
            event(r#"{"id":"evt_1","related_object":{"id":"mtr_1"}}"#)
                .object()
                .is_err()
        );
    }
}
