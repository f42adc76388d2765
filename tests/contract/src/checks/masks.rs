//! A mask names fields that there are, and that may be written.

use futures::future::try_join_all;
use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor, Value};
use tonic::Code;

use super::ensure;
use crate::target::{Target, behaves, path};

const MASK: &str = "update_mask";

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let mut methods = target.unary();
    methods.retain(|method| method.input().get_field_by_name(MASK).is_some());
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let resource = resource(&method.input());
    let fields = resource.fields();
    let fixed = fields.filter(|field| behaves(field, "OUTPUT_ONLY") || behaves(field, "IMMUTABLE"));
    let fixed = fixed.map(|field| field.name().to_owned());
    for wrong in fixed.chain(["nowhere".to_owned(), String::new(), "*.title".to_owned()]) {
        let mut request = target.request(method)?;
        let mask = request.get_field_by_name_mut(MASK).unwrap().as_message_mut().unwrap();
        mask.set_field_by_name("paths", Value::List(vec![Value::String(wrong.clone())]));
        let (code, reason) = target.call(method, &request).await?.told()?;
        ensure(
            (code, reason.as_str()) == (Code::InvalidArgument, "INVALID_FIELD_MASK"),
            || {
                format!(
                    "{}: a mask with {wrong:?} is answered with {code:?} {reason}",
                    path(method)
                )
            },
        )?;
    }
    Ok(())
}

/// The one message in the request that is not the mask.
fn resource(request: &MessageDescriptor) -> MessageDescriptor {
    let messages = request.fields().filter(|field| field.name() != MASK);
    let mut messages = messages.filter_map(|field| match field.kind() {
        Kind::Message(message) => Some(message),
        _ => None,
    });
    messages.next().unwrap()
}
