//! What the log must know of an event, read from its body; and the key that decides its partition. Nothing else of the
//! body is looked at: it may hold what no decoder takes (lone surrogates, bytes that are not UTF-8, any depth).

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use counterfoil_types::{Mode, ModeOfEvent};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::log::TIMES;

/// The number of partitions. It never changes: a key must stay in its partition.
pub(crate) const PARTITIONS: i32 = 64;

/// The facts the log indexes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// `evt_…`.
    pub(crate) event_id: String,
    /// For example `invoice.paid`.
    pub(crate) event_type: String,
    /// The version the body is rendered in; empty for thin events.
    pub(crate) api_version: String,
    /// The connected account; empty for the platform.
    pub(crate) account: String,
    /// The object the event is about; empty where it has no id.
    pub(crate) object_id: String,
    /// What order is promised for.
    pub(crate) key: String,
    /// When Stripe made the event.
    pub(crate) created: DateTime<Utc>,
    /// Live or test.
    pub(crate) mode: Mode,
}

/// Why a body is no event. Fixed texts: a body may hold anything.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not JSON, or not in the shape of an event.
    #[error("the body is not an event")]
    Shape,
    /// A field of the envelope is empty, too long or has odd characters.
    #[error("`{0}` is not 1 to 255 of A-Z, a-z, 0-9, _, ., :, [, ] and -")]
    Field(&'static str),
    /// The time is out of range.
    #[error("`created` is not a time from 1970 to 9999")]
    Created,
}

/// Both kinds of event. Source: <https://docs.stripe.com/event-destinations#events-overview>.
#[derive(Deserialize)]
struct Body {
    id: String,
    r#type: String,
    created: Created,
    #[serde(default)]
    api_version: Text,
    /// Set by Connect.
    #[serde(default)]
    account: Text,
    /// Set in thin events: the account, perhaps behind its organisation and a slash.
    #[serde(default)]
    context: Text,
    /// Snapshot events.
    #[serde(default)]
    data: Option<Map<Data>>,
    /// Thin events.
    #[serde(default)]
    related_object: Option<Map<Object>>,
}

#[derive(Deserialize)]
struct Data {
    object: Map<Object>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    id: Text,
    /// An id, or the whole customer.
    #[serde(default)]
    customer: Text,
}

/// An object. Serde would take a list too, by the order in which the fields are written down here.
struct Map<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for MapVisitor<T> {
            type Value = Map<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Map<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Map)
            }
        }

        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

/// Seconds since 1970 (snapshot events) or a text as RFC 3339 has it (thin ones).
#[derive(Deserialize)]
#[serde(untagged)]
enum Created {
    Seconds(i64),
    Text(DateTime<Utc>),
}

/// A text, or the `id` of an object; nothing where there is something else.
#[derive(Default)]
struct Text(Option<String>);

impl Text {
    fn into_string(self) -> String {
        self.0.unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                #[derive(Deserialize)]
                struct WithId {
                    #[serde(default)]
                    id: Option<String>,
                }
                let object = WithId::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Text(object.id))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

impl Envelope {
    /// Reads the envelope of a body whose signature is valid.
    ///
    /// # Errors
    /// When it is no event, or one whose ids could not be indexed.
    pub(crate) fn read(body: &[u8]) -> Result<Envelope, Unreadable> {
        // A field given twice is refused too: no two readers need agree which one counts.
        let read: Body = serde_json::from_slice(body).map_err(|_| Unreadable::Shape)?;
        let ModeOfEvent(mode) = serde_json::from_slice(body).map_err(|_| Unreadable::Shape)?;
        let created = match read.created {
            Created::Seconds(seconds) => DateTime::from_timestamp(seconds, 0),
            Created::Text(time) => Some(time),
        };
        let created = created.filter(|time| TIMES.contains(&time.timestamp()));
        let context = read.context.into_string();
        let account = match read.account.into_string() {
            account if account.is_empty() => context.rsplit('/').next().unwrap_or_default().to_owned(),
            account => account,
        };
        let (object, thin) = (read.data.map(|Map(data)| data.object), read.related_object);
        let (object_id, customer) = match object.or(thin) {
            Some(Map(object)) => (object.id.into_string(), object.customer.into_string()),
            None => (String::new(), String::new()),
        };
        let envelope = Envelope {
            key: key(&account, &customer, &object_id),
            event_id: read.id,
            event_type: read.r#type,
            api_version: read.api_version.into_string(),
            account,
            object_id,
            created: created.ok_or(Unreadable::Created)?,
            mode,
        };
        for (name, value) in [("id", &envelope.event_id), ("type", &envelope.event_type)] {
            check(name, value, 1)?;
        }
        for (name, value) in [
            ("api_version", &envelope.api_version),
            ("account", &envelope.account),
            ("data.object.id", &envelope.object_id),
            ("data.object.customer", &customer),
        ] {
            check(name, value, 0)?;
        }
        Ok(envelope)
    }

