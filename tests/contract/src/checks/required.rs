//! Whatever is missing is named, all of it at once.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, Value};
use tonic::Code;

use super::ensure;
use crate::target::{Target, behaves, path};

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let methods = target.unary();
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    // First nothing at all, then all messages that are required, with nothing in them.
    for filled in [false, true] {
        let mut request = DynamicMessage::new(method.input());
        let mut missing = BTreeSet::new();
        fill(&mut request, filled, "", &mut missing);
        if missing.is_empty() {
            continue;
        }
        let answer = target.call(method, &request).await?;
        let (code, reason) = answer.told()?;
        let details = answer.details()?;
        let violations = details.bad_request().map(|bad| bad.field_violations.clone());
        let violations = violations.unwrap_or_default();
        let named: BTreeSet<_> = violations.into_iter().map(|violation| violation.field).collect();
        let unnamed: Vec<_> = missing.difference(&named).collect();
        ensure(code == Code::InvalidArgument && unnamed.is_empty(), || {
            format!(
                "{}: {unnamed:?} are missing, which {code:?} {reason} does not say",
                path(method)
            )
        })?;
    }
    Ok(())
}

/// Makes the messages that are required, where they are to be `filled` in, and notes every field that then is missing.
fn fill(message: &mut DynamicMessage, filled: bool, at: &str, missing: &mut BTreeSet<String>) {
    let descriptor: MessageDescriptor = prost_reflect::ReflectMessage::descriptor(message);
    for field in descriptor.fields().filter(|field| behaves(field, "REQUIRED")) {
        let name = format!("{at}{}", field.name());
        match field.kind() {
            Kind::Message(inner) if filled && inner.package_name() != "google.protobuf" => {
                let mut value = DynamicMessage::new(inner);
                if field.is_list() {
                    fill(&mut value, filled, &format!("{name}[0]."), missing);
                    message.set_field(&field, Value::List(vec![Value::Message(value)]));
                } else {
                    fill(&mut value, filled, &format!("{name}."), missing);
                    message.set_field(&field, Value::Message(value));
                }
            }
            _ => {
                missing.insert(name);
            }
        }
    }
    for oneof in descriptor.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let extension = oneof.parent_pool().get_extension_by_name("buf.validate.oneof").unwrap();
        let options = oneof.options();
        let rules = options.get_extension(&extension);
        let required = rules
            .as_message()
            .unwrap()
            .get_field_by_name("required")
            .unwrap()
            .as_bool();
        if required == Some(true) {
            missing.insert(format!("{at}{}", oneof.name()));
        }
    }
}
