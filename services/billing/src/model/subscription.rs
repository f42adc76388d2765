//! Subscriptions and their states.

use chrono::{DateTime, Utc};
use counterfoil_types::{Money, SubscriptionId};
use serde::{Deserialize, Serialize};

/// A subscription as Stripe last showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Stripe's id.
    pub id: SubscriptionId,
    /// Stripe's id of the customer.
    pub customer_id: String,
    /// The user the customer stands for, where one is known.
    pub user_id: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// The items, in Stripe's order.
    pub items: Vec<Item>,
    /// When it will be canceled, where a cancellation is scheduled.
    pub cancel_at: Option<DateTime<Utc>>,
    /// When it ended, where it has.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// One price of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Stripe's id, `si_…`.
    pub id: String,
    /// Stripe's id of the price.
    pub price_id: String,
    /// The price's lookup key.
    pub lookup_key: Option<String>,
    /// The number of units; `None` for metered prices.
    pub quantity: Option<i64>,
    /// The price of one unit in minor units; `None` for tiered prices.
    pub unit_amount: Option<i64>,
    /// The currency's code.
    pub currency: String,
    /// The features the price gives.
    pub features: Vec<String>,
    /// When the present period began.
    pub period_start: Option<DateTime<Utc>>,
    /// When the present period ends.
    pub period_end: Option<DateTime<Utc>>,
}

/// The statuses of a subscription. Source: <https://docs.stripe.com/api/subscriptions/object#subscription_object-status>,
/// API version 2026-09-30.endive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The first payment is outstanding.
    Incomplete,
    /// The first payment was not made in time. Terminal.
    IncompleteExpired,
    /// In a trial.
    Trialing,
    /// Paid.
    Active,
    /// A renewal payment failed and is being retried.
    PastDue,
    /// Retries are exhausted.
    Unpaid,
    /// Ended. Terminal.
    Canceled,
    /// Paused.
    Paused,
    /// A status newer than this program.
    Other(String),
}

/// A request to cancel at the end of the period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// The subscription.
    pub subscription_id: SubscriptionId,
}

/// A place in a list of subscriptions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// When the subscription there was created.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub id: SubscriptionId,
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a token from an earlier answer")]
pub struct InvalidPosition;

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.created_at.timestamp(), self.id)
    }
}

impl std::str::FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (seconds, id) = text.split_once(' ').ok_or(InvalidPosition)?;
        let seconds = seconds.parse().map_err(|_| InvalidPosition)?;
        let created_at = DateTime::from_timestamp(seconds, 0).ok_or(InvalidPosition)?;
        Ok(Position {
            created_at,
            id: SubscriptionId::parse(id).map_err(|_| InvalidPosition)?,
        })
    }
}

impl Subscription {
    /// Where it stands in a list.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            id: self.id.clone(),
        }
    }
}

impl Item {
    /// The price of one unit, where it has one in a currency we know.
    #[must_use]
    pub fn unit_price(&self) -> Option<Money> {
        let currency = counterfoil_types::Currency::parse(&self.currency).ok()?;
        self.unit_amount.map(|minor_units| Money { minor_units, currency })
    }
}

impl Status {
    /// The status Stripe's word stands for.
    #[must_use]
    pub fn parse(word: &str) -> Status {
        match word {
            "incomplete" => Status::Incomplete,
            "incomplete_expired" => Status::IncompleteExpired,
            "trialing" => Status::Trialing,
            "active" => Status::Active,
            "past_due" => Status::PastDue,
            "unpaid" => Status::Unpaid,
            "canceled" => Status::Canceled,
            "paused" => Status::Paused,
            other => Status::Other(other.to_owned()),
        }
    }

    /// Stripe's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Status::Incomplete => "incomplete",
            Status::IncompleteExpired => "incomplete_expired",
            Status::Trialing => "trialing",
            Status::Active => "active",
            Status::PastDue => "past_due",
            Status::Unpaid => "unpaid",
            Status::Canceled => "canceled",
            Status::Paused => "paused",
            Status::Other(word) => word,
        }
    }

    /// Whether no other status can follow.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Status::Canceled | Status::IncompleteExpired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was_and_anything_else_is_refused() {
        let position = Position {
            created_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
            id: SubscriptionId::parse("sub_1").unwrap(),
        };
        assert_eq!(position.to_string().parse(), Ok(position));
        for wrong in ["", "1", "x sub_1", "1 cus_1", "99999999999999999 sub_1"] {
            assert_eq!(wrong.parse::<Position>(), Err(InvalidPosition), "{wrong}");
        }
    }

    #[test]
    fn every_word_comes_back_as_it_was() {
        let words = [
            "incomplete",
            "incomplete_expired",
            "trialing",
            "active",
            "past_due",
            "unpaid",
            "canceled",
            "paused",
            "new",
        ];
        for word in words {
            assert_eq!(Status::parse(word).as_str(), word);
        }
        assert!(Status::parse("canceled").is_terminal() && !Status::parse("new").is_terminal());
    }
}
