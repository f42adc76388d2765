//! Checkout sessions.

use counterfoil_chassis::Context;
use counterfoil_proto::customer::v1 as customer;
use counterfoil_store::budget;
use counterfoil_store::claim::Claim;
use counterfoil_stripe::claimed::{Answer, Outcome, once};
use counterfoil_types::UserId;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::Billing;
use crate::error::Error;
use crate::model::checkout_session::{CheckoutSession, NewCheckoutSession};
use crate::store::customer_user;
use crate::stripe;

/// What is kept with the claim: all but the link, which a repeat reads from the same session.
#[derive(Debug, Serialize, Deserialize)]
struct Opened {
    checkout_session_id: String,
    user_id: String,
    customer_id: String,
}

impl Billing {
    /// Opens a checkout session for a subscription, once per key.
    ///
    /// # Errors
    /// `NotFound` where the user has no customer or Stripe no such price.
    pub async fn create_checkout_session(
        &self,
        cx: &Context,
        new: &NewCheckoutSession,
    ) -> Result<CheckoutSession, Error> {
        let operation = cx.operation()?;
        let open = async |claim: &Claim| self.open_checkout(cx, claim, new).await;
        let (opened, url) = match once(&self.claims, &self.db, &operation, cx.remaining(), open).await? {
            Outcome::Fresh(opened) => opened,
            Outcome::Stored(opened) => {
                let opened: Opened = opened;
                let retrieve = stripe::retrieve_checkout_session(&opened.checkout_session_id);
                let session = stripe::checkout_session(&self.stripe.read(&retrieve, None).await?.raw)?;
                (opened, session.url)
            }
        };
        Ok(CheckoutSession {
            id: opened.checkout_session_id,
            url,
            user_id: opened.user_id,
            customer_id: opened.customer_id,
        })
    }

    async fn open_checkout(
        &self,
        cx: &Context,
        claim: &Claim,
        new: &NewCheckoutSession,
    ) -> Result<(Opened, Option<Url>), Error> {
        let customer_id = self.customer_of(cx, &new.user_id).await?;
        let request = stripe::create_checkout_session(new, &customer_id);
        let reply = self
            .stripe
            .step(&self.db, &claim.op_key("session"), &request, None)
            .await?;
        let session = stripe::checkout_session(&reply.raw)?;
        let opened = Opened {
            checkout_session_id: session.id,
            user_id: new.user_id.to_string(),
            customer_id,
        };
        self.db
            .transaction(async |conn| {
                claim.finish(conn, &Answer::Done(&opened)).await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok((opened, session.url))
    }

    /// The Stripe customer of a user: from our own projection, and where its event has not come yet, right after
    /// signup, from the customer service.
    async fn customer_of(&self, cx: &Context, user_id: &UserId) -> Result<String, Error> {
        if let Some(id) = customer_user::customer_of(&mut *self.db.conn().await?, user_id.as_str()).await? {
            return Ok(id);
        }
        let id = customer::get_customer_request::Id::UserId(user_id.to_string());
        let mut request = tonic::Request::new(customer::GetCustomerRequest { id: Some(id) });
        // Under a claim there is time, though the caller may have none left.
        request.set_timeout(budget::remaining().unwrap_or_else(|| cx.remaining()));
        let not_found = || Error::NotFound {
            kind: "customer",
            name: user_id.to_string(),
        };
        match self.customers.clone().get_customer(request).await {
            Ok(found) => match found.into_inner().customer {
                Some(customer) if !customer.deleted => Ok(customer.stripe_customer_id),
                _ => Err(not_found()),
            },
            Err(status) if status.code() == tonic::Code::NotFound => Err(not_found()),
            Err(status) => Err(Error::CustomerService(status.code())),
        }
    }
}
