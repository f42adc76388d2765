//! The file a world lives in: one JSON line per change, appended before the change is answered.
//!
//! A line is written with one `write` and reaches the operating system before the answer leaves, so `kill -9` loses
//! nothing that was answered. (Power loss may: nothing is synced to disk.) A torn last line is cut off at start.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Effect, KeptAnswer};
use crate::{
    control::faults::Faults,
    webhooks::{Delivery, Postponed},
};

/// Everything one call, one step of the clock or one delivery changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Change {
    pub(crate) at: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<Row>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) ids: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<KeptAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) faults: Option<Faults>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) deliveries: Vec<Delivery>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) settled: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) abandoned: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) postponed: Vec<Postponed>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) dropped: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) effects: Vec<Effect>,
}

impl Change {
    /// Whether anything changes but the ids that were given out and the time.
    pub(crate) fn matters(&self) -> bool {
        let lists = [&self.settled, &self.abandoned, &self.failed];
        !(self.objects.is_empty() && self.postponed.is_empty() && lists.iter().all(|list| list.is_empty()))
            || self.kept.is_some()
            || self.offset.is_some()
            || self.faults.is_some()
    }
}

/// One object as it now is; `value` is null where it is gone for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) account: String,
    pub(crate) id: String,
    pub(crate) value: Value,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    /// Opens or begins the journal at `path` and hands every change in it to `apply`, in order.
    pub(crate) fn open(path: &Path, seed: u64, livemode: bool, mut apply: impl FnMut(Change)) -> anyhow::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("journal {}", path.display()))?;
        file.try_lock()
            .map_err(|error| anyhow::anyhow!("journal {} is in use: {error}", path.display()))?;
        let header = json!({ "stripe_sandbox": 1, "seed": seed, "livemode": livemode });
        let mut whole: u64 = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut number = 0u64;
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if read == 0 || line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            if number == 1 {
                let found: Value = serde_json::from_slice(&line).unwrap_or_default();
                ensure!(
                    found == header,
                    "journal {} holds another world: {found}, this sandbox is {header}",
                    path.display()
                );
            } else {
                let change = serde_json::from_slice(&line)
                    .with_context(|| format!("journal {}, line {number}", path.display()))?;
                apply(change);
            }
            whole += u64::try_from(read)?;
        }
        drop(reader);
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        let mut journal = Self(file);
        if whole == 0 {
            journal.write_line(&header)?;
        }
        Ok(journal)
    }

    /// Appends a change as one line.
    pub(crate) fn append(&mut self, change: &Change) -> std::io::Result<()> {
        self.write_line(change)
    }

    fn write_line(&mut self, content: &impl Serialize) -> std::io::Result<()> {
        let before = self.0.metadata()?.len();
        let mut line = serde_json::to_vec(content)?;
        line.push(b'\n');
        let written = self.0.write_all(&line).and_then(|()| self.0.flush());
        if written.is_err() {
            // A half-written line must not swallow the next one.
            let _ = self.0.set_len(before);
        }
        written
    }
}
