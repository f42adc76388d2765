//! The service's tables: functions on a connection, one file per table.

pub mod connected_account;
mod schema;
