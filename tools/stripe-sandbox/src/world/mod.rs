//! The world: every object of every account, the clock, the ids, the idempotency keys and the pending deliveries.
//!
//! Operations are plain functions on `&mut World`. What one of them changes is collected in a change, which is either
//! committed whole (journal first) or rolled back whole.

#[cfg(test)]
pub(crate) mod books;
pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod ids;
pub(crate) mod journal;
mod ledger;
mod links;
mod packs;
mod snapshot;
mod store;
mod stored;
mod test_clocks;
mod trial;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::{
    clock::Clock,
    ids::Ids,
    journal::{Change, Journal, Row},
    ledger::{Effect, Ledger, What},
    store::{Store, Touched},
    stored::Stored,
};
use crate::{
    Config,
    control::faults::Faults,
    field,
    http::error::ApiError,
    json::{Value, json},
    webhooks::{Delivery, Outbox},
};

/// The one API version spoken. Source: <https://docs.stripe.com/changelog>.
pub(crate) const API_VERSION: &str = "2026-09-30.endive";

/// Stands for the sandbox's own origin inside stored objects, so that a world may move to another port.
const BASE: &str = "\u{1}base";
/// Fields of ours inside stored objects live under this key and are never answered.
pub(crate) const PRIVATE: &str = "_sandbox";
/// An idempotency key is forgotten after a day. Source: <https://docs.stripe.com/api/idempotent_requests>.
const KEY_LIFE: i64 = 86_400;

/// Why something happens: the call at work, or nothing when the clock is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) operation: String,
    pub(crate) request_id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// An answer kept under an idempotency key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptAnswer {
    pub(crate) account: String,
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) at: i64,
    pub(crate) status: u16,
    pub(crate) request_id: String,
    pub(crate) body: Value,
}

/// See the module.
pub(crate) struct World {
    pub(crate) livemode: bool,
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    /// Virtual time, which never goes back.
    pub(crate) present: i64,
    /// The time of the change at work: the present, or what its test clock shows.
    pub(crate) now: i64,
    /// The test clock that the change at work goes by. What it makes belongs to that clock.
    pub(crate) test_clock: Option<String>,
    /// The data set at work: a connected account's id, or empty for the platform's own.
    pub(crate) account: String,
    pub(crate) cause: Cause,
    pub(crate) faults: Faults,
    pub(crate) outbox: Outbox,
    pub(crate) change: Change,
    ids: Ids,
    store: Store,
    ledger: Ledger,
    kept: HashMap<(String, String), KeptAnswer>,
    journal: Option<Journal>,
}

impl World {
    /// The world of a journal, or a new one.
    pub(crate) fn open(config: &Config, base_url: String) -> anyhow::Result<Self> {
        let ids = Ids::new(config.seed);
        let mut world = Self::new(config.livemode(), base_url, Clock::new(config.frozen_time), ids);
        if let Some(path) = &config.journal {
            let journal = Journal::open(path, config.seed, config.livemode(), |change| world.apply(change))?;
            world.journal = Some(journal);
        }
        Ok(world)
    }

    fn new(livemode: bool, base_url: String, clock: Clock, ids: Ids) -> Self {
        Self {
            livemode,
            base_url,
            clock,
            present: 0,
            now: 0,
            test_clock: None,
            account: String::new(),
            cause: Cause::default(),
            faults: Faults::default(),
            outbox: Outbox::default(),
            change: Change::default(),
            ids,
            store: Store::default(),
            ledger: Ledger::default(),
            kept: HashMap::new(),
            journal: None,
        }
    }

    fn apply(&mut self, change: Change) {
        self.present = change.at;
        self.return_to_present();
        for row in change.objects {
            self.store
                .store(&row.account, &row.id, Stored::new(Arc::new(row.value)));
        }
        self.store.settle();
        self.ids.resume(change.ids);
        if let Some(kept) = change.kept {
            self.kept.insert((kept.account.clone(), kept.key.clone()), kept);
        }
        if let Some(offset) = change.offset {
            self.clock.offset = offset;
        }
        if let Some(faults) = change.faults {
            self.faults = faults;
        }
        self.outbox.counts = change.counts.unwrap_or(self.outbox.counts);
        self.outbox.counts.dropped += change.dropped;
        change
            .deliveries
            .into_iter()
            .for_each(|delivery| self.outbox.add(delivery));
        change.settled.into_iter().for_each(|id| self.outbox.settle(id));
        change.abandoned.into_iter().for_each(|id| self.outbox.abandon(id));
        change.failed.into_iter().for_each(|id| self.outbox.fail(id));
        change.postponed.iter().for_each(|one| self.outbox.postpone(one));
        for effect in change.effects {
            self.ledger.take_up(effect, &self.store);
        }
    }

