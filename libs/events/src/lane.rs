//! A partition within a session: what has come of it, what is being done about it, whether it is streamed. No I/O.

use std::collections::{HashSet, VecDeque};

use counterfoil_proto::event::v1 as pb;

use crate::checkpoint::Checkpoint;
use crate::run::{Backoff, Contradiction, Item};

/// The most items of one transaction.
const LONGEST_RUN: usize = 100;

/// What there is to do for a partition, one at a time.
#[derive(Debug)]
pub(crate) enum Work {
    /// To apply these; `failing` where the first of them has failed.
    Run { items: Vec<Item>, failing: Option<Backoff> },
    /// To try again to replay what the filter newly admits, before the partition is streamed.
    ChangeFilter { at: Checkpoint, backoff: Backoff },
}

/// Whether the gateway streams a partition to us.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    In,
    /// We left it out. What was on its way still comes, up to no offset we could know.
    Out,
    /// We took it in again, and the first item of this second time has not come.
    Returning,
}

#[derive(Debug)]
pub(crate) struct Lane {
    partition: i32,
    /// The offset up to which items have arrived that were taken.
    arrived: i64,
    /// The event there; empty where a filter passed it over.
    event_id: String,
    /// The offset up to which items have arrived at all, from before the partition was left out.
    seen: i64,
    flow: Flow,
    queue: VecDeque<Item>,
    /// What has to be done before the queue.
    again: Option<Work>,
    busy: bool,
}

impl Lane {
    /// A partition that is streamed from where its checkpoint stands.
    pub(crate) fn new(at: &Checkpoint) -> Lane {
        Lane {
            partition: at.partition,
            arrived: at.log_offset,
            event_id: at.event_id.clone(),
            seen: at.log_offset,
            flow: Flow::In,
            queue: VecDeque::new(),
            again: None,
            busy: false,
        }
    }

    /// A partition that has to wait for its filter.
    pub(crate) fn waiting(at: Checkpoint) -> Lane {
        Lane {
            flow: Flow::Out,
            again: Some(Work::ChangeFilter {
                at: at.clone(),
                backoff: Backoff::new(),
            }),
            ..Lane::new(&at)
        }
    }

    pub(crate) fn is_streamed(&self) -> bool {
        self.flow != Flow::Out
    }

    /// Takes what has come into the queue, or hands it back where the partition has been left out since it was sent.
    pub(crate) fn take(&mut self, item: Item) -> Result<Option<Item>, Contradiction> {
        let unwanted = match self.flow {
            Flow::In => false,
            Flow::Out => true,
            // What was sent before goes on where we saw it end; what is sent again begins where we said.
            Flow::Returning => item.before() > self.arrived && item.last() > self.seen,
        };
        let reached = if unwanted { &mut self.seen } else { &mut self.arrived };
        // What came before may come again; nothing may be left out.
        if item.before() > *reached {
            return Err(Contradiction::Gap {
                partition: self.partition,
                checkpoint: *reached,
                next: item.before().saturating_add(1),
            });
        }
        *reached = item.last().max(*reached);
        if unwanted {
            return Ok(Some(item));
        }
        self.flow = Flow::In;
        self.queue.push_back(item);
        Ok(None)
    }

    /// What to do next, unless something is being done.
    pub(crate) fn begin(&mut self) -> Option<Work> {
        if self.busy {
            return None;
        }
        let work = match self.again.take() {
            Some(work) => work,
            None if self.queue.is_empty() => return None,
            None => Work::Run {
                items: next_run(&mut self.queue),
                failing: None,
            },
        };
        self.busy = true;
        Some(work)
    }

    /// Whether what was done has to be done again.
    pub(crate) fn is_failing(&self) -> bool {
        self.again.is_some()
    }

    /// All of a run is done.
    pub(crate) fn done(&mut self) {
        self.busy = false;
    }

    /// What was begun is to be tried again, before everything else.
    pub(crate) fn again(&mut self, work: Work) {
        self.busy = false;
        self.again = Some(work);
    }

