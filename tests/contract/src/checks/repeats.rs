//! A repeat with the same key gets the same answer, and another request with that key none. An operator's call leaves one
//! audit row, and its repeat no other.

use futures::future::try_join_all;
use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage};
use tonic::Code;

use super::ensure;
use crate::target::{Target, path};

const KEY: &str = "idempotency_key";

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let mut methods = target.unary();
    methods.retain(|method| method.input().get_field_by_name(KEY).is_some());
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let (path, example) = (path(method), target.example(method)?);
    let request = target.request(method)?;
    let lasting = |mut answer: DynamicMessage| {
        for field in example.fresh {
            let field = answer.descriptor().get_field_by_name(field).unwrap();
            answer.clear_field(&field);
        }
        answer
    };
    let first = lasting(target.answer(method, &request).await?);
    let again = lasting(target.answer(method, &request).await?);
    ensure(first == again, || {
        format!("{path}: the first call is answered with {first}, its repeat with {again}")
    })?;

    let key = request.get_field_by_name(KEY).unwrap().into_owned();
    let recorded = (target.audited)(key.as_str().unwrap().to_owned()).await?;
    let expected = i64::from(is_admin(method));
    ensure(recorded == expected, || {
        format!("{path}: a call and its repeat leave {recorded} audit rows, not {expected}")
    })?;

    let mut other = target.parse(&method.input(), example.other)?;
    other.set_field_by_name(KEY, key);
    ensure(other != request, || format!("{path}: the other example is the same"))?;
    let (code, reason) = target.call(method, &other).await?.told()?;
    ensure(
        (code, reason.as_str()) == (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED"),
        || format!("{path}: another request with the key of the first is answered with {code:?} {reason}"),
    )
}

fn is_admin(method: &MethodDescriptor) -> bool {
    let admin = method
        .parent_pool()
        .get_extension_by_name("counterfoil.common.v1.admin");
    admin.is_some_and(|admin| method.options().get_extension(&admin).as_bool() == Some(true))
}
