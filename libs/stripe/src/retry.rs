//! How long to pause before the next try.

use std::time::Duration;

/// No pause is longer; where Stripe asks for more, the caller is told instead of kept waiting.
const LONGEST: Duration = Duration::from_secs(8);

/// The pause after try number `tried` (from 1): `first` doubled with each, between half and all of it by `jitter` (0 to
/// 1000), and at least what Stripe asked for. `None` where that is too long to be waited for in a call.
pub(crate) fn pause(first: Duration, tried: u32, retry_after: Option<Duration>, jitter: u32) -> Option<Duration> {
    let doubled = 2_u32.saturating_pow(tried.saturating_sub(1));
    let whole = first.checked_mul(doubled).unwrap_or(LONGEST).min(LONGEST);
    let half = whole / 2;
    let pause = half + half * jitter.min(1_000) / 1_000;
    match retry_after {
        Some(asked) if asked > LONGEST => None,
        Some(asked) => Some(pause.max(asked)),
        None => Some(pause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = Duration::from_millis(500);

    #[test]
    fn pauses_double_up_to_a_bound_and_stripes_wish_is_the_least() {
        let second = Duration::from_secs(1);
        for (tried, asked, jitter, expected) in [
            (1, None, 1_000, Some(FIRST)),
            (1, None, 0, Some(FIRST / 2)),
            (2, None, 1_000, Some(second)),
            (3, None, 1_000, Some(2 * second)),
            (99, None, 1_000, Some(LONGEST)),
            (1, Some(3 * second), 1_000, Some(3 * second)),
            (1, Some(Duration::ZERO), 1_000, Some(FIRST)),
            (1, Some(60 * second), 1_000, None),
        ] {
            assert_eq!(pause(FIRST, tried, asked, jitter), expected, "{tried} {asked:?}");
        }
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_bound(first: u32, tried: u32, jitter: u32) {
            let pause = pause(Duration::from_millis(u64::from(first)), tried, None, jitter);
            prop_assert!(pause.unwrap() <= LONGEST);
        }
    }
}
