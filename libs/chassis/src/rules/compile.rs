//! Rules out of descriptors.

use std::collections::HashMap;
use std::ops::Bound;

use anyhow::{Context as _, bail, ensure};
use counterfoil_proto::buf::validate as buf;
use counterfoil_proto::google::api::FieldBehavior;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value as Reflected,
};
use regex::Regex;

use super::{Enum, Field, Message, PageFields, Rules, Shape, Text, UpdateFields, Value, Whole};
use crate::redirect::AllowedOrigins;

const FIELD_MASK: &str = "google.protobuf.FieldMask";

impl Rules {
    /// Reads the rules of all messages that the methods of `services` take.
    ///
    /// # Errors
    /// When a service is not described, or a field has a rule that is not understood.
    pub(crate) fn compile(
        descriptors: &DescriptorPool,
        services: &[&str],
        origins: AllowedOrigins,
    ) -> anyhow::Result<Rules> {
        let mut rules = Rules {
            messages: Vec::new(),
            places: HashMap::new(),
            origins,
        };
        for name in services {
            let service = descriptors.get_service_by_name(name);
            let service = service.with_context(|| format!("{name} is not described"))?;
            for method in service.methods() {
                rules.place(&method.input())?;
            }
        }
        Ok(rules)
    }

    /// Where `descriptor`'s rules stand. They are read when first asked for, with those of all messages in it.
    fn place(&mut self, descriptor: &MessageDescriptor) -> anyhow::Result<usize> {
        if let Some(place) = self.places.get(descriptor.full_name()) {
            return Ok(*place);
        }
        let place = self.messages.len();
        self.places.insert(descriptor.full_name().to_owned(), place);
        self.messages.push(Message {
            descriptor: descriptor.clone(),
            fields: Vec::new(),
            required_oneofs: Vec::new(),
            shape: Shape::default(),
        });
        ensure!(
            option(&descriptor.options(), descriptor.parent_pool(), "buf.validate.message").is_none(),
            "{}: rules on a whole message are not understood",
            descriptor.full_name()
        );
        let mut fields = Vec::new();
        for field in descriptor.fields() {
            let rules = self.field(&field);
            fields.push(rules.with_context(|| format!("the rules of {}", field.full_name()))?);
        }
        let mut required_oneofs = Vec::new();
        for oneof in descriptor.oneofs() {
            if is_required(&oneof)? {
                required_oneofs.push(oneof);
            }
        }
        let shape = shape(descriptor)?;
        if let Some(message) = self.messages.get_mut(place) {
            message.fields = fields;
            message.required_oneofs = required_oneofs;
            message.shape = shape;
        }
        Ok(place)
    }

    fn field(&mut self, field: &FieldDescriptor) -> anyhow::Result<Field> {
        let options = field.options();
        let ours = |name: &str| flag(&options, field.parent_pool(), name);
        let given = option(&options, field.parent_pool(), "buf.validate.field");
        let mut given: buf::FieldRules = match given.as_ref().and_then(Reflected::as_message) {
            Some(given) => given.transcode_to()?,
            None => buf::FieldRules::default(),
        };
        let required = behaves(field, FieldBehavior::Required) || given.required.take().unwrap_or_default();
        ensure!(
            !required || field.is_list() || field.is_map() || field.supports_presence() || has_empty_value(field),
            "a number or truth value without presence cannot be told to be missing"
        );
        let ignore_empty = given.ignore.take() == Some(buf::Ignore::IfZeroValue.into());
        let marks = Text {
            not_card: ours("counterfoil.common.v1.not_card"),
            redirect_url: ours("counterfoil.common.v1.redirect_url"),
            form: option(&options, field.parent_pool(), "counterfoil.common.v1.form")
                .and_then(|form| form.as_str().map(|form| format!("must {form}"))),
            ..Text::default()
        };
        let metadata = ours("counterfoil.common.v1.metadata");
        ensure!(!metadata || field.is_map(), "metadata is a map");

        let (mut items, mut unique) = (None, false);
        let mut of_value = given.r#type.take();
        let mut of_key = None;
        ensure!(given == buf::FieldRules::default(), "not understood: {given:?}");
        match of_value {
            Some(buf::field_rules::Type::Repeated(mut rules)) => {
                items = bounds(rules.min_items.take(), rules.max_items.take());
                unique = rules.unique.take().unwrap_or_default();
                of_value = of_each(rules.items.take())?;
                ensure!(*rules == buf::RepeatedRules::default(), "not understood: {rules:?}");
            }
            Some(buf::field_rules::Type::Map(mut rules)) => {
                items = bounds(rules.min_pairs.take(), rules.max_pairs.take());
                of_key = of_each(rules.keys.take())?;
                of_value = of_each(rules.values.take())?;
                ensure!(*rules == buf::MapRules::default(), "not understood: {rules:?}");
            }
            other => of_value = other,
        }
        let (kind, key_kind) = kinds(field);
        let key = match key_kind {
            Some(kind) => self.value(&kind, of_key, Text::default())?,
            None => Value::Any,
        };
        Ok(Field {
            descriptor: field.clone(),
            required,
            output_only: behaves(field, FieldBehavior::OutputOnly),
            metadata,
            ignore_empty,
            items,
            unique,
            value: self.value(&kind, of_value, marks)?,
            key,
        })
    }

