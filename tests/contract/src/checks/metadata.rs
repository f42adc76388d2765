//! What may be written into an object's metadata is what Stripe takes, exactly, and none of our own keys.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, MapKey, MethodDescriptor, Value};
use tonic::Code;

use super::ensure;
use crate::target::{Target, marked, path};

pub(super) async fn check(target: &Target) -> Result<(), String> {
    for method in target.unary() {
        for field in method.input().fields().filter(|field| marked(field, "metadata")) {
            of_field(target, &method, &field).await?;
        }
    }
    Ok(())
}

async fn of_field(target: &Target, method: &MethodDescriptor, field: &FieldDescriptor) -> Result<(), String> {
    let one = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    let many = |count: usize| (0..count).map(|n| (format!("key {n}"), "value".to_owned())).collect();
    for (pairs, taken) in [
        (many(50), true),
        (many(51), false),
        (one(&"\u{e4}".repeat(40), "value"), true),
        (one(&"\u{e4}".repeat(41), "value"), false),
        (one("key", &"\u{e4}".repeat(500)), true),
        (one("key", &"\u{e4}".repeat(501)), false),
        (one("key", ""), true),
        (one("", "value"), false),
        (one("a[b]", "value"), false),
        (one("op_key", "value"), false),
        (one("Op_Key", "value"), false),
        (one("user_id", "value"), false),
    ] {
        let mut request = target.request(method)?;
        let entry = |(key, value): &(String, String)| (MapKey::String(key.clone()), Value::String(value.clone()));
        let entries: HashMap<_, _> = pairs.iter().map(entry).collect();
        request.set_field(field, Value::Map(entries));
        let (code, reason) = target.call(method, &request).await?.told()?;
        let expected = if taken { Code::Ok } else { Code::InvalidArgument };
        ensure(code == expected, || {
            let first = pairs.first();
            let count = pairs.len();
            format!(
                "{}: {count} pairs, the first {first:?}, are answered with {code:?} {reason}",
                path(method)
            )
        })?;
    }
    Ok(())
}
