//! What is only to be validated is answered as if it had been done, and leaves nothing: its key is free for any request.

use futures::future::try_join_all;
use prost_reflect::{MethodDescriptor, Value};

use super::ensure;
use crate::target::{Target, path};

const KEY: &str = "idempotency_key";
const VALIDATE_ONLY: &str = "validate_only";

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let mut methods = target.unary();
    methods.retain(|method| method.input().get_field_by_name(VALIDATE_ONLY).is_some());
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let mut request = target.parse(&method.input(), target.example(method)?.other)?;
    let mut other = target.request(method)?;
    for rehearsed in [&mut request, &mut other] {
        rehearsed.set_field_by_name(VALIDATE_ONLY, Value::Bool(true));
    }
    other.set_field_by_name(KEY, request.get_field_by_name(KEY).unwrap().into_owned());
    let foretold = target.answer(method, &request).await?;
    target.answer(method, &other).await?;
    request.clear_field_by_name(VALIDATE_ONLY);
    let done = target.answer(method, &request).await?;
    ensure(done == foretold, || {
        format!(
            "{}: what would come is {foretold}, and what came is {done}",
            path(method)
        )
    })
}
