//! Connected accounts.

use chrono::{DateTime, Utc};
use counterfoil_types::{AccountId, Stamp};

/// A connected account as Stripe showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedAccount {
    /// Stripe's id.
    pub id: AccountId,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Whether onboarding's first round is done.
    pub details_submitted: bool,
    /// Whether it can take payments now.
    pub charges_enabled: bool,
    /// Whether it can be paid out now.
    pub payouts_enabled: bool,
    /// When it was created; `None` where Stripe names no time.
    pub created_at: Option<DateTime<Utc>>,
}

/// A connected account as it was seen at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What was read from the object.
    pub account: ConnectedAccount,
    /// The whole object, as JSON.
    pub object: String,
    /// When it was so.
    pub stamp: Stamp,
}

/// A request for a new connected account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConnectedAccount {
    /// The seller's country, ISO 3166-1 alpha-2.
    pub country_code: String,
    /// The seller's email address, at most 512 characters.
    pub email: Option<String>,
    /// Where Stripe sends the seller when the link has ended.
    pub refresh_url: String,
    /// Where Stripe sends the seller afterwards.
    pub return_url: String,
}

/// A single-use page on which a seller gives what Stripe asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct OnboardingLink {
    /// The page. Whoever has it can act for the seller, so it is never stored or logged.
    pub url: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}
