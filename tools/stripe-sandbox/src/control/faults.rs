//! The fault setting: one value, replaced as a whole, typed, unknown fields refused. It counts the calls it has met, so it
//! is journalled with the world and a restart goes on where it was.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::world::clock::LONGEST_ADVANCE;

/// What goes wrong, on purpose. The empty object is no fault at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// Everything left to chance is drawn from it, so that a run repeats exactly.
    pub(crate) seed: u64,
    pub(crate) deliveries: DeliveryFaults,
    pub(crate) answers: Vec<AnswerFault>,
    /// What becomes of test clocks that are told to advance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) test_clocks: Option<TestClockFault>,
    /// What changes as calls come in, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<Step>,
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
    /// Which share of all deliveries is dropped, 0 to 100.
    pub(crate) drop_percent: u32,
    /// Types of which there is no event at all.
    pub(crate) never_generate: Vec<String>,
    /// Wait in wall time before the first attempt of each delivery, at most a minute.
    pub(crate) delay_ms: u64,
    /// Wait in virtual time before the first attempt of each delivery.
    pub(crate) delay_seconds: i64,
}

/// Spoils the answers of some calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerFault {
    /// `POST`, `GET`, `DELETE`, or `*` for any.
    pub(crate) method: String,
    /// `/v1/customers`; `*` is one segment, `/v1/customers/*`, and a last `**` all that follow.
    pub(crate) path: String,
    /// So many calls that it meets are let through first.
    #[serde(default)]
    pub(crate) after: u64,
    /// How often it strikes.
    #[serde(default = "once")]
    pub(crate) times: u32,
    /// Which share of the calls it then meets it strikes, drawn from the seed, 1 to 100.
    #[serde(default = "always")]
    pub(crate) percent: u32,
    pub(crate) kind: AnswerFaultKind,
    /// For the kind `status`: 400 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// For the kind `status`: the error's code, where it is not to be the usual one (`lock_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// For the kind `status`: seconds for `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u32>,
    /// For the kinds `status` and `html_502`: the call is executed and kept all the same.
    #[serde(default)]
    pub(crate) executed: bool,
    /// How many calls it has met: counted here, not to be sent.
    #[serde(default)]
    pub(crate) met: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnswerFaultKind {
    /// Answered with `status`; nothing kept under the key, nothing executed unless `executed` says so.
    Status,
    /// A proxy's page instead of an answer.
    #[serde(rename = "html_502")]
    Html502,
    /// The call is executed and kept; of the answer half the body comes, then the connection ends.
    Truncated,
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

/// What becomes of test clocks that are told to advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TestClockFault {
    /// They stay `advancing`, and go on once the setting is another.
    Hold,
    /// They come to `internal_failure`, with nothing done.
    Fail,
}

/// A change of the setting, or of the time, before the call that follows so many others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) after: Calls,
    /// Replaces the faults of deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deliveries: Option<DeliveryFaults>,
    /// Replaces the faults of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answers: Option<Vec<AnswerFault>>,
    /// Moves the clock on.
    #[serde(default)]
    pub(crate) advance_seconds: i64,
}

/// So many calls, counted from the step before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calls {
    pub(crate) calls: u64,
    #[serde(default = "any_method")]
    pub(crate) method: String,
    #[serde(default = "any_path")]
    pub(crate) path: String,
    /// How many there were: counted here, not to be sent.
    #[serde(default)]
    pub(crate) met: u64,
}

fn once() -> u32 {
    1
}

fn always() -> u32 {
    100
}

fn any_method() -> String {
    "*".to_owned()
}

fn any_path() -> String {
    "/v1/**".to_owned()
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            deliveries: DeliveryFaults::default(),
            answers: Vec::new(),
            test_clocks: None,
            steps: Vec::new(),
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
            drop_percent: 0,
            never_generate: Vec::new(),
            delay_ms: 0,
            delay_seconds: 0,
        }
    }
}

