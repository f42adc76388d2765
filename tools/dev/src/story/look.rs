//! What the hops look at, through the suite's public doors.

use anyhow::Context;
use counterfoil_proto::billing::v1 as billing;
use counterfoil_proto::event::v1 as event;
use serde_json::Value;

use super::stripe::text;
use super::{Counts, FEATURE, PLAN, Story, insist};

impl Story {
    /// Signs a user up and opens a checkout page for them; its address.
    ///
    /// # Errors
    /// When an expectation does not hold.
    pub async fn open_checkout(&mut self) -> anyhow::Result<String> {
        self.found.price_id = self.price(PLAN).await?;
        self.sign_up().await?;
        self.check_out().await?;
        Ok(self.found.page_url.clone())
    }

    pub(super) async fn price(&self, lookup_key: &str) -> anyhow::Result<String> {
        let found = self
            .stripe
            .get(&format!("/v1/prices?lookup_keys[]={lookup_key}"))
            .await?;
        if let Some(id) = text(&found, "/data/0/id") {
            return Ok(id.to_owned());
        }
        let product = self.stripe.post("/v1/products", &[("name", "Counterfoil Pro")]).await?;
        let price = [
            ("product", text(&product, "/id").unwrap_or_default()),
            ("unit_amount", "2900"),
            ("currency", "usd"),
            ("recurring[interval]", "month"),
            ("lookup_key", lookup_key),
            ("metadata[features]", FEATURE),
        ];
        let price = self.stripe.post("/v1/prices", &price).await?;
        Ok(text(&price, "/id").context("a price without an id")?.to_owned())
    }

    pub(super) async fn session(&self) -> anyhow::Result<Value> {
        self.stripe
            .get(&format!("/v1/checkout/sessions/{}", self.found.checkout_session_id))
            .await
    }

    pub(super) async fn access(&self) -> anyhow::Result<billing::Access> {
        let request = billing::CheckAccessRequest {
            user_id: self.user_id.clone(),
            feature: FEATURE.to_owned(),
        };
        let answer = insist(self.options.patience, async || {
            self.clients.entitlements.clone().check_access(request.clone()).await
        });
        answer.await?.access.context("an answer without access")
    }

    pub(super) async fn subscription(&self) -> anyhow::Result<billing::Subscription> {
        let request = billing::GetSubscriptionRequest {
            subscription_id: self.found.subscription_id.clone(),
        };
        let answer = insist(self.options.patience, async || {
            self.clients
                .subscriptions
                .clone()
                .get_subscription(request.clone())
                .await
        });
        answer.await?.subscription.context("an answer without a subscription")
    }

    pub(super) async fn ingest_status(&self) -> anyhow::Result<event::GetIngestStatusResponse> {
        let answer = insist(self.options.patience, async || {
            self.clients
                .events
                .clone()
                .get_ingest_status(event::GetIngestStatusRequest {})
                .await
        });
        Ok(answer.await?)
    }

    pub(super) async fn counts(&self) -> anyhow::Result<Counts> {
        self.oracle.counts(counterfoil_billing::projection::EVENT_TYPES).await
    }
}
