//! Protobuf to model and back. Nothing is decided here.

mod checkout_session;
mod entitlement;
mod subscription;

pub use checkout_session::Checkout;
pub use entitlement::Entitlements;
pub use subscription::Subscriptions;

use chrono::{DateTime, Utc};
use counterfoil_proto::common::v1 as common;
use counterfoil_types::Money;
use tonic::{Response, Status};

fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

fn money(money: Money) -> common::Money {
    common::Money {
        minor_units: money.minor_units,
        currency_code: money.currency.code().to_owned(),
    }
}

type Reply<T> = Result<Response<T>, Status>;
