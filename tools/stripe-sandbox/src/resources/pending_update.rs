//! What an update may ask for that waits until it is paid.
//!
//! Source: <https://docs.stripe.com/billing/subscriptions/pending-updates#supported-attributes>, and the changelogs that add
//! metadata, discounts (2026-05-27, 2026-07-29) and `cancel_at_period_end` (2026-09-30). `id` and `price_data`, which say which
//! item and which price, are taken too.

use crate::{
    field,
    http::{error::ApiError, form::Params},
    json::{Text, Value},
};

/// Of an update of a subscription or of an item of it.
const SUPPORTED: &[&str] = &[
    "add_invoice_items",
    "billing_cycle_anchor",
    "cancel_at_period_end",
    "discounts",
    "expand",
    "id",
    "items",
    "metadata",
    "payment_behavior",
    "price",
    "price_data",
    "proration_behavior",
    "proration_date",
    "quantity",
    "subscription",
    "trial_end",
    "trial_from_plan",
];
const OF_ITEMS: &[&str] = &["discounts", "id", "price", "price_data", "quantity"];

/// Refuses what cannot wait, of an update that is to.
pub(crate) fn check(subscription: &Value, params: &Params) -> Result<(), ApiError> {
    if params.text("payment_behavior") != Some("pending_if_incomplete") {
        return Ok(());
    }
    if field::text(subscription, "collection_method") != "charge_automatically" {
        let message = "`payment_behavior` can be `pending_if_incomplete` only where `collection_method` is \
            `charge_automatically`.";
        return Err(ApiError::invalid(message).param("payment_behavior"));
    }
    let unsupported = |params: &Params, supported: &[&str]| {
        let mut names = params.tree().as_object().into_iter().flat_map(|sent| sent.keys());
        names
            .find(|name| !supported.contains(&name.as_str()))
            .map(Text::to_string)
    };
    let in_items = || {
        let mut items = params.list("items").into_iter().enumerate();
        items.find_map(|(index, item)| {
            let name = unsupported(&item, OF_ITEMS)?;
            Some(format!("items[{index}][{name}]"))
        })
    };
    match unsupported(params, SUPPORTED).or_else(in_items) {
        None => Ok(()),
        Some(param) => {
            let message = format!(
                "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass supported params. `{param}` is \
                 not supported."
            );
            Err(ApiError::invalid(message).param(param))
        }
    }
}
