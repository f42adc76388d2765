//! The first hops: what is for sale, who buys it, who sells, and the payment. Each does one thing, expects what must follow,
//! and says in a line what happened.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use counterfoil_proto::billing::v1 as billing;
use counterfoil_proto::common::v1::Money;
use counterfoil_proto::connect::v1 as connect;
use counterfoil_proto::customer::v1 as customer;
use counterfoil_proto::tax::v1 as tax;
use futures::future::try_join_all;
use serde_json::json;

use super::stripe::text;
use super::{PLAN, Paid, Spoiled, Story, insist};
use crate::suite::PLATFORM;

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
            .filter(|customer| text(customer, "/metadata/user_id") == Some(&self.user_id));
        let ids: Vec<_> = of_user.filter_map(|customer| text(customer, "/id")).collect();
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
            .filter(|account| text(account, "/email") == Some(&request.email))
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
        if text(&self.session().await?, "/status") == Some("complete") {
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
}
