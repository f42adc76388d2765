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
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::{
    clock::Clock,
    ids::Ids,
    journal::{Change, Journal, Row},
};
use crate::{
    Config, billing,
    control::faults::Faults,
    field,
    http::error::ApiError,
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
#[derive(Clone, Debug, Default)]
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

/// One object created, changed or deleted, and by what: the sandbox's ledger of effects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Effect {
    pub(crate) at: i64,
    pub(crate) account: String,
    pub(crate) object: String,
    pub(crate) id: String,
    /// `created`, `changed` or `deleted`.
    pub(crate) effect: String,
    pub(crate) operation: String,
    pub(crate) request_id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Clone, Debug)]
struct Stored {
    /// Rises with creation, so it orders a list.
    sequence: u64,
    value: Value,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) livemode: bool,
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    /// Virtual time of the change at work.
    pub(crate) now: i64,
    /// The data set at work: a connected account's id, or empty for the platform's own.
    pub(crate) account: String,
    pub(crate) cause: Cause,
    pub(crate) faults: Faults,
    pub(crate) outbox: Outbox,
    pub(crate) ledger: Vec<Effect>,
    pub(crate) change: Change,
    ids: Ids,
    objects: BTreeMap<(String, String), Stored>,
    /// By account and kind: the ids in order of creation.
    kinds: HashMap<(String, String), BTreeMap<u64, String>>,
    sequence: u64,
    due: BTreeSet<(i64, u64, String, String)>,
    kept: HashMap<(String, String), KeptAnswer>,
    /// What each object touched by the change at work was before, in order of first touch.
    before: Vec<((String, String), Option<Stored>)>,
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
            now: 0,
            account: String::new(),
            cause: Cause::default(),
            faults: Faults::default(),
            outbox: Outbox::default(),
            ledger: Vec::new(),
            change: Change::default(),
            ids,
            objects: BTreeMap::new(),
            kinds: HashMap::new(),
            sequence: 0,
            due: BTreeSet::new(),
            kept: HashMap::new(),
            before: Vec::new(),
            journal: None,
        }
    }

    fn apply(&mut self, change: Change) {
        self.now = change.at;
        for row in change.objects {
            self.store((row.account, row.id), row.value);
        }
        self.before.clear();
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
        self.ledger.extend(change.effects);
    }

    /// Begins a change: at the present virtual time, on `account`'s data, because of `cause`.
    pub(crate) fn begin(&mut self, account: &str, cause: Cause) {
        self.now = self.now.max(self.clock.now());
        self.account = account.to_owned();
        self.cause = cause;
    }

    /// Journals the change at work and makes its deliveries due. If it cannot be journalled it has not happened.
    pub(crate) fn commit(&mut self) -> std::io::Result<()> {
        let mut change = std::mem::take(&mut self.change);
        change.at = self.now;
        change.ids = self.ids.take_fresh();
        for ((account, id), was) in &self.before {
            let Some(is) = self.objects.get(&(account.clone(), id.clone())) else {
                continue;
            };
            let object = field::text(&is.value, "object").to_owned();
            change.objects.push(Row {
                account: account.clone(),
                id: id.clone(),
                value: is.value.clone(),
            });
            if object != "event" && !object.starts_with(PRIVATE) {
                let effect = match was {
                    None => "created",
                    Some(_) if field::flag(&is.value, "deleted") => "deleted",
                    Some(_) => "changed",
                };
                change.effects.push(Effect {
                    at: self.now,
                    account: account.clone(),
                    object,
                    id: id.clone(),
                    effect: effect.to_owned(),
                    operation: self.cause.operation.clone(),
                    request_id: self.cause.request_id.clone(),
                    idempotency_key: self.cause.idempotency_key.clone(),
                });
            }
        }
        if let Some(journal) = self.journal.as_mut().filter(|_| change.matters())
            && let Err(error) = journal.append(&change)
        {
            self.roll_back();
            return Err(error);
        }
        self.before.clear();
        change.objects.clear();
        self.apply(change);
        Ok(())
    }

    /// Undoes the change at work.
    pub(crate) fn roll_back(&mut self) {
        for (key, was) in std::mem::take(&mut self.before).into_iter().rev() {
            self.forget_due(&key);
            match was {
                Some(stored) => {
                    self.remember_due(&key, &stored);
                    self.objects.insert(key, stored);
                }
                None => {
                    if let Some(gone) = self.objects.remove(&key)
                        && let Some(kind) = self
                            .kinds
                            .get_mut(&(key.0, field::text(&gone.value, "object").to_owned()))
                    {
                        kind.remove(&gone.sequence);
                    }
                }
            }
        }
        self.change = Change::default();
    }

    fn store(&mut self, key: (String, String), value: Value) {
        self.forget_due(&key);
        let was = self.objects.get(&key).cloned();
        let sequence = was.as_ref().map_or(self.sequence, |stored| stored.sequence);
        if was.is_none() {
            self.sequence += 1;
            let kind = (key.0.clone(), field::text(&value, "object").to_owned());
            self.kinds.entry(kind).or_default().insert(sequence, key.1.clone());
        }
        if !self.before.iter().any(|(touched, _)| *touched == key) {
            self.before.push((key.clone(), was));
        }
        let stored = Stored { sequence, value };
        self.remember_due(&key, &stored);
        self.objects.insert(key, stored);
    }

    fn remember_due(&mut self, key: &(String, String), stored: &Stored) {
        if let Some(at) = billing::due_at(&stored.value) {
            self.due.insert((at, stored.sequence, key.0.clone(), key.1.clone()));
        }
    }

    fn forget_due(&mut self, key: &(String, String)) {
        if let Some(stored) = self.objects.get(key)
            && let Some(at) = billing::due_at(&stored.value)
        {
            self.due.remove(&(at, stored.sequence, key.0.clone(), key.1.clone()));
        }
    }

    /// The earliest object with something to do by `until`: when, whose, which.
    pub(crate) fn next_due(&self, until: i64) -> Option<(i64, String, String)> {
        let (at, _, account, id) = self.due.first()?;
        (*at <= until).then(|| (*at, account.clone(), id.clone()))
    }

    /// Whether nothing has happened in it yet.
    pub(crate) fn is_new(&self) -> bool {
        self.objects.is_empty() && self.faults == Faults::default()
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
        let stored = self.objects.get(&(account.to_owned(), id.to_owned()));
        stored.map(|stored| &stored.value)
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
        self.all_of(&self.account, object)
            .into_iter()
            .filter(|value| !field::flag(value, "deleted"))
            .collect()
    }

    /// All objects of a kind of one account, newest first, deleted stubs included.
    pub(crate) fn all_of(&self, account: &str, object: &str) -> Vec<Value> {
        let ids = self.kinds.get(&(account.to_owned(), object.to_owned()));
        ids.into_iter()
            .flat_map(|ids| ids.values().rev())
            .filter_map(|id| self.objects.get(&(account.to_owned(), id.clone())))
            .map(|stored| stored.value.clone())
            .collect()
    }

    /// The objects of the data set at work whose ids lie from `low` to just before `high`, in the order of their ids.
    pub(crate) fn between(&self, low: &str, high: &str) -> impl Iterator<Item = &Value> {
        let key = |id: &str| (self.account.clone(), id.to_owned());
        let found = (low < high).then(|| self.objects.range(key(low)..key(high)));
        found.into_iter().flatten().map(|(_, stored)| &stored.value)
    }

    /// All data sets there are.
    pub(crate) fn accounts(&self) -> BTreeSet<String> {
        self.objects.keys().map(|(account, _)| account.clone()).collect()
    }

    /// Stores an object of the data set at work under its `id`.
    pub(crate) fn put(&mut self, value: &Value) {
        self.store(
            (self.account.clone(), field::text(value, "id").to_owned()),
            value.clone(),
        );
    }

    /// The answer kept under an idempotency key, while it lives.
    pub(crate) fn kept(&self, account: &str, key: &str) -> Option<&KeptAnswer> {
        let found = self.kept.get(&(account.to_owned(), key.to_owned()))?;
        (self.now < found.at + KEY_LIFE).then_some(found)
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
        for ((account, id), stored) in &self.objects {
            let mut stored = stored.clone();
            match field::text(&stored.value, "object") {
                "webhook_endpoint" => continue,
                "event" => {
                    field::set(&mut stored.value, "pending_webhooks", Value::Null);
                    field::set(&mut stored.value, PRIVATE, Value::Null);
                }
                _ => {}
            }
            hasher.update(json!([account, id, stored.value]).to_string());
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

/// An object as it is answered: without our own fields.
pub(crate) fn rendered(value: &Value) -> Value {
    let mut out = value.clone();
    if let Value::Object(map) = &mut out {
        map.shift_remove(PRIVATE);
    }
    out
}
