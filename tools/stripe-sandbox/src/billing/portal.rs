//! What customers do in the portal, as far as its configuration lets them.
//!
//! Source: <https://docs.stripe.com/customer-management>.

use std::sync::Arc;

use super::{
    authentication::{self, Confirmation},
    checkout::{self, Typed},
    period, phases, pricing, schedules, setup,
};
use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
    },
    json::{Value, json},
    resources::{Call, customer, portal_configuration, subscription, subscription_schedule},
    world::World,
};

pub(crate) const KIND: &str = "billing_portal.session";

/// How long an address is good for before it is opened, and after the last thing that was done there.
/// Source: <https://docs.stripe.com/api/customer_portal/sessions>.
pub(crate) const UNOPENED_LIFE: i64 = 5 * 60;
const LIFE: i64 = 3600;

/// Whether a subscription can still be changed.
pub(crate) fn is_live(subscription: &Value) -> bool {
    !matches!(
        field::text(subscription, "status"),
        "canceled" | "incomplete" | "incomplete_expired"
    )
}

/// The session `id` and its configuration, for somebody who is there now; `None` if the address is not good any more.
pub(crate) fn enter(world: &mut World, id: &str) -> Option<(Value, Value)> {
    let session = world.get(KIND, id, "session").ok()?;
    let configuration = field::text(&session, "configuration");
    let configuration = world
        .get(portal_configuration::KIND, configuration, "configuration")
        .ok()?;
    if world.now >= field::integer(&session, "_sandbox.until") {
        return None;
    }
    let until = world.now + LIFE;
    let session = world.edit(id, |one| field::set(one, "_sandbox.until", until));
    Some((Arc::unwrap_or_clone(session), configuration))
}

/// The subscriptions that the session's customer can do something about, newest first.
pub(crate) fn subscriptions(world: &World, session: &Value) -> Vec<Arc<Value>> {
    let mut all = world.of(field::text(session, "customer"), "subscription");
    all.retain(|one| is_live(one));
    all
}

/// What the customer asked for.
pub(crate) enum Wish<'a> {
    Card(Typed<'a>),
    Cancel {
        subscription: &'a str,
        feedback: Option<&'a str>,
        comment: Option<&'a str>,
    },
    /// Not to cancel after all.
    Renew {
        subscription: &'a str,
    },
    Change {
        subscription: &'a str,
        price: Option<&'a str>,
        quantity: Option<i64>,
    },
    /// The change that the session's flow names.
    Confirm,
    Customer {
        email: Option<&'a str>,
        name: Option<&'a str>,
        phone: Option<&'a str>,
    },
}

/// Does it, and gives where the customer goes then.
pub(crate) fn fulfil(world: &mut World, id: &str, wish: &Wish<'_>) -> Result<String, ApiError> {
    let Some((session, configuration)) = enter(world, id) else {
        return Err(ApiError::invalid("This session has expired."));
    };
    match wish {
        Wish::Card(typed) => return replace_card(world, &session, &configuration, typed),
        Wish::Cancel {
            subscription,
            feedback,
            comment,
        } => cancel(world, &session, &configuration, subscription, *feedback, *comment)?,
        Wish::Renew { subscription } => renew(world, &session, &configuration, subscription)?,
        Wish::Change {
            subscription,
            price,
            quantity,
        } => change(world, &session, &configuration, subscription, *price, *quantity)?,
        Wish::Confirm => {
            let flow = field::at(&session, "flow.subscription_update_confirm").clone();
            let item = field::at(&flow, "items.0");
            let (price, quantity) = (field::some_text(item, "price"), field::integer(item, "quantity"));
            let subscription = field::text(&flow, "subscription");
            change(world, &session, &configuration, subscription, price, Some(quantity))?;
        }
        Wish::Customer { email, name, phone } => {
            allowed(&configuration, "customer_update")?;
            let may = |what: &str| {
                field::elements(&configuration, "features.customer_update.allowed_updates").contains(&json!(what))
            };
            let params = Params::saying(json!({
                "email": email.filter(|_| may("email")),
                "name": name.filter(|_| may("name")),
                "phone": phone.filter(|_| may("phone")),
            }));
            let ids = vec![field::text(&session, "customer").to_owned()];
            customer::update(world, &Call { params, ids })?;
        }
    }
    Ok(done(world, &session))
}

