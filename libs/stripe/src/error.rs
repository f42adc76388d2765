//! What can become of a call, by what the caller can do about it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why a call brought no object. Neither `Display` nor `Debug` shows anything personal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Stripe looked at the request and will not do it: a declined card, an invalid parameter, a wrong state. Final:
    /// the same step answers this for ever.
    #[error("stripe refused: {0}")]
    Refused(Box<Refusal>),
    /// What the request names does not exist. Final.
    #[error("stripe has no such object: {0}")]
    NotFound(Box<Refusal>),
    /// Something else holds the object, or another caller of this step has not come to an end. Nothing happened by this
    /// call; it may be made again.
    #[error("another request holds the object")]
    Conflict,
    /// Stripe is limiting us. Nothing happened.
    #[error("stripe is limiting the rate of requests")]
    RateLimited {
        /// When to come back, where Stripe said so.
        retry_after: Option<Duration>,
    },
    /// Our key is wrong or may not do this. Nothing happened.
    #[error("stripe does not accept our key for this request")]
    Unauthorised,
    /// Stripe could not be reached. Nothing happened.
    #[error("stripe is not reachable")]
    Unavailable,
    /// The request may have been executed. Making the same step again finds out, unless it is `too_old`.
    #[error("the outcome of `{op_key}` at stripe is unknown")]
    OutcomeUnknown {
        /// The step.
        op_key: String,
        /// When it was first sent, by the database's clock, where that is 23 hours ago or more: it is never sent again,
        /// because Stripe may have forgotten its key, and only a look at what Stripe has tells what became of it.
        too_old: Option<DateTime<Utc>>,
    },
    /// The database failed before anything was sent.
    #[error(transparent)]
    Store(#[from] counterfoil_store::Error),
    /// A broken invariant of ours, or an answer that is not what Stripe documents.
    #[error("bug: {0}")]
    Bug(String),
}

/// Stripe's reasons for a definite no. Source: <https://docs.stripe.com/api/errors>.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The HTTP status, 400 to 499.
    pub status: u16,
    /// `card_error`, `invalid_request_error`, …: Stripe's `type`.
    pub kind: String,
    /// A reason for programs, such as `resource_missing`.
    pub code: Option<String>,
    /// The card issuer's reason.
    pub decline_code: Option<String>,
    /// What to do about a decline, such as `try_again_later`.
    pub advice_code: Option<String>,
    /// The parameter of our request it is about.
    pub param: Option<String>,
    /// Stripe's message. It may repeat what was sent, so it is never logged.
    pub message: Option<String>,
    /// Stripe's `req_…`.
    pub stripe_request_id: Option<String>,
}

impl Refusal {
    /// Reads an error body; `None` where it is none of Stripe's.
    pub(crate) fn parse(status: u16, body: &[u8], stripe_request_id: Option<&str>) -> Option<Refusal> {
        #[derive(Deserialize)]
        struct Body {
            error: Fields,
        }
        #[derive(Deserialize)]
        struct Fields {
            #[serde(rename = "type")]
            kind: String,
            code: Option<String>,
            decline_code: Option<String>,
            advice_code: Option<String>,
            param: Option<String>,
            message: Option<String>,
        }
        let Body { error } = serde_json::from_slice(body).ok()?;
        Some(Refusal {
            status,
            kind: error.kind,
            code: error.code,
            decline_code: error.decline_code,
            advice_code: error.advice_code,
            param: error.param,
            message: error.message,
            stripe_request_id: stripe_request_id.map(str::to_owned),
        })
    }
}

/// All but the message.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.kind)?;
        for (name, value) in [
            ("code", &self.code),
            ("decline_code", &self.decline_code),
            ("advice_code", &self.advice_code),
            ("param", &self.param),
            ("request", &self.stripe_request_id),
        ] {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_its_codes_but_not_the_message() {
        let body = br#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card",
            "message": "canary", "param": "source", "doc_url": "x"}}"#;
        let error = Error::Refused(Box::new(Refusal::parse(402, body, Some("req_1")).unwrap()));
        let shown = error.to_string();
        assert_eq!(
            shown,
            "stripe refused: 402 card_error code=card_declined decline_code=lost_card param=source request=req_1"
        );
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn what_is_not_stripes_error_body_is_no_refusal() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"error": "x"}"#,
            r#"{"error": {}}"#,
            "[]",
            "null",
        ] {
            assert_eq!(Refusal::parse(400, body.as_bytes(), None), None, "{body}");
        }
    }
}
