//! Nobody changes a state that they have not seen.

use futures::future::try_join_all;
use prost_reflect::{MethodDescriptor, Value};
use tonic::Code;

use super::ensure;
use crate::target::{Target, path};

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let mut methods = target.unary();
    methods.retain(|method| method.input().get_field_by_name("etag").is_some());
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let mut request = target.request(method)?;
    request.set_field_by_name("etag", Value::String("\"stale\"".to_owned()));
    let (code, reason) = target.call(method, &request).await?.told()?;
    ensure((code, reason.as_str()) == (Code::Aborted, "ETAG_MISMATCH"), || {
        format!(
            "{}: an etag of another state is answered with {code:?} {reason}",
            path(method)
        )
    })
}
