//! Logs, traces and metrics: one init, one guard, and the layers that carry a trace across a call.
