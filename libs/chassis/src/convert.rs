//! The protobuf messages that all services share, from the values they stand for.

use chrono::{DateTime, Utc};
use counterfoil_proto::common::v1 as common;
use counterfoil_types::Money;
use prost_types::Timestamp;

/// A point in time, to the nanosecond.
#[must_use]
pub fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        // Below two billion, even in a leap second.
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

/// An amount in minor units of its currency.
#[must_use]
pub fn money(money: Money) -> common::Money {
    common::Money {
        minor_units: money.minor_units,
        currency_code: money.currency.code().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_types::Currency;

    use super::*;

    #[test]
    fn what_is_converted_keeps_its_value() {
        let before_1970 = DateTime::from_timestamp(-2, 500_000_000).unwrap();
        assert_eq!(
            timestamp(before_1970),
            Timestamp {
                seconds: -2,
                nanos: 500_000_000
            }
        );
        let yen = Money {
            minor_units: -500,
            currency: Currency::parse("jpy").unwrap(),
        };
        assert_eq!(
            money(yen),
            common::Money {
                minor_units: -500,
                currency_code: "jpy".to_owned()
            }
        );
    }
}
