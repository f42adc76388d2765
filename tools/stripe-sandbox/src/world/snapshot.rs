//! A world as one text, and back: a snapshot is a journal made in one go, so it can be started on as well.

use std::path::Path;

use anyhow::Context;

use super::{
    World,
    ids::Ids,
    journal::{self, Change, Row},
};

impl World {
    /// Everything there is but the receivers' answers that are on their way.
    pub(crate) fn snapshot(&self) -> serde_json::Result<String> {
        let objects = self.store.numbers().filter_map(|number| {
            let (account, _, id) = self.store.named(number)?;
            Some(Row {
                account: account.to_owned(),
                id: id.to_owned(),
                value: self.store.read(number, |bytes| serde_json::from_slice(bytes).ok())??,
            })
        });
        let whole = Change {
            at: self.present,
            objects: objects.collect(),
            ids: self.ids.given().clone(),
            offset: Some(self.clock.offset),
            faults: Some(self.faults.clone()),
            deliveries: self.outbox.pending.values().cloned().collect(),
            effects: self.effects().collect(),
            counts: Some(self.outbox.counts),
            ..Change::default()
        };
        let mut kept: Vec<_> = self.kept.values().collect();
        kept.retain(|kept| self.kept(&kept.account, &kept.key).is_some());
        kept.sort_by_key(|kept| (kept.at, &kept.account, &kept.key));
        let kept = kept.into_iter().map(|kept| Change {
            at: self.present,
            kept: Some(kept.clone()),
            ..Change::default()
        });
        let changes: Vec<Change> = std::iter::once(whole).chain(kept).collect();
        journal::lines(self.ids.seed(), self.livemode, &changes)
    }

    /// Begins with the snapshot in `file`, which a world with a history does not.
    pub(crate) fn start_from(&mut self, file: &Path) -> anyhow::Result<()> {
        let told = || format!("snapshot {}", file.display());
        anyhow::ensure!(
            self.is_new(),
            "the journal holds a world already, so {} is not restored",
            file.display()
        );
        let text = std::fs::read_to_string(file).with_context(told)?;
        self.restore(&text).with_context(told)
    }

    /// Becomes the world of a snapshot, which must have this one's seed and mode; its journal is replaced as well.
    pub(crate) fn restore(&mut self, snapshot: &str) -> anyhow::Result<()> {
        let seed = self.ids.seed();
        let mut changes = journal::changes(snapshot, seed, self.livemode)?;
        // Deliveries of this world that are on their way must not be taken for those of the snapshot.
        for delivery in changes.iter_mut().flat_map(|change| &mut change.deliveries) {
            delivery.id = delivery.id.saturating_add(self.outbox.next_id);
        }
        let text = journal::lines(seed, self.livemode, &changes)?;
        let mut restored = Self::new(
            self.livemode,
            self.base_url.clone(),
            self.clock.unmoved(),
            Ids::new(seed),
        );
        restored.outbox.attempts = self.outbox.attempts;
        changes.into_iter().for_each(|change| restored.apply(change));
        if let Some(journal) = &mut self.journal {
            journal.replace(&text)?;
        }
        restored.journal = self.journal.take();
        *self = restored;
        Ok(())
    }
}
