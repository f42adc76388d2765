//! The clock of schedules and of everything that is not a lease or a signature.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// A clock that is handed to whoever needs the time. Cheap to clone; clones share one time.
///
/// It is the wall clock plus an offset that only `tools/dev` and tests move, or, for tests, a time that stands still
/// until it is advanced. Leases use the database's clock instead, signatures the wall clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Microseconds since 1970 where the clock stands still; `None` where it ticks.
    base: Option<i64>,
    offset_micros: AtomicI64,
}

impl Clock {
    /// The wall clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Inner {
            base: None,
            offset_micros: AtomicI64::new(0),
        }))
    }

    /// A clock that stands at `time` until it is advanced.
    #[must_use]
    pub fn fixed(time: DateTime<Utc>) -> Self {
        Self(Arc::new(Inner {
            base: Some(time.timestamp_micros()),
            offset_micros: AtomicI64::new(0),
        }))
    }

    /// The present time, to the microsecond.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
        let base = self.0.base.unwrap_or_else(|| Utc::now().timestamp_micros());
        let micros = base.saturating_add(self.0.offset_micros.load(Ordering::Relaxed));
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Moves the clock, and all its clones, forward by `by` (backward where it is negative).
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(i64::MAX);
        self.0.offset_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_stands_still_and_all_clones_move_together() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_000, 0).unwrap());
        let clone = clock.clone();
        assert_eq!(clock.now().timestamp(), 1_000);
        clone.advance(TimeDelta::days(1));
        assert_eq!(clock.now().timestamp(), 1_000 + 86_400);
    }
}
