use std::{fmt, sync::Arc};

use super::{Text, Value};

/// The fields of a JSON object in their order, shared between copies until one of them changes.
///
/// Objects have few fields, so they are sought one after the other. What is parsed may say a name twice: the first counts.
#[derive(Clone, Default, Eq)]
pub(crate) struct Map(Arc<Vec<(Text, Value)>>);

impl Map {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn own(&mut self) -> &mut Vec<(Text, Value)> {
        Arc::make_mut(&mut self.0)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(one, _)| one == name)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value)
    }

    pub(crate) fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let place = self.place(name)?;
        self.own().get_mut(place).map(|(_, value)| value)
    }

    /// The value of `name`, which is null if it is new.
    pub(crate) fn slot(&mut self, name: &str) -> &mut Value {
        let known = self.place(name);
        let fields = self.own();
        let place = known.unwrap_or_else(|| {
            fields.push((name.into(), Value::Null));
            fields.len() - 1
        });
        match fields.get_mut(place) {
            Some((_, value)) => value,
            None => unreachable!("the field was found or pushed just now"),
        }
    }

    /// Sets a field, in its place if it has one, and gives what it was.
    pub(crate) fn insert(&mut self, name: impl AsRef<str> + Into<Text>, value: Value) -> Option<Value> {
        match self.get_mut(name.as_ref()) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.append(name, value);
                None
            }
        }
    }

    /// Adds a field that is known to be new.
    pub(crate) fn append(&mut self, name: impl Into<Text>, value: Value) {
        self.own().push((name.into(), value));
    }

    /// Removes a field; the others keep their order.
    pub(crate) fn shift_remove(&mut self, name: &str) -> Option<Value> {
        let place = self.place(name)?;
        Some(self.own().remove(place).1)
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&Text, &mut Value) -> bool) {
        self.own().retain_mut(|(name, value)| keeps(name, value));
    }

    pub(crate) fn iter(&self) -> Fields<'_> {
        self.into_iter()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Text> {
        self.0.iter().map(|(name, _)| name)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::Object(self.clone()).fmt(f)
    }
}

/// In any order of the fields.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |(place, (name, value)): (usize, &(Text, Value))| match other.0.get(place) {
            Some((same, theirs)) if same == name => theirs == value,
            _ => other.get(name) == Some(value),
        };
        Arc::ptr_eq(&self.0, &other.0) || self.len() == other.len() && self.0.iter().enumerate().all(is_same)
    }
}

impl<N: Into<Text>> FromIterator<(N, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> Self {
        Self(Arc::new(
            fields.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        ))
    }
}

impl Extend<(Text, Value)> for Map {
    fn extend<I: IntoIterator<Item = (Text, Value)>>(&mut self, fields: I) {
        for (name, value) in fields {
            self.insert(name, value);
        }
    }
}

/// The fields of an object, in order.
pub(crate) type Fields<'a> =
    std::iter::Map<std::slice::Iter<'a, (Text, Value)>, fn(&'a (Text, Value)) -> (&'a Text, &'a Value)>;

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a Text, &'a Value);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl IntoIterator for Map {
    type Item = (Text, Value);
    type IntoIter = std::vec::IntoIter<(Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}
