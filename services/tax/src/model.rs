//! Resources, requests and states. No I/O, no foreign types.

pub mod calculation;
