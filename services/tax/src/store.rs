//! The service's tables: functions on a connection, one file per table.

pub mod calculation;
mod schema;
