//! Reading a body under a cap, a budget and a time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// The largest body. Stripe's events reach some hundred kilobytes.
const MAX_BYTES: usize = 1024 * 1024;
/// How much of a body that is too large is read and thrown away, so that a client which is still sending hears the
/// answer.
const MAX_DISCARDED: usize = 8 * MAX_BYTES;
/// How long a body may take.
const TIME: Duration = Duration::from_secs(10);

/// A body, and what it takes of the budget for as long as it is held.
pub(super) struct Budgeted {
    pub(super) bytes: Bytes,
    pub(super) budget: OwnedSemaphorePermit,
}

pub(super) async fn read(body: Body, budget: &Arc<Semaphore>) -> Result<Budgeted, Refusal> {
    tokio::time::timeout(TIME, read_all(body, budget))
        .await
        .unwrap_or(Err(Refusal::TooSlow))
}

async fn read_all(mut body: Body, budget: &Arc<Semaphore>) -> Result<Budgeted, Refusal> {
    let mut bytes = BytesMut::new();
    let mut taken = take(budget, 0)?;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BrokenOff)?.into_data() else {
            continue;
        };
        if data.len() > MAX_BYTES.saturating_sub(bytes.len()) {
            drop((bytes, taken));
            discard(body).await;
            return Err(Refusal::TooLarge);
        }
        taken.merge(take(budget, data.len())?);
        bytes.extend_from_slice(&data);
    }
    Ok(Budgeted {
        bytes: bytes.freeze(),
        budget: taken,
    })
}

fn take(budget: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let bytes = u32::try_from(bytes).map_err(|_| Refusal::TooLarge)?;
    budget
        .clone()
        .try_acquire_many_owned(bytes)
        .map_err(|_| Refusal::Unavailable)
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
    use super::*;

    #[tokio::test]
    async fn a_body_holds_its_budget_until_it_is_dropped() {
        let budget = Arc::new(Semaphore::new(10));
        let first = read(Body::from("seven77"), &budget).await.unwrap();
        assert_eq!((&first.bytes[..], budget.available_permits()), (&b"seven77"[..], 3));
        assert_eq!(
            read(Body::from("four"), &budget).await.err(),
            Some(Refusal::Unavailable)
        );
        drop(first);
        assert_eq!(budget.available_permits(), 10);
        assert!(read(Body::from("four"), &budget).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_of_a_mebibyte_is_read_and_one_byte_more_is_not() {
        let budget = Arc::new(Semaphore::new(usize::MAX >> 4));
        assert!(read(Body::from(vec![b' '; MAX_BYTES]), &budget).await.is_ok());
        assert_eq!(
            read(Body::from(vec![b' '; MAX_BYTES + 1]), &budget).await.err(),
            Some(Refusal::TooLarge)
        );
    }
}
