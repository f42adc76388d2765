//! What a seller sets in Stripe's dashboard about the collection of invoices. One setting counts for all accounts; what it
//! says of a period or an invoice is what it said when that began.
//!
//! Sources: <https://docs.stripe.com/billing/revenue-recovery/smart-retries>,
//! <https://docs.stripe.com/billing/subscriptions/overview#settings>.

use serde::{Deserialize, Serialize};

use crate::{
    field,
    json::{Value, json},
    world::World,
};

/// The kind and the id under which a setting is stored, once there is one.
const KIND: &str = "_sandbox.billing";

/// The empty object stands for what is true without a setting. Its retries are a custom schedule, where a new account of
/// Stripe's has Smart Retries, which follow no published rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// When a payment that failed is tried again.
    pub(crate) retries: Retries,
    /// What follows the last try.
    pub(crate) after_retries: Outcome,
    /// What follows where an invoice that was sent is not paid.
    pub(crate) sent_invoices: SentInvoices,
    /// Days before the end of a period of `invoice.upcoming`, 1 to 365, if there is one. What they are before somebody has set
    /// them Stripe's pages do not say: 7 is ours.
    pub(crate) upcoming_days: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retries: Retries::default(),
            after_retries: Outcome::default(),
            sent_invoices: SentInvoices::default(),
            upcoming_days: Some(7),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Retries {
    /// Days from one failed attempt to the next, at most three of 1 to 60; none at all is no retry.
    Custom(Vec<i64>),
    /// Stripe chooses the moments; here they are spread evenly.
    Smart(Smart),
}

/// Smart Retries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Smart {
    /// How many retries there are, 1 to 8.
    pub(crate) tries: i64,
    /// The days they are made in: 7, 14, 21, 30 or 60.
    pub(crate) days: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Outcome {
    pub(crate) subscription: Fate,
    pub(crate) invoice: Remains,
}

/// What becomes of a subscription that is not paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    Canceled,
    /// It goes on, and its invoices stay drafts.
    Unpaid,
    /// It goes on as it is.
    PastDue,
}

/// What becomes of an invoice that is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Remains {
    Open,
    Uncollectible,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SentInvoices {
    /// Days after its due date at which this is decided, 0 to 365.
    pub(crate) days: i64,
    pub(crate) subscription: Fate,
    pub(crate) invoice: Remains,
    /// Days before the due date of `invoice.will_be_due`, 1 to 365. Stripe has it sent by an automation only, so there is
    /// none by itself. Source: <https://docs.stripe.com/changelog/acacia/2024-09-30/billing-due-date-webhooks>.
    pub(crate) will_be_due_days: Option<i64>,
    /// Days after the due date of `invoice.overdue`, 0 to 365; as with the other there is none by itself.
    pub(crate) overdue_days: Option<i64>,
}

impl Default for Retries {
    fn default() -> Self {
        Self::Custom(vec![3, 5, 7])
    }
}

impl Default for Smart {
    /// Stripe's recommendation.
    fn default() -> Self {
        Self { tries: 8, days: 14 }
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            subscription: Fate::Canceled,
            invoice: Remains::Open,
        }
    }
}

impl Default for SentInvoices {
    /// Whoever is sent an invoice stays past due until it is paid.
    fn default() -> Self {
        Self {
            days: 30,
            subscription: Fate::PastDue,
            invoice: Remains::Open,
            will_be_due_days: None,
            overdue_days: None,
        }
    }
}

impl Retries {
    /// Seconds from the attempt that failed to the next one, if there is one, once `attempts` have failed.
    pub(crate) fn gap(&self, attempts: i64) -> Option<i64> {
        let retry = usize::try_from(attempts).ok()?.checked_sub(1)?;
        match self {
            Self::Custom(days) => days.get(retry).map(|days| days.saturating_mul(86_400)),
            Self::Smart(smart) => {
                (attempts <= smart.tries).then(|| smart.days.saturating_mul(86_400) / smart.tries.max(1))
            }
        }
    }
}

