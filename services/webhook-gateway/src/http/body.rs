//! Reading a body under a cap, a budget and a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Refusal;

/// The largest body. Stripe's events reach some hundred kilobytes.
const MAX_BYTES: usize = 1024 * 1024;
/// How much of a body that is too large is read and thrown away, so that a client which is still sending hears the
/// answer.
const MAX_DISCARDED: usize = 8 * MAX_BYTES;
/// How long a body may take.
const TIME: Duration = Duration::from_secs(10);

/// The bytes of bodies that are being read or wait to be stored, all together.
///
/// Nobody knows yet who sends a body that is being read. Where bytes are short, the one that has been read for longest
/// has to go: an honest delivery takes milliseconds, and who sends slowly to hold the budget only drives out his own kind.
#[derive(Clone)]
pub(super) struct Budget {
    bytes: Arc<Semaphore>,
    reading: Arc<Mutex<Reading>>,
}

/// The bodies that are being read, the oldest first.
#[derive(Default)]
struct Reading {
    last: u64,
    bodies: BTreeMap<u64, Taken>,
}

struct Taken {
    budget: OwnedSemaphorePermit,
    driven_out: CancellationToken,
}

/// A body, and what it takes of the budget for as long as it is held.
pub(super) struct Budgeted {
    pub(super) bytes: Bytes,
    pub(super) budget: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Budget {
        Budget {
            bytes: Arc::new(Semaphore::new(bytes)),
            reading: Arc::default(),
        }
    }

    /// Reads a body to its end.
    pub(super) async fn read(&self, body: Body) -> Result<Budgeted, Refusal> {
        let place = self.place()?;
        tokio::select! {
            () = place.driven_out.cancelled() => Err(Refusal::TooSlow),
            read = tokio::time::timeout(TIME, place.read(body)) => read.unwrap_or(Err(Refusal::TooSlow)),
        }
    }

    fn place(&self) -> Result<Place, Refusal> {
        let driven_out = CancellationToken::new();
        let taken = Taken {
            budget: self.try_take(0).ok_or(Refusal::Unavailable)?,
            driven_out: driven_out.clone(),
        };
        let number = self.with(|reading| {
            reading.last = reading.last.wrapping_add(1);
            reading.bodies.insert(reading.last, taken);
            reading.last
        });
        Ok(Place {
            number,
            budget: self.clone(),
            driven_out,
        })
    }

    fn try_take(&self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        self.bytes.clone().try_acquire_many_owned(bytes).ok()
    }

    fn with<T>(&self, f: impl FnOnce(&mut Reading) -> T) -> T {
        f(&mut self.reading.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A body's place among those that are being read, left at the end.
struct Place {
    number: u64,
    budget: Budget,
    driven_out: CancellationToken,
}

impl Place {
    async fn read(&self, mut body: Body) -> Result<Budgeted, Refusal> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::BrokenOff)?.into_data() else {
                continue;
            };
            if data.len() > MAX_BYTES.saturating_sub(bytes.len()) {
                drop(bytes);
                self.leave();
                discard(body).await;
                return Err(Refusal::TooLarge);
            }
            self.take(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Budgeted {
            bytes: bytes.freeze(),
            budget: self.leave().ok_or(Refusal::TooSlow)?.budget,
        })
    }

    /// Takes `bytes` more, where need be from those that came earlier.
    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::TooLarge)?;
        self.budget.with(|reading| {
            loop {
                if let Some(more) = self.budget.try_take(bytes) {
                    let own = reading.bodies.get_mut(&self.number).ok_or(Refusal::TooSlow)?;
                    own.budget.merge(more);
                    return Ok(());
                }
                match reading.bodies.first_entry() {
                    Some(oldest) if *oldest.key() != self.number => oldest.remove().driven_out.cancel(),
                    _ => return Err(Refusal::Unavailable),
                }
            }
        })
    }

    fn leave(&self) -> Option<Taken> {
        self.budget.with(|reading| reading.bodies.remove(&self.number))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

async fn discard(mut body: Body) {
    let mut left = MAX_DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    #[tokio::test]
    async fn a_body_holds_its_budget_until_it_is_dropped() {
        let budget = Budget::new(10);
        let first = budget.read(Body::from("seven77")).await.unwrap();
        assert_eq!(
            (&first.bytes[..], budget.bytes.available_permits()),
            (&b"seven77"[..], 3)
        );
        assert_eq!(budget.read(Body::from("four")).await.err(), Some(Refusal::Unavailable));
        drop(first);
        assert_eq!(budget.bytes.available_permits(), 10);
        assert!(budget.read(Body::from("four")).await.is_ok());
    }

    #[tokio::test]
    async fn the_body_that_is_read_for_longest_makes_room() {
        let budget = Budget::new(10);
        let (first, second) = (dribble(&budget, "four").await, dribble(&budget, "five5").await);
        assert_eq!(budget.bytes.available_permits(), 1);
        let honest = budget.read(Body::from("four")).await.unwrap();
        assert_eq!(first.await.unwrap(), Some(Refusal::TooSlow));
        assert_eq!(budget.bytes.available_permits(), 1);
        // What was read to its end makes room for nobody.
        assert_eq!(
            budget.read(Body::from("seven77")).await.err(),
            Some(Refusal::Unavailable)
        );
        assert_eq!(second.await.unwrap(), Some(Refusal::TooSlow));
        drop(honest);
        assert_eq!(budget.bytes.available_permits(), 10);
    }

    /// A body of which `text` has come and no more will.
    async fn dribble(budget: &Budget, text: &'static str) -> tokio::task::JoinHandle<Option<Refusal>> {
        let left = budget.bytes.available_permits() - text.len();
        let (send, chunks) = mpsc::channel::<Result<&str, std::io::Error>>(1);
        send.send(Ok(text)).await.unwrap();
        let reading = budget.clone();
        let read = tokio::spawn(async move {
            let _open = send;
            reading.read(Body::from_stream(ReceiverStream::new(chunks))).await.err()
        });
        while budget.bytes.available_permits() != left {
            tokio::task::yield_now().await;
        }
        read
    }

    #[tokio::test]
    async fn a_body_of_a_mebibyte_is_read_and_one_byte_more_is_not() {
        let budget = Budget::new(usize::MAX >> 4);
        assert!(budget.read(Body::from(vec![b' '; MAX_BYTES])).await.is_ok());
        assert_eq!(
            budget.read(Body::from(vec![b' '; MAX_BYTES + 1])).await.err(),
            Some(Refusal::TooLarge)
        );
    }
}
