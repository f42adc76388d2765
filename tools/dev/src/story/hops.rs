//! The hops themselves. Each does one thing, expects what must follow, and says in a line what happened.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use counterfoil_proto::billing::v1 as billing;
use counterfoil_proto::customer::v1 as customer;
use counterfoil_proto::event::v1 as event;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{Counts, Paid, Spoiled, Story, insist};

/// The feature sold.
const FEATURE: &str = "reports";
/// The plan sold.
const PLAN: &str = "pro_monthly";
const GOOD_CARD: &str = "4242424242424242";
const DECLINED_CARD: &str = "4000000000000002";
const SUCCESS_URL: &str = "http://127.0.0.1/welcome?session={CHECKOUT_SESSION_ID}";
/// More than any pair of swapped deliveries is apart.
const SIGNUPS_AT_ONCE: usize = 20;

impl Story {
    /// Every delivery is made twice, two neighbours are swapped, and there is something to sell.
    pub(super) async fn set_up(&mut self) -> anyhow::Result<String> {
        let drop = match self.options.spoiled {
            Some(Spoiled::DropCreate) => vec!["customer.subscription.created", "customer.subscription.updated"],
            Some(Spoiled::DropDelete) => vec!["customer.subscription.deleted"],
            _ => Vec::new(),
        };
        let faults = json!({"seed": 1, "deliveries": {"copies": 2, "swap": true, "drop": drop}});
        self.stripe.control("/_sandbox/faults", &faults).await?;
        if self.spoils(Spoiled::Signature) {
            let endpoint = json!({"url": self.addresses.gateway.webhook_url, "secret": "whsec_unknown_to_the_gateway"});
            self.stripe.control("/_sandbox/webhook_endpoints", &endpoint).await?;
        }
        let sold = if self.spoils(Spoiled::Plan) { "basic_monthly" } else { PLAN };
        self.found.price_id = self.price(sold).await?;
        Ok(format!("each webhook comes twice, two are swapped; for sale: {PLAN} ({})", self.found.price_id))
    }

    /// Twenty calls at once make one Stripe customer.
    pub(super) async fn sign_up(&mut self) -> anyhow::Result<String> {
        let request = customer::GetOrCreateCustomerRequest {
            user_id: self.user_id.clone(),
            email: format!("{}@example.com", self.user_id),
            name: "Ada Lovelace".to_owned(),
        };
        let calls = (0..SIGNUPS_AT_ONCE).map(|_| {
            let (client, request) = (self.clients.customers.clone(), request.clone());
            let patience = self.options.patience;
            insist(patience, async move || client.clone().get_or_create_customer(request.clone()).await)
        });
        let answers = try_join_all(calls).await?;
        let ids: BTreeSet<_> =
            answers.into_iter().map(|answer| answer.customer.unwrap_or_default().stripe_customer_id).collect();
        ensure!(ids.len() == 1, "{SIGNUPS_AT_ONCE} calls were answered with {} customers", ids.len());
        self.found.customer_id = ids.into_iter().next().unwrap_or_default();
        if self.spoils(Spoiled::Signup) {
            self.stripe.post("/v1/customers", &[("metadata[user_id]", &self.user_id)]).await?;
        }
        let at_stripe = self.stripe.objects("customer").await?;
        let of_user = at_stripe.iter().filter(|customer| customer["metadata"]["user_id"] == self.user_id.as_str());
        let ids: Vec<_> = of_user.filter_map(|customer| customer["id"].as_str()).collect();
        ensure!(ids == [self.found.customer_id.as_str()], "Stripe has these customers for the user: {ids:?}");
        Ok(format!("{SIGNUPS_AT_ONCE} calls at once, one Stripe customer: {}", self.found.customer_id))
    }

    /// A checkout session, asked for twice under one key.
    pub(super) async fn check_out(&mut self) -> anyhow::Result<String> {
        let access = self.access().await?;
        ensure!(!access.allowed, "access before anything was bought");
        let request = billing::CreateCheckoutSessionRequest {
            idempotency_key: self.key("checkout"),
            user_id: self.user_id.clone(),
            price_id: self.found.price_id.clone(),
            quantity: 1,
            success_url: SUCCESS_URL.to_owned(),
            cancel_url: String::new(),
        };
        let mut sessions = Vec::new();
        for _ in 0..2 {
            let answer = insist(self.options.patience, async || {
                self.clients.checkout.clone().create_checkout_session(request.clone()).await
            });
            sessions.push(answer.await?.checkout_session.context("an answer without a session")?);
        }
        let [first, second] = sessions.as_slice() else { bail!("two answers were expected") };
        ensure!(first == second, "a repeat was answered with {}", second.checkout_session_id);
        ensure!(first.stripe_customer_id == self.found.customer_id, "the session is another customer's");
        self.found.checkout_session_id = first.checkout_session_id.clone();
        self.found.page_url = first.url.clone();
        Ok(format!("{}; a repeat with the same key gives the same", self.found.checkout_session_id))
    }