    /// The partition the event belongs to.
    #[must_use]
    pub(crate) fn partition(&self) -> i32 {
        partition(&self.key)
    }
}

/// The ordering key: account, a slash, and the customer, else the object, else the account. A customer is an object of
/// its own, so that its events and those of what it owns have one key.
fn key(account: &str, customer: &str, object_id: &str) -> String {
    let what = [customer, object_id, account].into_iter().find(|what| !what.is_empty());
    format!("{account}/{}", what.unwrap_or_default())
}

/// The first eight bytes of the key's SHA-256, big-endian, modulo the number of partitions.
fn partition(key: &str) -> i32 {
    let digest = Sha256::digest(key.as_bytes());
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    let partitions = u64::from(PARTITIONS.unsigned_abs());
    let rest = u64::from_be_bytes(first).checked_rem(partitions).unwrap_or_default();
    i32::try_from(rest).unwrap_or_default()
}

fn check(name: &'static str, value: &str, least: usize) -> Result<(), Unreadable> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:[]-".contains(&byte);
    if (least..=255).contains(&value.len()) && value.bytes().all(plain) {
        Ok(())
    } else {
        Err(Unreadable::Field(name))
    }
}

#[cfg(test)]
mod tests {
    mod cases;

    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Envelope {
        Envelope::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn keys_fall_into_the_same_partitions_for_ever() {
        // Golden vectors, computed with Python's hashlib. A change here breaks the order of every running log.
        for (key, expected) in [
            ("/", 3),
            ("/cus_1", 34),
            ("/cus_QXg1o8vcGmoR32", 23),
            ("acct_1/cus_1", 36),
            ("acct_1Q0PsIJvEtkwdCNY/acct_1Q0PsIJvEtkwdCNY", 17),
            ("/price_1", 62),
            ("acct_1/po_1", 12),
        ] {
            assert_eq!(partition(key), expected, "{key}");
        }
    }

    #[test]
    fn a_key_is_the_customer_else_the_object_else_the_account() {
        for (fields, key) in [
            (r#""data":{"object":{"id":"sub_1","customer":"cus_1"}}"#, "/cus_1"),
            (
                r#""data":{"object":{"id":"sub_1","customer":{"id":"cus_1","name":"x"}}}"#,
                "/cus_1",
            ),
            (r#""data":{"object":{"id":"cus_1","object":"customer"}}"#, "/cus_1"),
            (r#""data":{"object":{"id":"price_1","customer":null}}"#, "/price_1"),
            (r#""data":{"object":{"object":"balance"}}"#, "/"),
            (r#""data":{"object":{"id":"po_1"}},"account":"acct_1""#, "acct_1/po_1"),
            (r#""data":{"object":{}},"account":"acct_1""#, "acct_1/acct_1"),
            (
                r#""data":{"object":{"customer":[1,{"id":"x"}],"id":7}},"account":"acct_1""#,
                "acct_1/acct_1",
            ),
            (
                r#""related_object":{"id":"mtr_1","type":"billing.meter","url":"/v1"}"#,
                "/mtr_1",
            ),
            (r#""related_object":null,"context":"org_1/acct_2""#, "acct_2/acct_2"),
        ] {
            let json = format!(r#"{{"id":"evt_1","type":"a.b","created":1,"livemode":false,{fields}}}"#);
            assert_eq!(read(&json).key, key, "{fields}");
        }
    }

    #[test]
    fn snapshot_and_thin_events_are_both_read() {
        let snapshot = read(
            r#"{"id":"evt_1","object":"event","api_version":"2026-09-30.endive","created":1790000000,
                "data":{"object":{"id":"in_1","customer":"cus_1"}},"livemode":true,"type":"invoice.paid"}"#,
        );
        assert_eq!(snapshot.created.timestamp(), 1_790_000_000);
        assert_eq!(
            (snapshot.mode, snapshot.api_version.as_str()),
            (Mode::Live, "2026-09-30.endive")
        );
        let thin = read(
            r#"{"id":"evt_test_65R","object":"v2.core.event","type":"v2.core.account[requirements].updated",
                "created":"2026-09-17T06:20:52.246Z","livemode":false,"related_object":{"id":"acct_1"}}"#,
        );
        assert_eq!(thin.created.to_rfc3339(), "2026-09-17T06:20:52.246+00:00");
        assert_eq!((thin.object_id.as_str(), thin.api_version.as_str()), ("acct_1", ""));
    }

    #[test]
    fn what_is_not_read_may_be_anything() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for oddity in [
            r#""\ud800""#,
            r#""\u0000""#,
            "1e140000",
            r#"{"a":1,"a":2}"#,
            deep.as_str(),
        ] {
            let json = format!(
                r#"{{"x":{oddity},"id":"evt_1","type":"a.b","created":1,"livemode":false,"data":{{"object":{{"m":{oddity}}}}}}}"#
            );
            assert_eq!(read(&json).event_id, "evt_1");
        }
        let mut bytes = br#"{"x":"?","id":"evt_1","type":"a.b","created":1,"livemode":false}"#.to_vec();
        bytes[6] = 0xff;
        assert_eq!(Envelope::read(&bytes).unwrap().event_id, "evt_1");
    }

    #[test]
    fn what_cannot_be_indexed_is_unreadable() {
        for (json, why) in [
            ("", Unreadable::Shape),
            ("{", Unreadable::Shape),
            ("null", Unreadable::Shape),
            ("\u{feff}{}", Unreadable::Shape),
            (r#"{"id":"evt_1","type":"a","created":1}"#, Unreadable::Shape),
            (
                r#"{"id":"evt_1","id":"evt_2","type":"a","created":1,"livemode":true}"#,
                Unreadable::Shape,
            ),
            (
                r#"{"id":"","type":"a","created":1,"livemode":true}"#,
                Unreadable::Field("id"),
            ),
            (
                r#"{"id":"evt 1","type":"a","created":1,"livemode":true}"#,
                Unreadable::Field("id"),
            ),
            (
                r#"{"id":"evt_\u0000","type":"a","created":1,"livemode":true}"#,
                Unreadable::Field("id"),
            ),
            (
                r#"{"id":"evt_1","type":"é","created":1,"livemode":true}"#,
                Unreadable::Field("type"),
            ),
            (
                r#"{"id":"evt_1","type":"a","created":-1,"livemode":true}"#,
                Unreadable::Created,
            ),
            (
                r#"{"id":"evt_1","type":"a","created":253402300800,"livemode":true}"#,
                Unreadable::Created,
            ),
            (
                r#"{"id":"evt_1","type":"a","created":1e3,"livemode":true}"#,
                Unreadable::Shape,
            ),
            (
                r#"{"id":"evt_1","type":"a","created":1,"livemode":true,"data":{"object":{"customer":"a/b"}}}"#,
                Unreadable::Field("data.object.customer"),
            ),
        ] {
            assert_eq!(Envelope::read(json.as_bytes()), Err(why), "{json}");
        }
        let long = format!(
            r#"{{"id":"{}","type":"a","created":1,"livemode":true}}"#,
            "e".repeat(256)
        );
        assert_eq!(Envelope::read(long.as_bytes()), Err(Unreadable::Field("id")));
    }

    proptest! {
        #[test]
        fn no_body_is_a_panic(body: Vec<u8>) {
            let _ = Envelope::read(&body);
        }

        #[test]
        fn every_key_has_a_partition(key: String) {
            prop_assert!((0..PARTITIONS).contains(&partition(&key)));
        }
    }
}
