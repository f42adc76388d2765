//! A message that is too long is refused before it is read, and too many headers are; neither harms the next call.

use bytes::Bytes;
use futures::future::try_join_all;
use http::StatusCode;
use prost_reflect::MethodDescriptor;
use tonic::Code;

use super::ensure;
use crate::target::{Target, path};
use crate::wire::{framed, whole, withheld};

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let methods = target.methods();
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let (wire, path) = (target.wire(method), path(method));
    // Only the envelope comes, so nothing but its length can be what is refused.
    let length = u32::try_from(target.max_message_bytes + 1).unwrap().to_be_bytes();
    let head = Bytes::from([&[0], length.as_slice()].concat());
    let (code, reason) = wire.call(&path, &[], whole(head)).await?.told()?;
    ensure(
        (code, reason.as_str()) == (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        || format!("{path}: a message over the limit is answered with {code:?} {reason}"),
    )?;

    let much = "a".repeat(32 * 1024);
    let answer = wire.call(&path, &[("x-much", &much)], withheld()).await;
    let refused = match &answer {
        // The answer of HTTP: the call never came to be one of gRPC's.
        Ok(answer) => answer.http == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Err(_) => false,
    };
    ensure(refused, || {
        format!("{path}: 32 KiB of headers are answered with {answer:?}")
    })?;

    let (code, _) = wire.call(&path, &[], framed(&[0x0a, 9, b'x'])).await?.told()?;
    ensure(code == Code::InvalidArgument, || {
        format!("{path}: after a message and headers over their limits the next call is answered with {code:?}")
    })
}