    /// The hosted page: a declined card is told so, a good one is sent on.
    pub(super) async fn pay(&mut self) -> anyhow::Result<String> {
        if self.session().await?["status"] == "complete" {
            // A run that was cut off had paid already.
            self.found.paid_at = Some(Instant::now());
            return Ok("was paid before the cut".to_owned());
        }
        let page = self.stripe.open_page(&self.found.page_url).await?;
        ensure!(page.contains("<form"), "the payment page has no form");
        match self.stripe.pay(&self.found.page_url, DECLINED_CARD).await? {
            Paid::ShownAgain(page) => ensure!(page.contains("declined"), "a declined card is not told so"),
            Paid::Redirected(to) => bail!("a declined card was sent on to {to}"),
        }
        let card = if self.spoils(Spoiled::Payment) { DECLINED_CARD } else { GOOD_CARD };
        self.found.paid_at = Some(Instant::now());
        match self.stripe.pay(&self.found.page_url, card).await? {
            Paid::Redirected(to) => {
                let expected = SUCCESS_URL.replace("{CHECKOUT_SESSION_ID}", &self.found.checkout_session_id);
                ensure!(to == expected, "the browser was sent to {to}");
                Ok("declined card told so on the page, good card paid and sent back".to_owned())
            }
            Paid::ShownAgain(_) => bail!("the good card was not accepted"),
        }
    }

    /// The signed webhooks are verified and in the log.
    pub(super) async fn see_webhooks(&mut self) -> anyhow::Result<String> {
        let session = self.session().await?;
        let subscription = session["subscription"].as_str().context("the session has no subscription")?;
        self.found.subscription_id = subscription.to_owned();
        // Billing may be faster than this look at it: the time is taken as soon as access is there.
        let access = self.wait_for("access after payment", async || Ok(Some(self.access().await?).filter(|a| a.allowed)));
        let access = access.await?;
        let seconds = self.oracle.seconds_since_first_event(subscription).await?;
        self.found.webhook_to_access = Some(Duration::from_secs_f64(seconds.max(0.0)));
        ensure!(access.subscription_id == subscription, "access comes from {}", access.subscription_id);
        let types = self
            .wait_for("the checkout's events in the log", async || {
                let logged: BTreeSet<_> = self.oracle.event_ids().await?.into_iter().collect();
                let events = self.stripe.objects("event").await?;
                let about = events.iter().filter(|event| {
                    let object = &event["data"]["object"];
                    object["customer"] == self.found.customer_id.as_str() || object["id"] == self.found.customer_id.as_str()
                });
                let all: Vec<_> = about.collect();
                let stored = all.iter().filter(|event| logged.contains(event["id"].as_str().unwrap_or_default())).count();
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
        ensure!(access.reason() == billing::AccessReason::Subscribed, "access for another reason");
        ensure!(access.plan == PLAN, "access by the plan {}", access.plan);
        let after = self.found.webhook_to_access.unwrap_or_default();
        Ok(format!("{FEATURE} granted by {} {after:.0?} after its first webhook was stored", access.subscription_id))
    }

    /// The plan and its price, seen in a read.
    pub(super) async fn see_plan(&mut self) -> anyhow::Result<String> {
        let subscription = self.subscription().await?;
        let [item] = subscription.items.as_slice() else { bail!("the subscription has {} items", subscription.items.len()) };
        let price = item.unit_price.clone().context("the item has no price")?;
        ensure!(item.lookup_key == PLAN, "the plan is {}", item.lookup_key);
        ensure!((price.minor_units, price.currency_code.as_str()) == (2900, "usd"), "the price is {price:?}");
        ensure!(subscription.user_id == self.user_id, "the subscription is of user {}", subscription.user_id);
        let end = item.current_period_end_time.context("the period has no end")?;
        self.found.period_end = end.seconds;
        Ok(format!("{} at 29.00 USD a month, status {}", item.lookup_key, subscription.status().as_str_name()))
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
                    self.clients.subscriptions.clone().cancel_subscription(request.clone()).await
                });
                answers.push(answer.await?.subscription.context("an answer without a subscription")?);
            }
            ensure!(answers.windows(2).all(|pair| pair.first() == pair.last()), "a repeat was answered differently");
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
        ensure!(self.access().await?.allowed, "access was lost when cancellation was scheduled");
        Ok("at the end of the period; access is kept until then".to_owned())
    }

    /// The clock moves past the end of the period.
    pub(super) async fn advance_clock(&mut self) -> anyhow::Result<String> {
        let now = self.stripe.get("/_sandbox/clock").await?["now"].as_i64().context("the sandbox's clock has no time")?;
        let seconds = self.found.period_end.saturating_sub(now).saturating_add(3600).max(0);
        if !self.spoils(Spoiled::SkipClock) {
            self.stripe.advance(seconds).await?;
        }
        Ok(format!("{} days forward, past the end of the period", seconds / 86_400))
    }

    /// The subscription's end arrives, and access is gone.
    pub(super) async fn see_revocation(&mut self) -> anyhow::Result<String> {
        let ended = self.wait_for("the end of access", async || Ok(Some(self.access().await?).filter(|a| !a.allowed)));
        let mut access = ended.await?;
        if self.spoils(Spoiled::SkipRevoke) {
            self.oracle.spoil("update billing.subscription set status = 'active'").await?;
            access = self.access().await?;
        }
        ensure!(!access.allowed, "access was given again");
        ensure!(access.reason() == billing::AccessReason::SubscriptionInactive, "access ended for another reason");
        let subscription = self.subscription().await?;
        ensure!(subscription.status() == billing::SubscriptionStatus::Canceled, "the subscription is not canceled");
        Ok(format!("customer.subscription.deleted arrived, {FEATURE} is gone"))
    }

    /// Stripe's books, the log and the projection agree; nothing was lost, stored twice or applied twice.
    pub(super) async fn compare_books(&mut self) -> anyhow::Result<String> {
        if self.spoils(Spoiled::StoreTwice) {
            self.oracle
                .spoil(
                    "delete from webhook_gateway.event_dedupe where type_of_one = '';",
                )
                .await?;
        }
        let mut settled = None;
        let compared = self
            .wait_for("equal books", async || {
                let events = self.stripe.objects("event").await?;
                let mut made: Vec<_> = events.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)).collect();
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
        return Some(format!("Stripe made {} events, the log has {}", made.len(), stored.len()));
    }
    if counts.heads != counts.stored {
        return Some(format!("the log has {} events up to offsets that sum to {}", counts.stored, counts.heads));
    }
    if counts.delivered != counts.of_billing {
        return Some(format!("{} events for billing, of which it took {}", counts.of_billing, counts.delivered));
    }
    (at_stripe != at_billing).then(|| "billing's subscriptions are not Stripe's".to_owned())
}

