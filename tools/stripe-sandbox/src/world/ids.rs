//! Ids as Stripe words them, drawn from the world's seed: the n-th id of a prefix is always the same.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many ids of each prefix were given out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    seed: u64,
    given: BTreeMap<String, u64>,
    fresh: BTreeMap<String, u64>,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// The next id of a prefix: `next("cus_", 14)`.
    pub(crate) fn next(&mut self, prefix: &str, length: usize) -> String {
        let count = self.given.entry(prefix.to_owned()).or_default();
        *count += 1;
        self.fresh.insert(prefix.to_owned(), *count);
        format!(
            "{prefix}{}",
            letters(&format!("{}:{prefix}:{count}", self.seed), length)
        )
    }

    /// An id that is a function of the seed alone, such as the platform account's.
    pub(crate) fn fixed(&self, prefix: &str, length: usize) -> String {
        format!("{prefix}{}", letters(&format!("{}:{prefix}", self.seed), length))
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// All counts.
    pub(crate) fn given(&self) -> &BTreeMap<String, u64> {
        &self.given
    }

    /// The counts that moved since the last call, for the journal.
    pub(crate) fn take_fresh(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.fresh)
    }

    /// Takes up counts from the journal.
    pub(crate) fn resume(&mut self, counts: BTreeMap<String, u64>) {
        self.given.extend(counts);
    }
}

/// `length` letters and digits that depend on `source` alone.
pub(crate) fn letters(source: &str, length: usize) -> String {
    let mut out = String::with_capacity(length);
    let mut round = 0u32;
    while out.len() < length {
        let digest = Sha256::digest(format!("{source}:{round}"));
        // Bytes of 248 and more are passed over, so that every letter is equally likely.
        let drawn = digest
            .iter()
            .filter(|byte| **byte < 248)
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        out.extend(drawn.take(length - out.len()).map(|letter| char::from(*letter)));
        round += 1;
    }
    out
}
