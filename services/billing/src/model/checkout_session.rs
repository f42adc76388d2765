//! Checkout sessions.

use counterfoil_types::{PriceId, UserId};
use url::Url;

/// A request for a checkout session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckoutSession {
    /// Who pays.
    pub user_id: UserId,
    /// A recurring price.
    pub price_id: PriceId,
    /// The number of units, 1 to 1,000,000.
    pub quantity: u64,
    /// Where the customer goes after paying.
    pub success_url: String,
    /// Where a customer goes who turns back.
    pub cancel_url: Option<String>,
}

/// A checkout session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutSession {
    /// Stripe's id.
    pub id: String,
    /// The page; `None` once the session is complete or expired.
    pub url: Option<Url>,
    /// Who pays.
    pub user_id: String,
    /// Stripe's id of the customer.
    pub customer_id: String,
}
