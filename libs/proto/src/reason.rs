//! Reasons as `google.rpc.ErrorInfo` wants them. Source: <https://google.aip.dev/193>.

use crate::{billing, common, connect, customer, event, tax};

/// A reason that some package documents in its `error_reason.proto`.
pub trait Reason {
    /// The reason in capitals, without the enum's prefix: `"NOT_FOUND"`.
    fn name(&self) -> &'static str;
}

macro_rules! reasons {
    ($($reason:path => $prefix:literal),+ $(,)?) => {
        $(impl Reason for $reason {
            fn name(&self) -> &'static str {
                let name = self.as_str_name();
                name.strip_prefix($prefix).unwrap_or(name)
            }
        })+
    };
}

reasons!(
    common::v1::ErrorReason => "ERROR_REASON_",
    common::v1::FieldReason => "FIELD_REASON_",
    billing::v1::ErrorReason => "ERROR_REASON_",
    connect::v1::ErrorReason => "ERROR_REASON_",
    customer::v1::ErrorReason => "ERROR_REASON_",
    event::v1::ErrorReason => "ERROR_REASON_",
    tax::v1::ErrorReason => "ERROR_REASON_",
);