    /// Begins a change: at the present virtual time, on `account`'s data, because of `cause`.
    pub(crate) fn begin(&mut self, account: &str, cause: Cause) {
        self.present = self.present.max(self.clock.now());
        self.return_to_present();
        self.account = account.to_owned();
        self.cause = cause;
    }

    /// Journals the change at work and makes its deliveries due. If it cannot be journalled it has not happened.
    pub(crate) fn commit(&mut self) -> std::io::Result<()> {
        let mut change = std::mem::take(&mut self.change);
        change.at = self.present;
        change.ids = self.ids.take_fresh();
        if let Some(journal) = &mut self.journal {
            for touched in self.store.touched() {
                change.objects.extend(row(&self.store, &touched));
                let what = what_became(&touched);
                change.effects.extend(
                    what.and_then(|what| ledger::effect(&self.store, self.now, touched.slot, what, &self.cause)),
                );
            }
            if change.matters()
                && let Err(error) = journal.append(&change)
            {
                self.roll_back();
                return Err(error);
            }
            change.objects.clear();
            change.effects.clear();
        }
        for touched in self.store.touched() {
            if let Some(what) = what_became(&touched) {
                self.ledger.add(self.now, touched.slot, what, &self.cause);
            }
        }
        self.apply(change);
        Ok(())
    }

    /// Undoes the change at work.
    pub(crate) fn roll_back(&mut self) {
        self.store.roll_back();
        self.change = Change::default();
    }

    /// The earliest object of a [`queue`](crate::billing::test_clock::queue) with something to do by `until`: when, whose, which.
    pub(crate) fn next_due(&self, queue: &str, until: i64) -> Option<(i64, String, String)> {
        let (at, slot) = self.store.next_due(queue, until)?;
        let (account, _, id) = self.store.named(slot)?;
        Some((at, account.to_owned(), id.to_owned()))
    }

    /// All that wait in a queue, in order: whose, which.
    pub(crate) fn all_due(&self, queue: &str) -> Vec<(String, String)> {
        let slots = self.store.all_due(queue);
        slots
            .filter_map(|slot| self.store.named(slot))
            .map(|(account, _, id)| (account.to_owned(), id.to_owned()))
            .collect()
    }

    /// Whether nothing has happened in it yet.
    pub(crate) fn is_new(&self) -> bool {
        self.store.is_empty() && self.faults == Faults::default()
    }

    /// A new id.
    pub(crate) fn id(&mut self, prefix: &str, length: usize) -> String {
        self.ids.next(prefix, length)
    }

    /// The platform's own account id.
    pub(crate) fn platform_id(&self) -> String {
        self.ids.fixed("acct_", 16)
    }

    /// The publishable key of this world.
    pub(crate) fn publishable_key(&self) -> String {
        let prefix = if self.livemode { "pk_live_" } else { "pk_test_" };
        self.ids.fixed(prefix, 24)
    }

    /// What is stored under `id` in one account's data set.
    pub(crate) fn found(&self, account: &str, id: &str) -> Option<&Value> {
        self.store.find(account, id)
    }

    /// As [`World::find`], to be kept.
    pub(crate) fn shared(&self, id: &str) -> Option<Arc<Value>> {
        self.store.shared(&self.account, id)
    }

    /// The object stored under `id` in the data set at work, deleted stubs included.
    pub(crate) fn find(&self, id: &str) -> Option<&Value> {
        self.found(&self.account, id)
    }

    /// The object of this kind, or the refusal that names `param`. Deleted ones are missing.
    pub(crate) fn get(&self, object: &str, id: &str, param: &str) -> Result<Value, ApiError> {
        self.find(id)
            .filter(|value| field::text(value, "object") == object && !field::flag(value, "deleted"))
            .cloned()
            .ok_or_else(|| ApiError::missing(object.rsplit('.').next().unwrap_or(object), id, param))
    }

    /// All objects of a kind in the data set at work, newest first, without deleted ones.
    pub(crate) fn all(&self, object: &str) -> Vec<Value> {
        self.each(object).map(Arc::unwrap_or_clone).collect()
    }

    /// As [`World::all`], one after the other.
    pub(crate) fn each(&self, object: &str) -> impl Iterator<Item = Arc<Value>> {
        let all = self.store.each(&self.account, object);
        all.filter(|value| !field::flag(value, "deleted"))
    }

    /// The objects of a kind in the data set at work that belong to the object `owner`, newest first: the subscriptions and
    /// invoices of a customer, the invoices of a subscription, the payments of an invoice.
    pub(crate) fn of(&self, owner: &str, object: &str) -> Vec<Arc<Value>> {
        self.store.of(&self.account, owner, object).collect()
    }

    /// The subscription of an account that has the item `id`.
    pub(crate) fn with_item(&self, account: &str, id: &str) -> Option<Arc<Value>> {
        self.store.with_item(account, id)
    }

