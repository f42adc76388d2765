//! Stripe's objects to our model, and our requests to Stripe's. The one reader of an account's JSON, whether it came in
//! an event, a fetch, or the answer to our own call. It reads only what the model needs and passes over the rest, so a
//! field Stripe adds or drops elsewhere harms nothing.

use std::collections::HashMap;

use chrono::DateTime;
use counterfoil_stripe::account as accounts;
use counterfoil_stripe::account_link::{CreateAccountLink, CreateAccountLinkType};
use counterfoil_stripe::json::{Unreadable, read, storable, time};
use counterfoil_types::{AccountId, Stamp};
use serde::Deserialize;

use crate::model::connected_account::{ConnectedAccount, NewConnectedAccount, OnboardingLink, Seen};

/// The request for a new account that is paid through the platform: Stripe collects what it must know of the seller and
/// gives them the Express dashboard; the platform pays Stripe's fees and carries losses.
/// Source: <https://docs.stripe.com/connect/migrate-to-controller-properties>.
#[must_use]
pub fn create_account(new: &NewConnectedAccount, op_key: &str) -> accounts::CreateAccount {
    let mut controller = accounts::CreateAccountController::new();
    let mut fees = accounts::CreateAccountControllerFees::new();
    fees.payer = Some(accounts::CreateAccountControllerFeesPayer::Application);
    controller.fees = Some(fees);
    let mut losses = accounts::CreateAccountControllerLosses::new();
    losses.payments = Some(accounts::CreateAccountControllerLossesPayments::Application);
    controller.losses = Some(losses);
    controller.requirement_collection = Some(accounts::CreateAccountControllerRequirementCollection::Stripe);
    let mut dashboard = accounts::CreateAccountControllerStripeDashboard::new();
    dashboard.type_ = Some(accounts::CreateAccountControllerStripeDashboardType::Express);
    controller.stripe_dashboard = Some(dashboard);

    let mut capabilities = accounts::CreateAccountCapabilities::new();
    let mut card_payments = accounts::CreateAccountCapabilitiesCardPayments::new();
    card_payments.requested = Some(true);
    capabilities.card_payments = Some(card_payments);
    let mut transfers = accounts::CreateAccountCapabilitiesTransfers::new();
    transfers.requested = Some(true);
    capabilities.transfers = Some(transfers);

    let metadata: HashMap<String, String> = [
        ("source".to_owned(), "counterfoil".to_owned()),
        ("op_key".to_owned(), op_key.to_owned()),
    ]
    .into();
    let mut request = accounts::CreateAccount::new()
        .controller(controller)
        .capabilities(capabilities)
        .country(&new.country_code)
        .metadata(metadata);
    if let Some(email) = &new.email {
        request = request.email(email);
    }
    request
}

/// The request to read an account.
#[must_use]
pub fn retrieve_account(id: &AccountId) -> accounts::RetrieveAccount {
    accounts::RetrieveAccount::new(id.as_str())
}

/// The request for a link to the account's onboarding.
#[must_use]
pub fn create_onboarding_link(id: &AccountId, new: &NewConnectedAccount) -> CreateAccountLink {
    CreateAccountLink::new(id.as_str(), CreateAccountLinkType::AccountOnboarding)
        .refresh_url(&new.refresh_url)
        .return_url(&new.return_url)
}

/// Reads an account as it was at `stamp`.
///
/// # Errors
/// When a field the model needs is missing or of another type. The message names no value.
pub fn account(json: &[u8], stamp: Stamp) -> Result<Seen, Unreadable> {
    #[derive(Deserialize)]
    struct Object {
        id: String,
        #[serde(default)]
        country: Option<String>,
        #[serde(default)]
        details_submitted: bool,
        #[serde(default)]
        charges_enabled: bool,
        #[serde(default)]
        payouts_enabled: bool,
        #[serde(default)]
        created: Option<i64>,
    }
    let object: Object = read("account", json)?;
    let id = AccountId::parse(object.id).map_err(|error| Unreadable::new("account", format!("its id {error}")))?;
    let account = ConnectedAccount {
        id,
        country_code: object.country.map(storable),
        details_submitted: object.details_submitted,
        charges_enabled: object.charges_enabled,
        payouts_enabled: object.payouts_enabled,
        created_at: object.created.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
    };
    Ok(Seen {
        account,
        object: String::from_utf8_lossy(json).into_owned(),
        stamp,
    })
}

/// Reads a link to an onboarding page.
///
/// # Errors
/// When a field is missing or of another type. The message names no value.
pub fn onboarding_link(json: &[u8]) -> Result<OnboardingLink, Unreadable> {
    #[derive(Deserialize)]
    struct Object {
        url: String,
        expires_at: i64,
    }
    let object: Object = read("account_link", json)?;
    Ok(OnboardingLink {
        url: object.url,
        expires_at: time("account_link", object.expires_at)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_account_does_not_say_counts_as_not_yet() {
        let object = json!({"id": "acct_1", "charges_enabled": true, "something_new": {"deep": [1]}, "created": null});
        let seen = account(object.to_string().as_bytes(), Stamp::Event(DateTime::UNIX_EPOCH)).unwrap();
        assert!(seen.account.charges_enabled && !seen.account.payouts_enabled && !seen.account.details_submitted);
        assert_eq!((seen.account.created_at, seen.object), (None, object.to_string()));
    }

    #[test]
    fn an_unreadable_object_is_told_without_its_content() {
        let error = account(br#"{"id": "4242"}"#, Stamp::Event(DateTime::UNIX_EPOCH)).unwrap_err();
        assert!(!error.to_string().contains("4242"), "{error}");
        let error = onboarding_link(br#"{"url": "https://secret", "expires_at": "x"}"#)
            .err()
            .unwrap();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
