//! What time an answer speaks of: the interval, by Stripe's clock, in which the state in it was the state. Both ends are
//! inclusive. It is what puts an answer in order with events, which carry Stripe's time too.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_types::Stamp;

/// From the answer's `Date`, which has whole seconds, and the time from sending to having it: from before the request was
/// sent to when the answer was on its way.
pub(crate) fn stamp(date: &str, elapsed: Duration) -> Option<Stamp> {
    let date = DateTime::parse_from_rfc2822(date).ok()?.with_timezone(&Utc);
    let second = TimeDelta::seconds(1);
    // Rounded up to what the database can hold, so that a stamp comes back from it as it was.
    let elapsed = TimeDelta::microseconds(i64::try_from(elapsed.as_nanos().div_ceil(1_000)).ok()?);
    Some(Stamp::Answer(
        date.checked_sub_signed(elapsed)?.checked_sub_signed(second)?,
        date.checked_add_signed(second)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_spans_the_call_and_the_grain_of_the_date() {
        let stamp = stamp("Sun, 06 Nov 1994 08:49:37 GMT", Duration::from_millis(250)).unwrap();
        let (from, to) = stamp.range();
        assert_eq!(from.to_rfc3339(), "1994-11-06T08:49:35.750+00:00");
        assert_eq!(to.to_rfc3339(), "1994-11-06T08:49:38+00:00");
    }

    #[test]
    fn a_stamp_is_in_whole_microseconds_and_never_too_narrow() {
        let stamp = stamp("Sun, 06 Nov 1994 08:49:37 GMT", Duration::from_nanos(1)).unwrap();
        assert_eq!(stamp.range().0.to_rfc3339(), "1994-11-06T08:49:35.999999+00:00");
    }

    #[test]
    fn a_date_that_is_none_gives_no_stamp() {
        for date in ["", "now", "1994-11-06", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(stamp(date, Duration::ZERO), None, "{date}");
        }
        assert_eq!(stamp("Sun, 06 Nov 1994 08:49:37 GMT", Duration::MAX), None);
    }
}
