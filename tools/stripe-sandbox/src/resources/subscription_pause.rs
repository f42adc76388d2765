//! Pausing subscriptions and resuming them.

use super::{Call, Operation, retrieve, subscription::changeable};
use crate::{
    billing::{
        change::Prorations,
        pausing::{self, Pause, Resumption, Unused},
    },
    field,
    http::error::{Answer, ApiError},
    world::World,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/subscriptions/{id}/pause",
        run: pause,
    },
    Operation {
        method: "POST",
        path: "/v1/subscriptions/{id}/resume",
        run: resume,
    },
];

/// Which subscriptions cannot be paused Stripe says in <https://docs.stripe.com/billing/subscriptions/pause#limitations>; that
/// those with invoices that are sent are among them follows from `resume`, which does not take them.
fn pause(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let subscription = changeable(world, call.id(), "id")?;
    let refused = if field::text(&subscription, "status") != "active" {
        Some("You can only pause subscriptions with a status of `active`.")
    } else if field::text(&subscription, "billing_mode.type") != "flexible" {
        Some("You can only pause subscriptions with `billing_mode[type]=flexible`.")
    } else if field::some_text(&subscription, "schedule").is_some() {
        Some("You can't pause subscriptions with an attached schedule.")
    } else if pausing::is_collection_paused(&subscription) {
        Some("You can't pause subscriptions whose payment collection is paused.")
    } else if field::text(&subscription, "collection_method") != "charge_automatically" {
        Some("You can only pause subscriptions with `collection_method=charge_automatically`.")
    } else {
        None
    };
    if let Some(message) = refused {
        return Err(ApiError::invalid(message));
    }
    let how = Pause {
        unused: match params.text("bill_for[unused_time_from][type]") {
            Some("none") => Unused::Kept,
            Some("item_current_period_start") => Unused::FromPeriodStart,
            _ => Unused::FromNow,
        },
        bills_usage: params.text("bill_for[outstanding_usage_through][type]") != Some("none"),
        invoices: params.text("invoicing_behavior") == Some("invoice"),
    };
    pausing::pause(world, &subscription, &how);
    retrieve(world, "subscription", call.id())
}

fn resume(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let subscription = changeable(world, call.id(), "id")?;
    if field::text(&subscription, "status") != "paused" {
        let message = "You can only resume subscriptions with a status of `paused`.";
        return Err(ApiError::invalid(message));
    }
    if field::text(&subscription, "collection_method") != "charge_automatically" {
        let message = "You can only resume subscriptions with `collection_method=charge_automatically`.";
        return Err(ApiError::invalid(message));
    }
    let how = Resumption {
        resets_anchor: params.text("billing_cycle_anchor[type]") != Some("unchanged"),
        prorations: match params.text("proration_behavior") {
            Some("none") => Prorations::None,
            Some("always_invoice") => Prorations::Invoice,
            _ => Prorations::Wait,
        },
        at: params.integer("proration_date"),
        pays: params.text("payment_behavior") == Some("resume_on_payment_success"),
        drafts: false,
    };
    pausing::resume(world, &subscription, &how)?;
    retrieve(world, "subscription", call.id())
}