/// Refuses `value` outside `range`, naming the field.
fn within<T: PartialOrd + std::fmt::Display>(name: &str, value: T, least: T, most: T) -> Result<(), String> {
    if value < least || value > most {
        return Err(format!("{name} {value} is not between {least} and {most}"));
    }
    Ok(())
}

fn check_method(name: &str, method: &str) -> Result<(), String> {
    if matches!(method, "GET" | "POST" | "DELETE" | "*") {
        return Ok(());
    }
    Err(format!("{name} `{method}` is not GET, POST, DELETE or *"))
}

impl DeliveryFaults {
    /// How many events to one endpoint are gathered before they are sent.
    pub(crate) fn group(&self) -> usize {
        if self.swap { 2 } else { self.reorder.max(1) }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        within(&format!("{name}.copies"), self.copies, 1, 10)?;
        within(&format!("{name}.copy_percent"), self.copy_percent, 0, 100)?;
        within(&format!("{name}.drop_percent"), self.drop_percent, 0, 100)?;
        within(&format!("{name}.reorder"), self.reorder, 0, 50)?;
        within(&format!("{name}.delay_ms"), self.delay_ms, 0, 60_000)?;
        within(&format!("{name}.delay_seconds"), self.delay_seconds, 0, LONGEST_ADVANCE)?;
        if self.swap && self.reorder > 0 {
            return Err(format!("{name} has both swap and reorder"));
        }
        Ok(())
    }
}

impl AnswerFault {
    fn check(&self, name: &str) -> Result<(), String> {
        let is_status = self.kind == AnswerFaultKind::Status;
        let status_fits = match self.status {
            Some(status) => is_status && (400..=599).contains(&status),
            None => !is_status,
        };
        if !status_fits {
            return Err(format!(
                "{name}.status belongs to the kind `status` and is between 400 and 599"
            ));
        }
        if !is_status && (self.code.is_some() || self.retry_after.is_some()) {
            return Err(format!("{name}.code and retry_after belong to the kind `status`"));
        }
        if self.executed && !is_status && self.kind != AnswerFaultKind::Html502 {
            return Err(format!("{name}.executed belongs to the kinds `status` and `html_502`"));
        }
        within(&format!("{name}.percent"), self.percent, 1, 100)?;
        check_method(&format!("{name}.method"), &self.method)
    }
}

impl Faults {
    /// Says what is out of range, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.deliveries.check("deliveries")?;
        for (index, fault) in self.answers.iter().enumerate() {
            fault.check(&format!("answers[{index}]"))?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            let name = format!("steps[{index}]");
            check_method(&format!("{name}.after.method"), &step.after.method)?;
            within(
                &format!("{name}.advance_seconds"),
                step.advance_seconds,
                0,
                LONGEST_ADVANCE,
            )?;
            if let Some(deliveries) = &step.deliveries {
                deliveries.check(&format!("{name}.deliveries"))?;
            }
            for (at, fault) in step.answers.iter().flatten().enumerate() {
                fault.check(&format!("{name}.answers[{at}]"))?;
            }
        }
        Ok(())
    }

    /// Draws from 0 to 99 for `what`: always the same from the same seed.
    pub(crate) fn draw(&self, what: &str) -> u32 {
        let digest = Sha256::digest(format!("{}:{what}", self.seed));
        digest.first().map_or(0, |byte| u32::from(*byte) * 100 / 256)
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

    /// Whether calls make no difference to it.
    pub(crate) fn is_still(&self) -> bool {
        self.answers.is_empty() && self.steps.is_empty()
    }

    /// Counts a call: takes the steps that are due before it, says how far they move the clock, and takes one use of the
    /// first answer fault that strikes this call.
    pub(crate) fn arrive(&mut self, method: &str, path: &str) -> (i64, Option<AnswerFault>) {
        let mut advance = 0_i64;
        while self
            .steps
            .first()
            .is_some_and(|step| step.after.met >= step.after.calls)
        {
            let step = self.steps.remove(0);
            advance = advance.saturating_add(step.advance_seconds);
            self.deliveries = step.deliveries.unwrap_or(self.deliveries.clone());
            self.answers = step.answers.unwrap_or(std::mem::take(&mut self.answers));
        }
        if let Some(step) = self.steps.first_mut()
            && meets(&step.after.method, &step.after.path, method, path)
        {
            step.after.met += 1;
        }
        (advance, self.strike(method, path))
    }

    fn strike(&mut self, method: &str, path: &str) -> Option<AnswerFault> {
        for index in 0..self.answers.len() {
            let fault = self.answers.get_mut(index)?;
            if fault.times == 0 || !meets(&fault.method, &fault.path, method, path) {
                continue;
            }
            fault.met += 1;
            let (met, after, percent) = (fault.met, fault.after, fault.percent);
            let drawn = self.draw(&format!("answer:{index}:{met}"));
            if met > after && drawn < percent {
                let fault = self.answers.get_mut(index)?;
                fault.times -= 1;
                return Some(fault.clone());
            }
        }
        None
    }
}

