//! Every failure has a reason that is documented, for the code it stands with, and the details it is documented with.

use std::collections::BTreeMap;

use counterfoil_chassis::status::{DOMAIN, code_name};
use futures::future::try_join_all;
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Code;

use super::ensure;
use crate::reasons::{COMMON, Reason, in_order, of_package};
use crate::target::{Target, path};
use crate::wire::{Answer, Body, envelope, framed, whole, withheld};

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let methods = target.methods();
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

/// Makes a call fail in each way that every method has.
async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let empty = DynamicMessage::new(method.input()).encode_to_vec();
    let mut flagged = envelope(&empty).to_vec();
    flagged[0] = 1;
    let mut ways: Vec<(&[(&str, &str)], Body)> = vec![
        // Field 1, of which there are fewer bytes than it says.
        (&[], framed(&[0x0a, 9, b'x'])),
        (&[("grpc-encoding", "gzip")], whole(flagged.into())),
        (&[("authorization", "Bearer nobody's")], framed(&empty)),
    ];
    // A stream without a message is none that failed, and its deadline is met once it has begun.
    if !method.is_client_streaming() {
        ways.push((&[], whole(bytes::Bytes::new())));
        ways.push((&[("grpc-timeout", "1m")], withheld()));
    }
    for (headers, body) in ways {
        let answer = target.wire(method).call(&path(method), headers, body).await?;
        failed(target, method, &answer)?;
    }
    // Where every field may be missing this succeeds.
    let answer = target.wire(method).call(&path(method), &[], framed(&empty)).await?;
    if answer.status()?.code() != Code::Ok {
        failed(target, method, &answer)?;
    }
    let nowhere = format!("{}Elsewhere", path(method));
    let answer = target.wire(method).call(&nowhere, &[], framed(&empty)).await?;
    failed(target, method, &answer)
}

/// Looks at a failure as whoever called sees it.
fn failed(target: &Target, method: &MethodDescriptor, answer: &Answer) -> Result<(), String> {
    let status = answer.status()?;
    let complaint = |what: String| format!("{}: {what}, in {status:?}", path(method));
    let details = answer.details().map_err(complaint)?;
    let name = code_name(status.code());
    ensure(status.code() != Code::Ok, || complaint("succeeded".to_owned()))?;
    ensure(!status.message().is_empty(), || complaint("no message".to_owned()))?;
    let info = details
        .error_info()
        .ok_or_else(|| complaint("no ErrorInfo".to_owned()))?;
    ensure(info.domain == DOMAIN, || {
        complaint(format!("the domain {:?}", info.domain))
    })?;

    let package = method.parent_service().package_name().to_owned();
    let documented = [COMMON, &package].map(|package| of_package(&target.pool, package));
    let reason = documented
        .iter()
        .find_map(|reasons: &BTreeMap<String, Reason>| reasons.get(&info.reason));
    let reason = reason.ok_or_else(|| complaint(format!("the reason {} is not documented", info.reason)))?;
    ensure(reason.code.is_empty() || reason.code == name, || {
        complaint(format!(
            "{} is documented for {} and came with {name}",
            reason.name, reason.code
        ))
    })?;
    for (detail, there) in [
        ("RetryInfo", details.retry_info().is_some()),
        ("ResourceInfo", details.resource_info().is_some()),
        ("BadRequest", details.bad_request().is_some()),
        ("LocalizedMessage", details.localized_message().is_some()),
    ] {
        let promised = reason.meaning.contains(&format!("google.rpc.{detail}"));
        ensure(!promised || there, || {
            complaint(format!("{} is documented to have {detail} and has none", reason.name))
        })?;
    }
    let fields = target.pool.get_enum_by_name(&format!("{COMMON}.FieldReason")).unwrap();
    let fields = in_order(&fields, "FIELD_REASON_");
    for violation in details.bad_request().iter().flat_map(|bad| &bad.field_violations) {
        ensure(fields.iter().any(|reason| reason.name == violation.reason), || {
            complaint(format!(
                "the reason {:?} of a field is not documented",
                violation.reason
            ))
        })?;
    }
    Ok(())
}
