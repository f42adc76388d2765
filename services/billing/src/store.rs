//! Rows to model and back. Functions on a connection: they take no pool, open no transaction, know no protobuf.

pub mod customer_user;
mod schema;
pub mod subscription;
