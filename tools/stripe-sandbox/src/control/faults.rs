//! The fault setting: one value, replaced as a whole, typed, unknown fields refused.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What goes wrong, on purpose. The empty object is no fault at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// Chooses, with the event's id, which events `copy_percent` meets.
    pub(crate) seed: u64,
    pub(crate) deliveries: DeliveryFaults,
    pub(crate) answers: Vec<AnswerFault>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeliveryFaults {
    /// How many times each event is delivered, 1 to 10.
    pub(crate) copies: u32,
    /// Which share of the events `copies` is for, 0 to 100.
    pub(crate) copy_percent: u32,
    /// Consecutive events to one endpoint are sent in pairs, the second first.
    pub(crate) swap: bool,
    /// Events to one endpoint are gathered in groups of this size (2 to 50) and sent in an order drawn from the seed; 0
    /// and 1 leave them as they are.
    pub(crate) reorder: usize,
    /// Each event to an endpoint is first tried only after the one before was.
    pub(crate) one_at_a_time: bool,
    /// Types never delivered (they stay in the event list).
    pub(crate) drop: Vec<String>,
    /// Wait before the first attempt of each delivery, at most a minute.
    pub(crate) delay_ms: u64,
}

/// Spoils the answers of one operation, `times` times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerFault {
    /// `POST`, `GET` or `DELETE`.
    pub(crate) method: String,
    /// `/v1/customers`, or with `*` for one segment, `/v1/customers/*`.
    pub(crate) path: String,
    #[serde(default = "once")]
    pub(crate) times: u32,
    pub(crate) kind: AnswerFaultKind,
    /// For the kind `status`: 400 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnswerFaultKind {
    /// Answered with `status`; nothing is executed, nothing kept under the key.
    Status,
    /// The connection is closed before anything is executed.
    ResetBefore,
    /// The call is executed and kept; the connection is closed instead of an answer.
    ResetAfter,
    /// The call is executed and kept, and no answer comes until the client gives up; the key counts as in use so long.
    Hang,
    /// Executed up to a failure that left nothing behind: 500, kept under the key and replayed.
    #[serde(rename = "error_500_cached")]
    Error500Cached,
}

fn once() -> u32 {
    1
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            deliveries: DeliveryFaults::default(),
            answers: Vec::new(),
        }
    }
}

impl Default for DeliveryFaults {
    fn default() -> Self {
        Self {
            copies: 1,
            copy_percent: 100,
            swap: false,
            reorder: 0,
            one_at_a_time: false,
            drop: Vec::new(),
            delay_ms: 0,
        }
    }
}

const MOST_REORDERED: usize = 50;

impl DeliveryFaults {
    /// How many events to one endpoint are gathered before they are sent.
    pub(crate) fn group(&self) -> usize {
        if self.swap { 2 } else { self.reorder.max(1) }
    }
}

impl Faults {
    /// Says what is out of range, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let deliveries = &self.deliveries;
        if !(1..=10).contains(&deliveries.copies) {
            return Err(format!(
                "deliveries.copies {} is not between 1 and 10",
                deliveries.copies
            ));
        }
        if deliveries.copy_percent > 100 {
            return Err(format!(
                "deliveries.copy_percent {} is above 100",
                deliveries.copy_percent
            ));
        }
        if deliveries.reorder > MOST_REORDERED || (deliveries.swap && deliveries.reorder > 0) {
            return Err(format!(
                "deliveries.reorder {} is above {MOST_REORDERED}, or beside swap",
                deliveries.reorder
            ));
        }
        if deliveries.delay_ms > 60_000 {
            return Err(format!("deliveries.delay_ms {} is above 60000", deliveries.delay_ms));
        }
        for (index, fault) in self.answers.iter().enumerate() {
            let status_fits = match (fault.kind, fault.status) {
                (AnswerFaultKind::Status, Some(status)) => (400..=599).contains(&status),
                (AnswerFaultKind::Status, None) | (_, Some(_)) => false,
                (_, None) => true,
            };
            if !status_fits {
                return Err(format!(
                    "answers[{index}].status belongs to the kind `status` and is between 400 and 599"
                ));
            }
            if !matches!(fault.method.as_str(), "GET" | "POST" | "DELETE") {
                return Err(format!(
                    "answers[{index}].method `{}` is not GET, POST or DELETE",
                    fault.method
                ));
            }
        }
        Ok(())
    }

    /// The place that each of `count` events gathered for one endpoint is sent in; `first` is the id of the first.
    pub(crate) fn order(&self, count: usize, first: &str) -> Vec<usize> {
        let mut places: Vec<usize> = (0..count).collect();
        if self.deliveries.swap {
            places.reverse();
        } else if self.deliveries.reorder > 1 {
            places.sort_by_key(|place| Sha256::digest(format!("{}:{first}:{place}", self.seed)));
        }
        places
    }

    /// Takes one use of the first answer fault that meets this call.
    pub(crate) fn strike(&mut self, method: &str, path: &str) -> Option<AnswerFault> {
        let fault = self
            .answers
            .iter_mut()
            .find(|fault| fault.times > 0 && fault.method == method && meets(&fault.path, path))?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

fn meets(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(want), Some(have)) if want == have => {}
            _ => return false,
        }
    }
}
