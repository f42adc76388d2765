//! The consuming side of the event log: subscribe, decide, checkpoint.