    fn value(&mut self, kind: &Kind, given: Option<buf::field_rules::Type>, marks: Text) -> anyhow::Result<Value> {
        use buf::field_rules::Type;
        Ok(match (kind, given) {
            (Kind::String, None) => Value::Text(marks),
            (Kind::String, Some(Type::String(rules))) => Value::Text(text(rules, marks)?),
            (Kind::Message(message), None) => Value::Message(self.place(message)?),
            (Kind::Enum(descriptor), Some(Type::Enum(mut rules))) => {
                let read = Enum {
                    descriptor: descriptor.clone(),
                    defined_only: rules.defined_only.take().unwrap_or_default(),
                    one_of: std::mem::take(&mut rules.r#in),
                    none_of: std::mem::take(&mut rules.not_in),
                };
                ensure!(rules == buf::EnumRules::default(), "not understood: {rules:?}");
                Value::Enum(read)
            }
            (Kind::Bytes, Some(Type::Bytes(mut rules))) => {
                let (min, max) =
                    bounds(rules.min_len.take(), rules.max_len.take()).unwrap_or((Bound::Unbounded, Bound::Unbounded));
                ensure!(rules == buf::BytesRules::default(), "not understood: {rules:?}");
                Value::Bytes(min, max)
            }
            (_, Some(Type::Int32(rules))) => whole!(int32_rules, Int32Rules, rules),
            (_, Some(Type::Int64(rules))) => whole!(int64_rules, Int64Rules, rules),
            (_, Some(Type::Uint32(rules))) => whole!(u_int32_rules, UInt32Rules, rules),
            (_, Some(Type::Uint64(rules))) => whole!(u_int64_rules, UInt64Rules, rules),
            (_, None) => Value::Any,
            (kind, Some(given)) => bail!("not understood for {kind:?}: {given:?}"),
        })
    }
}

/// Reads the rules of one kind of whole numbers, which differ by nothing but their types.
macro_rules! whole {
    ($module:ident, $type:ident, $rules:ident) => {{
        use counterfoil_proto::buf::validate::$module::{GreaterThan, LessThan};
        let mut rules = $rules;
        let least = match rules.greater_than.take() {
            Some(GreaterThan::Gt(bound)) => Bound::Excluded(i128::from(bound)),
            Some(GreaterThan::Gte(bound)) => Bound::Included(i128::from(bound)),
            None => Bound::Unbounded,
        };
        let most = match rules.less_than.take() {
            Some(LessThan::Lt(bound)) => Bound::Excluded(i128::from(bound)),
            Some(LessThan::Lte(bound)) => Bound::Included(i128::from(bound)),
            None => Bound::Unbounded,
        };
        let one_of = std::mem::take(&mut rules.r#in).into_iter().map(i128::from).collect();
        let none_of = std::mem::take(&mut rules.not_in).into_iter().map(i128::from).collect();
        ensure!(rules == buf::$type::default(), "not understood: {rules:?}");
        ensure!(rises(least, most), "the bounds leave nothing between them");
        Value::Whole(Whole {
            range: (least, most),
            one_of,
            none_of,
        })
    }};
}
use whole;

fn text(mut rules: buf::StringRules, marks: Text) -> anyhow::Result<Text> {
    use buf::string_rules::WellKnown;
    let uuid = match rules.well_known.take() {
        None => false,
        Some(WellKnown::Uuid(true)) => true,
        Some(other) => bail!("not understood: {other:?}"),
    };
    let pattern = rules.pattern.take().map(|pattern| Regex::new(&pattern)).transpose()?;
    let read = Text {
        uuid,
        length: bounds(rules.min_len.take(), rules.max_len.take()),
        pattern,
        one_of: std::mem::take(&mut rules.r#in),
        none_of: std::mem::take(&mut rules.not_in),
        ..marks
    };
    ensure!(rules == buf::StringRules::default(), "not understood: {rules:?}");
    Ok(read)
}

/// The rules of a list's items or a map's keys or values, which may have no others than those of their type.
fn of_each(given: Option<Box<buf::FieldRules>>) -> anyhow::Result<Option<buf::field_rules::Type>> {
    let Some(mut given) = given else { return Ok(None) };
    let rules = given.r#type.take();
    ensure!(*given == buf::FieldRules::default(), "not understood: {given:?}");
    Ok(rules)
}

/// The kind of a field's values, and of its keys where it is a map.
fn kinds(field: &FieldDescriptor) -> (Kind, Option<Kind>) {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => (
            entry.map_entry_value_field().kind(),
            Some(entry.map_entry_key_field().kind()),
        ),
        kind => (kind, None),
    }
}

/// Whether the zero value of a field without presence says that it is missing.
fn has_empty_value(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Enum(_))
}

fn bounds(min: Option<u64>, max: Option<u64>) -> Option<(Bound<usize>, Bound<usize>)> {
    let bound = |bound: Option<u64>| match bound {
        Some(bound) => Bound::Included(usize::try_from(bound).unwrap_or(usize::MAX)),
        None => Bound::Unbounded,
    };
    (min.is_some() || max.is_some()).then(|| (bound(min), bound(max)))
}

fn rises(least: Bound<i128>, most: Bound<i128>) -> bool {
    match (least, most) {
        (Bound::Included(least), Bound::Included(most)) => least <= most,
        (Bound::Included(least) | Bound::Excluded(least), Bound::Included(most) | Bound::Excluded(most)) => {
            least < most
        }
        _ => true,
    }
}

fn is_required(oneof: &OneofDescriptor) -> anyhow::Result<bool> {
    let given = option(&oneof.options(), oneof.parent_pool(), "buf.validate.oneof");
    let Some(given) = given.as_ref().and_then(Reflected::as_message) else {
        return Ok(false);
    };
    let rules: buf::OneofRules = given.transcode_to()?;
    Ok(rules.required.unwrap_or_default())
}

fn shape(message: &MessageDescriptor) -> anyhow::Result<Shape> {
    let named = |name: &str, kind: Kind| message.get_field_by_name(name).filter(|field| field.kind() == kind);
    let page = match (named("page_size", Kind::Int32), named("page_token", Kind::String)) {
        (Some(size), Some(token)) => {
            let options = size.options();
            let page = option(&options, size.parent_pool(), "counterfoil.common.v1.page");
            let page = page.as_ref().and_then(Reflected::as_message);
            let page = page.with_context(|| format!("{} does not say how large a page is", size.full_name()))?;
            let page: counterfoil_proto::common::v1::Page = page.transcode_to()?;
            ensure!(
                1 <= page.default_size && page.default_size <= page.max_size,
                "{}: the default size is at least 1 and at most the largest",
                size.full_name()
            );
            Some(PageFields {
                size,
                token,
                default_size: page.default_size,
                max_size: page.max_size,
            })
        }
        _ => None,
    };
    Ok(Shape {
        idempotency_key: named("idempotency_key", Kind::String),
        validate_only: named("validate_only", Kind::Bool),
        page,
        update: update(message)?,
    })
}

/// The mask of an update and the one other message of the request, which it is about.
/// Source: <https://google.aip.dev/134>.
fn update(message: &MessageDescriptor) -> anyhow::Result<Option<UpdateFields>> {
    let is_mask = |field: &FieldDescriptor| {
        field
            .kind()
            .as_message()
            .is_some_and(|kind| kind.full_name() == FIELD_MASK)
    };
    let Some(mask) = message.get_field_by_name("update_mask").filter(is_mask) else {
        return Ok(None);
    };
    let others = message.fields().filter(|field| !field.is_list() && !is_mask(field));
    let mut others = others.filter_map(|field| field.kind().as_message().cloned());
    match (others.next(), others.next()) {
        (Some(resource), None) => Ok(Some(UpdateFields { mask, resource })),
        _ => bail!("{} does not say what its mask is about", message.full_name()),
    }
}

/// Whether a field says so of itself. Source: <https://google.aip.dev/203>.
pub(super) fn behaves(field: &FieldDescriptor, as_: FieldBehavior) -> bool {
    let said = option(&field.options(), field.parent_pool(), "google.api.field_behavior");
    let mut said = said.iter().filter_map(Reflected::as_list).flatten();
    said.any(|behavior| behavior.as_enum_number() == Some(as_.into()))
}

fn option(options: &DynamicMessage, pool: &DescriptorPool, name: &str) -> Option<Reflected> {
    let extension = pool.get_extension_by_name(name)?;
    let given = options.has_extension(&extension);
    given.then(|| options.get_extension(&extension).into_owned())
}

fn flag(options: &DynamicMessage, pool: &DescriptorPool, name: &str) -> bool {
    option(options, pool, name)
        .and_then(|value| value.as_bool())
        .unwrap_or_default()
}
