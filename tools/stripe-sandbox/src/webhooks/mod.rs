//! Webhooks: what is still to be delivered, when it is tried again, the signature, the shape, and the sender.

pub(crate) mod deliver;
pub(crate) mod lane;
pub(crate) mod shape;
pub(crate) mod sign;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// One copy of one event on its way to one endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) account: String,
    pub(crate) event: String,
    pub(crate) endpoint: String,
    /// How often it was tried in vain, on Stripe's schedule.
    #[serde(default)]
    pub(crate) failures: u32,
    /// Virtual time it waits for; 0: it does not wait.
    #[serde(default)]
    pub(crate) due: i64,
}

/// A delivery put off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Postponed {
    pub(crate) id: u64,
    pub(crate) failures: u32,
    pub(crate) due: i64,
}

/// The deliveries that are not settled, those that wait for their time, and those no sender has taken up yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) next_id: u64,
    pub(crate) pending: BTreeMap<u64, Delivery>,
    /// Virtual time and id of pending deliveries that are not due yet.
    pub(crate) waiting: BTreeSet<(i64, u64)>,
    pub(crate) fresh: VecDeque<u64>,
    pub(crate) attempts: u64,
    pub(crate) counts: Counts,
}

/// What became of deliveries.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    /// Those whose endpoint was gone or disabled.
    pub(crate) abandoned: u64,
    /// Those given up after the last retry.
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
}

impl Outbox {
    pub(crate) fn add(&mut self, delivery: Delivery) {
        self.next_id = self.next_id.max(delivery.id + 1);
        self.queue(delivery.id, delivery.due);
        self.pending.insert(delivery.id, delivery);
    }

    fn queue(&mut self, id: u64, due: i64) {
        if due > 0 {
            self.waiting.insert((due, id));
        } else {
            self.fresh.push_back(id);
        }
    }

    /// It is tried again when its time has come.
    pub(crate) fn postpone(&mut self, postponed: &Postponed) {
        let Some(delivery) = self.pending.get_mut(&postponed.id) else {
            return;
        };
        self.waiting.remove(&(delivery.due, delivery.id));
        (delivery.failures, delivery.due) = (postponed.failures, postponed.due);
        self.queue(postponed.id, postponed.due);
    }

    /// A 2xx came.
    pub(crate) fn settle(&mut self, id: u64) {
        self.counts.delivered += u64::from(self.forget(id));
    }

    /// Its endpoint is gone.
    pub(crate) fn abandon(&mut self, id: u64) {
        self.counts.abandoned += u64::from(self.forget(id));
    }

    /// The last try was in vain.
    pub(crate) fn fail(&mut self, id: u64) {
        self.counts.failed += u64::from(self.forget(id));
    }

    fn forget(&mut self, id: u64) -> bool {
        let forgotten = self.pending.remove(&id);
        if let Some(delivery) = &forgotten {
            self.waiting.remove(&(delivery.due, delivery.id));
        }
        forgotten.is_some()
    }

    /// Hands over those whose time has come by `now`.
    pub(crate) fn wake(&mut self, now: i64) {
        while let Some((due, id)) = self.waiting.first().copied().filter(|(due, _)| *due <= now) {
            self.waiting.remove(&(due, id));
            self.fresh.push_back(id);
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

/// How long, in seconds, a delivery waits after so many failures; `None`: it is given up.
///
/// Stripe tries for up to three days with exponential backoff in live mode, and three times over a few hours in a sandbox;
/// it does not publish the intervals, so these are ours. Source: <https://docs.stripe.com/webhooks#retries>.
pub(crate) fn pause_after(failures: u32, livemode: bool) -> Option<i64> {
    const FIRST_LIVE: i64 = 500;
    const THREE_DAYS: i64 = 3 * 86_400;
    const TEST: [i64; 3] = [300, 3_600, 10_800];
    let earlier = failures.checked_sub(1)?;
    if !livemode {
        return TEST.get(usize::try_from(earlier).ok()?).copied();
    }
    let pause = FIRST_LIVE.checked_mul(1_i64.checked_shl(earlier).filter(|factor| *factor > 0)?)?;
    let since_first = pause.checked_mul(2)? - FIRST_LIVE;
    (since_first <= THREE_DAYS).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::pause_after;

    #[test]
    fn stripes_schedule_ends_after_three_days_or_three_retries() {
        let pauses = |livemode| {
            (1..99)
                .map_while(|failures| pause_after(failures, livemode))
                .collect::<Vec<_>>()
        };
        assert_eq!(pauses(false), [300, 3600, 10800]);
        let live = pauses(true);
        assert_eq!((live.len(), live[0], live[8]), (9, 500, 128_000));
        assert!((250_000..=3 * 86_400).contains(&live.iter().sum::<i64>()));
        assert_eq!(pause_after(0, true), None);
        assert_eq!(pause_after(u32::MAX, true), None);
    }
}
