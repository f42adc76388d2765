//! Late, equal, out of order: whether an event's object replaces the stored one. Pure.
//!
//! All times are in Stripe's clock, whose events tell whole seconds only. What is known of an object is true of some
//! moment between `known_from` and `known_to`: for an event both are its `created`, for an answer to a call the two ends
//! of the call, each a second wider (`counterfoil_types::Stamp`). This thin form fetches whenever the two overlap.

use chrono::{DateTime, Utc};

use crate::Event;

/// What is stored of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The earliest moment the stored state may be of.
    pub known_from: DateTime<Utc>,
    /// The latest moment the stored state may be of. Not before `known_from`.
    pub known_to: DateTime<Utc>,
    /// Whether the stored state is one that nothing follows: canceled, deleted, void.
    pub terminal: bool,
}

/// What an event brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// The event's `created`.
    pub created: DateTime<Utc>,
    /// Whether the state it brings is one that nothing follows.
    pub terminal: bool,
    /// Whether the event is rendered in the API version this suite is built for. Another one may lack fields or mean
    /// other things by them.
    pub api_version_is_pinned: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The event's object is newer: store it.
    Apply,
    /// What is stored is newer: leave it.
    Pass,
    /// The event cannot tell: ask Stripe for the object and store the answer.
    Fetch,
}

/// Decides about one event. `known` is `None` where the object is not stored.
///
/// * Older than all that is known: pass, whatever it says.
/// * Newer than all that is known: apply. But a terminal state is left only if Stripe itself says so, and an object in
///   another API version is fetched in ours.
/// * In between, the grain of a second hides which came last: fetch.
#[must_use]
pub fn decide(known: Option<&Known>, incoming: &Incoming) -> Decision {
    let newer = if incoming.api_version_is_pinned {
        Decision::Apply
    } else {
        Decision::Fetch
    };
    match known {
        None => newer,
        Some(known) if incoming.created < known.known_from => Decision::Pass,
        Some(known) if incoming.created > known.known_to => {
            let leaves_terminal = known.terminal && !incoming.terminal;
            if leaves_terminal { Decision::Fetch } else { newer }
        }
        Some(_) => Decision::Fetch,
    }
}

