//! How long the work of the present task may take: what waits for a database or for Stripe asks here, and waits no longer.
//!
//! A call's work begins with what is left of its caller's deadline, and a read ends with that. Work that must come to its
//! end once it has begun, whoever still waits for it, [extends](extend) its budget at its beginning: a claim when it is
//! owned, a step at Stripe when it is made. A task without a budget, such as a background task, has all the time.

use std::cell::Cell;
use std::time::Duration;

use tokio::task_local;
use tokio::time::Instant;

struct Budget {
    end: Cell<Instant>,
    work: Duration,
}

task_local! {
    static BUDGET: Budget;
}

/// Does `task` with a budget until `end`, or for `work` from when it is extended. Tasks that it spawns have none.
pub fn scope<F: Future>(end: Instant, work: Duration, task: F) -> impl Future<Output = F::Output> {
    let end = Cell::new(end);
    BUDGET.scope(Budget { end, work }, task)
}

/// What is left; `None` where there is no bound.
#[must_use]
pub fn remaining() -> Option<Duration> {
    let end = BUDGET.try_with(|budget| budget.end.get()).ok()?;
    Some(end.saturating_duration_since(Instant::now()))
}

/// From now on the work has its own time: no less than it had, and no less than work that goes on gets.
pub fn extend() {
    // Without a budget there is nothing to extend.
    let _ = BUDGET.try_with(|budget| {
        let now = Instant::now();
        let end = now.checked_add(budget.work).unwrap_or(now);
        budget.end.set(budget.end.get().max(end));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn work_has_its_callers_time_until_it_takes_its_own_and_never_less() {
        scope(Instant::now(), LONG, async {
            assert_eq!(remaining(), Some(Duration::ZERO));
            extend();
            assert!(remaining() > Some(LONG / 2));
        })
        .await;
        scope(Instant::now() + LONG, Duration::ZERO, async {
            extend();
            assert!(remaining() > Some(LONG / 2));
        })
        .await;
        assert_eq!(remaining(), None);
        extend();
    }

    #[tokio::test]
    async fn tasks_that_work_begins_have_all_the_time() {
        let spawned = scope(Instant::now(), LONG, async {
            tokio::spawn(async { remaining() }).await
        });
        assert_eq!(spawned.await.unwrap(), None);
    }
}
