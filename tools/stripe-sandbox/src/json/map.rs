use std::{fmt, sync::Arc};

use super::{Text, Value};

/// The fields of a JSON object in their order, shared between copies until one of them changes.
///
/// Objects have few fields, so they are sought one after the other. What is parsed may say a name twice: the first counts.
#[derive(Clone, Default, Eq)]
pub(crate) struct Map(Arc<Vec<Field>>);

/// A field of an object.
#[derive(Clone, Eq)]
pub(crate) struct Field {
    mark: u32,
    name: Text,
    value: Value,
}

impl Field {
    pub(crate) fn new(name: impl Into<Text>, value: Value) -> Self {
        let name = name.into();
        Self {
            mark: mark(&name),
            name,
            value,
        }
    }

    fn is_named(&self, name: &str, mark: u32) -> bool {
        self.mark == mark && self.name == name
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.is_named(&other.name, other.mark) && self.value == other.value
    }
}

/// By which most names differ: a length and three letters. A look at it spares a look at the name.
fn mark(name: &str) -> u32 {
    let name = name.as_bytes();
    let letter = |place: usize| name.get(place).copied().unwrap_or_default();
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let (middle, last) = (name.len() / 2, name.len().wrapping_sub(1));
    u32::from_le_bytes([length, letter(0), letter(middle), letter(last)])
}

impl Map {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn own(&mut self) -> &mut Vec<Field> {
        Arc::make_mut(&mut self.0)
    }

    fn place(&self, name: &str) -> Option<usize> {
        let mark = mark(name);
        self.0.iter().position(|field| field.is_named(name, mark))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(self.place(name)?).map(|field| &field.value)
    }

    pub(crate) fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let place = self.place(name)?;
        self.own().get_mut(place).map(|field| &mut field.value)
    }

    /// The value of `name`, which is null if it is new.
    pub(crate) fn slot(&mut self, name: &str) -> &mut Value {
        let known = self.place(name);
        let fields = self.own();
        let place = known.unwrap_or_else(|| {
            fields.push(Field::new(name, Value::Null));
            fields.len() - 1
        });
        match fields.get_mut(place) {
            Some(field) => &mut field.value,
            None => unreachable!("the field was found or pushed just now"),
        }
    }

    /// Sets a field, in its place if it has one, and gives what it was.
    pub(crate) fn insert(&mut self, name: impl AsRef<str> + Into<Text>, value: Value) -> Option<Value> {
        match self.get_mut(name.as_ref()) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.own().push(Field::new(name, value));
                None
            }
        }
    }

    /// Removes a field; the others keep their order.
    pub(crate) fn shift_remove(&mut self, name: &str) -> Option<Value> {
        let place = self.place(name)?;
        Some(self.own().remove(place).value)
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&Text, &mut Value) -> bool) {
        self.own().retain_mut(|field| keeps(&field.name, &mut field.value));
    }

    /// The fields in order, each with what `other` has under its name.
    pub(crate) fn beside<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Text, &'a Value, Option<&'a Value>)> {
        self.0.iter().enumerate().map(|(place, field)| {
            let theirs = match other.0.get(place) {
                Some(same) if same.is_named(&field.name, field.mark) => Some(&same.value),
                _ => other.get(&field.name),
            };
            (&field.name, &field.value, theirs)
        })
    }

    pub(crate) fn iter(&self) -> Fields<'_> {
        self.into_iter()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Text> {
        self.0.iter().map(|field| &field.name)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|field| &field.value)
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
        let mut beside = self.beside(other);
        Arc::ptr_eq(&self.0, &other.0)
            || self.len() == other.len() && beside.all(|(_, value, theirs)| theirs == Some(value))
    }
}

/// Of fields with different names.
impl From<Vec<Field>> for Map {
    fn from(fields: Vec<Field>) -> Self {
        Self(Arc::new(fields))
    }
}

impl<N: Into<Text>> FromIterator<(N, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> Self {
        Self(Arc::new(
            fields
                .into_iter()
                .map(|(name, value)| Field::new(name, value))
                .collect(),
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
pub(crate) type Fields<'a> = std::iter::Map<std::slice::Iter<'a, Field>, fn(&'a Field) -> (&'a Text, &'a Value)>;

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a Text, &'a Value);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|field| (&field.name, &field.value))
    }
}

impl IntoIterator for Map {
    type Item = (Text, Value);
    type IntoIter = std::iter::Map<std::vec::IntoIter<Field>, fn(Field) -> (Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        let fields = Arc::unwrap_or_clone(self.0).into_iter();
        fields.map(|field| (field.name, field.value))
    }
}
