//! Stripe's events to the table of customers, and to the signups they complete or end.

use counterfoil_events::decide::{self, Decision};
use counterfoil_events::{Event, Projection};
use counterfoil_store::Db;
use counterfoil_stripe::{API_VERSION, Client, Error as StripeError};
use counterfoil_types::Stamp;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::app::{fetch, record};
use crate::error::Error;
use crate::model::customer::{Customer, Seen};
use crate::{store, stripe};

const DELETED: &str = "customer.deleted";

/// Keeps the customers as Stripe shows them.
pub struct Customers {
    /// For the events that do not tell by themselves which state is newest.
    pub stripe: Client,
}

/// What an event comes down to.
pub enum Prepared {
    /// Nothing new.
    Pass,
    /// A customer as it was seen, in the event or in a fetch.
    Seen(Box<Seen>),
}

impl Projection for Customers {
    type Prepared = Prepared;
    type Error = Error;

    fn event_types(&self) -> &'static [&'static str] {
        &["customer.created", "customer.updated", DELETED]
    }

    async fn prepare(&self, db: &Db, event: &Event) -> Result<Prepared, Error> {
        // The customers of connected accounts are theirs, not users of ours.
        if !event.account.is_empty() {
            return Ok(Prepared::Pass);
        }
        let mut seen = stripe::customer(event.object()?.as_bytes(), Stamp::Event(event.created))?;
        // The event shows the customer as it was last, not the stub that a fetch finds.
        seen.customer.deleted |= event.event_type == DELETED;
        let decision = decision(&mut *db.conn().await?, event, &seen.customer).await?;
        Ok(match decision {
            Decision::Pass => Prepared::Pass,
            Decision::Apply => Prepared::Seen(Box::new(seen)),
            Decision::Fetch => match fetch(&self.stripe, &seen.customer.id).await {
                Ok(fetched) => Prepared::Seen(Box::new(following(event, &seen.customer, fetched))),
                Err(Error::Stripe(StripeError::NotFound(_))) => {
                    tracing::warn!(customer.id = %seen.customer.id, event.id = event.event_id, "a customer in an event is unknown to stripe");
                    Prepared::Pass
                }
                Err(error) => return Err(error),
            },
        })
    }

    async fn apply(&self, conn: &mut AsyncPgConnection, event: &Event, prepared: Prepared) -> Result<bool, Error> {
        let Prepared::Seen(seen) = prepared else {
            return Ok(false);
        };
        let wrote = record(conn, &seen, None).await?.wrote;
        let by_event = matches!(seen.stamp, Stamp::Event(_));
        if !wrote && by_event && decision(conn, event, &seen.customer).await? == Decision::Fetch {
            // A call's answer was stored since, and which of the two is newer is open.
            return Err(Error::Overtaken);
        }
        Ok(wrote)
    }
}

/// Whether the event's object is newer than what is stored.
async fn decision(conn: &mut AsyncPgConnection, event: &Event, customer: &Customer) -> QueryResult<Decision> {
    let known = store::customer::known(conn, &customer.id).await?;
    Ok(match known {
        // Nothing comes after a deletion, whatever the clocks say.
        Some(known) if known.terminal => Decision::Pass,
        _ if customer.deleted && event.api_version == API_VERSION => Decision::Apply,
        known => decide::of_event(known.as_ref(), event, customer.deleted, API_VERSION),
    })
}

/// What a fetch that was made because of an event brought. The stub of a deleted customer has no metadata, so what made
/// the customer is taken from the event.
fn following(event: &Event, in_event: &Customer, mut fetched: Seen) -> Seen {
    fetched.stamp = fetched.stamp.following(event.created);
    let customer = &mut fetched.customer;
    customer.op_key = customer.op_key.take().or_else(|| in_event.op_key.clone());
    customer.user_id = customer.user_id.take().or_else(|| in_event.user_id.clone());
    fetched
}
