//! The durable log: tables `event_dedupe`, `event_log`, `log_head`, `quarantine` and `event_finding`. Functions on a connection.

pub(crate) mod append;
pub(crate) mod finding;
pub(crate) mod head;
pub(crate) mod list;
pub(crate) mod partitions;
pub(crate) mod quarantine;
pub(crate) mod read;
