//! Protobuf to model and back. Nothing is decided here.

mod checkout_session;
mod entitlement;
mod subscription;

pub use checkout_session::Checkout;
pub use entitlement::Entitlements;
pub use subscription::Subscriptions;

use tonic::{Response, Status};

type Reply<T> = Result<Response<T>, Status>;
