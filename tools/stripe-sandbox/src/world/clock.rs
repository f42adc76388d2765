//! Virtual time: wall time, or a frozen moment, plus what the clock was advanced by.

use std::time::{SystemTime, UNIX_EPOCH};

/// The furthest a single advance may go: ten years.
pub(crate) const LONGEST_ADVANCE: i64 = 10 * 366 * 86_400;

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    frozen: Option<i64>,
    pub(crate) offset: i64,
}

impl Clock {
    pub(crate) fn new(frozen: Option<i64>) -> Self {
        Self { frozen, offset: 0 }
    }

    /// The same clock, never advanced.
    pub(crate) fn unmoved(&self) -> Self {
        Self::new(self.frozen)
    }

    /// Whether time passes by itself.
    pub(crate) fn ticks(&self) -> bool {
        self.frozen.is_none()
    }

    /// Unix seconds of virtual time.
    pub(crate) fn now(&self) -> i64 {
        self.frozen.unwrap_or_else(wall).saturating_add(self.offset)
    }
}

/// Unix seconds of wall time, which signatures use.
#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox is where this outside world's time comes from"
)]
pub(crate) fn wall() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_secs()).ok())
        .unwrap_or_default()
}