/// Decides about `event`, which brings a state that is `terminal` or not; `pinned_version` is the API version this suite
/// is built for. As [`decide`], but that a `….created` event of an object that is stored is passed: nothing comes before
/// a creation, and so it saves the fetch when both are of one second.
///
/// What is written upon this must be stamped by these rules, or a second's grain hides it for ever:
/// * to be applied: `Stamp::Event` of the event's `created`;
/// * fetched: the answer's stamp, `following` the event's `created`. A fetch made because of an event is never stamped
///   earlier than the event, since it shows the event's state or a later one.
///
/// Between this and the writing statement a call's answer may be stored. A projection whose statement then finds
/// something newer decides again, and where that says [`Decision::Fetch`] it fails, to be handed the event once more.
#[must_use]
pub fn of_event(known: Option<&Known>, event: &Event, terminal: bool, pinned_version: &str) -> Decision {
    if known.is_some() && event.event_type.ends_with(".created") {
        return Decision::Pass;
    }
    let incoming = Incoming {
        created: event.created,
        terminal,
        api_version_is_pinned: event.api_version == pinned_version,
    };
    decide(known, &incoming)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn known(from: i64, to: i64, terminal: bool) -> Known {
        Known {
            known_from: at(from),
            known_to: at(to),
            terminal,
        }
    }

    fn incoming(created: i64, terminal: bool, api_version_is_pinned: bool) -> Incoming {
        Incoming {
            created: at(created),
            terminal,
            api_version_is_pinned,
        }
    }

    #[test]
    fn every_kind_of_event_is_decided_as_the_table_says() {
        use Decision::{Apply, Fetch, Pass};
        // Stored from 10 to 12. Columns: created; stored terminal; event terminal; pinned version.
        let table = [
            (9, false, false, true, Pass),
            (9, false, false, false, Pass),
            (9, false, true, true, Pass),
            (9, true, false, true, Pass),
            (10, false, false, true, Fetch),
            (11, false, true, true, Fetch),
            (12, true, false, true, Fetch),
            (12, true, true, false, Fetch),
            (13, false, false, true, Apply),
            (13, false, true, true, Apply),
            (13, true, true, true, Apply),
            (13, true, false, true, Fetch),
            (13, false, false, false, Fetch),
            (13, false, true, false, Fetch),
        ];
        for (created, stored_terminal, terminal, pinned, expected) in table {
            let known = known(10, 12, stored_terminal);
            let incoming = incoming(created, terminal, pinned);
            assert_eq!(decide(Some(&known), &incoming), expected, "{known:?} {incoming:?}");
        }
    }

    #[test]
    fn an_object_not_stored_is_taken_from_the_event_if_its_version_is_ours() {
        assert_eq!(decide(None, &incoming(1, false, true)), Decision::Apply);
        assert_eq!(decide(None, &incoming(1, true, true)), Decision::Apply);
        assert_eq!(decide(None, &incoming(1, false, false)), Decision::Fetch);
    }

    #[test]
    fn an_event_of_the_same_second_is_never_taken_at_its_word() {
        let stored = known(10, 10, false);
        assert_eq!(decide(Some(&stored), &incoming(10, false, true)), Decision::Fetch);
        assert_eq!(decide(Some(&stored), &incoming(10, true, true)), Decision::Fetch);
    }

    #[test]
    fn nothing_comes_before_a_creation_and_another_version_is_fetched() {
        let stored = known(10, 10, false);
        let event = |event_type: &str| Event {
            partition: 0,
            offset: 1,
            event_id: "evt_1".into(),
            event_type: event_type.into(),
            api_version: "pinned".into(),
            account: String::new(),
            object_id: "cus_1".into(),
            key: "/cus_1".into(),
            created: at(10),
            received: at(10),
            body: bytes::Bytes::new(),
            traceparent: String::new(),
        };
        for (event_type, known, pinned, decision) in [
            ("customer.created", None, "pinned", Decision::Apply),
            ("customer.created", Some(&stored), "pinned", Decision::Pass),
            ("customer.updated", Some(&stored), "pinned", Decision::Fetch),
            ("customer.updated", None, "pinned", Decision::Apply),
            ("customer.updated", None, "other", Decision::Fetch),
        ] {
            let decided = of_event(known, &event(event_type), false, pinned);
            assert_eq!(decided, decision, "{event_type} {known:?} {pinned}");
        }
    }

    prop_compose! {
        fn any_known()(from in -50_i64..50, width in 0_i64..5, terminal: bool) -> Known {
            known(from, from + width, terminal)
        }
    }

    prop_compose! {
        fn any_incoming()(created in -60_i64..60, terminal: bool, pinned: bool) -> Incoming {
            incoming(created, terminal, pinned)
        }
    }

    /// An object at Stripe: a version for each change, `(second, terminal)`, in the order they happened.
    fn any_history() -> impl Strategy<Value = Vec<(i64, bool)>> {
        (prop::collection::vec(0_i64..4, 1..6), any::<bool>()).prop_map(|(mut seconds, ends_terminal)| {
            seconds.sort_unstable();
            let last = seconds.len() - 1;
            let version = |(index, second)| (second, ends_terminal && index == last);
            seconds.into_iter().enumerate().map(version).collect()
        })
    }

    proptest! {
        #[test]
        fn nothing_older_than_what_is_stored_is_ever_applied(known in any_known(), incoming in any_incoming()) {
            if decide(Some(&known), &incoming) == Decision::Apply {
                prop_assert!(incoming.created > known.known_to);
            }
        }

        #[test]
        fn only_what_is_certainly_older_is_passed(known in any_known(), incoming in any_incoming()) {
            let passed = decide(Some(&known), &incoming) == Decision::Pass;
            prop_assert_eq!(passed, incoming.created < known.known_from);
        }

        #[test]
        fn another_api_version_is_never_stored_as_it_came(known in any_known(), incoming in any_incoming()) {
            let foreign = Incoming { api_version_is_pinned: false, ..incoming };
            prop_assert_ne!(decide(Some(&known), &foreign), Decision::Apply);
            prop_assert_ne!(decide(None, &foreign), Decision::Apply);
        }

        #[test]
        fn a_terminal_state_is_left_only_by_a_fetch(known in any_known(), incoming in any_incoming()) {
            let over = Known { terminal: true, ..known };
            let revived = Incoming { terminal: false, ..incoming };
            prop_assert_ne!(decide(Some(&over), &revived), Decision::Apply);
        }

        /// The events of a history, each twice and in any order, end at Stripe's last version.
        #[test]
        fn any_order_of_any_history_converges_to_stripes_state(
            (history, order) in any_history().prop_flat_map(|history| {
                let twice: Vec<usize> = (0..history.len()).chain(0..history.len()).collect();
                (Just(history), Just(twice).prop_shuffle())
            }),
        ) {
            let newest = history.len() - 1;
            let mut stored: Option<(usize, Known)> = None;
            for version in order {
                let (second, terminal) = history[version];
                let decision = decide(stored.as_ref().map(|(_, known)| known), &incoming(second, terminal, true));
                match decision {
                    Decision::Apply => stored = Some((version, known(second, second, terminal))),
                    Decision::Pass => {}
                    // All events are delivered after the last change, so a fetch tells the last version.
                    Decision::Fetch => stored = Some((newest, known(9, 11, history[newest].1))),
                }
            }
            prop_assert_eq!(stored.map(|(version, _)| version), Some(newest));
        }
    }
}
