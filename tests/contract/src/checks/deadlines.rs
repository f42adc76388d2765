//! A caller is answered at the deadline, and no call outlives the longest that there is. The callers here never send their
//! message, so that no call is done before. Streams are not meant: they last as long as their service lets them.

use futures::future::{join, try_join_all};
use prost_reflect::MethodDescriptor;
use tonic::Code;

use super::ensure;
use crate::target::{Target, path};
use crate::wire::withheld;

pub(super) async fn check(target: &Target) -> Result<(), String> {
    let methods = target.unary();
    try_join_all(methods.iter().map(|method| of_method(target, method))).await?;
    Ok(())
}

async fn of_method(target: &Target, method: &MethodDescriptor) -> Result<(), String> {
    let (wire, path) = (&target.hasty[method.parent_service().full_name()], path(method));
    let call = async |timeout: &str| {
        let (code, reason) = wire
            .call(&path, &[("grpc-timeout", timeout)], withheld())
            .await?
            .told()?;
        ensure(
            (code, reason.as_str()) == (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            || format!("{path}: a call with the timeout {timeout} is answered with {code:?} {reason}"),
        )
    };
    let (short, long) = join(call("1m"), call("99999999H")).await;
    short.and(long)
}