fn allowed(configuration: &Value, feature: &str) -> Result<(), ApiError> {
    if field::flag(configuration, &format!("features.{feature}.enabled")) {
        return Ok(());
    }
    Err(ApiError::invalid("The portal's configuration does not allow this."))
}

/// Ends the session's flow, if it has one, and gives where the customer goes then.
fn done(world: &mut World, session: &Value) -> String {
    world.edit(field::text(session, "id"), |one| {
        field::set(one, "_sandbox.flow_done", true)
    });
    match field::some_text(session, "flow.after_completion.redirect.return_url") {
        Some(url) if !field::flag(session, "_sandbox.flow_done") => url.to_owned(),
        _ => format!("{}?done=true", field::text(session, "url")),
    }
}

fn own(world: &World, session: &Value, id: &str) -> Answer {
    let found = world.get("subscription", id, "subscription")?;
    if field::at(&found, "customer") != field::at(session, "customer") || !is_live(&found) {
        return Err(ApiError::invalid("This subscription cannot be changed here."));
    }
    Ok(found)
}

fn replace_card(
    world: &mut World,
    session: &Value,
    configuration: &Value,
    typed: &Typed<'_>,
) -> Result<String, ApiError> {
    allowed(configuration, "payment_method_update")?;
    let customer = world.get("customer", field::text(session, "customer"), "customer")?;
    let method = checkout::card(world, typed, field::some_text(&customer, "email"))?;
    let mut intent = setup::new_intent(world, field::some_text(&customer, "id"));
    field::set(&mut intent, "_sandbox.session", field::text(session, "id"));
    world.create("setup_intent.created", &intent);
    let id = field::text(&intent, "id");
    let how = Confirmation {
        return_url: Some(field::text(session, "url").to_owned()),
        ..Confirmation::default()
    };
    let tried = setup::confirm(world, id, &method, &how)?;
    match field::text(&tried, "status") {
        "requires_action" => Ok(authentication::page(id)),
        _ => resume(world, session, &method, true),
    }
}

/// Goes on after a card was set up, or was not: from now on it pays for all that the customer has.
pub(crate) fn resume(world: &mut World, session: &Value, method: &Value, succeeded: bool) -> Result<String, ApiError> {
    if !succeeded {
        return Ok(format!("{}?redirect_status=failed", field::text(session, "url")));
    }
    let method = field::text(method, "id");
    let params = Params::saying(json!({ "invoice_settings": { "default_payment_method": method } }));
    let ids = vec![field::text(session, "customer").to_owned()];
    customer::update(world, &Call { params, ids })?;
    for one in subscriptions(world, session) {
        // A subscription's own card would go before that of its customer.
        if field::some_text(&one, "default_payment_method").is_some() {
            change_subscription(world, &one, json!({ "default_payment_method": method }))?;
        }
    }
    Ok(done(world, session))
}

fn change_subscription(world: &mut World, one: &Value, wishes: Value) -> Result<(), ApiError> {
    let params = Params::saying(wishes);
    let ids = vec![field::text(one, "id").to_owned()];
    subscription::update(world, &Call { params, ids }).map(|_| ())
}

fn cancel(
    world: &mut World,
    session: &Value,
    configuration: &Value,
    id: &str,
    feedback: Option<&str>,
    comment: Option<&str>,
) -> Result<(), ApiError> {
    allowed(configuration, "subscription_cancel")?;
    let feature = field::at(configuration, "features.subscription_cancel");
    let one = own(world, session, id)?;
    if !field::at(&one, "cancel_at").is_null() {
        return Err(ApiError::invalid("This subscription is already set to be canceled."));
    }
    let asks = field::flag(feature, "cancellation_reason.enabled");
    let options = field::elements(feature, "cancellation_reason.options");
    if feedback.is_some_and(|reason| !asks || !options.contains(&json!(reason))) {
        return Err(ApiError::invalid("This reason cannot be chosen."));
    }
    let details = json!({ "comment": comment.filter(|_| asks), "feedback": feedback });
    if field::text(feature, "mode") == "immediately" {
        let prorates = field::text(feature, "proration_behavior");
        let params = Params::saying(json!({
            "cancellation_details": details,
            "invoice_now": prorates == "always_invoice",
            "prorate": prorates != "none",
        }));
        let ids = vec![id.to_owned()];
        return subscription::cancel(world, &Call { params, ids }).map(|_| ());
    }
    drop_planned(world, &one);
    // Source: <https://docs.stripe.com/billing/subscriptions/billing-mode/compare>.
    let wishes = if field::text(&one, "billing_mode.type") == "flexible" {
        json!({ "cancel_at": "max_period_end", "cancellation_details": details })
    } else {
        json!({ "cancel_at_period_end": true, "cancellation_details": details })
    };
    change_subscription(world, &one, wishes)
}

