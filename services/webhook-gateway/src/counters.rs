//! What this gateway has seen since it started.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use opentelemetry::{KeyValue, global, metrics};
use tokio::time::Instant;

use crate::log::read::Filter;

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
    /// Events that were new to the log and of a type that no consumer asks for.
    pub(crate) unhandled: Counter,
    /// Deliveries that contradict the log.
    pub(crate) findings: Counter,
    pub(crate) handled: Handled,
    pub(crate) oldest: Oldest,
}

/// Which types of events consumers ask for, by the names of those that have streamed from this gateway.
#[derive(Debug, Default)]
pub(crate) struct Handled(RwLock<BTreeMap<String, Filter>>);

/// Names that are remembered, so that a consumer which makes names up fills no memory.
const MOST_CONSUMERS: usize = 256;

impl Handled {
    /// Remembers what a consumer asks for now.
    pub(crate) fn asks(&self, consumer: &str, filter: &Filter) {
        let mut handled = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if handled.len() < MOST_CONSUMERS || handled.contains_key(consumer) {
            handled.insert(consumer.to_owned(), filter.clone());
        }
    }

    /// Whether there are consumers and none asks for this type.
    pub(crate) fn lacks(&self, event_type: &str) -> bool {
        let handled = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !handled.is_empty() && !handled.values().any(|filter| filter.admits(event_type))
    }
}

/// Since when the oldest event waits that the committer has not answered.
#[derive(Debug, Default)]
pub(crate) struct Oldest(Mutex<Option<Instant>>);

impl Oldest {
    pub(crate) fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// How long it waits; zero where nothing does.
    pub(crate) fn lag(&self) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
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
