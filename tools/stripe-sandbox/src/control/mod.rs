//! The control API under `/_sandbox/`: the clock, faults, endpoints with chosen secrets, and what a test may look at.

pub(crate) mod api;
pub(crate) mod billing;
pub(crate) mod disputes;
pub(crate) mod faults;
pub(crate) mod keys;
pub(crate) mod scenario;
pub(crate) mod snapshot;
pub(crate) mod trigger;
pub(crate) mod webhooks;
