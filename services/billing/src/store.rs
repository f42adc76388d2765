//! Rows to model and back. Functions on a connection: they take no pool, open no transaction, know no protobuf.

pub mod customer_user;
mod schema;
pub mod subscription;

use chrono::{DateTime, Utc};

/// What is stored of an object's history, to decide about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The earliest moment, in Stripe's clock, the stored state may be of.
    pub from: DateTime<Utc>,
    /// The latest.
    pub to: DateTime<Utc>,
    /// Whether nothing follows the stored state.
    pub terminal: bool,
}
