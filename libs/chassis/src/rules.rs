//! The rules that the protos put on requests, read from their descriptors when the service starts.
//!
//! What is read: `google.api.field_behavior` (required, output only), the rules of `buf.validate` that the protos use, and
//! our own options (`counterfoil.common.v1`). A rule that is not understood stops the start: none is passed over.

mod check;
mod compile;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Bound;

use prost_reflect::{FieldDescriptor, MessageDescriptor, OneofDescriptor};
use regex::Regex;

use crate::redirect::AllowedOrigins;

pub(crate) use check::Found;

/// The rules of every message that a service takes.
#[derive(Debug)]
pub(crate) struct Rules {
    messages: Vec<Message>,
    /// Where in `messages` a message stands, by its full name.
    places: HashMap<String, usize>,
    origins: AllowedOrigins,
}

/// The rules of one message.
#[derive(Debug)]
struct Message {
    descriptor: MessageDescriptor,
    fields: Vec<Field>,
    /// Of these one must be given.
    required_oneofs: Vec<OneofDescriptor>,
    shape: Shape,
}

/// The fields by which a request is known to be of a standard kind. Source: <https://google.aip.dev/general>.
#[derive(Debug, Default)]
struct Shape {
    idempotency_key: Option<FieldDescriptor>,
    validate_only: Option<FieldDescriptor>,
    page: Option<PageFields>,
    update: Option<UpdateFields>,
}

/// The two fields of a list.
#[derive(Debug)]
struct PageFields {
    size: FieldDescriptor,
    token: FieldDescriptor,
    default_size: i32,
    max_size: i32,
}

/// The mask of an update, and the message it is about.
#[derive(Debug)]
struct UpdateFields {
    mask: FieldDescriptor,
    resource: MessageDescriptor,
}

/// The rules of one field.
#[derive(Debug)]
struct Field {
    descriptor: FieldDescriptor,
    required: bool,
    output_only: bool,
    metadata: bool,
    /// A value that is zero or empty is as good as none.
    ignore_empty: bool,
    /// How many items a list has, or pairs a map.
    items: Option<(Bound<usize>, Bound<usize>)>,
    unique: bool,
    /// For each value: the field's own, a list's items, a map's values.
    value: Value,
    /// For each key of a map.
    key: Value,
}

/// The rules of one value.
#[derive(Debug)]
enum Value {
    /// Nothing is asked of it.
    Any,
    Text(Text),
    Whole(Whole),
    Enum(Enum),
    /// The length of bytes.
    Bytes(Bound<usize>, Bound<usize>),
    /// A message, by its place in [`Rules::messages`].
    Message(usize),
}

#[derive(Debug, Default)]
struct Text {
    /// It may look like a card number.
    not_card: bool,
    redirect_url: bool,
    uuid: bool,
    /// In characters.
    length: Option<(Bound<usize>, Bound<usize>)>,
    pattern: Option<Regex>,
    /// What is told of a text that does not match.
    form: Option<String>,
    one_of: Vec<String>,
    none_of: Vec<String>,
}

#[derive(Debug)]
struct Whole {
    range: (Bound<i128>, Bound<i128>),
    one_of: Vec<i128>,
    none_of: Vec<i128>,
}

#[derive(Debug)]
struct Enum {
    descriptor: prost_reflect::EnumDescriptor,
    defined_only: bool,
    one_of: Vec<i32>,
    none_of: Vec<i32>,
}
