use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::Value;

/// The elements of a JSON array, shared between copies until one of them changes.
#[derive(Clone, Default, Eq)]
pub(crate) struct List(Arc<Vec<Value>>);

impl List {
    fn own(&mut self) -> &mut Vec<Value> {
        Arc::make_mut(&mut self.0)
    }

    pub(crate) fn push(&mut self, value: Value) {
        self.own().push(value);
    }

    pub(crate) fn retain(&mut self, keeps: impl FnMut(&Value) -> bool) {
        self.own().retain(keeps);
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl DerefMut for List {
    fn deref_mut(&mut self) -> &mut [Value] {
        self.own()
    }
}

impl From<Vec<Value>> for List {
    fn from(values: Vec<Value>) -> Self {
        Self(Arc::new(values))
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(Arc::new(values.into_iter().collect()))
    }
}

impl Extend<Value> for List {
    fn extend<I: IntoIterator<Item = Value>>(&mut self, values: I) {
        self.own().extend(values);
    }
}

impl IntoIterator for List {
    type Item = Value;
    type IntoIter = std::vec::IntoIter<Value>;

    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a mut List {
    type Item = &'a mut Value;
    type IntoIter = std::slice::IterMut<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.own().iter_mut()
    }
}
