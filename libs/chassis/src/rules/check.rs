//! A message against its rules: everything that is wrong with it, by the path of the field.

#[cfg(test)]
mod specimens;

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use counterfoil_proto::common::v1::FieldReason;
use counterfoil_proto::google::api::FieldBehavior;
use counterfoil_store::page::{self, Binding};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, Value as Reflected};
use prost_types::FieldMask;
use uuid::Uuid;

use super::compile::behaves;
use super::{Enum, Field, Message, Rules, Text, Value, Whole};
use crate::context::{Call, Paging};
use crate::violations::Violations;
use crate::{card, field_mask, metadata};

/// What a request turned out to be.
pub(crate) struct Found {
    pub(crate) violations: Violations,
    pub(crate) idempotency_key: Option<Uuid>,
    pub(crate) validate_only: bool,
    pub(crate) paging: Option<Paging>,
    /// The message without what is output only, where it had such. Source: <https://google.aip.dev/203>.
    pub(crate) without_output: Option<Bytes>,
}

impl Rules {
    /// Checks the request `encoded` of a call, a message called `name`.
    ///
    /// # Errors
    /// When this service takes no such message.
    pub(crate) fn check(&self, name: &str, encoded: &Bytes, call: &Call) -> Result<Found, UnknownMessage> {
        let (rules, mut message) = self.read(name, encoded)?;
        let had_output = self.clear_output(rules, &mut message);
        let mut violations = self.violations(rules, &message);
        let key = rules.shape.idempotency_key.as_ref();
        let idempotency_key = key.and_then(|field| message.get_field(field).as_str().and_then(uuid));
        if let Some(update) = &rules.shape.update
            && let Some(mask) = message.get_field(&update.mask).as_message()
            && let Ok(mask) = mask.transcode_to::<FieldMask>()
        {
            let may_update = |field: &FieldDescriptor| {
                ![FieldBehavior::OutputOnly, FieldBehavior::Immutable]
                    .iter()
                    .any(|behavior| behaves(field, *behavior))
            };
            for path in field_mask::check(&mask, &update.resource, may_update)
                .err()
                .unwrap_or_default()
            {
                let description = format!("names {}, which is no field that may be written", quoted(&path));
                violations.add_for(FieldReason::FieldMask, update.mask.name(), description);
            }
        }
        let paging = paging(rules, &message, call, &mut violations);
        let validate_only = rules.shape.validate_only.as_ref();
        let validate_only = validate_only.and_then(|field| message.get_field(field).as_bool());
        Ok(Found {
            violations,
            idempotency_key,
            validate_only: validate_only.unwrap_or_default(),
            paging,
            without_output: had_output.then(|| message.encode_to_vec().into()),
        })
    }

    /// Checks one message of a stream.
    ///
    /// # Errors
    /// When this service takes no such message.
    pub(crate) fn check_streamed(&self, name: &str, encoded: &Bytes) -> Result<Violations, UnknownMessage> {
        let (rules, message) = self.read(name, encoded)?;
        Ok(self.violations(rules, &message))
    }

    fn violations(&self, rules: &Message, message: &DynamicMessage) -> Violations {
        let mut walk = Walk {
            rules: self,
            violations: Violations::default(),
        };
        walk.message(rules, message, &Path::Request);
        walk.violations
    }

    fn read(&self, name: &str, encoded: &Bytes) -> Result<(&Message, DynamicMessage), UnknownMessage> {
        let rules = self.places.get(name).and_then(|place| self.messages.get(*place));
        let rules = rules.ok_or_else(|| UnknownMessage(name.to_owned()))?;
        let message = DynamicMessage::decode(rules.descriptor.clone(), encoded.clone());
        let message = message.map_err(|_| UnknownMessage(name.to_owned()))?;
        Ok((rules, message))
    }

    /// Takes out what only answers have; says whether there was any.
    fn clear_output(&self, rules: &Message, message: &mut DynamicMessage) -> bool {
        let mut had = false;
        for field in &rules.fields {
            if field.output_only {
                had |= message.has_field(&field.descriptor);
                message.clear_field(&field.descriptor);
            } else if let Value::Message(place) = field.value
                && message.has_field(&field.descriptor)
                && let Some(rules) = self.messages.get(place)
            {
                match message.get_field_mut(&field.descriptor) {
                    Reflected::Message(inner) => had |= self.clear_output(rules, inner),
                    Reflected::List(list) => {
                        for inner in list.iter_mut().filter_map(Reflected::as_message_mut) {
                            had |= self.clear_output(rules, inner);
                        }
                    }
                    _ => {}
                }
            }
        }
        had
    }
}