fn renew(world: &mut World, session: &Value, configuration: &Value, id: &str) -> Result<(), ApiError> {
    allowed(configuration, "subscription_cancel")?;
    let one = own(world, session, id)?;
    if field::at(&one, "cancel_at").is_null() {
        return Err(ApiError::invalid("This subscription is not set to be canceled."));
    }
    let nothing = json!({ "comment": "", "feedback": "" });
    let wishes = if field::flag(&one, "cancel_at_period_end") {
        json!({ "cancel_at_period_end": false, "cancellation_details": nothing })
    } else {
        json!({ "cancel_at": "", "cancellation_details": nothing })
    };
    change_subscription(world, &one, wishes)
}

fn change(
    world: &mut World,
    session: &Value,
    configuration: &Value,
    id: &str,
    price: Option<&str>,
    quantity: Option<i64>,
) -> Result<(), ApiError> {
    allowed(configuration, "subscription_update")?;
    let one = own(world, session, id)?;
    let [item] = field::elements(&one, "items.data") else {
        let message = "A subscription to several products cannot be changed here.";
        return Err(ApiError::invalid(message));
    };
    let price = price.unwrap_or(field::text(item, "price.id"));
    let quantity = quantity.unwrap_or(field::integer(item, "quantity"));
    check_change(configuration, item, price, quantity)?;
    drop_planned(world, &one);
    if schedules::of(world, &one).is_some() {
        return Err(ApiError::invalid(
            "This subscription follows a schedule and cannot be changed here.",
        ));
    }
    if waits(world, configuration, item, price, quantity) {
        return change_later(world, &one, price, quantity);
    }
    let changed = json!({ "id": field::at(item, "id"), "price": price, "quantity": quantity });
    let prorates = field::text(configuration, "features.subscription_update.proration_behavior");
    change_subscription(
        world,
        &one,
        // What cannot be paid is not changed: who is there chooses another card.
        json!({
            "items": [changed], "payment_behavior": "error_if_incomplete", "proration_behavior": prorates,
        }),
    )
}

/// Whether the configuration has a change to this price and quantity wait for the end of the period. That amounts are compared
/// whatever their periods is ours.
/// Source: <https://docs.stripe.com/api/customer_portal/configurations/object#portal_configuration_object-features-subscription_update-schedule_at_period_end>.
fn waits(world: &World, configuration: &Value, item: &Value, price: &str, quantity: i64) -> bool {
    let (old, new) = (field::at(item, "price"), world.find(price).cloned().unwrap_or_default());
    let amount = |price: &Value, quantity| pricing::amount_at(world, price, quantity);
    let conditions = "features.subscription_update.schedule_at_period_end.conditions";
    let mut conditions = field::elements(configuration, conditions).iter();
    conditions.any(|one| match field::text(one, "type") {
        "decreasing_item_amount" => amount(&new, quantity) < amount(old, field::integer(item, "quantity")),
        _ => period::days_at_most(&new) < period::days_at_most(old),
    })
}