fn id_and_status(subscription: &Value) -> (String, String) {
    let text = |field: &str| subscription[field].as_str().unwrap_or_default().to_owned();
    (text("id"), text("status"))
}

impl Story {
    async fn price(&self, lookup_key: &str) -> anyhow::Result<String> {
        let found = self.stripe.get(&format!("/v1/prices?lookup_keys[]={lookup_key}")).await?;
        if let Some(id) = found["data"][0]["id"].as_str() {
            return Ok(id.to_owned());
        }
        let product = self.stripe.post("/v1/products", &[("name", "Counterfoil Pro")]).await?;
        let price = [
            ("product", product["id"].as_str().unwrap_or_default()),
            ("unit_amount", "2900"),
            ("currency", "usd"),
            ("recurring[interval]", "month"),
            ("lookup_key", lookup_key),
            ("metadata[features]", FEATURE),
        ];
        let price = self.stripe.post("/v1/prices", &price).await?;
        Ok(price["id"].as_str().context("a price without an id")?.to_owned())
    }

    async fn session(&self) -> anyhow::Result<Value> {
        self.stripe.get(&format!("/v1/checkout/sessions/{}", self.found.checkout_session_id)).await
    }

    async fn access(&self) -> anyhow::Result<billing::Access> {
        let request = billing::CheckAccessRequest { user_id: self.user_id.clone(), feature: FEATURE.to_owned() };
        let answer = insist(self.options.patience, async || {
            self.clients.entitlements.clone().check_access(request.clone()).await
        });
        answer.await?.access.context("an answer without access")
    }

    async fn subscription(&self) -> anyhow::Result<billing::Subscription> {
        let request = billing::GetSubscriptionRequest { subscription_id: self.found.subscription_id.clone() };
        let answer = insist(self.options.patience, async || {
            self.clients.subscriptions.clone().get_subscription(request.clone()).await
        });
        answer.await?.subscription.context("an answer without a subscription")
    }

    pub(super) async fn ingest_status(&self) -> anyhow::Result<event::GetIngestStatusResponse> {
        let answer = insist(self.options.patience, async || {
            self.clients.events.clone().get_ingest_status(event::GetIngestStatusRequest {}).await
        });
        Ok(answer.await?)
    }

    pub(super) async fn counts(&self) -> anyhow::Result<Counts> {
        self.oracle.counts(counterfoil_billing::projection::EVENT_TYPES).await
    }
}
