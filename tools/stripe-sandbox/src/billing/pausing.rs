//! Pausing a subscription and taking it up again, and pausing the collection of its invoices only.
//!
//! Sources: <https://docs.stripe.com/billing/subscriptions/pause>,
//! <https://docs.stripe.com/billing/subscriptions/pause-payment>, <https://docs.stripe.com/api/subscriptions/resume>.

use std::sync::Arc;

use super::{
    authentication::Presence,
    change::Prorations,
    dunning,
    invoice_items::{self, NewItem, Sweep},
    invoicing::{self, Draft},
    lines, pending, period, proration, redemptions, renewal,
};
use crate::{
    field,
    http::error::{Answer, ApiError},
    json::{Value, json},
    resources::price,
    world::World,
};

/// How long the invoice of a resumption waits for a first attempt.
/// Source: <https://docs.stripe.com/api/subscriptions/resume> (23 hours).
const RESUMPTION_LIFE: i64 = 23 * 3600;

/// Where a paused subscription keeps the invoice that it waits for, and what it was before.
const RESUMPTION: &str = "_sandbox.resumption";

/// From when what was paid for is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unused {
    FromNow,
    FromPeriodStart,
    Kept,
}

/// How a subscription is paused.
pub(crate) struct Pause {
    pub(crate) unused: Unused,
    /// Whether what was used is billed.
    pub(crate) bills_usage: bool,
    /// Whether there is an invoice now; otherwise all of it waits for the next one.
    pub(crate) invoices: bool,
}

/// How a paused subscription is taken up again.
pub(crate) struct Resumption {
    /// Whether a new period begins now; otherwise the one that would run now goes on.
    pub(crate) resets_anchor: bool,
    pub(crate) prorations: Prorations,
    /// The moment from which prorations count.
    pub(crate) at: Option<i64>,
    /// Whether payment is tried now, and the subscription paused until it succeeds.
    pub(crate) pays: bool,
    /// Whether its invoice stays a draft, of which there is a preview only.
    pub(crate) drafts: bool,
}

/// Writes that a subscription is paused, and why.
pub(crate) fn write(subscription: &mut Value, now: i64, why: &str) {
    field::set(subscription, "status", "paused");
    field::set(
        subscription,
        "status_details",
        json!({ "paused": { "subscription": { "type": why }, "transitioned_at": now, "type": "subscription" } }),
    );
    field::set(subscription, "_sandbox.trial_notice_at", Value::Null);
}

/// Pauses an active subscription. That an update which waits gives way to it, as to a change of what is billed, is ours.
pub(crate) fn pause(world: &mut World, subscription: &Value, how: &Pause) {
    let id = field::text(subscription, "id");
    pending::end(world, id);
    let subscription = &world.find(id).cloned().unwrap_or_default();
    let now = world.now;
    let mut paused = subscription.clone();
    let credits = match how.unused {
        Unused::FromNow => proration::of_rest(world, &mut paused, now),
        Unused::FromPeriodStart => proration::of_whole(world, &mut paused),
        Unused::Kept => Vec::new(),
    };
    let mut used = Vec::new();
    if how.bills_usage {
        let metered = field::elements(subscription, "items.data").iter();
        for item in metered.filter(|item| price::is_metered(field::at(item, "price"))) {
            used.push(lines::of_usage(world, subscription, item));
            lines::count_from(&mut paused, field::text(item, "id"), now);
        }
        used.retain(|line| line.amount != 0);
    }
    for credit in &credits {
        invoice_items::add_pending(world, credit);
    }
    write(&mut paused, now, "pause_requested");
    let mut invoice = None;
    if how.invoices && !(credits.is_empty() && used.is_empty()) {
        let draft = Draft {
            sweep: Sweep::Only(id),
            ..Draft::of(&paused, "subscription_update", used)
        };
        let drafted = invoicing::draft(world, draft);
        redemptions::end_those_used(world, &mut paused, &drafted);
        proration::remember(&mut paused, &drafted);
        field::set(&mut paused, "latest_invoice", field::at(&drafted, "id").clone());
        invoice = field::some_text(&drafted, "id").map(str::to_owned);
    } else {
        for line in &used {
            wait(world, subscription, line);
        }
    }
    let paused = world.update(id, "customer.subscription.updated", |one| *one = paused);
    world.emit("customer.subscription.paused", &paused, None);
    if let Some(invoice) = invoice {
        renewal::advance(world, &invoice);
    }
}

/// Has a line wait for the subscription's next invoice.
fn wait(world: &mut World, subscription: &Value, line: &lines::Line) {
    let quantity = i64::try_from(line.quantity / super::decimal::ONE).unwrap_or(i64::MAX);
    let item = NewItem {
        customer: field::text(subscription, "customer"),
        currency: field::text(subscription, "currency"),
        amount: line.amount,
        quantity,
        price: line.price.clone(),
        description: Some(line.description.clone()),
        period: line.period,
        metadata: line.metadata.clone(),
        subscription: field::some_text(subscription, "id"),
        ..NewItem::default()
    };
    let item = invoice_items::build(world, &item);
    invoice_items::add_pending(world, &item);
}

