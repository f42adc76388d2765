//! The rule of access: which statuses of which subscriptions let a user use a feature.

use super::subscription::{Status, Subscription};

/// A feature's name: 1 to 80 characters of `a-z`, `0-9`, dash, underscore and dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature(String);

/// A text that is not a feature's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 80 characters of a-z, 0-9, dash, underscore and dot")]
pub struct InvalidFeature;

/// Whether a user may use a feature, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The rule that decided.
    pub reason: Reason,
    /// The subscription that gave or last gave access.
    pub subscription_id: Option<String>,
    /// The plan, where there is access.
    pub plan: Option<String>,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A subscription is active or in its trial.
    Subscribed,
    /// A subscription is past due and its payment still being retried.
    Grace,
    /// There is no subscription to the feature.
    NoSubscription,
    /// There is one, in a status that gives no access.
    SubscriptionInactive,
}

impl Feature {
    /// Takes a name within its bounds.
    ///
    /// # Errors
    /// When it is not.
    pub fn parse(name: impl Into<String>) -> Result<Self, InvalidFeature> {
        let name = name.into();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > 80 || !name.bytes().all(plain) {
            return Err(InvalidFeature);
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Reason {
    /// Whether the rule gives access.
    #[must_use]
    pub fn allows(self) -> bool {
        matches!(self, Reason::Subscribed | Reason::Grace)
    }

    /// The rule for a status. A status we do not know gives nothing.
    #[must_use]
    pub fn of_status(status: &Status) -> Reason {
        match status {
            Status::Active | Status::Trialing => Reason::Subscribed,
            Status::PastDue => Reason::Grace,
            Status::Incomplete
            | Status::IncompleteExpired
            | Status::Unpaid
            | Status::Canceled
            | Status::Paused
            | Status::Other(_) => Reason::SubscriptionInactive,
        }
    }

    /// Which of two rules wins: the more generous one.
    fn rank(self) -> u8 {
        match self {
            Reason::Subscribed => 3,
            Reason::Grace => 2,
            Reason::SubscriptionInactive => 1,
            Reason::NoSubscription => 0,
        }
    }
}

/// Decides about a feature from all the subscriptions of a user, newest first. Of several to the same feature the most
/// generous decides, of equals the newest.
#[must_use]
pub fn decide(feature: &Feature, subscriptions: &[Subscription]) -> Access {
    let mut access = Access {
        reason: Reason::NoSubscription,
        subscription_id: None,
        plan: None,
    };
    for subscription in subscriptions {
        let item = subscription
            .items
            .iter()
            .find(|item| item.features.iter().any(|name| name == feature.as_str()));
        let Some(item) = item else { continue };
        let reason = Reason::of_status(&subscription.status);
        if reason.rank() > access.reason.rank() {
            let plan = item.lookup_key.clone().unwrap_or_else(|| item.price_id.clone());
            access = Access {
                reason,
                subscription_id: Some(subscription.id.to_string()),
                plan: reason.allows().then_some(plan),
            };
        }
    }
    access
}

#[cfg(test)]
mod tests {
    use super::super::subscription::Item;
    use super::*;
    use chrono::DateTime;
    use counterfoil_types::SubscriptionId;

    fn subscription(id: &str, status: &str, features: &[&str]) -> Subscription {
        Subscription {
            id: SubscriptionId::parse(id).unwrap(),
            customer_id: "cus_1".to_owned(),
            user_id: None,
            status: Status::parse(status),
            items: vec![Item {
                id: "si_1".to_owned(),
                price_id: "price_1".to_owned(),
                lookup_key: Some("pro_monthly".to_owned()),
                quantity: Some(1),
                unit_amount: Some(2900),
                currency: "usd".to_owned(),
                features: features.iter().map(|name| (*name).to_owned()).collect(),
                period_start: None,
                period_end: None,
            }],
            cancel_at: None,
            ended_at: None,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_status_gives_access_or_not_by_the_table() {
        let table = [
            ("incomplete", Reason::SubscriptionInactive),
            ("incomplete_expired", Reason::SubscriptionInactive),
            ("trialing", Reason::Subscribed),
            ("active", Reason::Subscribed),
            ("past_due", Reason::Grace),
            ("unpaid", Reason::SubscriptionInactive),
            ("canceled", Reason::SubscriptionInactive),
            ("paused", Reason::SubscriptionInactive),
            ("a_status_of_tomorrow", Reason::SubscriptionInactive),
        ];
        let feature = Feature::parse("reports").unwrap();
        for (status, reason) in table {
            let access = decide(&feature, &[subscription("sub_1", status, &["reports"])]);
            assert_eq!(access.reason, reason, "{status}");
            assert_eq!(access.plan.is_some(), reason.allows(), "{status}");
        }
    }

    #[test]
    fn another_feature_gives_nothing() {
        let feature = Feature::parse("exports").unwrap();
        let access = decide(&feature, &[subscription("sub_1", "active", &["reports"])]);
        assert_eq!(
            access,
            Access {
                reason: Reason::NoSubscription,
                subscription_id: None,
                plan: None
            }
        );
    }

    #[test]
    fn the_most_generous_of_several_decides_and_of_equals_the_newest() {
        let feature = Feature::parse("reports").unwrap();
        let all = [
            subscription("sub_3", "canceled", &["reports"]),
            subscription("sub_2", "active", &["reports"]),
            subscription("sub_1", "active", &["reports"]),
        ];
        assert_eq!(decide(&feature, &all).subscription_id.as_deref(), Some("sub_2"));
    }

    #[test]
    fn a_features_name_is_short_and_plain() {
        for wrong in ["", "Reports", "a b", "é", &"x".repeat(81)] {
            assert_eq!(Feature::parse(wrong), Err(InvalidFeature), "{wrong}");
        }
    }
}
