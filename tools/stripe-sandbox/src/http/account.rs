//! The account whose data a call is about.

use http::HeaderMap;

use super::error::ApiError;
use crate::{field, world::World};

/// The account named by `Stripe-Account`; empty for the platform's own data.
pub(crate) fn account(headers: &HeaderMap) -> String {
    headers
        .get("stripe-account")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Refuses an account that this platform does not have.
pub(crate) fn check_account(world: &World, account: &str) -> Result<(), ApiError> {
    let known = account.is_empty()
        || world
            .find(account)
            .is_some_and(|object| field::text(object, "object") == "account" && !field::flag(object, "deleted"));
    if known {
        return Ok(());
    }
    let message = format!(
        "The provided key does not have access to account '{account}' (or that account does not exist). \
         Application access may have been revoked."
    );
    Err(ApiError::new(403, "invalid_request_error", message)
        .code("account_invalid")
        .before_execution())
}