/// Has a schedule change the subscription's one item when the period ends, and let it go on then.
fn change_later(world: &mut World, one: &Value, price: &str, quantity: i64) -> Result<(), ApiError> {
    if !field::at(one, "cancel_at").is_null() {
        return Err(ApiError::invalid("This subscription is set to be canceled."));
    }
    let params = Params::saying(json!({ "from_subscription": field::at(one, "id") }));
    let made = subscription_schedule::create(
        world,
        &Call {
            params,
            ids: Vec::new(),
        },
    )?;
    let phase = field::at(&made, "phases.0");
    let item = field::at(phase, "items.0");
    let discounts = phases::discounts_of(one);
    let params = Params::saying(json!({
        "end_behavior": "release",
        "phases": [
            {
                "discounts": discounts, "end_date": field::at(phase, "end_date"),
                "items": [{ "price": field::at(item, "price"), "quantity": field::at(item, "quantity") }],
                "start_date": field::at(phase, "start_date"), "trial_end": field::at(phase, "trial_end"),
            },
            { "discounts": discounts, "items": [{ "price": price, "quantity": quantity }], "proration_behavior": "none" },
        ],
        "proration_behavior": "none",
    }));
    let id = field::text(&made, "id").to_owned();
    world.edit(&id, |schedule| field::set(schedule, PLANNED, true));
    subscription_schedule::update(world, &Call { params, ids: vec![id] }).map(|_| ())
}

/// Marks a schedule that a change in the portal has made.
const PLANNED: &str = "_sandbox.of_portal";

/// The schedule of a change that was planned in the portal.
pub(crate) fn planned<'a>(world: &'a World, one: &Value) -> Option<&'a Value> {
    schedules::of(world, one).filter(|schedule| field::flag(schedule, PLANNED))
}

/// Gives up a change that was planned in the portal: another takes its place.
fn drop_planned(world: &mut World, one: &Value) {
    if let Some(schedule) = planned(world, one).cloned() {
        schedules::release(world, &schedule, true);
    }
}

/// Whether an item may be changed to this price and quantity.
pub(crate) fn check_change(configuration: &Value, item: &Value, price: &str, quantity: i64) -> Result<(), ApiError> {
    let feature = field::at(configuration, "features.subscription_update");
    let may = |what: &str| field::elements(feature, "default_allowed_updates").contains(&json!(what));
    let offered = field::elements(feature, "products")
        .iter()
        .find(|one| field::elements(one, "prices").contains(&json!(price)));
    let is_other_price = price != field::text(item, "price.id");
    if is_other_price && (!may("price") || offered.is_none()) {
        return Err(ApiError::invalid("This price is not offered in the portal."));
    }
    if quantity == field::integer(item, "quantity") {
        return Ok(());
    }
    let bounds = offered.map(|one| field::at(one, "adjustable_quantity"));
    let fits = bounds.is_some_and(|bounds| {
        field::flag(bounds, "enabled")
            && quantity >= field::integer(bounds, "minimum")
            && field::at(bounds, "maximum")
                .as_i64()
                .is_none_or(|most| quantity <= most)
    });
    if !may("quantity") || !fits {
        return Err(ApiError::invalid("This quantity cannot be chosen in the portal."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_configuration_offers_can_be_changed() {
        let product = |prices: &[&str], quantity: Value| json!({ "prices": prices, "adjustable_quantity": quantity });
        let up_to_five = json!({ "enabled": true, "minimum": 2, "maximum": 5 });
        let products = json!([
            product(&["a", "b"], up_to_five),
            product(&["c"], json!({ "enabled": false, "minimum": 1, "maximum": null })),
        ]);
        let item = json!({ "price": { "id": "a" }, "quantity": 3 });
        let both = json!(["price", "quantity"]);
        for (updates, price, quantity, fits) in [
            (&both, "a", 3, true),
            (&both, "b", 5, true),
            (&both, "b", 6, false),
            (&both, "a", 1, false),
            (&both, "c", 3, true),
            (&both, "c", 4, false),
            (&both, "d", 3, false),
            (&json!(["price"]), "b", 3, true),
            (&json!(["price"]), "a", 4, false),
            (&json!(["quantity"]), "a", 4, true),
            (&json!(["quantity"]), "b", 3, false),
            (&json!([]), "a", 3, true),
        ] {
            let feature = json!({ "default_allowed_updates": updates, "products": products });
            let configuration = json!({ "features": { "subscription_update": feature } });
            let checked = check_change(&configuration, &item, price, quantity);
            assert_eq!(checked.is_ok(), fits, "{updates} {price} {quantity}");
        }
    }
}