/// A message that none of the service's methods takes.
#[derive(Debug, thiserror::Error)]
#[error("no method takes the message {0}")]
pub(crate) struct UnknownMessage(String);

struct Walk<'a> {
    rules: &'a Rules,
    violations: Violations,
}

impl Walk<'_> {
    fn message(&mut self, rules: &Message, message: &DynamicMessage, at: &Path<'_>) {
        for field in &rules.fields {
            self.field(field, message, &at.field(field.descriptor.name()));
        }
        for oneof in &rules.required_oneofs {
            if !oneof.fields().any(|field| message.has_field(&field)) {
                self.add(FieldReason::Required, &at.field(oneof.name()), "is required");
            }
        }
    }

    fn field(&mut self, field: &Field, message: &DynamicMessage, at: &Path<'_>) {
        let given = message.has_field(&field.descriptor);
        if !given {
            if field.required {
                self.add(FieldReason::Required, at, "is required");
                return;
            }
            // A field with presence that is not there has no value; one without has its zero value, which has rules.
            if field.ignore_empty || field.descriptor.supports_presence() {
                return;
            }
        }
        match &*message.get_field(&field.descriptor) {
            Reflected::List(list) => {
                if let Some(bounds) = field.items {
                    self.violations
                        .bound(FieldReason::Items, at, list.len(), bounds, " items");
                }
                let beyond = field.items.is_some_and(|bounds| exceeds(bounds.1, list.len()));
                // What is beyond the bound is counted, not read.
                for (index, value) in list.iter().enumerate().take(if beyond { 0 } else { list.len() }) {
                    self.value(&field.value, value, &at.item(index));
                }
                if field.unique && !beyond {
                    self.unique(list, at);
                }
            }
            Reflected::Map(map) => {
                if let Some(bounds) = field.items {
                    self.violations
                        .bound(FieldReason::Items, at, map.len(), bounds, " entries");
                }
                if field.metadata {
                    self.metadata(map, at);
                }
                let mut pairs: Vec<_> = map.iter().collect();
                pairs.sort_by_key(|(key, _)| shown(key));
                for (key, value) in pairs {
                    let at = at.key(key);
                    if let (Value::Text(rules), MapKey::String(key)) = (&field.key, key) {
                        self.text(rules, key, &at);
                    }
                    self.value(&field.value, value, &at);
                }
            }
            value => self.value(&field.value, value, at),
        }
    }

    fn value(&mut self, rules: &Value, value: &Reflected, at: &Path<'_>) {
        match (rules, value) {
            (Value::Text(rules), Reflected::String(text)) => self.text(rules, text, at),
            (Value::Whole(rules), value) => self.whole(rules, value, at),
            (Value::Enum(rules), Reflected::EnumNumber(number)) => self.number(rules, *number, at),
            (Value::Bytes(least, most), Reflected::Bytes(bytes)) => {
                self.violations
                    .bound(FieldReason::Length, at, bytes.len(), (*least, *most), " bytes long");
            }
            (Value::Message(place), Reflected::Message(message)) => {
                if let Some(rules) = self.rules.messages.get(*place) {
                    self.message(rules, message, at);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, rules: &Text, text: &str, at: &Path<'_>) {
        // Nothing else is said of it, as what else is said may repeat a part.
        if !rules.not_card && card::contains_card_number(text) {
            return self.add(
                FieldReason::CardNumber,
                at,
                "must not hold the number of a payment card",
            );
        }
        if rules.redirect_url
            && !text.is_empty()
            && let Err(error) = self.rules.origins.check(text)
        {
            return self.add(FieldReason::RedirectUrl, at, &error.to_string());
        }
        if rules.uuid && uuid(text).is_none() {
            return self.add(FieldReason::Format, at, UUID);
        }
        if let Some(bounds) = rules.length {
            let length = text.chars().count();
            self.violations
                .bound(FieldReason::Length, at, length, bounds, " characters long");
            if exceeds(bounds.1, length) {
                return;
            }
        }
        if let Some(pattern) = &rules.pattern
            && !pattern.is_match(text)
        {
            let matching = || format!("must match {pattern}");
            self.add(FieldReason::Format, at, &rules.form.clone().unwrap_or_else(matching));
        }
        let allowed = rules.one_of.is_empty() || rules.one_of.iter().any(|one| one == text);
        if !allowed || rules.none_of.iter().any(|one| one == text) {
            self.add(FieldReason::NotAllowed, at, "must be one of the values allowed");
        }
    }

    fn whole(&mut self, rules: &Whole, value: &Reflected, at: &Path<'_>) {
        let number = match value {
            Reflected::I32(number) => i128::from(*number),
            Reflected::I64(number) => i128::from(*number),
            Reflected::U32(number) => i128::from(*number),
            Reflected::U64(number) => i128::from(*number),
            _ => return,
        };
        self.violations.bound(FieldReason::Range, at, number, rules.range, "");
        let allowed = rules.one_of.is_empty() || rules.one_of.contains(&number);
        if !allowed || rules.none_of.contains(&number) {
            self.add(FieldReason::NotAllowed, at, "must be one of the values allowed");
        }
    }

    fn number(&mut self, rules: &Enum, number: i32, at: &Path<'_>) {
        let unknown = rules.defined_only && rules.descriptor.get_value(number).is_none();
        let allowed = rules.one_of.is_empty() || rules.one_of.contains(&number);
        if unknown || !allowed || rules.none_of.contains(&number) {
            self.add(
                FieldReason::NotAllowed,
                at,
                "must be one of the values this version knows",
            );
        }
    }

    fn unique(&mut self, list: &[Reflected], at: &Path<'_>) {
        let mut seen = HashSet::new();
        for (index, value) in list.iter().enumerate() {
            if !seen.insert(format!("{value:?}")) {
                self.add(FieldReason::Duplicate, &at.item(index), "must be given once");
            }
        }
    }

    fn metadata(&mut self, map: &std::collections::HashMap<MapKey, Reflected>, at: &Path<'_>) {
        let mut pairs: Vec<_> = map
            .iter()
            .filter_map(|(key, value)| Some((key.as_str()?, value.as_str()?)))
            .collect();
        pairs.sort_unstable();
        for metadata::Violation { key, description } in metadata::check(pairs.into_iter()) {
            let at = key.map_or_else(|| at.to_string(), |key| at.key(&MapKey::String(key)).to_string());
            self.violations.add_for(FieldReason::Metadata, at, description);
        }
    }

    fn add(&mut self, reason: FieldReason, at: &Path<'_>, description: &str) {
        self.violations.add_for(reason, at.to_string(), description);
    }
}

/// What is asked of a list: its size, and where it goes on.
fn paging(rules: &Message, message: &DynamicMessage, call: &Call, violations: &mut Violations) -> Option<Paging> {
    let page = rules.shape.page.as_ref()?;
    let asked = message.get_field(&page.size).as_i32().unwrap_or_default();
    let size = if asked <= 0 {
        page.default_size
    } else {
        asked.min(page.max_size)
    };
    let mut filter = message.clone();
    filter.clear_field(&page.size);
    filter.clear_field(&page.token);
    let binding = Binding::new(&call.caller, &call.method, &filter.encode_to_vec());
    let token = message.get_field(&page.token);
    let token = token.as_str().unwrap_or_default();
    let after = match page::decode(&binding, token) {
        _ if token.is_empty() => None,
        Ok(after) => Some(after),
        Err(error) => {
            violations.add_for(FieldReason::PageToken, page.token.name(), error.to_string());
            None
        }
    };
    Some(Paging::new(size, after, binding))
}

const UUID: &str = "must be a UUID, as in 6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d";

/// A UUID in its usual form, and not the one that is all zeros.
fn uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    (text.len() == 36 && !uuid.is_nil()).then_some(uuid)
}

fn exceeds(most: std::ops::Bound<usize>, count: usize) -> bool {
    matches!(most, std::ops::Bound::Included(most) if count > most)
}

/// Where a field stands in the caller's message: `line_items[2].amount.currency_code`. Written out only for violations.
enum Path<'a> {
    Request,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a MapKey),
}

impl Path<'_> {
    fn field<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    fn item(&self, index: usize) -> Path<'_> {
        Path::Item(self, index)
    }

    fn key<'a>(&'a self, key: &'a MapKey) -> Path<'a> {
        Path::Key(self, key)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Request => Ok(()),
            Path::Field(Path::Request, name) => f.write_str(name),
            Path::Field(of, name) => write!(f, "{of}.{name}"),
            Path::Item(of, index) => write!(f, "{of}[{index}]"),
            Path::Key(of, key) => write!(f, "{of}[{}]", shown(key)),
        }
    }
}

/// A key as it may be told: not one that holds a card number, nor all of a long one.
fn shown(key: &MapKey) -> String {
    match key {
        MapKey::String(key) => quoted(key),
        other => format!("{other:?}"),
    }
}

/// The caller's own text in quotes, as it may be told.
fn quoted(text: &str) -> String {
    if card::contains_card_number(text) {
        return "(hidden)".to_owned();
    }
    format!("{:?}", text.chars().take(64).collect::<String>())
}