/// Takes a paused subscription up again, at once or, where that makes an invoice, when that is paid.
pub(crate) fn resume(world: &mut World, subscription: &Value, how: &Resumption) -> Result<(), ApiError> {
    let id = field::text(subscription, "id").to_owned();
    let now = world.now;
    if !field::at(subscription, RESUMPTION).is_null() {
        let message = "This subscription is being resumed: pay or void the invoice of its resumption first.";
        return Err(ApiError::invalid(message));
    }
    let mut resumed = subscription.clone();
    redemptions::end_those_over(world, &mut resumed);
    let anchor = match how.resets_anchor {
        true => now,
        false => field::integer(subscription, "billing_cycle_anchor"),
    };
    field::set(&mut resumed, "billing_cycle_anchor", anchor);
    let mut items = field::elements(subscription, "items.data").to_vec();
    for item in &mut items {
        let (start, end) = period::around(anchor, now, field::at(item, "price"));
        field::set(item, "current_period_start", start);
        field::set(item, "current_period_end", end);
    }
    field::set(&mut resumed, "items.data", items.clone());
    let (mut billed, mut prorated) = (Vec::new(), Vec::new());
    if how.resets_anchor {
        proration::forget(&mut resumed);
        let opened = items.iter().filter(|item| lines::opens(&resumed, item));
        billed = opened.map(|item| lines::of_item(world, &resumed, item)).collect();
    } else if how.prorations != Prorations::None {
        prorated = proration::of_resumption(world, &mut resumed, prorated_from(how, &items, now)?);
    }
    let currency = field::text(subscription, "currency");
    let waiting = invoice_items::waiting(world, field::text(subscription, "customer"), currency, Sweep::Only(&id));
    let waiting: Vec<&Value> = waiting.iter().map(|item| field::at(item, "id")).collect();
    for item in &prorated {
        invoice_items::add_pending(world, item);
    }
    if !how.resets_anchor && (how.prorations != Prorations::Invoice || prorated.is_empty()) {
        become_active(world, resumed, "active");
        return Ok(());
    }
    let draft = Draft {
        sweep: Sweep::Only(&id),
        ..Draft::of(&resumed, "subscription_update", billed)
    };
    if draft.is_empty(world) {
        become_active(world, resumed, "active");
        return Ok(());
    }
    let mut invoice = invoicing::build(world, draft);
    if !how.pays {
        field::set(&mut invoice, "_sandbox.voids_at", now + RESUMPTION_LIFE);
    }
    let invoice = invoicing::open_draft(world, invoice);
    let invoice_id = field::text(&invoice, "id").to_owned();
    redemptions::end_those_used(world, &mut resumed, &invoice);
    proration::remember(&mut resumed, &invoice);
    field::set(&mut resumed, "latest_invoice", invoice_id.clone());
    let before = json!({
        "billing_cycle_anchor": field::at(subscription, "billing_cycle_anchor"), "items": field::at(subscription, "items"),
        "_sandbox": field::at(subscription, "_sandbox"),
    });
    field::set(
        &mut resumed,
        RESUMPTION,
        json!({ "invoice": invoice_id, "before": before, "waiting": waiting }),
    );
    world.update(&id, "customer.subscription.updated", |one| *one = resumed);
    if how.drafts {
        return Ok(());
    }
    invoicing::finalize(world, &invoice_id);
    if how.pays {
        try_payment(world, &id, &invoice_id);
    }
    Ok(())
}

/// The moment that prorations count from: within the period that goes on.
fn prorated_from(how: &Resumption, items: &[Value], now: i64) -> Result<i64, ApiError> {
    let Some(at) = how.at else { return Ok(now) };
    let within = |item: &Value| {
        let (start, end) = (
            field::integer(item, "current_period_start"),
            field::integer(item, "current_period_end"),
        );
        (start..=end).contains(&at)
    };
    if items.iter().all(within) {
        return Ok(at);
    }
    let message = "Cannot specify a proration date outside of the current billing period.";
    Err(ApiError::invalid(message).param("proration_date"))
}

fn try_payment(world: &mut World, subscription: &str, invoice: &str) {
    let is_open = |world: &World| {
        let found = world.find(invoice);
        found.is_some_and(|one| field::text(one, "status") == "open")
    };
    if !is_open(world) {
        return;
    }
    let method = world.find(invoice).and_then(|one| invoicing::payer(world, one));
    let paid = method.is_some_and(|method| invoicing::pay(world, invoice, &method, Presence::Present).is_ok());
    if !paid {
        renewal::fail(world, invoice, subscription);
    }
}

/// Whether `invoice` is one that a paused subscription waits for.
pub(crate) fn resumes(world: &World, invoice: &Value) -> bool {
    let subscription = world.find(field::text(invoice, "parent.subscription_details.subscription"));
    subscription.is_some_and(|one| {
        field::text(one, "status") == "paused"
            && field::at(one, "_sandbox.resumption.invoice") == field::at(invoice, "id")
    })
}

