//! What an answer means.

use std::time::Duration;

use bytes::Bytes;
use counterfoil_types::Stamp;

use crate::error::{Error, Refusal};

/// An HTTP answer that came in whole.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) stripe_request_id: Option<String>,
    /// Stripe answered from its memory of the idempotency key, or we from our ledger: the object may be older than the
    /// answer.
    pub(crate) replayed: bool,
    /// `None` where the answer had no readable `Date`, so that it is hardly Stripe's.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) retry_after: Option<Duration>,
    /// Stripe's own opinion. Source: <https://docs.stripe.com/error-low-level#should-retry>.
    pub(crate) should_retry: Option<bool>,
}

/// What an answer says about what happened.
pub(crate) enum Meaning {
    /// Final: it was done, or it was refused for good.
    Final,
    /// For certain nothing was executed, by this try.
    NotExecuted(Error),
    /// It may have been executed, or may be in the course of it.
    Unclear,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The refusal in an answer that is final and no success.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        Refusal::parse(self.status, &self.body, self.stripe_request_id.as_deref())
    }

    pub(crate) fn meaning(&self) -> Meaning {
        if self.stamp.is_none() {
            return Meaning::Unclear;
        }
        if self.is_success() {
            return Meaning::Final;
        }
        // What is not in Stripe's form was said by something between us and Stripe.
        let Some(refusal) = self.refusal() else {
            return Meaning::Unclear;
        };
        match (self.status, refusal.kind.as_str(), refusal.code.as_deref()) {
            (401 | 403, ..) => Meaning::NotExecuted(Error::Unauthorised),
            (429, _, Some("lock_timeout")) => Meaning::NotExecuted(Error::Conflict),
            (429, ..) => Meaning::NotExecuted(Error::RateLimited {
                retry_after: self.retry_after,
            }),
            // An earlier try of ours is being executed this moment.
            (409, _, Some("idempotency_key_in_use")) => Meaning::Unclear,
            (409, ..) => Meaning::NotExecuted(Error::Conflict),
            // The key was used with other bytes, which the ledger rules out; nothing is known about those.
            (400, "idempotency_error", _) => Meaning::Unclear,
            (408 | 424 | 425, ..) => Meaning::Unclear,
            // Worth another try is not a last word.
            (400..=499, ..) if self.should_retry == Some(true) => Meaning::Unclear,
            (400..=499, ..) => Meaning::Final,
            _ => Meaning::Unclear,
        }
    }

    /// Whether to try again: Stripe's opinion where it gives one, else what is neither final nor about our key.
    pub(crate) fn asks_for_retry(&self) -> bool {
        let by_status = match self.meaning() {
            Meaning::Final | Meaning::NotExecuted(Error::Unauthorised) => false,
            Meaning::NotExecuted(_) | Meaning::Unclear => true,
        };
        !self.is_success() && self.should_retry.unwrap_or(by_status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: Bytes::copy_from_slice(body.as_bytes()),
            stripe_request_id: None,
            replayed: false,
            stamp: crate::stamp::stamp("Sun, 06 Nov 1994 08:49:37 GMT", Duration::ZERO),
            retry_after: None,
            should_retry: None,
        }
    }

    fn error(kind: &str, code: &str) -> String {
        format!(r#"{{"error": {{"type": "{kind}", "code": "{code}"}}}}"#)
    }

    #[test]
    fn only_what_is_certain_is_final_or_not_executed() {
        for (status, body, expected, retry) in [
            (200, "{}".to_owned(), "final", false),
            (400, error("invalid_request_error", "parameter_missing"), "final", false),
            (402, error("card_error", "card_declined"), "final", false),
            (404, error("invalid_request_error", "resource_missing"), "final", false),
            (401, error("invalid_request_error", ""), "unauthorised", false),
            (403, error("invalid_request_error", ""), "unauthorised", false),
            (409, error("invalid_request_error", ""), "conflict", true),
            (
                409,
                error("idempotency_error", "idempotency_key_in_use"),
                "unclear",
                true,
            ),
            (429, error("invalid_request_error", "rate_limit"), "limited", true),
            (429, error("invalid_request_error", "lock_timeout"), "conflict", true),
            (400, error("idempotency_error", ""), "unclear", true),
            (424, error("api_error", ""), "unclear", true),
            (500, error("api_error", ""), "unclear", true),
            (503, "busy".to_owned(), "unclear", true),
            (404, "<html>".to_owned(), "unclear", true),
            (302, String::new(), "unclear", true),
        ] {
            let answer = answer(status, &body);
            let meaning = match answer.meaning() {
                Meaning::Final => "final",
                Meaning::NotExecuted(Error::Unauthorised) => "unauthorised",
                Meaning::NotExecuted(Error::Conflict) => "conflict",
                Meaning::NotExecuted(Error::RateLimited { .. }) => "limited",
                Meaning::NotExecuted(other) => panic!("{other}"),
                Meaning::Unclear => "unclear",
            };
            assert_eq!((meaning, answer.asks_for_retry()), (expected, retry), "{status} {body}");
        }
    }

    #[test]
    fn stripes_opinion_on_retrying_wins_but_a_success_is_a_success() {
        for (status, opinion, retry) in [
            (500, false, false),
            (429, false, false),
            (402, true, true),
            (400, true, true),
            (200, true, false),
        ] {
            let answer = Answer {
                should_retry: Some(opinion),
                ..answer(status, &error("api_error", ""))
            };
            assert_eq!(answer.asks_for_retry(), retry, "{status} {opinion}");
            let last_word = matches!(answer.meaning(), Meaning::Final);
            assert!(!(last_word && retry), "{status}: what is worth a retry is not final");
        }
    }

    #[test]
    fn an_answer_without_a_date_is_not_believed() {
        let answer = Answer {
            stamp: None,
            ..answer(200, "{}")
        };
        assert!(matches!(answer.meaning(), Meaning::Unclear));
    }
}
