//! An object as it is kept in memory. Versions are shared, never changed: an event holds the version it tells of.

use std::sync::Arc;

use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap},
};

use super::PRIVATE;
use crate::{
    field,
    json::{Map, Value},
};

/// One version of an object. Of an event, `about` is the object it tells of, which is left out of `value`.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    value: Arc<Value>,
    about: Option<Arc<Value>>,
}

impl Stored {
    pub(super) fn new(value: Arc<Value>) -> Self {
        Self { value, about: None }
    }

    /// An event that tells of `about`, and has null in its place.
    pub(super) fn event(value: Value, about: Arc<Value>) -> Self {
        Self {
            value: Arc::new(value),
            about: Some(about),
        }
    }

    /// The object, where nothing is left out of it.
    pub(super) fn plain(&self) -> Option<&Arc<Value>> {
        self.about.is_none().then_some(&self.value)
    }

    /// The object, or of an event all but what it tells of.
    pub(super) fn head(&self) -> &Value {
        &self.value
    }

    /// Whether it may be packed: an event waits until every delivery of it was accepted.
    pub(super) fn rests(&self) -> bool {
        field::elements(&self.value, "_sandbox.pending").is_empty()
    }

    /// The object with all that belongs to it.
    pub(super) fn whole(&self) -> Arc<Value> {
        let Some(about) = &self.about else {
            return self.value.clone();
        };
        let mut whole = Value::clone(&self.value);
        field::set(&mut whole, "data.object", super::rendered(about));
        Arc::new(whole)
    }

    /// The whole object as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match &self.about {
            None => serde_json::to_writer(out, &*self.value),
            Some(about) => serde_json::to_writer(out, &Event(&self.value, about)),
        }
    }
}

/// Writes an event with the object put in that it tells of.
struct Event<'a>(&'a Value, &'a Value);
struct Data<'a>(&'a Value, &'a Value);
/// Writes an object without our own fields.
struct Rendered<'a>(&'a Value);

fn fields<E: Error>(value: &Value) -> Result<&Map, E> {
    value.as_object().ok_or_else(|| E::custom("not an object"))
}

impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in fields(self.0)? {
            match name.as_str() {
                "data" => map.serialize_entry(name, &Data(value, self.1))?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in fields(self.0)? {
            match name.as_str() {
                "object" => map.serialize_entry(name, &Rendered(self.1))?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl Serialize for Rendered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in fields(self.0)?.iter().filter(|(name, _)| *name != PRIVATE) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn an_event_is_written_as_it_reads() {
        let about = Arc::new(json!({ "id": "cus_1", "_sandbox": { "secret": 1 }, "name": null }));
        let head =
            json!({ "id": "evt_1", "data": { "object": null, "previous_attributes": { "name": "A" } }, "type": "x" });
        let event = Stored::event(head, about);
        let mut written = Vec::new();
        event.write(&mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), event.whole().to_string());
        let expected = json!({ "object": { "id": "cus_1", "name": null }, "previous_attributes": { "name": "A" } });
        assert_eq!(event.whole()["data"], expected);
    }
}
