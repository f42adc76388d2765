//! Stripe's events to the table of connected accounts.

use counterfoil_events::decide::{self, Decision};
use counterfoil_events::{Event, Projection};
use counterfoil_store::Db;
use counterfoil_stripe::{API_VERSION, Client, Error as StripeError};
use counterfoil_types::{AccountId, Stamp};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::app::fetch;
use crate::error::Error;
use crate::model::connected_account::Seen;
use crate::{store, stripe};

/// Keeps the connected accounts as Stripe shows them.
pub struct ConnectedAccounts {
    /// For the events that do not tell by themselves which state is newest.
    pub stripe: Client,
}

/// What an event comes down to.
pub enum Prepared {
    /// Nothing new.
    Pass,
    /// An account as it was seen, in the event or in a fetch.
    Seen(Box<Seen>),
}

impl Projection for ConnectedAccounts {
    type Prepared = Prepared;
    type Error = Error;

    fn event_types(&self) -> &'static [&'static str] {
        &["account.updated"]
    }

    async fn prepare(&self, db: &Db, event: &Event) -> Result<Prepared, Error> {
        // The platform's own account sends this event too, but is no connected account.
        if event.account.is_empty() {
            return Ok(Prepared::Pass);
        }
        let seen = stripe::account(event.object()?.as_bytes(), Stamp::Event(event.created))?;
        let id = &seen.account.id;
        Ok(match decision(&mut *db.conn().await?, event, id).await? {
            Decision::Pass => Prepared::Pass,
            Decision::Apply => Prepared::Seen(Box::new(seen)),
            Decision::Fetch => match fetch(&self.stripe, id).await {
                Ok(mut fetched) => {
                    fetched.stamp = fetched.stamp.following(event.created);
                    Prepared::Seen(Box::new(fetched))
                }
                Err(Error::Stripe(StripeError::NotFound(_))) => {
                    tracing::warn!(account.id = %id, event.id = event.event_id, "an account in an event is unknown to stripe");
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
        let wrote = store::connected_account::upsert(conn, &seen).await?;
        let by_event = matches!(seen.stamp, Stamp::Event(_));
        if !wrote && by_event && decision(conn, event, &seen.account.id).await? == Decision::Fetch {
            // A call's answer was stored since, and which of the two is newer is open.
            return Err(Error::Overtaken);
        }
        Ok(wrote)
    }
}

/// Whether the event's object is newer than what is stored.
async fn decision(conn: &mut AsyncPgConnection, event: &Event, id: &AccountId) -> QueryResult<Decision> {
    let known = store::connected_account::known(conn, id).await?;
    Ok(decide::of_event(known.as_ref(), event, false, API_VERSION))
}
