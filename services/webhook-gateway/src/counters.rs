//! What this gateway has seen since it started.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::{KeyValue, global, metrics};

/// Counts of deliveries.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Complete deliveries with a valid signature.
    pub(crate) received: Counter,
    /// Events that were new to the log.
    pub(crate) stored: Counter,
    /// Events the log had already.
    pub(crate) duplicates: Counter,
    /// Deliveries that were answered with 4xx.
    pub(crate) refused: Counter,
    /// Deliveries that went to quarantine.
    pub(crate) quarantined: Counter,
    /// Deliveries that were answered with 503.
    pub(crate) failed: Counter,
}

/// A count that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count, as protobuf has it.
    pub(crate) fn get(&self) -> i64 {
        i64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }
}

/// The metric `counterfoil.webhook.verified`: deliveries with a valid signature, by `endpoint` and `secret.name`. When a
/// secret is rolled, its last count says when it can be taken out.
#[derive(Debug)]
pub(crate) struct Verified(metrics::Counter<u64>);

impl Verified {
    /// Counts to whatever provider of metrics the process has; without one, nowhere.
    pub(crate) fn new() -> Verified {
        let meter = global::meter("counterfoil");
        let counter = meter
            .u64_counter("counterfoil.webhook.verified")
            .with_unit("{delivery}");
        let counter = counter.with_description("Deliveries with a valid signature, by the secret it was made with");
        Verified(counter.build())
    }

    pub(crate) fn add_one(&self, endpoint: &str, secret_name: &str) {
        let labels = [
            KeyValue::new("endpoint", endpoint.to_owned()),
            KeyValue::new("secret.name", secret_name.to_owned()),
        ];
        self.0.add(1, &labels);
    }
}
