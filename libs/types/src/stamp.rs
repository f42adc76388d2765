//! When, in Stripe's clock, an object was in the state that was seen of it.

use chrono::{DateTime, Utc};

/// How a state of an object was seen, and so of which moment it is. Stripe's clock tells whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// In an event: as it was at the second the event was made.
    Event(DateTime<Utc>),
    /// In the answer to a call: as it was at some moment between these two.
    Answer(DateTime<Utc>, DateTime<Utc>),
}

impl Stamp {
    /// The earliest and the latest moment the state may be of: `known_from` and `known_to` of its row.
    #[must_use]
    pub fn range(self) -> (DateTime<Utc>, DateTime<Utc>) {
        match self {
            Stamp::Event(at) => (at, at),
            Stamp::Answer(from, to) => (from, to),
        }
    }

    /// The stamp of an answer to a call that was sent because of, or after seeing, a state of `moment`: it shows that
    /// state or a later one, however coarse the clocks are. Without this an answer within an event's own second would
    /// count as older than the event.
    #[must_use]
    pub fn following(self, moment: DateTime<Utc>) -> Stamp {
        let (from, to) = self.range();
        Stamp::Answer(from.max(moment), to.max(moment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn a_fetch_never_counts_as_older_than_the_event_it_was_made_for() {
        assert_eq!(
            Stamp::Answer(at(14), at(16)).following(at(15)),
            Stamp::Answer(at(15), at(16))
        );
        assert_eq!(
            Stamp::Answer(at(8), at(10)).following(at(15)),
            Stamp::Answer(at(15), at(15))
        );
        assert_eq!(
            Stamp::Answer(at(20), at(22)).following(at(15)),
            Stamp::Answer(at(20), at(22))
        );
    }
}
