//! Resources, requests, states and rules. No I/O, no foreign types.

pub mod access;
pub mod checkout_session;
pub mod subscription;
