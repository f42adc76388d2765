//! The file a world lives in: one JSON line per change, appended before the change is answered.
//!
//! A line is written with one `write` and reaches the operating system before the answer leaves, so `kill -9` loses
//! nothing that was answered. (Power loss may: nothing is synced to disk.) A torn last line is cut off at start.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::{KeptAnswer, ledger::Effect};
use crate::{
    control::faults::Faults,
    json::{Value, json},
    webhooks::{Counts, Delivery, Postponed},
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
    /// In a snapshot: what had become of deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counts: Option<Counts>,
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

/// What a journal and a snapshot begin with.
fn header(seed: u64, livemode: bool) -> Value {
    json!({ "stripe_sandbox": 1, "seed": seed, "livemode": livemode })
}

/// Reads whole lines: the header, then changes, each handed to `apply`. Says how many bytes they are.
fn read(mut lines: impl BufRead, seed: u64, livemode: bool, mut apply: impl FnMut(Change)) -> anyhow::Result<u64> {
    let header = header(seed, livemode);
    let mut whole: u64 = 0;
    let mut line = Vec::new();
    let mut number = 0u64;
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line)?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok(whole);
        }
        number += 1;
        if number == 1 {
            let found: Value = serde_json::from_slice(&line).unwrap_or_default();
            ensure!(
                found == header,
                "holds another world: {found}, this sandbox is {header}"
            );
        } else {
            apply(serde_json::from_slice(&line).with_context(|| format!("line {number}"))?);
        }
        whole += u64::try_from(read)?;
    }
}

/// The changes of a snapshot, which is a journal made in one go.
pub(crate) fn changes(snapshot: &str, seed: u64, livemode: bool) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let whole = read(snapshot.as_bytes(), seed, livemode, |change| changes.push(change)).context("the snapshot")?;
    ensure!(
        whole > 0 && usize::try_from(whole) == Ok(snapshot.len()),
        "the snapshot is not whole"
    );
    Ok(changes)
}

/// A journal of these changes.
pub(crate) fn lines(seed: u64, livemode: bool, changes: &[Change]) -> serde_json::Result<String> {
    let mut text = header(seed, livemode).to_string();
    text.push('\n');
    for change in changes {
        text.push_str(&serde_json::to_string(change)?);
        text.push('\n');
    }
    Ok(text)
}

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or begins the journal at `path` and hands every change in it to `apply`, in order.
    pub(crate) fn open(path: &Path, seed: u64, livemode: bool, apply: impl FnMut(Change)) -> anyhow::Result<Self> {
        let told = || format!("journal {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(told)?;
        file.try_lock()
            .map_err(|error| anyhow::anyhow!("journal {} is in use: {error}", path.display()))?;
        let whole = read(BufReader::new(&file), seed, livemode, apply).with_context(told)?;
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
        };
        if whole == 0 {
            journal.write_line(&header(seed, livemode))?;
        }
        Ok(journal)
    }

    /// Puts `text` in place of all there is: after a crash either is there, whole.
    pub(crate) fn replace(&mut self, text: &str) -> std::io::Result<()> {
        let mut beside = self.path.clone().into_os_string();
        beside.push(".restoring");
        let _ = std::fs::remove_file(&beside);
        let mut file = OpenOptions::new().append(true).create_new(true).open(&beside)?;
        file.try_lock()?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&beside, &self.path)?;
        self.file = file;
        Ok(())
    }

    /// Appends a change as one line.
    pub(crate) fn append(&mut self, change: &Change) -> std::io::Result<()> {
        self.write_line(change)
    }

    fn write_line(&mut self, content: &impl Serialize) -> std::io::Result<()> {
        let before = self.file.metadata()?.len();
        let mut line = serde_json::to_vec(content)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.flush());
        if written.is_err() {
            // A half-written line must not swallow the next one.
            let _ = self.file.set_len(before);
        }
        written
    }
}
