//! Operations, and what of them is atomic.

use std::time::Duration;

use chrono::{DateTime, Utc};
use counterfoil_stripe::Error as StripeError;
use counterfoil_types::CustomerId;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::error::Error;
use crate::model::customer::{Customer, Name, Seen};
use crate::model::signup::{NewCustomer, Signup, State};
use crate::{store, stripe};

/// How many signups one call goes through where each one's customer is deleted at once.
const SIGNUPS: u32 = 3;
/// How long, and in how many looks, a call that learnt another one's answer waits for that one to record it.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

impl crate::Customer {
    /// The user's customer, made at Stripe where the user has none. Any number of calls make one; a call that finds
    /// another one's work half done ends it.
    ///
    /// # Errors
    /// When Stripe refuses, cannot be reached, or its answer was lost. The same call may be repeated in each case.
    pub async fn get_or_create_customer(&self, new: NewCustomer) -> Result<Customer, Error> {
        for _ in 0..SIGNUPS {
            let signup = self.signup(&new).await?;
            let customer = match &signup.state {
                State::Active(id) => Some(self.stored(id.as_str()).await?),
                _ => self.create_customer(&signup).await?,
            };
            if let Some(customer) = customer {
                return Ok(customer);
            }
        }
        Err(Error::Busy)
    }

    /// A customer from the service's own tables, deleted or not. Of a user who was given several, the last.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get_customer(&self, name: &Name) -> Result<Customer, Error> {
        let mut conn = self.db.conn().await?;
        let id = match name {
            Name::Stripe(id) => Some(id.to_string()),
            Name::User(user_id) => store::signup::last_customer(&mut conn, user_id).await?,
        };
        let customer = match id {
            Some(id) => store::customer::get(&mut conn, &id).await?,
            None => None,
        };
        customer.ok_or_else(|| Error::NotFound(name.to_string()))
    }

    /// The user's live signup, begun where there is none.
    async fn signup(&self, new: &NewCustomer) -> Result<Signup, Error> {
        let mut conn = self.db.conn().await?;
        // A second look finds what this call or one at the same time began. Only a signup that ended between the two
        // escapes it.
        for _ in 0..SIGNUPS {
            if let Some(signup) = store::signup::live(&mut conn, &new.user_id).await? {
                return Ok(signup);
            }
            store::signup::begin(&mut conn, new, self.clock.now()).await?;
        }
        Err(Error::Busy)
    }

    /// Makes the signup's customer, or learns what an earlier try made, and records it. `None` where it was deleted
    /// since.
    async fn create_customer(&self, signup: &Signup) -> Result<Option<Customer>, Error> {
        let request = stripe::create_customer(signup);
        let reply = match self.stripe.step(&self.db, &signup.op_key, &request, None).await {
            Ok(reply) => reply,
            Err(StripeError::OutcomeUnknown {
                too_old: Some(first_sent),
                ..
            }) => return self.find_customer(signup, first_sent).await,
            Err(error) => {
                if let StripeError::Refused(_) = &error {
                    // The next call, perhaps with a better email address, starts afresh.
                    store::signup::refuse(&mut *self.db.conn().await?, &signup.op_key).await?;
                }
                return Err(error.into());
            }
        };
        let mut seen = stripe::customer(&reply.raw, reply.stamp)?;
        if reply.replayed {
            // An old answer says which customer it is, not how the customer is now.
            if let Some(customer) = self.recorded_meanwhile(signup).await? {
                return Ok(Some(customer));
            }
            seen = fetch(&self.stripe, &seen.customer.id).await?;
        }
        self.recorded(signup, &seen).await
    }

    /// Looks at Stripe for the customer of a signup whose creation is so old that it is never sent again, and records
    /// it. `None` where it was deleted since, and where none was made: then the signup ends, and the next one has a key
    /// of its own.
    async fn find_customer(&self, signup: &Signup, first_sent: DateTime<Utc>) -> Result<Option<Customer>, Error> {
        let mut after = None;
        loop {
            let list = stripe::list_customers(first_sent, after.as_deref());
            let page = stripe::page_of_customers(&self.stripe.read(&list, None).await?.raw, &signup.op_key)?;
            if let Some(id) = page.made {
                let seen = fetch(&self.stripe, &id).await?;
                return self.recorded(signup, &seen).await;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        tracing::warn!(
            op_key = signup.op_key,
            "a creation whose answer was lost made no customer"
        );
        store::signup::refuse(&mut *self.db.conn().await?, &signup.op_key).await?;
        Ok(None)
    }

    /// Records the signup's customer. `None` where it was deleted.
    async fn recorded(&self, signup: &Signup, seen: &Seen) -> Result<Option<Customer>, Error> {
        let recorded = self
            .db
            .transaction(async |conn| Ok::<_, Error>(record(conn, seen, Some(&signup.op_key)).await?))
            .await?;
        Ok((!recorded.customer.deleted).then_some(recorded.customer))
    }

    /// The signup's customer, where the call that made it records it in the next moments. Without this every one of
    /// many calls at once but the first would read the customer at Stripe.
    async fn recorded_meanwhile(&self, signup: &Signup) -> Result<Option<Customer>, Error> {
        for _ in 0..LOOKS {
            let recorded = store::signup::customer_of(&mut *self.db.conn().await?, &signup.op_key).await?;
            if let Some(id) = recorded {
                let customer = self.stored(&id).await?;
                return Ok((!customer.deleted).then_some(customer));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(None)
    }

    async fn stored(&self, id: &str) -> Result<Customer, Error> {
        let customer = store::customer::get(&mut *self.db.conn().await?, id).await?;
        customer.ok_or_else(|| Error::Bug(format!("customer {id} is signed up and not stored")))
    }
}

/// What [`record`] did.
pub(crate) struct Recorded {
    /// Whether what was seen is now what is stored.
    pub(crate) wrote: bool,
    /// The customer as it is stored.
    pub(crate) customer: Customer,
}

/// Writes a customer as it was seen, unless something newer is stored, and brings the signup it belongs to up to date:
/// the one of the operation that made it. Atomic within the caller's transaction, and the same for an event as for our
/// own call's answer, so that whichever comes first completes the signup.
pub(crate) async fn record(conn: &mut AsyncPgConnection, seen: &Seen, op_key: Option<&str>) -> QueryResult<Recorded> {
    let id = &seen.customer.id;
    let op_key = op_key.or(seen.customer.op_key.as_deref());
    let wrote = store::customer::upsert(conn, seen).await?;
    let customer = store::customer::get(conn, id.as_str())
        .await?
        .ok_or(diesel::result::Error::NotFound)?;
    if customer.deleted {
        store::signup::delete(conn, id, op_key).await?;
    } else if let Some(op_key) = op_key {
        store::signup::activate(conn, op_key, id).await?;
    }
    Ok(Recorded { wrote, customer })
}

/// Reads a customer at Stripe.
pub(crate) async fn fetch(client: &counterfoil_stripe::Client, id: &CustomerId) -> Result<Seen, Error> {
    let reply = client.read(&stripe::retrieve_customer(id), None).await?;
    Ok(stripe::customer(&reply.raw, reply.stamp)?)
}
