//! The state of one stream: what the consumer allowed, and how far each partition went. No I/O.

use std::collections::{BTreeMap, VecDeque};

use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::subscribe_response::Message as Say;

use crate::log::head::Head;
use crate::log::read::Row;

/// What one Credit may allow, and what may be outstanding.
pub(super) const LIMITS: pb::Limits = pb::Limits {
    max_events: 100_000,
    max_bytes: 1024 * 1024 * 1024,
};
/// The most events that a filter passes over before the consumer is told.
const LONGEST_SILENCE: i64 = 1_000;
/// The bytes of bodies that are read at a time: what one stream holds in memory at most, one body more aside.
const READ_BYTES: i64 = 1024 * 1024;
/// Rows that are read at a time.
pub(super) const READ_ROWS: i64 = 100;

/// The consumer broke the protocol: the field and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str, pub(super) String);

/// The log lacks an offset below its head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// What to read next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) partition: i32,
    pub(super) after: i64,
    pub(super) bytes: i64,
    /// The most events to send of it.
    pub(super) events: i64,
    /// The last offset there is to read.
    pub(super) head: i64,
}

#[derive(Debug, Default)]
pub(super) struct Subscription {
    events: i64,
    bytes: i64,
    lanes: BTreeMap<i32, Lane>,
    /// How far partitions were sent that were dropped since: what was under way then may still be acknowledged once they
    /// are back.
    dropped: BTreeMap<i32, i64>,
    /// The partition that was read last; the next one is looked for behind it.
    turn: i32,
}

/// A partition of the stream.
#[derive(Debug)]
struct Lane {
    /// Read up to here: sent, to be sent, or passed over.
    read: i64,
    /// Told the consumer up to here, perhaps before the partition was dropped and added again.
    sent: i64,
    /// Passed over since the consumer was last told.
    passed: i64,
}

impl Subscription {
    pub(super) fn has(&self, partition: i32) -> bool {
        self.lanes.contains_key(&partition)
    }

    pub(super) fn add(&mut self, partition: i32, after: i64) {
        let before = self.dropped.remove(&partition).unwrap_or_default();
        let lane = Lane {
            read: after,
            sent: after.max(before),
            passed: 0,
        };
        self.lanes.insert(partition, lane);
    }

    pub(super) fn drop(&mut self, partition: i32) -> Result<(), Broken> {
        match self.lanes.remove(&partition) {
            Some(lane) => {
                self.dropped.insert(partition, lane.sent);
                Ok(())
            }
            None => Err(Broken(
                "rebalance.drop",
                format!("partition {partition} is not in the stream"),
            )),
        }
    }

    pub(super) fn credit(&mut self, credit: pb::Credit) -> Result<(), Broken> {
        for (field, given, left, max) in [
            ("credit.events", credit.events, &mut self.events, LIMITS.max_events),
            ("credit.bytes", credit.bytes, &mut self.bytes, LIMITS.max_bytes),
        ] {
            if given < 1 || given > max {
                return Err(Broken(field, format!("must be from 1 to {max}")));
            }
            *left = left.saturating_add(given);
            if *left > max {
                return Err(Broken(field, format!("more than {max} would be outstanding")));
            }
        }
        Ok(())
    }

    pub(super) fn ack(&self, ack: &pb::Ack) -> Result<(), Broken> {
        let Some(lane) = self.lanes.get(&ack.partition) else {
            return Err(Broken(
                "ack.partition",
                format!("partition {} is not in the stream", ack.partition),
            ));
        };
        if ack.offset < 0 || ack.offset > lane.sent {
            return Err(Broken("ack.offset", format!("offset {} was not sent", ack.offset)));
        }
        Ok(())
    }

    /// The partition that lies behind what was read of it, if there is one: the log went back.
    pub(super) fn rewound(&self, head: &Head) -> Option<(i32, i64)> {
        let beyond = |(partition, lane): (&i32, &Lane)| {
            (lane.read > head.last(*partition).unwrap_or_default()).then_some((*partition, lane.read))
        };
        self.lanes.iter().find_map(beyond)
    }

    /// What to read, where there is something new and credit for it. Partitions take turns, and while several wait each
    /// gets a quarter of the credit.
    pub(super) fn next(&self, head: &Head) -> Option<Read> {
        if self.events < 1 || self.bytes < 1 {
            return None;
        }
        let behind = |(partition, lane): &(&i32, &Lane)| lane.read < head.last(**partition).unwrap_or_default();
        let later = self.lanes.range(self.turn.saturating_add(1)..);
        let mut waiting = later.chain(self.lanes.range(..=self.turn)).filter(behind);
        let (partition, lane) = waiting.next()?;
        let alone = waiting.next().is_none();
        let quarter = self.events.saturating_add(3).checked_div(4).unwrap_or(1);
        Some(Read {
            partition: *partition,
            after: lane.read,
            bytes: self.bytes.min(READ_BYTES),
            events: if alone { self.events } else { quarter },
            head: head.last(*partition).unwrap_or_default(),
        })
    }

