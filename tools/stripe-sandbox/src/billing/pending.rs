//! Updates that wait until they are paid. The invoice for what changes is made at once, the subscription stays as it is, and what
//! of it would change is kept beside it until that invoice is settled or voided.
//!
//! Source: <https://docs.stripe.com/billing/subscriptions/pending-updates>.

use super::{
    authentication::Presence,
    change::{How, Unpaid},
    earliest_period_end, invoicing, redemptions, renewal, schedules,
};
use crate::{
    field,
    http::error::ApiError,
    json::{Map, Value, json},
    world::{PRIVATE, World},
};

/// An update waits so long, and never past the end of a trial or of a period.
/// Source: <https://docs.stripe.com/billing/subscriptions/pending-updates#expiration> (23 hours).
const LIFE: i64 = 23 * 3600;

/// Where the fields that would change are kept, and the invoice they wait for.
const KEPT: &str = "_sandbox.pending";

/// Finalizes the invoice of a change and pays it; `changed` takes effect if that succeeds and waits otherwise.
pub(crate) fn pay_or_wait(world: &mut World, mut changed: Value, drafted: &Value) -> Result<(), ApiError> {
    let invoice = field::text(drafted, "id");
    field::set(&mut changed, "latest_invoice", invoice);
    invoicing::finalize(world, invoice);
    let made = world.get("invoice", invoice, "invoice")?;
    let paid = field::text(&made, "status") != "open"
        || invoicing::payer(world, &made)
            .is_some_and(|method| invoicing::pay(world, invoice, &method, Presence::Present).is_ok());
    let id = field::text(&changed, "id").to_owned();
    if paid {
        redemptions::end_those_used(world, &mut changed, &made);
        world.update(&id, "customer.subscription.updated", |one| *one = changed);
        return Ok(());
    }
    renewal::fail_first(world, invoice);
    let now = world.now;
    world.update(&id, "customer.subscription.updated", |one| {
        let fields = differing(one, &changed);
        field::set(one, "pending_update", shown(one, &changed, &fields, now));
        field::set(one, "latest_invoice", invoice);
        field::set(one, KEPT, json!({ "invoice": invoice, "fields": fields }));
    });
    Ok(())
}

/// The fields of `changed` that `stored` has otherwise, by their paths.
fn differing(stored: &Value, changed: &Value) -> Map {
    let mut fields = Map::new();
    for (name, value) in changed.as_object().into_iter().flatten() {
        if name == PRIVATE {
            for (inner, value) in value.as_object().into_iter().flatten() {
                let path = format!("{PRIVATE}.{inner}");
                if field::at(stored, &path) != value {
                    fields.insert(path, value.clone());
                }
            }
        } else if name != "latest_invoice" && field::at(stored, name) != value {
            let mut value = value.clone();
            // Metadata is merged when the time comes, so only what was sent of it is kept.
            if let (Value::Object(sent), "metadata") = (&mut value, name.as_str()) {
                sent.retain(|key, value| field::at(stored, name).get(key) != Some(value));
            }
            fields.insert(name.clone(), value);
        }
    }
    fields
}

/// The `pending_update` that tells of what waits.
fn shown(stored: &Value, changed: &Value, fields: &Map, now: i64) -> Value {
    let of = |name: &str| fields.get(name).cloned().unwrap_or(Value::Null);
    let items = if fields.contains_key("items") {
        field::at(changed, "items.data").clone()
    } else {
        Value::Null
    };
    let trial_end = field::at(stored, "trial_end")
        .as_i64()
        .filter(|_| field::text(stored, "status") == "trialing");
    let ends = [Some(now + LIFE), trial_end, earliest_period_end(stored)];
    json!({
        "billing_cycle_anchor": of("billing_cycle_anchor"),
        "discount": null,
        "discounts": of("discounts"),
        "expires_at": ends.into_iter().flatten().min(),
        "metadata": of("metadata"),
        "subscription_items": items,
        "trial_end": of("trial_end"),
        "trial_from_plan": null,
    })
}

