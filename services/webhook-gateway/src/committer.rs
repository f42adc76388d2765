//! The committer: the one task of a gateway that appends. It takes what is waiting, never lingers for more, and tells
//! everyone who waits what became of their event, once that is durable.

use std::collections::HashMap;
use std::sync::Arc;

use counterfoil_store::{Db, Error};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use crate::counters::Counters;
use crate::log::append::{Appended, NewEvent, append, is_row_at_fault};
use crate::log::finding;
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
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

/// Where events are brought. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<Waiting>);

impl Queue {
    /// Stores `event` and returns when that is durable. Nothing is stored twice.
    pub(crate) async fn store(&self, event: NewEvent, budget: OwnedSemaphorePermit) -> Answer {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            event,
            budget,
            since: Instant::now(),
            answer,
        };
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
        // They come in the order in which they wait.
        self.counters.oldest.set(batch.first().map(|waiting| waiting.since));
        let Folded {
            events,
            answers,
            budget,
        } = fold(batch);
        let mut answered = self.append(&events.iter().collect::<Vec<_>>()).await;
        self.compare(&events, &mut answered).await;
        if answered.contains(&Ok(Outcome::Stored)) {
            self.appended.notify_one();
        }
        for ((event, answer), senders) in events.iter().zip(answered).zip(answers) {
            for (sender, repeat) in senders
                .into_iter()
                .zip(std::iter::once(false).chain(std::iter::repeat(true)))
            {
                let answer = if repeat && answer == Ok(Outcome::Stored) {
                    Ok(Outcome::Duplicate)
                } else {
                    answer
                };
                told(event, answer);
                match answer {
                    Ok(Outcome::Stored) => {
                        self.counters.stored.add_one();
                        if self.counters.handled.lacks(&event.envelope.event_type) {
                            self.counters.unhandled.add_one();
                        }
                    }
                    Ok(Outcome::Duplicate) => self.counters.duplicates.add_one(),
                    Ok(Outcome::Quarantined) => self.counters.quarantined.add_one(),
                    Err(NotStored) => self.counters.failed.add_one(),
                }
                // Who no longer waits is told by the next delivery.
                let _ = sender.send(answer);
            }
        }
        drop((events, budget));
        self.counters.oldest.set(None);
    }

    /// Compares the events that the log had already with what it has. Where that cannot be done, they are not answered
    /// with 200, so that they come again: a contradiction must not be lost.
    async fn compare(&self, events: &[NewEvent], answered: &mut [Answer]) {
        let pairs = events.iter().zip(&*answered);
        let known: Vec<&NewEvent> = pairs
            .filter(|(_, answer)| **answer == Ok(Outcome::Duplicate))
            .map(|(event, _)| event)
            .collect();
        if known.is_empty() {
            return;
        }
        let kept = async {
            let mut conn = self.db.conn().await?;
            Ok::<_, Error>(finding::keep(&mut conn, &known).await?)
        };
        match kept.await {
            Ok(found) => {
                for event in found {
                    self.counters.findings.add_one();
                    tracing::error!(
                        event.id = event.envelope.event_id,
                        event.type = event.envelope.event_type,
                        account = event.envelope.account,
                        endpoint = event.delivery.endpoint,
                        "an event came again with other data; the log keeps the first"
                    );
                }
            }
            Err(error) => {
                tracing::error!(error = %error, events = known.len(), "repeated events could not be compared with the log");
                for answer in answered.iter_mut().filter(|answer| **answer == Ok(Outcome::Duplicate)) {
                    *answer = Err(NotStored);
                }
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

/// The one line of each delivery that came this far.
fn told(event: &NewEvent, answer: Answer) {
    let envelope = &event.envelope;
    let result = match answer {
        Ok(Outcome::Stored) => "stored",
        Ok(Outcome::Duplicate) => "repeated",
        Ok(Outcome::Quarantined) => "quarantined",
        Err(NotStored) => "failed",
    };
    tracing::info!(
        event.id = envelope.event_id,
        event.type = envelope.event_type,
        object.id = envelope.object_id,
        account = envelope.account,
        endpoint = event.delivery.endpoint,
        result,
        "an event was delivered"
    );
}

/// A batch with its repeats folded.
#[derive(Default)]
struct Folded {
    /// Each event once, and again where it came with other bytes.
    events: Vec<NewEvent>,
    /// Who waits for it, in order.
    answers: Vec<Vec<oneshot::Sender<Answer>>>,
    budget: Vec<OwnedSemaphorePermit>,
}

fn fold(batch: Vec<Waiting>) -> Folded {
    let mut places: HashMap<(String, String), Vec<usize>> = HashMap::new();
    let mut folded = Folded::default();
    for Waiting {
        event, budget, answer, ..
    } in batch
    {
        let id = (event.envelope.account.clone(), event.envelope.event_id.clone());
        let places = places.entry(id).or_default();
        let same = |place: &&usize| {
            let first = folded.events.get(**place);
            first.is_some_and(|first| first.delivery.body == event.delivery.body)
        };
        let place = places.iter().find(same).copied();
        folded.budget.push(budget);
        match place.and_then(|place| folded.answers.get_mut(place)) {
            Some(waiting) => waiting.push(answer),
            None => {
                places.push(folded.events.len());
                folded.events.push(event);
                folded.answers.push(vec![answer]);
            }
        }
    }
    folded
}
