//! A stateful stand-in for Stripe at the wire, with a clock that can be moved.