    /// Takes the rows that were read and adds to `say` what the consumer is to be told. Every offset must follow the one
    /// before it.
    pub(super) fn take(&mut self, read: &Read, rows: Vec<Row>, say: &mut VecDeque<Say>) -> Result<(), Missing> {
        let partition = read.partition;
        self.turn = partition;
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return Ok(());
        };
        let more = rows.len() >= usize::try_from(READ_ROWS).unwrap_or(usize::MAX);
        let mut left = read.events;
        let mut stopped = false;
        if rows.is_empty() {
            let offset = lane.read.saturating_add(1);
            return Err(Missing { partition, offset });
        }
        for row in rows {
            let next = lane.read.saturating_add(1);
            if row.log_offset != next {
                return Err(Missing {
                    partition,
                    offset: next,
                });
            }
            if !row.admitted {
                lane.read = next;
                lane.passed = lane.passed.saturating_add(1);
                continue;
            }
            if left == 0 {
                stopped = true;
                break;
            }
            left = left.saturating_sub(1);
            lane.tell_progress(partition, say);
            lane.read = next;
            let bytes = row.body.as_ref().map_or(0, Vec::len);
            self.events = self.events.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
            say.push_back(Say::Event(row.into()));
        }
        // Behind the last offset nothing may come for long.
        if stopped || !more || lane.read >= read.head || lane.passed >= LONGEST_SILENCE {
            lane.tell_progress(partition, say);
        }
        Ok(())
    }

    /// Gives back the credit of events that will not be sent.
    pub(super) fn give_back(&mut self, unsent: &VecDeque<Say>) {
        for say in unsent {
            if let Say::Event(event) = say {
                self.events = self.events.saturating_add(1);
                self.bytes = self
                    .bytes
                    .saturating_add(i64::try_from(event.body.len()).unwrap_or(i64::MAX));
            }
        }
    }

    /// Notes that something was handed to the transport.
    pub(super) fn sent(&mut self, said: &Say) {
        let (partition, through) = match said {
            Say::Event(event) => (event.partition, event.offset),
            Say::Progress(progress) => (progress.partition, progress.through_offset),
            _ => return,
        };
        if let Some(lane) = self.lanes.get_mut(&partition) {
            lane.sent = lane.sent.max(through);
        }
    }
}

