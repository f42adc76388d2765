//! What this gateway has seen since it started.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Complete deliveries with a valid signature.
    pub(crate) received: Counter,
    /// Events that were new to the log.
    pub(crate) stored: Counter,
    /// Events the log had already.
    pub(crate) duplicates: Counter,
    /// Deliveries that were answered with 4xx.
    pub(crate) refused: Counter,
    /// Deliveries that went to quarantine.
    pub(crate) quarantined: Counter,
    /// Deliveries that were answered with 503.
    pub(crate) failed: Counter,
}

/// A count that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count, as protobuf has it.
    pub(crate) fn get(&self) -> i64 {
        i64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }
}
