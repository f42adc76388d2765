//! A limit on calls, off unless asked for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::error::ApiError;

const WINDOW: Duration = Duration::from_secs(1);
/// With more than these, those that are over are forgotten.
const MOST_WINDOWS: usize = 1_000;

/// So many calls a second of wall time for each account.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: u32,
    /// By account: when its window began, and the calls in it.
    windows: Mutex<HashMap<String, (Instant, u32)>>,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            windows: Mutex::default(),
        }
    }

    /// Counts a call, or refuses it.
    pub(crate) fn admit(&self, account: &str, now: Instant) -> Result<(), ApiError> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() > MOST_WINDOWS {
            windows.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
        }
        let (began, calls) = windows.entry(account.to_owned()).or_insert((now, 0));
        if now.duration_since(*began) >= WINDOW {
            (*began, *calls) = (now, 0);
        }
        if *calls >= self.per_second {
            return Err(refusal());
        }
        *calls += 1;
        Ok(())
    }
}

/// Source: <https://docs.stripe.com/rate-limits> (the body, and the header that says which limit it was).
fn refusal() -> ApiError {
    ApiError::injected(429)
        .header("stripe-rate-limited-reason", "global-rate")
        .before_execution()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_its_own_calls_and_gets_new_ones_after_a_second() {
        let limit = RateLimit::new(2);
        let start = Instant::now();
        let admitted = |account: &str, after: u64| limit.admit(account, start + Duration::from_millis(after)).is_ok();
        assert!(admitted("", 0) && admitted("", 10) && !admitted("", 999));
        assert!(admitted("acct_1", 20));
        assert!(admitted("", 1000));
    }
}
