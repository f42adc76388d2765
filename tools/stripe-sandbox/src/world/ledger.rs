//! What was created, changed and deleted, and by what: the sandbox's ledger of effects.

use serde::{Deserialize, Serialize};

use super::{
    Cause,
    store::{SlotNumber, Store},
};

/// One object created, changed or deleted.
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

/// What becomes of an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Created,
    Changed,
    Deleted,
}

impl What {
    fn named(name: &str) -> Self {
        match name {
            "created" => Self::Created,
            "deleted" => Self::Deleted,
            _ => Self::Changed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }
}

#[derive(Debug)]
struct Entry {
    at: i64,
    slot: SlotNumber,
    cause: u32,
    what: What,
}

/// All effects, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    causes: Vec<Cause>,
}

impl Ledger {
    /// Writes down what became of a slot.
    pub(super) fn add(&mut self, at: i64, slot: SlotNumber, what: What, cause: &Cause) {
        if self.causes.last() != Some(cause) {
            self.causes.push(cause.clone());
        }
        let cause = u32::try_from(self.causes.len()).unwrap_or(u32::MAX).saturating_sub(1);
        self.entries.push(Entry { at, slot, cause, what });
    }

    /// Takes up an effect of a journal.
    pub(super) fn take_up(&mut self, effect: Effect, store: &Store) {
        if let Some(slot) = store.number(&effect.account, &effect.id) {
            let cause = Cause {
                operation: effect.operation,
                request_id: effect.request_id,
                idempotency_key: effect.idempotency_key,
            };
            self.add(effect.at, slot, What::named(&effect.effect), &cause);
        }
    }

    /// All effects on the objects of `store` but the first `seen`, oldest first.
    pub(super) fn effects(&self, store: &Store, seen: usize) -> impl Iterator<Item = Effect> {
        self.entries.iter().skip(seen).filter_map(|entry| {
            let cause = self.causes.get(usize::try_from(entry.cause).ok()?)?;
            effect(store, entry.at, entry.slot, entry.what, cause)
        })
    }
}

/// An effect in full.
pub(super) fn effect(store: &Store, at: i64, slot: SlotNumber, what: What, cause: &Cause) -> Option<Effect> {
    let (account, object, id) = store.named(slot)?;
    Some(Effect {
        at,
        account: account.to_owned(),
        object: object.to_owned(),
        id: id.to_owned(),
        effect: what.name().to_owned(),
        operation: cause.operation.clone(),
        request_id: cause.request_id.clone(),
        idempotency_key: cause.idempotency_key.clone(),
    })
}
