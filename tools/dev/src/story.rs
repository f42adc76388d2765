//! The story: from signup to a paid subscription and back, played from outside through the suite's public doors. `make
//! demo` plays it for people, the tests play it with kills in the middle.

mod books;
mod following;
mod hop;
mod look;
mod oracle;
mod selling;
mod stripe;
mod suite_clients;

use std::time::{Duration, Instant};

use anyhow::bail;
use uuid::Uuid;

use crate::addresses::Addresses;
pub use hop::{Hop, Spoiled};
pub use oracle::Counts;
use oracle::Oracle;
pub use stripe::{Paid, Stripe};
pub use suite_clients::{Clients, insist};

/// The feature sold.
const FEATURE: &str = "reports";
/// The plan sold.
const PLAN: &str = "pro_monthly";

/// How a story is to be played.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names the run: users and keys are derived from it, so a run that was cut off can be played again to its end.
    pub run: Uuid,
    /// What is made to go wrong.
    pub spoiled: Option<Spoiled>,
    /// How long to wait for what must come.
    pub patience: Duration,
}

/// A story being played.
pub struct Story {
    options: Options,
    addresses: Addresses,
    stripe: Stripe,
    clients: Clients,
    oracle: Oracle,
    user_id: String,
    /// What earlier hops found out.
    found: Found,
}

/// What earlier hops found out.
#[derive(Debug, Default)]
struct Found {
    price_id: String,
    customer_id: String,
    checkout_session_id: String,
    page_url: String,
    paid_at: Option<Instant>,
    subscription_id: String,
    period_end: i64,
    webhook_to_access: Option<Duration>,
}

/// What a story came to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Webhooks that arrived with a good signature.
    pub received: i64,
    /// Those of them that were known already.
    pub duplicates: i64,
    /// What the log and billing have counted.
    pub counts: Counts,
    /// From paying on the page to access being given.
    pub paid_to_access: Duration,
    /// From the log's storing the first event that shows the subscription active to access being seen.
    pub webhook_to_access: Duration,
}

impl Story {
    /// Sets out to play against the suite at `addresses`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn new(addresses: &Addresses, options: Options) -> anyhow::Result<Self> {
        Ok(Self {
            stripe: Stripe::new(&addresses.sandbox)?,
            clients: Clients::new(&addresses.grpc)?,
            oracle: Oracle::connect(&addresses.postgres.url).await?,
            user_id: format!("user-{}", options.run.simple()),
            addresses: addresses.clone(),
            options,
            found: Found::default(),
        })
    }

    /// The sandbox, as the story sees it.
    #[must_use]
    pub fn stripe(&self) -> &Stripe {
        &self.stripe
    }

    /// Sets billing's checkpoint back to the beginning, which a running billing would notice.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_applied(&self) -> anyhow::Result<()> {
        self.oracle.forget_applied().await
    }

    /// Plays one hop; tells what happened in a line. Hops are played in the order of [`Hop::ALL`]; one that was cut off
    /// may be played again.
    ///
    /// # Errors
    /// When an expectation does not hold.
    pub async fn play(&mut self, hop: Hop) -> anyhow::Result<String> {
        match hop {
            Hop::Setup => self.set_up().await,
            Hop::Signup => self.sign_up().await,
            Hop::Tax => self.calculate_tax().await,
            Hop::Seller => self.take_on_seller().await,
            Hop::Checkout => self.check_out().await,
            Hop::Payment => self.pay().await,
            Hop::Webhooks => self.see_webhooks().await,
            Hop::Access => self.see_access().await,
            Hop::Plan => self.see_plan().await,
            Hop::Cancel => self.cancel().await,
            Hop::Clock => self.advance_clock().await,
            Hop::Revoke => self.see_revocation().await,
            Hop::Books => self.compare_books().await,
        }
    }

    /// What the story came to, once all hops were played.
    ///
    /// # Errors
    /// When the suite does not answer, or the hops were not played.
    pub async fn summary(&self) -> anyhow::Result<Summary> {
        let status = self.ingest_status().await?;
        let (Some(paid_at), Some(webhook_to_access)) = (self.found.paid_at, self.found.webhook_to_access) else {
            bail!("the story was not played to its end");
        };
        Ok(Summary {
            received: status.received,
            duplicates: status.duplicates,
            counts: self.counts().await?,
            paid_to_access: paid_at.elapsed(),
            webhook_to_access,
        })
    }

    fn spoils(&self, spoiled: Spoiled) -> bool {
        self.options.spoiled == Some(spoiled)
    }

    /// A key that is the same for every try of one call of one run.
    fn key(&self, call: &str) -> String {
        Uuid::new_v5(&self.options.run, call.as_bytes()).to_string()
    }

    /// Looks until there is something to see.
    async fn wait_for<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let end = Instant::now() + self.options.patience;
        loop {
            // A service that was just killed does not answer; that is part of the story.
            let seen = look().await;
            match seen {
                Ok(Some(seen)) => return Ok(seen),
                Ok(None) if Instant::now() >= end => bail!("waited {:?} in vain for {what}", self.options.patience),
                Err(error) if Instant::now() >= end => return Err(error.context(format!("waiting for {what}"))),
                Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}
