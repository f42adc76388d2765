//! The durable log: tables `event_dedupe`, `event_log`, `log_head`, `quarantine` and `event_finding`. Functions on a connection.

use std::ops::RangeInclusive;

/// The times there can be, in seconds since 1970: to the last second of the year 9999, the last that RFC 3339 and protobuf can
/// tell.
pub(crate) const TIMES: RangeInclusive<i64> = 0..=253_402_300_799;

pub(crate) mod append;
pub(crate) mod finding;
pub(crate) mod head;
pub(crate) mod list;
pub(crate) mod partitions;
pub(crate) mod quarantine;
pub(crate) mod read;
