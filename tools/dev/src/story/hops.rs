//! The hops themselves. Each does one thing, expects what must follow, and says in a line what happened.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use counterfoil_proto::billing::v1 as billing;
use counterfoil_proto::common::v1::Money;
use counterfoil_proto::connect::v1 as connect;
use counterfoil_proto::customer::v1 as customer;
use counterfoil_proto::event::v1 as event;
use counterfoil_proto::tax::v1 as tax;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::suite::PLATFORM;

use super::{Counts, Paid, Spoiled, Story, insist, oracle};

/// The feature sold.
const FEATURE: &str = "reports";
/// The plan sold.
const PLAN: &str = "pro_monthly";
const GOOD_CARD: &str = "4242424242424242";
const DECLINED_CARD: &str = "4000000000000002";
const SUCCESS_URL: &str = "http://127.0.0.1/welcome?session={CHECKOUT_SESSION_ID}";
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
            let url = &self.addresses.gateway.webhook_url;
            let endpoint = json!({"name": PLATFORM, "url": url, "secret": "whsec_unknown_to_the_gateway"});
            self.stripe.control("/_sandbox/webhook_endpoints", &endpoint).await?;
        }
        let sold = if self.spoils(Spoiled::Plan) {
            "basic_monthly"
        } else {
            PLAN
        };
        self.found.price_id = self.price(sold).await?;
        Ok(format!(
            "each webhook comes twice, two are swapped; for sale: {PLAN} ({})",
            self.found.price_id
        ))
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
            insist(patience, async move || {
                client.clone().get_or_create_customer(request.clone()).await
            })
        });
        let answers = try_join_all(calls).await?;
        let ids: BTreeSet<_> = answers
            .into_iter()
            .map(|answer| answer.customer.unwrap_or_default().stripe_customer_id)
            .collect();
        ensure!(
            ids.len() == 1,
            "{SIGNUPS_AT_ONCE} calls were answered with {} customers",
            ids.len()
        );
        self.found.customer_id = ids.into_iter().next().unwrap_or_default();
        if self.spoils(Spoiled::Signup) {
            self.stripe
                .post("/v1/customers", &[("metadata[user_id]", &self.user_id)])
                .await?;
        }
        let at_stripe = self.stripe.objects("customer").await?;
        let of_user = at_stripe
            .iter()
            .filter(|customer| customer["metadata"]["user_id"] == self.user_id.as_str());
        let ids: Vec<_> = of_user.filter_map(|customer| customer["id"].as_str()).collect();
        ensure!(
            ids == [self.found.customer_id.as_str()],
            "Stripe has these customers for the user: {ids:?}"
        );
        Ok(format!(
            "{SIGNUPS_AT_ONCE} calls at once, one Stripe customer: {}",
            self.found.customer_id
        ))
    }

    /// The tax on the price, where the customer lives.
    pub(super) async fn calculate_tax(&mut self) -> anyhow::Result<String> {
        let country = if self.spoils(Spoiled::Tax) { "ZA" } else { "DE" };
        let line = tax::LineItem {
            reference: PLAN.to_owned(),
            amount: Some(Money {
                minor_units: 2900,
                currency_code: "eur".to_owned(),
            }),
            ..tax::LineItem::default()
        };
        let request = tax::CreateCalculationRequest {
            line_items: vec![line],
            address: Some(tax::Address {
                country_code: country.to_owned(),
                ..tax::Address::default()
            }),
            tax_ids: Vec::new(),
        };
        let answer = insist(self.options.patience, async || {
            self.clients.tax.clone().create_calculation(request.clone()).await
        });
        let calculation = answer.await?.calculation.context("an answer without a calculation")?;
        let minor_units = |money: &Option<Money>| money.as_ref().map(|money| money.minor_units);
        // 19 % of 29.00 is 5.51.
        ensure!(
            minor_units(&calculation.exclusive_tax) == Some(551),
            "the tax is {:?}",
            calculation.exclusive_tax
        );
        ensure!(
            minor_units(&calculation.total) == Some(3451),
            "the total is {:?}",
            calculation.total
        );
        Ok(format!(
            "29.00 EUR and 5.51 EUR tax in {country}: {}",
            calculation.calculation_id
        ))
    }

    /// A seller's account, asked for twice under one key; onboarding; what came of it, by event.
    pub(super) async fn take_on_seller(&mut self) -> anyhow::Result<String> {
        let request = connect::CreateConnectedAccountRequest {
            idempotency_key: self.key("seller"),
            country_code: "DE".to_owned(),
            email: format!("seller-{}@example.com", self.user_id),
            refresh_url: "http://127.0.0.1/again".to_owned(),
            return_url: "http://127.0.0.1/back".to_owned(),
        };
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = insist(self.options.patience, async || {
                self.clients
                    .connect
                    .clone()
                    .create_connected_account(request.clone())
                    .await
            });
            answers.push(answer.await?);
        }
        let ids: BTreeSet<_> = answers
            .iter()
            .map(|answer| answer.connected_account.clone().unwrap_or_default().account_id)
            .collect();
        ensure!(ids.len() == 1, "a repeat was answered with another account: {ids:?}");
        let account_id = ids.into_iter().next().unwrap_or_default();
        let made = self.stripe.objects("account").await?;
        let of_seller = made
            .iter()
            .filter(|account| account["email"] == request.email.as_str())
            .count();
        ensure!(of_seller == 1, "Stripe has {of_seller} accounts for the seller");
        let link = answers
            .pop()
            .and_then(|answer| answer.onboarding_link)
            .context("an answer without a link")?;
        if !self.spoils(Spoiled::Seller) {
            self.stripe.onboard(&link.url).await?;
        }
        let request = connect::GetConnectedAccountRequest {
            account_id: account_id.clone(),
        };
        self.wait_for("the seller's capabilities", async || {
            let answer = self
                .clients
                .connect
                .clone()
                .get_connected_account(request.clone())
                .await?;
            let account = answer.into_inner().connected_account.unwrap_or_default();
            Ok((account.charges_enabled && account.payouts_enabled).then_some(()))
        })
        .await?;
        Ok(format!("{account_id} taken on; account.updated says it can be paid"))
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
                self.clients
                    .checkout
                    .clone()
                    .create_checkout_session(request.clone())
                    .await
            });
            sessions.push(answer.await?.checkout_session.context("an answer without a session")?);
        }
        let [first, second] = sessions.as_slice() else {
            bail!("two answers were expected")
        };
        ensure!(
            first == second,
            "a repeat was answered with {}",
            second.checkout_session_id
        );
        ensure!(
            first.stripe_customer_id == self.found.customer_id,
            "the session is another customer's"
        );
        self.found.checkout_session_id = first.checkout_session_id.clone();
        self.found.page_url = first.url.clone();
        Ok(format!(
            "{}; a repeat with the same key gives the same",
            self.found.checkout_session_id
        ))
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
        let card = if self.spoils(Spoiled::Payment) {
            DECLINED_CARD
        } else {
            GOOD_CARD
        };
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
        let subscription = session["subscription"]
            .as_str()
            .context("the session has no subscription")?;
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
                    let object = &event["data"]["object"];
                    object["customer"] == self.found.customer_id.as_str()
                        || object["id"] == self.found.customer_id.as_str()
                });
                let all: Vec<_> = about.collect();
                let stored = all
                    .iter()
                    .filter(|event| logged.contains(event["id"].as_str().unwrap_or_default()))
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
        let now = self.stripe.get("/_sandbox/clock").await?["now"]
            .as_i64()
            .context("the sandbox's clock has no time")?;
        let seconds = self.found.period_end.saturating_sub(now).saturating_add(3600).max(0);
        if self.spoils(Spoiled::ApplyTwice) {
            self.oracle
                .spoil("update billing.checkpoint set log_offset = 0, event_id = ''")
                .await?;
        }
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
                    .filter_map(|event| event["id"].as_str().map(str::to_owned))
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
    if counts.delivered != counts.of_billing {
        return Some(format!(
            "{} events for billing, of which it took {}",
            counts.of_billing, counts.delivered
        ));
    }
    (at_stripe != at_billing).then(|| "billing's subscriptions are not Stripe's".to_owned())
}

fn id_and_status(subscription: &Value) -> (String, String) {
    let text = |field: &str| subscription[field].as_str().unwrap_or_default().to_owned();
    (text("id"), text("status"))
}

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

    async fn price(&self, lookup_key: &str) -> anyhow::Result<String> {
        let found = self
            .stripe
            .get(&format!("/v1/prices?lookup_keys[]={lookup_key}"))
            .await?;
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
        self.stripe
            .get(&format!("/v1/checkout/sessions/{}", self.found.checkout_session_id))
            .await
    }

    async fn access(&self) -> anyhow::Result<billing::Access> {
        let request = billing::CheckAccessRequest {
            user_id: self.user_id.clone(),
            feature: FEATURE.to_owned(),
        };
        let answer = insist(self.options.patience, async || {
            self.clients.entitlements.clone().check_access(request.clone()).await
        });
        answer.await?.access.context("an answer without access")
    }

    async fn subscription(&self) -> anyhow::Result<billing::Subscription> {
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
