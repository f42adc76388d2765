//! Whom no row of the policy names may call nothing, and who is nobody less.

use futures::future::try_join_all;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Code;

use super::ensure;
use crate::target::{Target, path};

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let methods = target.methods();
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let request = match target.request(method) {
        Ok(request) => request,
        // A stream has no example; a message it would refuse tells as well.
        Err(_) if method.is_client_streaming() => DynamicMessage::new(method.input()),
        Err(error) => return Err(error),
    };
    for (token, expected) in [
        (target.stranger.as_str(), Code::PermissionDenied),
        ("none of ours", Code::Unauthenticated),
    ] {
        let (code, reason) = target.call_as(method, &request, Some(token)).await?.told()?;
        ensure(code == expected, || {
            format!(
                "{}: who may not call it is answered with {code:?} {reason}, not {expected:?}",
                path(method)
            )
        })?;
    }
    Ok(())
}