    /// Leaves the partition out of the stream behind `last` and hands back what came after that.
    pub(crate) fn leave_out(&mut self, last: &Item) -> VecDeque<Item> {
        self.seen = self.arrived;
        self.stand_at(last.last(), last.event_id());
        self.flow = Flow::Out;
        std::mem::take(&mut self.queue)
    }

    /// Takes the partition into the stream again, and says from where.
    pub(crate) fn take_in(&mut self, epoch: i64) -> pb::PartitionPosition {
        self.flow = Flow::Returning;
        pb::PartitionPosition {
            partition: self.partition,
            after_offset: self.arrived,
            after_event_id: self.event_id.clone(),
            epoch,
        }
    }

    /// Notes how far the checkpoint of a partition is that is not streamed.
    pub(crate) fn stand_at(&mut self, offset: i64, event_id: &str) {
        self.arrived = offset;
        event_id.clone_into(&mut self.event_id);
    }
}

/// Takes the items of the next transaction: none of them with the key of another.
fn next_run(queue: &mut VecDeque<Item>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut keys = HashSet::new();
    while items.len() < LONGEST_RUN
        && let Some(item) = queue.pop_front()
    {
        if let Item::Event(event) = &item
            && !keys.insert(event.key.clone())
        {
            queue.push_front(item);
            break;
        }
        items.push(item);
    }
    items
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;
    use crate::Event;

    fn event(offset: i64, key: &str) -> Item {
        Item::Event(Box::new(Event {
            partition: 0,
            offset,
            event_id: format!("evt_{offset}"),
            event_type: "invoice.paid".into(),
            api_version: String::new(),
            account: String::new(),
            object_id: String::new(),
            key: key.into(),
            created: DateTime::UNIX_EPOCH,
            received: DateTime::UNIX_EPOCH,
            body: Bytes::new(),
            traceparent: String::new(),
        }))
    }

    #[test]
    fn a_run_ends_before_a_key_that_is_in_it() {
        let passed = Item::Passed { through: 3, count: 1 };
        let mut queue = VecDeque::from([event(1, "/a"), event(2, "/b"), passed, event(4, "/a"), event(5, "/c")]);
        let mut runs = Vec::new();
        while !queue.is_empty() {
            runs.push(next_run(&mut queue).iter().map(Item::last).collect::<Vec<_>>());
        }
        assert_eq!(runs, [vec![1, 2, 3], vec![4, 5]]);
    }

    #[test]
    fn a_run_is_never_longer_than_a_transaction_may_be() {
        let mut queue: VecDeque<Item> = (1..=250).map(|offset| event(offset, &offset.to_string())).collect();
        let mut lengths = Vec::new();
        while !queue.is_empty() {
            lengths.push(next_run(&mut queue).len());
        }
        assert_eq!(lengths, [100, 100, 50]);
    }

    fn lane() -> Lane {
        Lane::new(&Checkpoint {
            partition: 0,
            log_offset: 0,
            event_id: String::new(),
            epoch: 1,
            filter: Vec::new(),
        })
    }

    /// Takes an event and says whether it was wanted.
    fn takes(lane: &mut Lane, offset: i64) -> bool {
        lane.take(event(offset, "/a")).unwrap().is_none()
    }

    #[test]
    fn what_was_on_its_way_when_a_partition_was_left_out_is_not_taken_for_what_is_sent_again() {
        let mut lane = lane();
        assert!((1..=4).all(|offset| takes(&mut lane, offset)));
        assert_eq!(lane.leave_out(&event(2, "/a")).len(), 4);
        assert!(!takes(&mut lane, 5));
        let position = lane.take_in(7);
        assert_eq!(
            (position.after_offset, position.after_event_id.as_str(), position.epoch),
            (2, "evt_2", 7)
        );
        assert!(!takes(&mut lane, 6));
        assert!((3..=7).all(|offset| takes(&mut lane, offset)));
    }

    #[test]
    fn what_is_sent_again_with_a_hole_is_a_contradiction() {
        let mut lane = lane();
        assert!((1..=9).all(|offset| takes(&mut lane, offset)));
        lane.leave_out(&event(2, "/a"));
        lane.take_in(1);
        assert!(lane.take(event(4, "/a")).is_err());
        assert!(lane.take(event(11, "/a")).is_err());
    }
}
