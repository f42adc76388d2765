//! Subscriptions: read, listed, canceled.

use counterfoil_chassis::Context;
use counterfoil_store::claim::Claim;
use counterfoil_store::page::Page;
use counterfoil_stripe::claimed::{Answer, Outcome, once};
use counterfoil_types::{SubscriptionId, UserId};

use crate::Billing;
use crate::error::Error;
use crate::model::subscription::{Cancellation, Position, Subscription};
use crate::store::subscription;
use crate::stripe;

impl Billing {
    /// A subscription, as the events seen so far built it.
    ///
    /// # Errors
    /// `NotFound` when no event told of it.
    pub async fn get_subscription(&self, id: &SubscriptionId) -> Result<Subscription, Error> {
        let found = subscription::find(&mut *self.db.conn().await?, id.as_str()).await?;
        found.ok_or_else(|| Error::NotFound {
            kind: "subscription",
            name: id.to_string(),
        })
    }

    /// A page of a user's subscriptions, newest first; and the position to go on from where there are more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_subscriptions(
        &self,
        user_id: &UserId,
        page: Page<Position>,
    ) -> Result<(Vec<Subscription>, Option<Position>), Error> {
        let conn = &mut self.db.conn().await?;
        let read = subscription::list_of_user(conn, user_id.as_str(), page.rows(), page.after.clone()).await?;
        Ok(page.cut(read, Subscription::position))
    }

    /// Cancels a subscription at the end of its period, once per key.
    ///
    /// # Errors
    /// `NotFound` where neither we nor Stripe know it, `SubscriptionEnded` where it has ended.
    pub async fn cancel_subscription(&self, cx: &Context, cancellation: &Cancellation) -> Result<Subscription, Error> {
        let operation = cx.operation()?;
        let cancel = async |claim: &Claim| self.cancel_at_period_end(claim, cancellation).await;
        let (Outcome::Stored(object) | Outcome::Fresh(object)) =
            once::<String, _, _, _>(&self.claims, &self.db, &operation, cx.remaining(), cancel).await?;
        let mut canceled = stripe::subscription(object.as_bytes())?;
        let stored = subscription::find(&mut *self.db.conn().await?, canceled.id.as_str()).await?;
        canceled.user_id = stored.and_then(|stored| stored.user_id);
        Ok(canceled)
    }

    async fn cancel_at_period_end(&self, claim: &Claim, cancellation: &Cancellation) -> Result<String, Error> {
        let id = cancellation.subscription_id.as_str();
        let known = subscription::known(&mut *self.db.conn().await?, id).await?;
        if known.is_some_and(|known| known.terminal) {
            return Err(Error::SubscriptionEnded(id.to_owned()));
        }
        let request = stripe::cancel_at_period_end(cancellation);
        let reply = self
            .stripe
            .step(&self.db, &claim.op_key("cancel"), &request, None)
            .await?;
        // An answer told again is as old as the first one: what is stored comes from a fresh read.
        let (raw, stamp) = if reply.replayed {
            let fresh = self.stripe.read(&stripe::retrieve_subscription(id), None).await?;
            (fresh.raw, fresh.stamp)
        } else {
            (reply.raw.clone(), reply.stamp)
        };
        // Sent after the stored state was seen, so answered with that one or a later one, however coarse the clocks are.
        let stamp = known.map_or(stamp, |known| stamp.following(known.known_from));
        let fresh = stripe::subscription(&raw)?;
        let object = stripe::text(&raw)?;
        let answer = stripe::text(&reply.raw)?;
        self.db
            .transaction(async |conn| {
                subscription::upsert(conn, &fresh, &object, stamp).await?;
                claim.finish(conn, &Answer::Done(&answer)).await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(answer)
    }
}
