//! The hops after payment: what the events bring about, until the subscription has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use counterfoil_proto::billing::v1 as billing;

use super::stripe::text;
use super::{FEATURE, PLAN, Spoiled, Story, insist};

impl Story {
    /// The signed webhooks are verified and in the log.
    pub(super) async fn see_webhooks(&mut self) -> anyhow::Result<String> {
        let session = self.session().await?;
        let subscription = text(&session, "/subscription").context("the session has no subscription")?;
        self.found.subscription_id = subscription.to_owned();
        // Billing may be faster than this look at it: the time is taken as soon as access is there.
        let access = self.wait_for("access after payment", async || {
            Ok(Some(self.access().await?).filter(|a| a.allowed))
        });
        let access = access.await?;
        let seconds = self.oracle.seconds_since_active(subscription).await?;
        self.found.webhook_to_access = Some(Duration::from_secs_f64(seconds.max(0.0)));
        ensure!(
            access.subscription_id == subscription,
            "access comes from {}",
            access.subscription_id
        );
        let types = self
            .wait_for("the checkout's events in the log", async || {
                let logged: BTreeSet<_> = self.oracle.event_ids().await?.into_iter().collect();
                let events = self.stripe.objects("event").await?;
                let about = events.iter().filter(|event| {
                    let customer = Some(self.found.customer_id.as_str());
                    text(event, "/data/object/customer") == customer || text(event, "/data/object/id") == customer
                });
                let all: Vec<_> = about.collect();
                let stored = all
                    .iter()
                    .filter(|event| logged.contains(text(event, "/id").unwrap_or_default()))
                    .count();
                Ok((stored == all.len()).then_some(stored))
            })
            .await?;
        let status = self.ingest_status().await?;
        Ok(format!(
            "{types} events of {} verified and stored, {} deliveries of {} were repeats",
            self.found.customer_id, status.duplicates, status.received
        ))
    }

    /// Billing's projection says the user may use the feature.
    pub(super) async fn see_access(&mut self) -> anyhow::Result<String> {
        let access = self.access().await?;
        ensure!(access.allowed, "no access after payment");
        ensure!(
            access.reason() == billing::AccessReason::Subscribed,
            "access for another reason"
        );
        ensure!(access.plan == PLAN, "access by the plan {}", access.plan);
        let after = self.found.webhook_to_access.unwrap_or_default();
        Ok(format!(
            "{FEATURE} granted by {} {after:.0?} after its webhook was stored",
            access.subscription_id
        ))
    }

    /// The plan and its price, seen in a read.
    pub(super) async fn see_plan(&mut self) -> anyhow::Result<String> {
        let subscription = self.subscription().await?;
        let [item] = subscription.items.as_slice() else {
            bail!("the subscription has {} items", subscription.items.len())
        };
        let price = item.unit_price.clone().context("the item has no price")?;
        ensure!(item.lookup_key == PLAN, "the plan is {}", item.lookup_key);
        ensure!(
            (price.minor_units, price.currency_code.as_str()) == (2900, "usd"),
            "the price is {price:?}"
        );
        ensure!(
            subscription.user_id == self.user_id,
            "the subscription is of user {}",
            subscription.user_id
        );
        let end = item.current_period_end_time.context("the period has no end")?;
        self.found.period_end = end.seconds;
        Ok(format!(
            "{} at 29.00 USD a month, status {}",
            item.lookup_key,
            subscription.status().as_str_name()
        ))
    }

    /// Canceled at the end of the period, asked for twice under one key; access stays.
    pub(super) async fn cancel(&mut self) -> anyhow::Result<String> {
        if !self.spoils(Spoiled::SkipCancel) {
            let request = billing::CancelSubscriptionRequest {
                idempotency_key: self.key("cancel"),
                subscription_id: self.found.subscription_id.clone(),
            };
            let mut answers = Vec::new();
            for _ in 0..2 {
                let answer = insist(self.options.patience, async || {
                    self.clients
                        .subscriptions
                        .clone()
                        .cancel_subscription(request.clone())
                        .await
                });
                answers.push(answer.await?.subscription.context("an answer without a subscription")?);
            }
            ensure!(
                answers.windows(2).all(|pair| pair.first() == pair.last()),
                "a repeat was answered differently"
            );
        }
        let scheduled = self
            .wait_for("the scheduled cancellation", async || {
                Ok(Some(self.subscription().await?).filter(|subscription| subscription.cancel_time.is_some()))
            })
            .await;
        // Without a cancellation the story must fail at its end, where access should be gone.
        if !self.spoils(Spoiled::SkipCancel) {
            scheduled?;
        }
        // Nothing of it may still be on its way when the clock is moved.
        self.wait_for("the cancellation's events", async || {
            let counts = self.counts().await?;
            let made = self.stripe.objects("event").await?.len();
            let settled = usize::try_from(counts.stored)? == made && counts.delivered == counts.of_billing;
            Ok(settled.then_some(()))
        })
        .await?;
        ensure!(
            self.access().await?.allowed,
            "access was lost when cancellation was scheduled"
        );
        Ok("at the end of the period; access is kept until then".to_owned())
    }

    /// The clock moves past the end of the period.
    pub(super) async fn advance_clock(&mut self) -> anyhow::Result<String> {
        let now = self.stripe.now().await?;
        let seconds = self.found.period_end.saturating_sub(now).saturating_add(3600).max(0);
        if !self.spoils(Spoiled::SkipClock) {
            self.stripe.advance(seconds).await?;
        }
        Ok(format!("{} days forward, past the end of the period", seconds / 86_400))
    }

    /// The subscription's end arrives, and access is gone.
    pub(super) async fn see_revocation(&mut self) -> anyhow::Result<String> {
        let ended = self.wait_for("the end of access", async || {
            Ok(Some(self.access().await?).filter(|a| !a.allowed))
        });
        let mut access = ended.await?;
        if self.spoils(Spoiled::SkipRevoke) {
            self.oracle
                .spoil("update billing.subscription set status = 'active'")
                .await?;
            access = self.access().await?;
        }
        ensure!(!access.allowed, "access was given again");
        ensure!(
            access.reason() == billing::AccessReason::SubscriptionInactive,
            "access ended for another reason"
        );
        let subscription = self.subscription().await?;
        ensure!(
            subscription.status() == billing::SubscriptionStatus::Canceled,
            "the subscription is not canceled"
        );
        Ok(format!("customer.subscription.deleted arrived, {FEATURE} is gone"))
    }
}