impl Settings {
    /// Says what is out of range, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.retries {
            Retries::Custom(days) if days.len() > 3 => return Err("retries.custom has more than 3 retries".to_owned()),
            Retries::Custom(days) => days
                .iter()
                .try_for_each(|days| within("retries.custom", *days, 1, 60))?,
            Retries::Smart(smart) => {
                within("retries.smart.tries", smart.tries, 1, 8)?;
                if ![7, 14, 21, 30, 60].contains(&smart.days) {
                    return Err(format!("retries.smart.days {} is not 7, 14, 21, 30 or 60", smart.days));
                }
            }
        }
        within("upcoming_days", self.upcoming_days.unwrap_or(1), 1, 365)?;
        let sent = &self.sent_invoices;
        within("sent_invoices.days", sent.days, 0, 365)?;
        within(
            "sent_invoices.will_be_due_days",
            sent.will_be_due_days.unwrap_or(1),
            1,
            365,
        )?;
        within("sent_invoices.overdue_days", sent.overdue_days.unwrap_or(0), 0, 365)
    }
}

fn within(name: &str, value: i64, least: i64, most: i64) -> Result<(), String> {
    if !(least..=most).contains(&value) {
        return Err(format!("{name} {value} is not between {least} and {most}"));
    }
    Ok(())
}

/// The present setting.
pub(crate) fn of(world: &World) -> Settings {
    let stored = world
        .found("", KIND)
        .map(|stored| field::at(stored, "settings").clone());
    stored.and_then(|stored| stored.read().ok()).unwrap_or_default()
}

/// Replaces the setting; the data set at work is the platform's.
pub(crate) fn replace(world: &mut World, settings: &Settings) -> Value {
    world.put(&json!({ "id": KIND, "object": KIND, "settings": Value::of(settings) }));
    Value::of(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Settings {
        serde_json::from_str(text).unwrap()
    }

    fn days(retries: &Retries) -> Vec<f64> {
        let gaps = (1..20).map_while(|attempts| retries.gap(attempts));
        gaps.map(|gap| f64::from(i32::try_from(gap).unwrap()) / 86_400.0)
            .collect()
    }

    #[test]
    fn retries_follow_the_schedule_and_end() {
        assert_eq!(days(&parsed("{}").retries), [3.0, 5.0, 7.0]);
        assert_eq!(days(&parsed(r#"{"retries":{"custom":[1,60]}}"#).retries), [1.0, 60.0]);
        assert_eq!(days(&parsed(r#"{"retries":{"custom":[]}}"#).retries), [0.0; 0]);
        assert_eq!(days(&parsed(r#"{"retries":{"smart":{}}}"#).retries), [1.75; 8]);
        let smart = parsed(r#"{"retries":{"smart":{"tries":4,"days":60}}}"#);
        assert_eq!(days(&smart.retries), [15.0; 4]);
        assert_eq!(smart.retries.gap(0), None);
        assert_eq!(smart.retries.gap(i64::MIN), None);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (text, named) in [
            (r#"{"retries":{"custom":[1,2,3,4]}}"#, "retries.custom"),
            (r#"{"retries":{"custom":[0]}}"#, "retries.custom 0"),
            (r#"{"retries":{"smart":{"tries":9}}}"#, "retries.smart.tries 9"),
            (r#"{"retries":{"smart":{"days":15}}}"#, "retries.smart.days 15"),
            (r#"{"upcoming_days":0}"#, "upcoming_days 0"),
            (r#"{"sent_invoices":{"days":366}}"#, "sent_invoices.days 366"),
            (
                r#"{"sent_invoices":{"will_be_due_days":0}}"#,
                "sent_invoices.will_be_due_days 0",
            ),
            (
                r#"{"sent_invoices":{"overdue_days":-1}}"#,
                "sent_invoices.overdue_days -1",
            ),
        ] {
            let refused = parsed(text).check().unwrap_err();
            assert!(refused.starts_with(named), "{refused}");
        }
        assert_eq!(parsed("{}").check(), Ok(()));
        assert!(serde_json::from_str::<Settings>(r#"{"retry":1}"#).is_err());
    }
}
