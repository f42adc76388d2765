//! Operations, and what of them is atomic.

use std::time::Duration;

use counterfoil_chassis::Context;
use counterfoil_store::claim::{Begun, Claim};
use counterfoil_stripe::{Error as StripeError, Refusal};
use counterfoil_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::connected_account::{ConnectedAccount, NewConnectedAccount, OnboardingLink, Seen, Stamp};
use crate::{store, stripe};

const CREATE: &str = "counterfoil.connect.v1.ConnectedAccountService/CreateConnectedAccount";
/// How long a repeat waits for the first call to end.
const WAIT: Duration = Duration::from_secs(10);

/// The final answer of a creation, as the claim keeps it for repeats. The link is not in it: each answer gets its own.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Created { account_id: String },
    Refused(Box<Refusal>),
}

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
        let wait = context.remaining().min(WAIT);
        let begun = self
            .claims
            .begin::<Answer>(&context.caller, CREATE, new.idempotency_key, &new.encoded, wait)
            .await?;
        let account = match begun {
            Begun::Owned(claim) => self.create_account(claim, new).await?,
            Begun::Finished(Answer::Created { account_id }) => self.stored(&account_id).await?,
            Begun::Finished(Answer::Refused(refusal)) => return Err(StripeError::Refused(refusal).into()),
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

    async fn create_account(&self, claim: Claim, new: &NewConnectedAccount) -> Result<ConnectedAccount, Error> {
        let op_key = claim.op_key("account");
        let request = stripe::create_account(new, &op_key);
        let reply = match self.stripe.step(&self.db, &op_key, &request, None).await {
            Ok(reply) => reply,
            Err(error) => return Err(self.end(claim, error).await),
        };
        let stamp = Stamp::Answer(reply.stamp.known_from, reply.stamp.known_to);
        let mut seen = stripe::account(&reply.raw, stamp)?;
        if reply.replayed {
            // An old answer says which account it is, not how the account is now.
            seen = fetch(&self.stripe, &seen.account.id).await?;
        }
        let answer = Answer::Created {
            account_id: seen.account.id.to_string(),
        };
        self.db
            .transaction(async |conn| {
                store::connected_account::upsert(conn, &seen).await?;
                claim.finish(conn, &answer).await?;
                let stored = store::connected_account::get(conn, &seen.account.id).await?;
                stored.ok_or_else(|| Error::Bug("an account written is not stored".to_owned()))
            })
            .await
    }

    /// Ends the claim as the error wants it: with a final answer where Stripe refused, and otherwise given back to the
    /// next repeat. If Stripe made the account after all the ledger knows, or sends the same bytes again.
    async fn end(&self, claim: Claim, error: StripeError) -> Error {
        let ended = if let StripeError::Refused(refusal) = &error {
            let answer = Answer::Refused(refusal.clone());
            self.db
                .transaction(async |conn| Ok::<_, Error>(claim.finish(conn, &answer).await?))
                .await
        } else {
            claim.release(&self.db).await.map_err(Error::from)
        };
        // A refusal that is not on record is not to be taken for final.
        ended.err().unwrap_or_else(|| error.into())
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
    Ok(stripe::account(
        &reply.raw,
        Stamp::Answer(reply.stamp.known_from, reply.stamp.known_to),
    )?)
}