fn meets(wanted_method: &str, pattern: &str, method: &str, path: &str) -> bool {
    if wanted_method != "*" && wanted_method != method {
        return false;
    }
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) | (Some("**"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(want), Some(have)) if want == have => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::json::{Value, json};

    use super::*;

    fn faults(setting: Value) -> Faults {
        let faults: Faults = setting.read().unwrap();
        faults.check().unwrap();
        faults
    }

    #[test]
    fn a_pattern_meets_segments_and_whole_tails() {
        for (method, pattern, met) in [
            ("POST", "/v1/customers/cus_1", true),
            ("POST", "/v1/customers/*", true),
            ("*", "/v1/**", true),
            ("GET", "/v1/**", false),
            ("POST", "/v1/*", false),
            ("POST", "/v1/customers/cus_1/**", false),
        ] {
            assert_eq!(
                meets(method, pattern, "POST", "/v1/customers/cus_1"),
                met,
                "{method} {pattern}"
            );
        }
    }

    #[test]
    fn a_fault_lets_calls_pass_and_strikes_a_share_of_the_rest() {
        let mut after = faults(json!({ "answers": [
            { "method": "*", "path": "/v1/**", "after": 2, "times": 2, "kind": "hang" }] }));
        let struck: Vec<bool> = (0..6).map(|_| after.arrive("GET", "/v1/x").1.is_some()).collect();
        assert_eq!(struck, [false, false, true, true, false, false]);

        let share = |seed: u64| {
            let mut share = faults(json!({ "seed": seed, "answers": [
                { "method": "*", "path": "/v1/**", "times": 1000, "percent": 30, "kind": "hang" }] }));
            (0..1000)
                .map(|_| share.arrive("GET", "/v1/x").1.is_some())
                .collect::<Vec<_>>()
        };
        let struck = share(7);
        assert!((250..350).contains(&struck.iter().filter(|struck| **struck).count()));
        assert_eq!(struck, share(7));
        assert_ne!(struck, share(8));
    }

    #[test]
    fn steps_follow_one_another_before_the_call_after_so_many() {
        let mut scenario = faults(json!({ "steps": [
            { "after": { "calls": 1, "method": "POST" }, "deliveries": { "swap": true }, "advance_seconds": 5 },
            { "after": { "calls": 1, "path": "/v1/customers" }, "answers": [
                { "method": "*", "path": "/v1/**", "kind": "hang" }] },
        ] }));
        assert_eq!(scenario.arrive("GET", "/v1/customers"), (0, None));
        assert_eq!(scenario.arrive("POST", "/v1/x"), (0, None));
        assert!(!scenario.deliveries.swap);
        assert_eq!(scenario.arrive("POST", "/v1/customers"), (5, None));
        assert!(scenario.deliveries.swap);
        let (advance, fault) = scenario.arrive("GET", "/v1/x");
        assert_eq!(
            (advance, fault.map(|fault| fault.kind)),
            (0, Some(AnswerFaultKind::Hang))
        );
        assert!(scenario.steps.is_empty());
    }
}