impl Lane {
    fn tell_progress(&mut self, partition: i32, say: &mut VecDeque<Say>) {
        if self.passed > 0 {
            say.push_back(Say::Progress(pb::Progress {
                partition,
                through_offset: self.read,
                count: std::mem::take(&mut self.passed),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn row(partition: i32, log_offset: i64, admitted: bool, bytes: usize) -> Row {
        Row {
            partition,
            log_offset,
            received_at: DateTime::UNIX_EPOCH,
            account: String::new(),
            event_id: format!("evt_{log_offset}"),
            r#type: String::new(),
            api_version: String::new(),
            object_id: String::new(),
            key: String::new(),
            created: DateTime::UNIX_EPOCH,
            source: "webhook".into(),
            endpoint: String::new(),
            traceparent: String::new(),
            body_sha256: Vec::new(),
            admitted,
            body: admitted.then(|| vec![0; bytes]),
        }
    }

    /// A log in memory: for each partition, what its events are to the filter, and how long.
    type Log = Vec<Vec<(bool, usize)>>;

    fn head(log: &Log) -> Head {
        Head {
            epoch: 1,
            last: log.iter().map(|events| events.len() as i64).collect(),
        }
    }

    /// As the database answers.
    fn rows(log: &Log, read: &Read) -> Vec<Row> {
        let mut before = 0;
        let mut rows = Vec::new();
        for (offset, (admitted, bytes)) in (1..).zip(&log[read.partition as usize]) {
            if offset <= read.after {
                continue;
            }
            if before >= read.bytes || rows.len() as i64 >= READ_ROWS {
                break;
            }
            before += if *admitted { *bytes as i64 } else { 0 };
            rows.push(row(read.partition, offset, *admitted, *bytes));
        }
        rows
    }

    fn any_log() -> impl Strategy<Value = Log> {
        let event = (any::<bool>(), 1_usize..300);
        prop::collection::vec(prop::collection::vec(event, 0..250), 1..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the log and the credit: offsets follow each other, a filter's silences are counted, nothing is sent
        /// beyond the credit but one body's overdraft, and in the end everything has been told.
        #[test]
        fn every_offset_is_told_once_and_in_order_within_the_credit(
            log in any_log(),
            grants in prop::collection::vec((1_i64..40, 1_i64..2_000), 1..20),
        ) {
            let mut subscription = Subscription::default();
            let head = head(&log);
            for partition in 0..log.len() as i32 {
                subscription.add(partition, 0);
            }
            let mut told = vec![0_i64; log.len()];
            let (mut events_left, mut bytes_left) = (0_i64, 0_i64);
            let grants = grants.into_iter().chain(std::iter::repeat((1_000, 1 << 20)));
            for (events, bytes) in grants.take(100) {
                subscription.credit(pb::Credit { events, bytes }).unwrap();
                events_left += events;
                bytes_left += bytes;
                while let Some(read) = subscription.next(&head) {
                    let mut say = VecDeque::new();
                    subscription.take(&read, rows(&log, &read), &mut say).unwrap();
                    for said in &say {
                        subscription.sent(said);
                        match said {
                            Say::Event(event) => {
                                let told = &mut told[event.partition as usize];
                                prop_assert_eq!(event.offset, *told + 1);
                                *told = event.offset;
                                prop_assert!(events_left > 0 && bytes_left > 0);
                                events_left -= 1;
                                bytes_left -= event.body.len() as i64;
                            }
                            Say::Progress(passed) => {
                                let partition = passed.partition as usize;
                                let silent = &log[partition][told[partition] as usize..passed.through_offset as usize];
                                prop_assert!(silent.iter().all(|(admitted, _)| !admitted));
                                prop_assert_eq!(silent.len() as i64, passed.count);
                                told[partition] = passed.through_offset;
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
            prop_assert_eq!(told, head.last);
        }

        #[test]
        fn no_credit_and_no_ack_is_a_panic(events: i64, bytes: i64, partition: i32, offset: i64) {
            let mut subscription = Subscription::default();
            subscription.add(0, 5);
            for _ in 0..3 {
                let _ = subscription.credit(pb::Credit { events, bytes });
            }
            let ack = pb::Ack { partition, offset, generation: 0 };
            prop_assert_eq!(subscription.ack(&ack).is_ok(), partition == 0 && (0..=5).contains(&offset));
        }
    }

    #[test]
    fn a_hole_or_an_empty_answer_below_the_head_is_missing() {
        let mut subscription = Subscription::default();
        subscription.add(0, 0);
        subscription.credit(pb::Credit { events: 5, bytes: 5 }).unwrap();
        let read = subscription
            .next(&Head {
                epoch: 1,
                last: vec![3],
            })
            .unwrap();
        let mut say = VecDeque::new();
        let hole = subscription.take(&read, vec![row(0, 1, false, 0), row(0, 3, true, 1)], &mut say);
        assert_eq!(
            hole,
            Err(Missing {
                partition: 0,
                offset: 2
            })
        );
        let read = subscription
            .next(&Head {
                epoch: 1,
                last: vec![3],
            })
            .unwrap();
        assert_eq!(
            subscription.take(&read, vec![], &mut say),
            Err(Missing {
                partition: 0,
                offset: 2
            })
        );
    }

    #[test]
    fn what_was_passed_over_last_is_told_also_where_a_read_ends_with_the_log() {
        let mut subscription = Subscription::default();
        subscription.add(0, 0);
        subscription.credit(pb::Credit { events: 1, bytes: 1 }).unwrap();
        let log: Log = vec![vec![(false, 1); READ_ROWS as usize]];
        let read = subscription.next(&head(&log)).unwrap();
        let mut say = VecDeque::new();
        subscription.take(&read, rows(&log, &read), &mut say).unwrap();
        let progress = pb::Progress {
            partition: 0,
            through_offset: READ_ROWS,
            count: READ_ROWS,
        };
        assert_eq!(say, [Say::Progress(progress)]);
    }

    #[test]
    fn what_was_sent_before_a_partition_went_and_came_back_may_be_acknowledged() {
        let mut subscription = Subscription::default();
        subscription.add(0, 0);
        subscription.credit(pb::Credit { events: 2, bytes: 9 }).unwrap();
        let log: Log = vec![vec![(true, 1); 3]];
        let read = subscription.next(&head(&log)).unwrap();
        let mut say = VecDeque::new();
        subscription.take(&read, rows(&log, &read), &mut say).unwrap();
        say.iter().for_each(|said| subscription.sent(said));
        let ack = |offset| pb::Ack {
            partition: 0,
            offset,
            generation: 0,
        };
        subscription.drop(0).unwrap();
        assert!(subscription.ack(&ack(2)).is_err());
        subscription.add(0, 1);
        assert!(subscription.ack(&ack(2)).is_ok());
        assert!(subscription.ack(&ack(3)).is_err());
    }

    #[test]
    fn what_is_dropped_unsent_gives_its_credit_back() {
        let mut subscription = Subscription::default();
        subscription.add(0, 0);
        subscription.credit(pb::Credit { events: 1, bytes: 5 }).unwrap();
        let head = Head {
            epoch: 1,
            last: vec![2],
        };
        let read = subscription.next(&head).unwrap();
        let mut say = VecDeque::new();
        subscription.take(&read, vec![row(0, 1, true, 5)], &mut say).unwrap();
        assert_eq!(subscription.next(&head), None);
        subscription.give_back(&say);
        assert!(subscription.next(&head).is_some());
    }
}
