//! What becomes a JSON value, and the `json!` that writes one.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{List, Map, Number, Text, Value};

/// Something that can stand in `json!`.
pub(crate) trait ToValue {
    fn to_value(&self) -> Value;
}

/// A value written as JSON; where a value stands any expression may stand whose type is [`ToValue`]. A field's name is a
/// literal, a variable, or in parentheses.
macro_rules! json {
    (@fields [$($done:tt)*]) => { vec![$($done)*] };
    (@fields [$($done:tt)*] $name:tt : null $(, $($rest:tt)*)?) => {
        $crate::json::json!(@fields [$($done)* $crate::json::Field::new($name, $crate::json::Value::Null),] $($($rest)*)?)
    };
    (@fields [$($done:tt)*] $name:tt : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json::json!(@fields [$($done)* $crate::json::Field::new($name, $crate::json::json!({ $($inner)* })),] $($($rest)*)?)
    };
    (@fields [$($done:tt)*] $name:tt : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json::json!(@fields [$($done)* $crate::json::Field::new($name, $crate::json::json!([ $($inner)* ])),] $($($rest)*)?)
    };
    (@fields [$($done:tt)*] $name:tt : $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::json!(@fields [$($done)* $crate::json::Field::new($name, $crate::json::ToValue::to_value(&$value)),] $($($rest)*)?)
    };
    (@elements [$($done:tt)*]) => { vec![$($done)*] };
    (@elements [$($done:tt)*] null $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done)* $crate::json::Value::Null,] $($($rest)*)?)
    };
    (@elements [$($done:tt)*] { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done)* $crate::json::json!({ $($inner)* }),] $($($rest)*)?)
    };
    (@elements [$($done:tt)*] [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done)* $crate::json::json!([ $($inner)* ]),] $($($rest)*)?)
    };
    (@elements [$($done:tt)*] $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::json!(@elements [$($done)* $crate::json::ToValue::to_value(&$value),] $($($rest)*)?)
    };
    (null) => { $crate::json::Value::Null };
    ({}) => { $crate::json::Value::Object($crate::json::Map::new()) };
    ([]) => { $crate::json::Value::Array($crate::json::List::default()) };
    ({ $($fields:tt)+ }) => { $crate::json::Value::Object($crate::json::json!(@fields [] $($fields)+).into()) };
    ([ $($elements:tt)+ ]) => { $crate::json::Value::Array($crate::json::json!(@elements [] $($elements)+).into()) };
    ($value:expr) => { $crate::json::ToValue::to_value(&$value) };
}
pub(crate) use json;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::String(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Object(map)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Clone + Into<Value>> From<&[T]> for Value {
    fn from(values: &[T]) -> Self {
        Self::Array(values.iter().cloned().map(Into::into).collect())
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(values: [T; N]) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self::Array(values.into_iter().collect())
    }
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl ToValue for Map {
    fn to_value(&self) -> Value {
        Value::Object(self.clone())
    }
}

impl ToValue for List {
    fn to_value(&self) -> Value {
        Value::Array(self.clone())
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value {
        self.into()
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value {
        self.into()
    }
}

impl ToValue for Cow<'_, str> {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl ToValue for Text {
    fn to_value(&self) -> Value {
        self.clone().into()
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value {
        (*self).into()
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: ToValue> ToValue for [T] {
    fn to_value(&self) -> Value {
        self.iter().map(ToValue::to_value).collect()
    }
}

impl<T: ToValue, const N: usize> ToValue for [T; N] {
    fn to_value(&self) -> Value {
        self.as_slice().to_value()
    }
}

impl<T: ToValue> ToValue for Vec<T> {
    fn to_value(&self) -> Value {
        self.as_slice().to_value()
    }
}

impl<T: ToValue> ToValue for BTreeSet<T> {
    fn to_value(&self) -> Value {
        self.iter().map(ToValue::to_value).collect()
    }
}

impl<K: AsRef<str>, T: ToValue> ToValue for BTreeMap<K, T> {
    fn to_value(&self) -> Value {
        let fields = self.iter().map(|(name, value)| (name.as_ref(), value.to_value()));
        Value::Object(fields.collect())
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(Number::from(number))
            }
        }

        impl ToValue for $number {
            fn to_value(&self) -> Value {
                (*self).into()
            }
        }

        impl PartialEq<$number> for Value {
            fn eq(&self, other: &$number) -> bool {
                matches!(self, Self::Number(number) if *number == Number::from(*other))
            }
        }

        impl PartialEq<$number> for &Value {
            fn eq(&self, other: &$number) -> bool {
                **self == *other
            }
        }
    )*};
}
numbers!(i32, i64, u16, u32, u64, usize);

/// Null where it is no finite number.
impl ToValue for f64 {
    fn to_value(&self) -> Value {
        Number::from_f64(*self).map_or(Value::Null, Value::Number)
    }
}

impl PartialEq<bool> for Value {
    fn eq(&self, other: &bool) -> bool {
        self.as_bool() == Some(*other)
    }
}

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl PartialEq<$text> for Value {
            fn eq(&self, other: &$text) -> bool {
                self.as_str() == Some(AsRef::<str>::as_ref(other))
            }
        }
    )*};
}
texts!(str, &str, String);

impl PartialEq<Value> for &str {
    fn eq(&self, other: &Value) -> bool {
        other == self
    }
}

impl PartialEq<Value> for String {
    fn eq(&self, other: &Value) -> bool {
        other == self
    }
}
