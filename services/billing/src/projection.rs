//! Stripe events to rows. Events come twice, late and out of order; what is stored in the end is what Stripe has.

use counterfoil_events::decide::{self, Decision, Known};
use counterfoil_events::{Event, Projection};
use counterfoil_store::Db;
use counterfoil_stripe::{API_VERSION, Error as StripeError, Reply};
use counterfoil_types::Stamp;
use diesel_async::AsyncPgConnection;

use crate::error::Error;
use crate::model::subscription::Subscription;
use crate::store::{customer_user, subscription};
use crate::stripe::{self, CustomerUser};

/// The events billing listens to.
pub const EVENT_TYPES: &[&str] = &[
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
];

/// Builds billing's tables from events.
pub struct BillingProjection {
    /// Reads an object again where an event cannot decide.
    pub stripe: counterfoil_stripe::Client,
}

/// What an event comes to, settled before the transaction.
#[derive(Debug)]
pub enum Change {
    /// Nothing: what is stored is as new.
    Nothing,
    /// A subscription's state, and the JSON it was read from.
    Subscription(Box<Subscription>, String, Stamp),
    /// A customer's link to a user.
    Customer(CustomerUser, Stamp),
}

impl Projection for BillingProjection {
    type Prepared = Change;
    type Error = Error;

    fn event_types(&self) -> &'static [&'static str] {
        EVENT_TYPES
    }

    async fn prepare(&self, db: &Db, event: &Event) -> Result<Change, Error> {
        // What belongs to a connected account is its own business, not the platform's.
        if !event.account.is_empty() {
            return Ok(Change::Nothing);
        }
        let object = event.object()?;
        if event.event_type.starts_with("customer.subscription.") {
            self.prepare_subscription(db, event, object).await
        } else {
            self.prepare_customer(db, event, object).await
        }
    }

    async fn apply(&self, conn: &mut AsyncPgConnection, event: &Event, change: Change) -> Result<bool, Error> {
        let (wrote, stamp, known, terminal) = match change {
            Change::Nothing => return Ok(false),
            Change::Subscription(new, object, stamp) => {
                let wrote = subscription::upsert(conn, &new, &object, stamp).await?;
                (
                    wrote,
                    stamp,
                    subscription::known(conn, new.id.as_str()).await?,
                    new.status.is_terminal(),
                )
            }
            Change::Customer(link, stamp) => {
                let wrote = customer_user::upsert(conn, &link, stamp).await?;
                (
                    wrote,
                    stamp,
                    customer_user::known(conn, &link.customer_id).await?,
                    link.deleted,
                )
            }
        };
        if !wrote && matches!(stamp, Stamp::Event(_)) && decide(known, event, terminal) == Decision::Fetch {
            // A call's answer was stored since, and which of the two is newer is open.
            return Err(Error::Overtaken);
        }
        Ok(wrote)
    }
}

impl BillingProjection {
    async fn prepare_subscription(&self, db: &Db, event: &Event, object: &str) -> Result<Change, Error> {
        let new = stripe::subscription(object.as_bytes())?;
        let known = subscription::known(&mut *db.conn().await?, new.id.as_str()).await?;
        Ok(match decide(known, event, new.status.is_terminal()) {
            Decision::Pass => Change::Nothing,
            Decision::Apply => Change::Subscription(Box::new(new), object.to_owned(), Stamp::Event(event.created)),
            Decision::Fetch => {
                let retrieve = stripe::retrieve_subscription(new.id.as_str());
                let Some((json, stamp)) = fetched(event, self.stripe.read(&retrieve, None).await)? else {
                    return Ok(Change::Nothing);
                };
                Change::Subscription(Box::new(stripe::subscription(json.as_bytes())?), json, stamp)
            }
        })
    }

    async fn prepare_customer(&self, db: &Db, event: &Event, object: &str) -> Result<Change, Error> {
        let mut new = stripe::customer(object.as_bytes())?;
        // The event carries the customer as it was before.
        new.deleted |= event.event_type == "customer.deleted";
        let known = customer_user::known(&mut *db.conn().await?, &new.customer_id).await?;
        Ok(match decide(known, event, new.deleted) {
            Decision::Pass => Change::Nothing,
            Decision::Apply => Change::Customer(new, Stamp::Event(event.created)),
            Decision::Fetch => {
                let retrieve = stripe::retrieve_customer(&new.customer_id);
                let Some((json, stamp)) = fetched(event, self.stripe.read(&retrieve, None).await)? else {
                    return Ok(Change::Nothing);
                };
                Change::Customer(stripe::customer(json.as_bytes())?, stamp)
            }
        })
    }
}

/// What a fetch that was made because of an event brought; `None` where Stripe has nothing of that name any more, as
/// after all test data was deleted.
fn fetched<T>(event: &Event, reply: Result<Reply<T>, StripeError>) -> Result<Option<(String, Stamp)>, Error> {
    let reply = match reply {
        Ok(reply) => reply,
        Err(StripeError::NotFound(_)) => {
            tracing::warn!(
                event.id = event.event_id,
                object.id = event.object_id,
                "an object in an event is unknown to stripe"
            );
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Some((stripe::text(&reply.raw)?, reply.stamp.following(event.created))))
}

/// Whether the event's object is newer than what is stored.
fn decide(known: Option<Known>, event: &Event, terminal: bool) -> Decision {
    decide::of_event(known.as_ref(), event, terminal, API_VERSION)
}
