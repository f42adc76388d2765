//! What time an answer speaks of.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The interval, by Stripe's clock, in which the state in an answer was the state. Both ends are inclusive. It is what
/// puts an answer in order with events, which carry Stripe's time too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Before this the request had not been sent.
    pub known_from: DateTime<Utc>,
    /// After this the answer was on its way.
    pub known_to: DateTime<Utc>,
}

impl Stamp {
    /// From the answer's `Date`, which has whole seconds, and the time from sending to having it.
    pub(crate) fn of(date: &str, elapsed: Duration) -> Option<Stamp> {
        let date = DateTime::parse_from_rfc2822(date).ok()?.with_timezone(&Utc);
        let second = TimeDelta::seconds(1);
        // Rounded up to what the database can hold, so that a stamp comes back from it as it was.
        let elapsed = TimeDelta::microseconds(i64::try_from(elapsed.as_nanos().div_ceil(1_000)).ok()?);
        Some(Stamp {
            known_from: date.checked_sub_signed(elapsed)?.checked_sub_signed(second)?,
            known_to: date.checked_add_signed(second)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_spans_the_call_and_the_grain_of_the_date() {
        let stamp = Stamp::of("Sun, 06 Nov 1994 08:49:37 GMT", Duration::from_millis(250)).unwrap();
        assert_eq!(stamp.known_from.to_rfc3339(), "1994-11-06T08:49:35.750+00:00");
        assert_eq!(stamp.known_to.to_rfc3339(), "1994-11-06T08:49:38+00:00");
    }

    #[test]
    fn a_stamp_is_in_whole_microseconds_and_never_too_narrow() {
        let stamp = Stamp::of("Sun, 06 Nov 1994 08:49:37 GMT", Duration::from_nanos(1)).unwrap();
        assert_eq!(stamp.known_from.to_rfc3339(), "1994-11-06T08:49:35.999999+00:00");
    }

    #[test]
    fn a_date_that_is_none_gives_no_stamp() {
        for date in ["", "now", "1994-11-06", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(Stamp::of(date, Duration::ZERO), None, "{date}");
        }
        assert_eq!(Stamp::of("Sun, 06 Nov 1994 08:49:37 GMT", Duration::MAX), None);
    }
}
