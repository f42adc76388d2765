//! Webhooks: what is still to be delivered, the signature, and the sender.

pub(crate) mod deliver;
pub(crate) mod sign;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// One copy of one event on its way to one endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) account: String,
    pub(crate) event: String,
    pub(crate) endpoint: String,
}

/// The deliveries that are not settled, and those no sender has taken up yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) next_id: u64,
    pub(crate) pending: BTreeMap<u64, Delivery>,
    pub(crate) fresh: VecDeque<u64>,
    pub(crate) delivered: u64,
    pub(crate) abandoned: u64,
    pub(crate) attempts: u64,
    pub(crate) dropped: u64,
}

impl Outbox {
    pub(crate) fn add(&mut self, delivery: Delivery) {
        self.next_id = self.next_id.max(delivery.id + 1);
        self.fresh.push_back(delivery.id);
        self.pending.insert(delivery.id, delivery);
    }

    /// A 2xx came.
    pub(crate) fn settle(&mut self, id: u64) {
        if self.pending.remove(&id).is_some() {
            self.delivered += 1;
        }
    }

    /// Its endpoint is gone.
    pub(crate) fn abandon(&mut self, id: u64) {
        if self.pending.remove(&id).is_some() {
            self.abandoned += 1;
        }
    }

    /// The pending deliveries nobody works on yet, in order of emission.
    pub(crate) fn take_fresh(&mut self) -> Vec<Delivery> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh
            .into_iter()
            .filter_map(|id| self.pending.get(&id).cloned())
            .collect()
    }
}
