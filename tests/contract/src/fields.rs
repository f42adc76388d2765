//! Every place in a message where a text can stand.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::target::{behaves, marked};

/// A place for a text in a message of some kind.
#[derive(Debug, Clone)]
pub struct Place {
    /// The fields that lead to it; the last one holds the text.
    way: Vec<FieldDescriptor>,
    /// In a map, whether it is the key.
    is_key: bool,
}

/// Every place for a text in messages of this kind, but for those that only answers have. Where messages contain each
/// other, to a depth of eight.
#[must_use]
pub fn texts(message: &MessageDescriptor) -> Vec<Place> {
    let mut found = Vec::new();
    descend(message, &mut Vec::new(), &mut found);
    found
}

fn descend(message: &MessageDescriptor, way: &mut Vec<FieldDescriptor>, found: &mut Vec<Place>) {
    for field in message.fields().filter(|field| !behaves(field, "OUTPUT_ONLY")) {
        way.push(field.clone());
        let mut add = |is_key| {
            found.push(Place {
                way: way.clone(),
                is_key,
            });
        };
        match field.kind() {
            Kind::String => add(false),
            Kind::Message(entry) if field.is_map() => {
                if entry.map_entry_key_field().kind() == Kind::String {
                    add(true);
                }
                if entry.map_entry_value_field().kind() == Kind::String {
                    add(false);
                }
            }
            Kind::Message(inner) if way.len() < 8 => descend(&inner, way, found),
            _ => {}
        }
        way.pop();
    }
}

impl Place {
    /// The field that holds the text, or the map.
    #[must_use]
    pub fn field(&self) -> &FieldDescriptor {
        self.way.last().unwrap()
    }

    /// Whether a text there may look like a card number.
    #[must_use]
    pub fn may_look_like_a_card(&self) -> bool {
        !self.is_key && marked(self.field(), "not_card")
    }

    /// Where a violation says it is, with `text` in it.
    #[must_use]
    pub fn path(&self) -> String {
        let step = |field: &FieldDescriptor| {
            let index = if field.is_list() { "[0]" } else { "" };
            format!("{}{index}", field.name())
        };
        let path: Vec<_> = self.way.iter().map(step).collect();
        path.join(".")
    }

    /// Puts `text` there, making the messages that lead to it.
    pub fn put(&self, into: &mut DynamicMessage, text: &str) {
        let (last, way) = self.way.split_last().unwrap();
        let mut message = into;
        for field in way {
            let value = message.get_field_mut(field);
            message = match value {
                Value::List(list) => {
                    if list.is_empty() {
                        let empty = DynamicMessage::new(field.kind().as_message().unwrap().clone());
                        list.push(Value::Message(empty));
                    }
                    list[0].as_message_mut().unwrap()
                }
                other => other.as_message_mut().unwrap(),
            };
        }
        match message.get_field_mut(last) {
            Value::List(list) => {
                list.truncate(0);
                list.push(Value::String(text.to_owned()));
            }
            Value::Map(map) if self.is_key => {
                map.insert(MapKey::String(text.to_owned()), Value::String("value".to_owned()));
            }
            Value::Map(map) => {
                map.insert(MapKey::String("key".to_owned()), Value::String(text.to_owned()));
            }
            value => *value = Value::String(text.to_owned()),
        }
    }
}
