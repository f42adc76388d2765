//! How a trial ends, and pausing where nobody can pay.
//!
//! Sources: <https://docs.stripe.com/billing/subscriptions/trials>,
//! <https://docs.stripe.com/billing/subscriptions/trials/free-trials#create-free-trials-without-payment>.

use super::{
    authentication::Presence,
    cancellation,
    change::{self, How, Prorations, Unpaid},
    pausing, sent_invoices,
};
use crate::{field, http::error::ApiError, json::Value, resources::payment_method, world::World};

/// Notice of a trial's end is given so long before. Source: <https://docs.stripe.com/billing/subscriptions/trials>.
const NOTICE: i64 = 3 * 86_400;

/// Writes a trial from `now` until `end`, and when notice of its end is given: at once if there is less time.
pub(crate) fn write(subscription: &mut Value, now: i64, end: i64) {
    field::set(subscription, "status", "trialing");
    // Classic mode remembers the first trial, flexible mode the latest.
    let is_classic = field::text(subscription, "billing_mode.type") == "classic";
    if !is_classic || field::at(subscription, "trial_start").is_null() {
        field::set(subscription, "trial_start", now);
    }
    move_end(subscription, now, end);
}

/// Has a trial end at another moment.
pub(crate) fn move_end(subscription: &mut Value, now: i64, end: i64) {
    field::set(subscription, "trial_end", end);
    field::set(subscription, "billing_cycle_anchor", end);
    field::set(subscription, "_sandbox.trial_notice_at", (end - NOTICE).max(now));
    if let Value::Array(items) = field::place(subscription, "items.data") {
        for item in items {
            field::set(item, "current_period_end", end);
        }
    }
}

/// What a trial's end comes to where nobody can be charged, if that is asked for: gives whether the subscription has
/// paused or ended.
pub(crate) fn ends_unpaid(world: &mut World, subscription: &Value) -> bool {
    if sent_invoices::is_sent(subscription) || payment_method::responsible(world, subscription).is_some() {
        return false;
    }
    let id = field::text(subscription, "id");
    let now = world.now;
    match field::text(subscription, "trial_settings.end_behavior.missing_payment_method") {
        "cancel" => cancellation::cancel_now(world, id, None),
        // Source: https://docs.stripe.com/billing/subscriptions/pause-payment
        "pause" if !pausing::is_collection_paused(subscription) => {
            let paused = world.update(id, "customer.subscription.updated", |one| {
                pausing::write(one, now, "trial_end_without_payment_method");
            });
            world.emit("customer.subscription.paused", &paused, None);
        }
        _ => return false,
    }
    true
}

/// Ends a trial now. `changed` is the subscription with what else changes.
pub(crate) fn end_now(
    world: &mut World,
    mut changed: Value,
    unpaid: Unpaid,
    presence: Presence,
) -> Result<(), ApiError> {
    let now = world.now;
    field::set(&mut changed, "trial_end", now);
    let id = field::text(&changed, "id").to_owned();
    if !sent_invoices::is_sent(&changed)
        && payment_method::responsible(world, &changed).is_none()
        && field::text(&changed, "trial_settings.end_behavior.missing_payment_method") != "create_invoice"
    {
        let stored = world.update(&id, "customer.subscription.updated", |one| *one = changed);
        ends_unpaid(world, &stored);
        return Ok(());
    }
    begin_period(world, changed, unpaid, presence)
}

fn begin_period(world: &mut World, mut changed: Value, unpaid: Unpaid, presence: Presence) -> Result<(), ApiError> {
    field::set(&mut changed, "status", "active");
    field::set(&mut changed, "_sandbox.trial_notice_at", Value::Null);
    let how = How {
        prorations: Prorations::None,
        unpaid,
        presence,
        at: world.now,
        resets_anchor: true,
        bills_usage: false,
        trial_end: None,
    };
    let before = changed.clone();
    change::apply(world, &before, changed, &how)
}

#[cfg(test)]
mod tests {
    use crate::{field, http::in_process::InProcess};

    #[test]
    fn the_shortest_trial_ends_after_notice_at_once() {
        let stripe = InProcess::new();
        let product = stripe.make("/v1/products", "name=Thing");
        let terms = format!("product={product}&currency=usd&unit_amount=900&recurring[interval]=month");
        let price = stripe.make("/v1/prices", &terms);
        let customer = stripe.make("/v1/customers", "payment_method=pm_card_visa");
        let end = stripe.app.world().clock.now() + 1;
        let form = format!("customer={customer}&items[0][price]={price}&trial_end={end}");
        let trial = stripe.make("/v1/subscriptions", &form);
        // That all of it is done at once is what this asserts.
        stripe.advance(1);
        let path = format!("/v1/subscriptions/{trial}");
        assert_eq!(field::text(&stripe.get(&path, ""), "status"), "active");
        let notices = stripe.get("/v1/events", "type=customer.subscription.trial_will_end");
        let told: Vec<i64> = field::elements(&notices, "data")
            .iter()
            .map(|notice| field::integer(notice, "created"))
            .collect();
        assert_eq!(told, [end - 1]);
    }
}
