//! Reading and writing the fields of Stripe objects, which are plain JSON values here.
//!
//! A path is dotted, `items.data.0.price.id`. Reading what is not there gives null, an empty text, 0 or false.

use crate::json::{Map, Value};

static NULL: Value = Value::Null;

/// The steps of a path. They are short: a search by words, as `split` makes it, costs more than one by letters.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    std::iter::from_fn(move || {
        let path = rest?;
        let end = path.bytes().position(|letter| letter == b'.').unwrap_or(path.len());
        rest = path.get(end + 1..);
        path.get(..end)
    })
}

/// What lies at `path`, or null.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    let mut here = value;
    for step in steps(path) {
        let next = match here {
            Value::Object(map) => map.get(step),
            Value::Array(list) => step.parse::<usize>().ok().and_then(|index| list.get(index)),
            _ => None,
        };
        match next {
            Some(next) => here = next,
            None => return &NULL,
        }
    }
    here
}

/// The text at `path`, or an empty one.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The text at `path`, if there is one that is not empty.
pub(crate) fn some_text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at(value, path).as_str().filter(|text| !text.is_empty())
}

/// The integer at `path`, or 0.
pub(crate) fn integer(value: &Value, path: &str) -> i64 {
    at(value, path).as_i64().unwrap_or_default()
}

/// The boolean at `path`, or false.
pub(crate) fn flag(value: &Value, path: &str) -> bool {
    at(value, path).as_bool().unwrap_or_default()
}

/// The elements of the array at `path`, or none.
pub(crate) fn elements<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().unwrap_or_default()
}

/// The place at `path` to write to; objects missing on the way are made, and null or a scalar in the way gives way.
pub(crate) fn place<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    let mut here = value;
    for step in steps(path) {
        here = match here {
            Value::Array(list) => {
                let index = step.parse::<usize>().unwrap_or(usize::MAX).min(list.len());
                if index == list.len() {
                    list.push(Value::Null);
                }
                match list.get_mut(index) {
                    Some(element) => element,
                    None => unreachable!("the element was pushed just now"),
                }
            }
            other => {
                if !other.is_object() {
                    *other = Value::Object(Map::new());
                }
                match other {
                    Value::Object(map) => map.slot(step),
                    _ => unreachable!("made an object just now"),
                }
            }
        };
    }
    here
}

/// Writes `new` at `path`.
pub(crate) fn set(value: &mut Value, path: &str, new: impl Into<Value>) {
    *place(value, path) = new.into();
}

/// What `old` held in the places where `new` differs, in the manner of an event's `previous_attributes`: nested for
/// hashes, whole for lists and values. `None` when nothing differs.
pub(crate) fn previous(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return (old != new).then(|| old.clone());
    };
    let mut differing = Map::new();
    for (key, was, is) in before.beside(after) {
        match is {
            Some(is) if is == was => {}
            Some(is) if was.is_object() && is.is_object() && text(was, "object") != "list" => {
                if let Some(inner) = previous(was, is) {
                    differing.insert(key.clone(), inner);
                }
            }
            _ => {
                differing.insert(key.clone(), was.clone());
            }
        }
    }
    for (key, _, _) in after.beside(before).filter(|(_, _, was)| was.is_none()) {
        differing.insert(key.clone(), Value::Null);
    }
    (!differing.is_empty()).then_some(Value::Object(differing))
}
