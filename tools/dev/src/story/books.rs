//! The last hop: Stripe's books, the log and the projection are compared.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::Value;

use super::stripe::text;
use super::{Counts, Spoiled, Story, oracle};

impl Story {
    /// Stripe's books, the log and the projection agree; nothing was lost, stored twice or applied twice.
    pub(super) async fn compare_books(&mut self) -> anyhow::Result<String> {
        if self.spoils(Spoiled::StoreTwice) {
            self.oracle.spoil(oracle::STORE_TWICE).await?;
        }
        if self.spoils(Spoiled::LoseEvent) {
            self.oracle.spoil(oracle::LOSE_EVENT).await?;
        }
        let mut settled = None;
        let compared = self
            .wait_for("equal books", async || {
                let events = self.stripe.objects("event").await?;
                let mut made: Vec<_> = events
                    .iter()
                    .filter_map(|event| text(event, "/id").map(str::to_owned))
                    .collect();
                made.sort();
                let stored = self.oracle.event_ids().await?;
                let counts = self.counts().await?;
                let subscriptions = self.stripe.objects("subscription").await?;
                let at_stripe: BTreeSet<_> = subscriptions.iter().map(id_and_status).collect();
                let difference = difference(&made, &stored, counts, &at_stripe, &self.oracle.subscriptions().await?);
                let equal = difference.is_none();
                settled = difference;
                Ok(equal.then_some(counts))
            })
            .await;
        let counts = compared.with_context(|| settled.unwrap_or_default())?;
        Ok(format!(
            "{} events made, stored and dense; {} for billing, each applied once; subscriptions equal",
            counts.stored, counts.of_billing
        ))
    }
}

fn difference(
    made: &[String],
    stored: &[String],
    counts: Counts,
    at_stripe: &BTreeSet<(String, String)>,
    at_billing: &BTreeSet<(String, String)>,
) -> Option<String> {
    if made != stored {
        return Some(format!(
            "Stripe made {} events, the log has {}",
            made.len(),
            stored.len()
        ));
    }
    if counts.heads != counts.stored {
        return Some(format!(
            "the log has {} events up to offsets that sum to {}",
            counts.stored, counts.heads
        ));
    }
    if counts.caught_up != counts.heads {
        return Some(format!(
            "billing stands at offsets that sum to {}, the log at {}",
            counts.caught_up, counts.heads
        ));
    }
    if counts.delivered != counts.of_billing {
        return Some(format!(
            "{} events for billing, of which it took {}",
            counts.of_billing, counts.delivered
        ));
    }
    (at_stripe != at_billing).then(|| "billing's subscriptions are not Stripe's".to_owned())
}

fn id_and_status(subscription: &Value) -> (String, String) {
    let text = |pointer| text(subscription, pointer).unwrap_or_default().to_owned();
    (text("/id"), text("/status"))
}
