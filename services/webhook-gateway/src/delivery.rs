//! A delivery: bytes that are proven to be Stripe's, and how they came.

use bytes::Bytes;

/// A delivery with a valid signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The name of the endpoint it came to.
    pub(crate) endpoint: String,
    /// The name of the secret its signature was made with.
    pub(crate) secret_name: String,
    /// The header as it came.
    pub(crate) signature: String,
    /// The context of the span that received it; empty where nothing traces.
    pub(crate) traceparent: String,
    /// The bytes that were signed.
    pub(crate) body: Bytes,
}