/// The subscription whose update waits for this invoice, if one does.
fn waiting(world: &World, invoice: &Value) -> Option<Value> {
    let subscription = world.find(field::text(invoice, "parent.subscription_details.subscription"))?;
    let awaited = field::some_text(subscription, "_sandbox.pending.invoice")?;
    (awaited == field::text(invoice, "id")).then(|| subscription.clone())
}

/// An invoice is settled: what waited for it takes effect. What was changed otherwise meanwhile stays so.
pub(crate) fn apply(world: &mut World, invoice: &Value) {
    let Some(mut changed) = waiting(world, invoice) else {
        return;
    };
    let fields = field::at(&changed, "_sandbox.pending.fields").clone();
    for (path, value) in fields.as_object().into_iter().flatten() {
        match (path.as_str(), field::place(&mut changed, path), value) {
            ("metadata", Value::Object(had), Value::Object(sent)) => had.extend(sent.clone()),
            (_, place, value) => *place = value.clone(),
        }
    }
    redemptions::end_those_used(world, &mut changed, invoice);
    let id = field::text(&changed, "id").to_owned();
    tell(world, "customer.subscription.pending_update_applied", changed);
    schedules::follow_change(world, &id);
}

/// An invoice is void: what waited for it is dropped.
pub(crate) fn discard(world: &mut World, invoice: &Value) {
    if let Some(subscription) = waiting(world, invoice) {
        tell(world, "customer.subscription.pending_update_expired", subscription);
    }
}

/// Stores the subscription without what waited, and tells of it.
fn tell(world: &mut World, event: &str, mut subscription: Value) {
    field::set(&mut subscription, "pending_update", Value::Null);
    if let Value::Object(private) = field::place(&mut subscription, PRIVATE) {
        private.shift_remove("pending");
    }
    let id = field::text(&subscription, "id").to_owned();
    let stored = world.update(&id, "customer.subscription.updated", |one| *one = subscription);
    world.emit(event, &stored, None);
}

/// Drops what waits of a subscription, if anything does, and voids its invoice.
pub(crate) fn end(world: &mut World, id: &str) {
    let awaited = world
        .find(id)
        .map(|one| field::text(one, "_sandbox.pending.invoice").to_owned());
    if let Some(invoice) = awaited.filter(|invoice| !invoice.is_empty()) {
        invoicing::void(world, &invoice);
    }
}

/// Drops what has waited long enough. Gives the subscription as it is then.
pub(crate) fn expire(world: &mut World, subscription: &Value) -> Value {
    let expires = field::at(subscription, "pending_update.expires_at").as_i64();
    if expires.is_none_or(|at| at > world.now) {
        return subscription.clone();
    }
    let id = field::text(subscription, "id");
    end(world, id);
    world.find(id).cloned().unwrap_or_default()
}

/// What waits gives way to a change of the same: another that may wait, or of items, periods or the end. That any other does is
/// ours; Stripe says it of a second pending update and of `cancel_at_period_end`.
pub(crate) fn give_way(world: &mut World, changed: &mut Value, how: &How) {
    let Some(stored) = world.find(field::text(changed, "id")).cloned() else {
        return;
    };
    let names = ["items", "billing_cycle_anchor", "trial_end", "cancel_at"];
    let touches = names
        .iter()
        .any(|name| field::at(&stored, name) != field::at(changed, name));
    if !field::at(&stored, "pending_update").is_null()
        && (touches || how.resets_anchor || how.unpaid == Unpaid::Pending)
    {
        end(world, field::text(changed, "id"));
        field::set(changed, "pending_update", Value::Null);
        if let Value::Object(private) = field::place(changed, PRIVATE) {
            private.shift_remove("pending");
        }
    }
}

#[cfg(test)]
mod tests;