/// The invoice of a resumption is settled, or its first payment has failed: the subscription runs again, with `status`.
pub(crate) fn complete(world: &mut World, invoice: &Value, status: &str) {
    let id = field::text(invoice, "parent.subscription_details.subscription");
    if let Some(subscription) = world.find(id).cloned() {
        become_active(world, subscription, status);
    }
    world.edit(field::text(invoice, "id"), |one| {
        field::set(one, "_sandbox.voids_at", Value::Null)
    });
}

fn become_active(world: &mut World, mut resumed: Value, status: &str) {
    field::set(&mut resumed, "status", status);
    field::set(&mut resumed, "status_details", Value::Null);
    field::set(&mut resumed, RESUMPTION, Value::Null);
    let id = field::text(&resumed, "id").to_owned();
    let resumed = world.update(&id, "customer.subscription.updated", |one| *one = resumed);
    world.emit("customer.subscription.resumed", &resumed, None);
}

/// The invoice of a resumption is void: the subscription stays paused, as it was. That what waited before, a credit say, waits
/// again is ours.
pub(crate) fn drop_resumption(world: &mut World, invoice: &Value) {
    let now = world.now;
    let id = field::text(invoice, "parent.subscription_details.subscription");
    let waited = world.find(id).map_or_else(Vec::new, |one| {
        field::elements(one, "_sandbox.resumption.waiting").to_vec()
    });
    for item in waited.iter().filter_map(Value::as_str) {
        let item = world.edit(item, |one| field::set(one, "invoice", Value::Null));
        if !item.is_null() {
            invoice_items::wait(world, &item);
        }
    }
    world.update(id, "customer.subscription.updated", |one| {
        let before = field::at(one, "_sandbox.resumption.before").clone();
        let since = field::at(one, lines::USAGE_SINCE).clone();
        for name in ["billing_cycle_anchor", "_sandbox"] {
            field::set(one, name, field::at(&before, name).clone());
        }
        // What was changed of the items meanwhile stays so; their periods are as they were.
        field::set(one, lines::USAGE_SINCE, since);
        let anchor = field::integer(one, "billing_cycle_anchor");
        let had = field::elements(&before, "items.data");
        let mut items = field::elements(one, "items.data").to_vec();
        for item in &mut items {
            let was = had.iter().find(|was| field::at(was, "id") == field::at(item, "id"));
            let (start, end) = match was {
                Some(was) => (
                    field::integer(was, "current_period_start"),
                    field::integer(was, "current_period_end"),
                ),
                None => period::around(anchor, now, field::at(item, "price")),
            };
            field::set(item, "current_period_start", start);
            field::set(item, "current_period_end", end);
        }
        field::set(one, "items.data", items);
    });
}

/// The `pause_collection` of a subscription with this behavior, until `resumes_at` if that is given.
pub(crate) fn paused_collection(behavior: &str, resumes_at: Option<i64>, now: i64) -> Answer {
    if resumes_at.is_some_and(|at| at <= now) {
        let message = "`pause_collection[resumes_at]` must be in the future.";
        return Err(ApiError::invalid(message).param("pause_collection[resumes_at]"));
    }
    Ok(json!({ "behavior": behavior, "resumes_at": resumes_at }))
}

/// Whether the collection of a subscription's invoices is paused.
pub(crate) fn is_collection_paused(subscription: &Value) -> bool {
    field::some_text(subscription, "pause_collection.behavior").is_some()
}

/// Collects from now on. Gives the subscription as it is then.
pub(crate) fn resume_collection(world: &mut World, id: &str) -> Arc<Value> {
    world.update(id, "customer.subscription.updated", |one| {
        field::set(one, "pause_collection", Value::Null);
    })
}

/// Does with a draft what the paused collection of its subscription says. Gives whether it is paused.
pub(crate) fn hold(world: &mut World, invoice: &str) -> bool {
    let subscription = world
        .find(invoice)
        .and_then(|one| world.find(field::text(one, "parent.subscription_details.subscription")));
    let behavior = subscription.map_or("", |one| field::text(one, "pause_collection.behavior"));
    let is_void = match behavior {
        "" => return false,
        "keep_as_draft" => {
            world.update(invoice, "invoice.updated", |one| {
                field::set(one, "auto_advance", false);
                field::set(one, "automatically_finalizes_at", Value::Null);
            });
            return true;
        }
        behavior => behavior == "void",
    };
    invoicing::finalize(world, invoice);
    let is_open = world
        .find(invoice)
        .is_some_and(|one| field::text(one, "status") == "open");
    match (is_open, is_void) {
        (false, _) => {}
        (true, true) => invoicing::void(world, invoice),
        (true, false) => {
            dunning::write_off(world, invoice, "subscription_paused");
        }
    }
    true
}