    /// All objects of a kind of one account, newest first, deleted stubs included.
    pub(crate) fn all_of(&self, account: &str, object: &str) -> Vec<Value> {
        self.store.each(account, object).map(Arc::unwrap_or_clone).collect()
    }

    /// The objects of the data set at work whose ids lie from `low` to just before `high`, in the order of their ids. They
    /// must be of a kind whose ids say their order.
    pub(crate) fn between(&self, low: &str, high: &str) -> impl Iterator<Item = &Value> {
        self.store.between(&self.account, low, high)
    }

    /// All data sets there are.
    pub(crate) fn accounts(&self) -> BTreeSet<String> {
        self.store.accounts()
    }

    /// How many objects of each kind there are in all data sets.
    pub(crate) fn counts(&self) -> BTreeMap<&str, usize> {
        self.store.counts()
    }

    /// All that was created, changed and deleted, oldest first.
    pub(crate) fn effects(&self) -> impl Iterator<Item = Effect> {
        self.effects_after(0)
    }

    /// As [`World::effects`], without the first `seen`.
    pub(crate) fn effects_after(&self, seen: usize) -> impl Iterator<Item = Effect> {
        self.ledger.effects(&self.store, seen)
    }

    /// Stores an object of the data set at work under its `id`.
    pub(crate) fn put(&mut self, value: &Value) {
        let mut stamped = value.clone();
        self.stamp(&mut stamped, self.find(field::text(value, "id")));
        self.put_shared(Arc::new(stamped));
    }

    fn put_shared(&mut self, value: Arc<Value>) {
        let id = field::text(&value, "id").to_owned();
        self.store.store(&self.account, &id, Stored::new(value));
    }

    /// The answer kept under an idempotency key, while it lives.
    pub(crate) fn kept(&self, account: &str, key: &str) -> Option<&KeptAnswer> {
        let found = self.kept.get(&(account.to_owned(), key.to_owned()))?;
        (self.present < found.at + KEY_LIFE).then_some(found)
    }

    /// A URL of one of the hosted pages, in the form it is stored in.
    pub(crate) fn page_url(path: &str) -> String {
        format!("{BASE}{path}")
    }

    /// The URL of a page, with this sandbox's origin if it is one of its own.
    pub(crate) fn resolve(&self, url: &str) -> String {
        match url.strip_prefix(BASE) {
            Some(path) => format!("{}{path}", self.base_url),
            None => url.to_owned(),
        }
    }

    /// `body` as text that may leave the sandbox: stored page URLs get this sandbox's origin.
    pub(crate) fn publish(&self, body: &Value) -> String {
        body.to_string()
            .replace("\"\\u0001base/", &format!("\"{}/", self.base_url))
    }

    /// A hash over all objects but endpoints, and without what deliveries change: the same seed, clock and calls give the
    /// same hash wherever the receivers are.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for number in self.store.numbers() {
            let Some((account, kind, id)) = self.store.named(number) else {
                continue;
            };
            if kind == "webhook_endpoint" {
                continue;
            }
            hasher.update(json!([account, id]).to_string());
            self.store.read(number, |bytes| match self.store.rests(number) {
                false if kind == "event" => hasher.update(events::delivered(bytes).unwrap_or_default()),
                _ => hasher.update(bytes),
            });
            hasher.update(b"\n");
        }
        hex::encode(hasher.finalize())
    }

    /// Makes a delivery part of the change at work.
    pub(crate) fn deliver(&mut self, mut delivery: Delivery) {
        delivery.id = self.outbox.next_id + u64::try_from(self.change.deliveries.len()).unwrap_or_default();
        self.change.deliveries.push(delivery);
    }
}

/// The line of a journal for an object that was touched.
fn row(store: &Store, touched: &Touched<'_>) -> Option<Row> {
    let (account, _, id) = store.named(touched.slot)?;
    Some(Row {
        account: account.to_owned(),
        id: id.to_owned(),
        value: Arc::unwrap_or_clone(touched.stored.whole()),
    })
}

/// What the ledger says of an object that was touched: nothing of events and of what is our own.
fn what_became(touched: &Touched<'_>) -> Option<What> {
    let object = field::text(touched.stored.head(), "object");
    if object == "event" || object.starts_with(PRIVATE) {
        return None;
    }
    Some(match touched.is_new {
        true => What::Created,
        false if field::flag(touched.stored.head(), "deleted") => What::Deleted,
        false => What::Changed,
    })
}

/// An object as it is answered: without our own fields.
pub(crate) fn rendered(value: &Value) -> Value {
    let mut out = value.clone();
    if let Value::Object(map) = &mut out {
        map.shift_remove(PRIVATE);
    }
    out
}
