//! Operations, and what of them is atomic.

use counterfoil_chassis::Context;
use counterfoil_store::claim::Claim;
use counterfoil_stripe::claimed::{Answer, Outcome, once};
use counterfoil_types::AccountId;

use crate::error::Error;
use crate::model::connected_account::{ConnectedAccount, NewConnectedAccount, OnboardingLink, Seen};
use crate::{store, stripe};

impl crate::Connect {
    /// A new connected account and a link to its onboarding. A repeat with the same key and request is answered with
    /// the same account, as it is by then, and a fresh link.
    ///
    /// # Errors
    /// When the key was used with another request or the same call is running, and when Stripe refuses, cannot be
    /// reached, or its answer was lost.
    pub async fn create_connected_account(
        &self,
        context: &Context,
        new: &NewConnectedAccount,
    ) -> Result<(ConnectedAccount, OnboardingLink), Error> {
        let operation = context.operation()?;
        let create = async |claim: &Claim| self.create_account(claim, new).await;
        let account =
            match once::<String, _, _, _>(&self.claims, &self.db, &operation, context.remaining(), create).await? {
                Outcome::Fresh(account) => account,
                Outcome::Stored(id) => self.stored(&id).await?,
            };
        let link = self.onboarding_link(&account.id, new).await?;
        Ok((account, link))
    }

    /// An account from the service's own tables.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get_connected_account(&self, id: &AccountId) -> Result<ConnectedAccount, Error> {
        let account = store::connected_account::get(&mut *self.db.conn().await?, id).await?;
        account.ok_or_else(|| Error::NotFound(id.clone()))
    }

    async fn create_account(&self, claim: &Claim, new: &NewConnectedAccount) -> Result<ConnectedAccount, Error> {
        let op_key = claim.op_key("account");
        let request = stripe::create_account(new, &op_key);
        let reply = self.stripe.step(&self.db, &op_key, &request, None).await?;
        let mut seen = stripe::account(&reply.raw, reply.stamp)?;
        if reply.replayed {
            // An old answer says which account it is, not how the account is now.
            seen = fetch(&self.stripe, &seen.account.id).await?;
        }
        // The link is not in it: each answer gets its own.
        let answer = Answer::Done(seen.account.id.as_str());
        self.db
            .transaction(async |conn| {
                store::connected_account::upsert(conn, &seen).await?;
                claim.finish(conn, &answer).await?;
                let stored = store::connected_account::get(conn, &seen.account.id).await?;
                stored.ok_or_else(|| Error::Bug("an account written is not stored".to_owned()))
            })
            .await
    }

    /// A link made now: one works only once, and whoever has it can act for the seller, so none is ever stored.
    async fn onboarding_link(&self, id: &AccountId, new: &NewConnectedAccount) -> Result<OnboardingLink, Error> {
        let reply = self
            .stripe
            .harmless(&stripe::create_onboarding_link(id, new), None)
            .await?;
        Ok(stripe::onboarding_link(&reply.raw)?)
    }

    async fn stored(&self, id: &str) -> Result<ConnectedAccount, Error> {
        let id = AccountId::parse(id).map_err(|error| Error::Bug(format!("a claim's account {error}")))?;
        let account = store::connected_account::get(&mut *self.db.conn().await?, &id).await?;
        account.ok_or_else(|| Error::Bug(format!("account {id} is claimed and not stored")))
    }
}

/// Reads an account at Stripe.
pub(crate) async fn fetch(client: &counterfoil_stripe::Client, id: &AccountId) -> Result<Seen, Error> {
    let reply = client.read(&stripe::retrieve_account(id), None).await?;
    Ok(stripe::account(&reply.raw, reply.stamp)?)
}
