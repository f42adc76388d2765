//! The committer: the one task of a gateway that appends. It takes what is waiting, never lingers for more, and tells
//! everyone who waits what became of their event, once that is durable.

use std::collections::HashMap;
use std::sync::Arc;

use counterfoil_store::{Db, Error};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};

use crate::counters::Counters;
use crate::log::append::{Appended, NewEvent, append, is_row_at_fault};
use crate::log::quarantine::{self, Reason};

/// The most events of one statement.
const BATCH_EVENTS: usize = 256;
/// How many may wait. Their bodies are bounded by the budget they were read under.
const QUEUE: usize = 1_024;

/// What became of an event. All of these are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored,
    Duplicate,
    Quarantined,
}

/// The event was not stored; it may be brought again.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("the event could not be stored")]
pub(crate) struct NotStored;

type Answer = Result<Outcome, NotStored>;

struct Waiting {
    event: NewEvent,
    /// What its body takes of the budget, given back when it is answered, even if nobody hears.
    budget: OwnedSemaphorePermit,
    answer: oneshot::Sender<Answer>,
}

/// Where events are brought. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<Waiting>);

impl Queue {
    /// Stores `event` and returns when that is durable. Nothing is stored twice.
    pub(crate) async fn store(&self, event: NewEvent, budget: OwnedSemaphorePermit) -> Answer {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { event, budget, answer };
        self.0.try_send(waiting).map_err(|_| NotStored)?;
        answered.await.map_err(|_| NotStored)?
    }
}

/// The committer, to be run.
pub(crate) struct Committer {
    waiting: mpsc::Receiver<Waiting>,
    db: Db,
    counters: Arc<Counters>,
    /// Told after each batch that added something.
    appended: Arc<Notify>,
}

/// A committer, and the queue to it. It ends when the last clone of the queue is gone and all are answered.
pub(crate) fn committer(db: Db, counters: Arc<Counters>, appended: Arc<Notify>) -> (Queue, Committer) {
    let (queue, waiting) = mpsc::channel(QUEUE);
    let committer = Committer {
        waiting,
        db,
        counters,
        appended,
    };
    (Queue(queue), committer)
}

impl Committer {
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_EVENTS);
        while self.waiting.recv_many(&mut batch, BATCH_EVENTS).await > 0 {
            self.commit(std::mem::take(&mut batch)).await;
        }
    }

    async fn commit(&self, batch: Vec<Waiting>) {
        let Folded {
            events,
            answers,
            budget,
        } = fold(batch);
        let answered = self.append(&events.iter().collect::<Vec<_>>()).await;
        drop((events, budget));
        if answered.contains(&Ok(Outcome::Stored)) {
            self.appended.notify_one();
        }
        for (answer, senders) in answered.into_iter().zip(answers) {
            for (sender, repeat) in senders
                .into_iter()
                .zip(std::iter::once(false).chain(std::iter::repeat(true)))
            {
                let answer = if repeat && answer == Ok(Outcome::Stored) {
                    Ok(Outcome::Duplicate)
                } else {
                    answer
                };
                match answer {
                    Ok(Outcome::Stored) => self.counters.stored.add_one(),
                    Ok(Outcome::Duplicate) => self.counters.duplicates.add_one(),
                    Ok(Outcome::Quarantined) => self.counters.quarantined.add_one(),
                    Err(NotStored) => self.counters.failed.add_one(),
                }
                // Who no longer waits is told by the next delivery.
                let _ = sender.send(answer);
            }
        }
    }

    /// An answer for each event. Where a row is at fault, halves are tried until it is found; it alone is quarantined.
    async fn append(&self, events: &[&NewEvent]) -> Vec<Answer> {
        let mut answers = vec![Err(NotStored); events.len()];
        let mut parts = vec![(0, events.len())];
        while let Some((start, end)) = parts.pop() {
            let (Some(slots), Some(events)) = (answers.get_mut(start..end), events.get(start..end)) else {
                continue;
            };
            match self.try_append(events).await {
                Ok(appended) => {
                    slots.fill(Ok(Outcome::Duplicate));
                    for Appended { n, .. } in appended {
                        let place = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
                        if let Some(slot) = place.and_then(|place| slots.get_mut(place)) {
                            *slot = Ok(Outcome::Stored);
                        }
                    }
                }
                Err(Error::Query(error)) if is_row_at_fault(&error) => match (events, slots) {
                    ([event], [slot]) => *slot = self.quarantine(event).await,
                    _ => {
                        let middle = start.midpoint(end);
                        parts.extend([(middle, end), (start, middle)]);
                    }
                },
                Err(error) => {
                    // The others would fare no better.
                    tracing::error!(error = %error, events = events.len(), "events could not be stored");
                    return answers;
                }
            }
        }
        answers
    }

    async fn try_append(&self, events: &[&NewEvent]) -> Result<Vec<Appended>, Error> {
        let mut conn = self.db.conn().await?;
        Ok(append(&mut conn, events).await?)
    }

    async fn quarantine(&self, event: &NewEvent) -> Answer {
        tracing::error!(
            event.id = event.envelope.event_id,
            "an event that cannot be stored is quarantined"
        );
        let put = async {
            let mut conn = self.db.conn().await?;
            Ok::<(), Error>(quarantine::put(&mut conn, Reason::RowAtFault, &event.delivery).await?)
        };
        match put.await {
            Ok(()) => Ok(Outcome::Quarantined),
            Err(error) => {
                tracing::error!(error = %error, "a delivery could not be quarantined");
                Err(NotStored)
            }
        }
    }
}

/// A batch with its repeats folded.
#[derive(Default)]
struct Folded {
    /// Each event once.
    events: Vec<NewEvent>,
    /// Who waits for it, in order.
    answers: Vec<Vec<oneshot::Sender<Answer>>>,
    budget: Vec<OwnedSemaphorePermit>,
}

fn fold(batch: Vec<Waiting>) -> Folded {
    let mut places = HashMap::new();
    let mut folded = Folded::default();
    for Waiting { event, budget, answer } in batch {
        let id = (event.envelope.account.clone(), event.envelope.event_id.clone());
        let place = *places.entry(id).or_insert(folded.events.len());
        folded.budget.push(budget);
        match folded.answers.get_mut(place) {
            Some(waiting) => waiting.push(answer),
            None => {
                folded.events.push(event);
                folded.answers.push(vec![answer]);
            }
        }
    }
    folded
}
