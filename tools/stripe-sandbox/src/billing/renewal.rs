//! A subscription at the end of a period, and the collection of its invoices.

use super::{
    authentication::Presence,
    cancellation, dunning, earliest_period_end, finalization,
    invoicing::{self, Draft},
    lines::{self, Line},
    pausing, pending, period, proration, redemptions, sent_invoices, settings, trials, upcoming,
};
use crate::{
    field,
    json::{Value, json},
    resources::price,
    world::World,
};

/// Does what is due for a running subscription: notice of a trial's end, its end, or the next period.
pub(crate) fn run(world: &mut World, subscription: &Value) {
    let id = field::text(subscription, "id");
    let now = world.now;
    let subscription = &pending::expire(world, subscription);
    if super::due_at(subscription).is_none_or(|at| at > now) {
        return;
    }
    if field::at(subscription, "_sandbox.trial_notice_at")
        .as_i64()
        .is_some_and(|at| at <= now)
    {
        let told = world.edit(id, |one| field::set(one, "_sandbox.trial_notice_at", Value::Null));
        world.emit("customer.subscription.trial_will_end", &told, None);
        run_rest(world, &told);
        return;
    }
    if upcoming::due_at(subscription).is_some_and(|at| at <= now) {
        let told = upcoming::tell(world, subscription);
        run_rest(world, &told);
        return;
    }
    if field::at(subscription, "pause_collection.resumes_at")
        .as_i64()
        .is_some_and(|at| at <= now)
    {
        // What is due at the same moment is collected already.
        let resumed = pausing::resume_collection(world, id);
        run_rest(world, &resumed);
        return;
    }
    if field::at(subscription, "cancel_at")
        .as_i64()
        .is_some_and(|at| at <= now)
    {
        cancellation::end(world, id);
        return;
    }
    if field::text(subscription, "status") == "trialing" && trials::ends_unpaid(world, subscription) {
        return;
    }
    renew(world, subscription, Value::clone(subscription), Vec::new());
    // Beside one period that begins another may be near its end.
    if let Some(renewed) = world.shared(id) {
        run_rest(world, &renewed);
    }
}

/// Does what else is due at the same moment.
fn run_rest(world: &mut World, subscription: &Value) {
    if super::due_at(subscription).is_some_and(|at| at <= world.now) {
        run(world, subscription);
    }
}

/// Whether a period of the subscription is over now.
pub(crate) fn is_due(subscription: &Value, now: i64) -> bool {
    let status = field::text(subscription, "status");
    matches!(status, "active" | "trialing" | "past_due" | "unpaid")
        && earliest_period_end(subscription).is_some_and(|end| end <= now)
}

/// Moves the items whose period is over into the next one and drafts the invoice for it. `renewed` is what the subscription
/// becomes; an item that begins with the next period has one that begins and ends now. `billed` is what is billed beside.
pub(crate) fn renew(world: &mut World, subscription: &Value, mut renewed: Value, mut billed: Vec<Line>) {
    let id = field::text(subscription, "id");
    let now = world.now;
    redemptions::end_those_over(world, &mut renewed);
    billed.extend(next_period(world, subscription, &mut renewed, now));
    upcoming::write(world, &mut renewed);
    // The invoice is drafted first, so that the update names it.
    // Nobody is charged for a subscription that is unpaid: its invoices stay drafts.
    let advances = field::text(&renewed, "status") != "unpaid" && !pausing::is_collection_paused(&renewed);
    let draft = Draft {
        finalizes_at: advances.then_some(now + invoicing::DRAFT_LIFE),
        ..Draft::of(&renewed, "subscription_cycle", billed)
    };
    let mut drafted = None;
    if !draft.is_empty(world) {
        let mut invoice = invoicing::build(world, draft);
        field::set(&mut invoice, "auto_advance", advances);
        let invoice = invoicing::open_draft(world, invoice);
        redemptions::end_those_used(world, &mut renewed, &invoice);
        proration::remember(&mut renewed, &invoice);
        field::set(&mut renewed, "latest_invoice", field::at(&invoice, "id").clone());
        drafted = field::some_text(&invoice, "id").map(str::to_owned);
    }
    world.update(id, "customer.subscription.updated", |one| *one = renewed);
    if let Some(invoice) = drafted {
        pausing::hold(world, &invoice);
    }
}

/// Moves the items of `renewed` whose period is over at `at` into the next one, and gives the lines for it, with those for what
/// was used in the periods of `subscription` that are over.
pub(crate) fn next_period(world: &World, subscription: &Value, renewed: &mut Value, at: i64) -> Vec<Line> {
    let anchor = field::integer(renewed, "billing_cycle_anchor");
    let on_trial = field::text(subscription, "status") == "trialing";
    let is_over = |item: &Value| field::integer(item, "current_period_end") <= at;
    // What was used in a trial is free.
    let metered = field::elements(subscription, "items.data")
        .iter()
        .filter(|item| is_over(item) && price::is_metered(field::at(item, "price")) && !on_trial);
    let mut used: Vec<(&str, Line)> = metered
        .map(|item| (field::text(item, "id"), lines::of_usage(world, subscription, item)))
        .collect();
    let mut billed = Vec::new();
    let mut items = field::elements(renewed, "items.data").to_vec();
    for item in &mut items {
        if let Some(place) = used.iter().position(|(id, _)| field::text(item, "id") == *id) {
            billed.push(used.remove(place).1);
        }
        if !is_over(item) {
            continue;
        }
        let start = field::integer(item, "current_period_end");
        let end = period::next_end(anchor, start, field::at(item, "price"));
        field::set(item, "current_period_start", start);
        field::set(item, "current_period_end", end);
        let is_metered = price::is_metered(field::at(item, "price"));
        if (!is_metered || on_trial) && lines::opens(renewed, item) {
            billed.push(lines::of_item(world, renewed, item));
        }
    }
    billed.extend(used.into_iter().map(|(_, line)| line));
    field::set(renewed, "items.data", items);
    if on_trial {
        field::set(renewed, "status", "active");
    }
    billed
}

/// Finalizes a draft and has it paid: it is charged, or sent.
pub(crate) fn advance(world: &mut World, id: &str) {
    if finalization::finalize(world, id).is_err() {
        return;
    }
    let is_open = |one: &&Value| field::text(one, "status") == "open";
    if world.find(id).filter(is_open).is_some_and(sent_invoices::is_sent) {
        sent_invoices::send(world, id);
        return;
    }
    collect(world, id);
}

/// Tries to collect an open invoice from the payment method that is responsible for it.
pub(crate) fn collect(world: &mut World, id: &str) {
    let Some(invoice) = world
        .shared(id)
        .filter(|one| field::text(one, "status") == "open")
        .filter(|one| field::text(one, "collection_method") == "charge_automatically")
    else {
        return;
    };
    let subscription = field::text(&invoice, "parent.subscription_details.subscription").to_owned();
    let method = invoicing::payer(world, &invoice);
    if let Some(method) = &method
        && dunning::is_refused_for_good(world, id, method)
    {
        miss(world, id, &subscription, false);
        return;
    }
    world.edit(id, |one| field::set(one, invoicing::IS_RETRIED, true));
    let paid = match method {
        Some(method) => invoicing::pay(world, id, &method, Presence::AskedLater).is_ok(),
        None => false,
    };
    if !paid {
        fail(world, id, &subscription);
    }
}

/// Records an attempt of the schedule that failed: the next one is planned, or what the setting says is done.
pub(crate) fn fail(world: &mut World, id: &str, subscription: &str) {
    miss(world, id, subscription, true);
}

/// See [`fail`]; `is_told` says whether anything was tried that could fail.
fn miss(world: &mut World, id: &str, subscription: &str, is_told: bool) {
    let now = world.now;
    let settings = settings::of(world);
    let attempts = world
        .find(id)
        .map_or(0, |one| field::integer(one, "attempt_count"))
        .saturating_add(1);
    let next = settings.retries.gap(attempts).map(|gap| now.saturating_add(gap));
    let invoice = world.update(id, "invoice.updated", |one| {
        field::set(one, "attempted", true);
        field::set(one, "attempt_count", attempts);
        field::set(one, "next_payment_attempt", json!(next));
        field::set(one, invoicing::IS_RETRIED, false);
    });
    if is_told {
        world.emit("invoice.payment_failed", &invoice, None);
    }
    fall_behind(world, subscription);
    if next.is_none() {
        dunning::give_up(world, id, subscription, &settings.after_retries, "max_payment_attempts");
    }
}

/// A payment is missing: an active subscription is past due.
pub(crate) fn fall_behind(world: &mut World, subscription: &str) {
    world.update(subscription, "customer.subscription.updated", |one| {
        if field::text(one, "status") == "active" {
            field::set(one, "status", "past_due");
        }
    });
}

/// Records that a payment failed that somebody asked for. As the first attempt for an invoice that is collected by itself
/// it begins the schedule, and later ones do not change it.
/// Source: <https://docs.stripe.com/api/invoices/object#invoice_object-attempt_count>.
pub(crate) fn fail_first(world: &mut World, id: &str) {
    let Some(invoice) = world.find(id).cloned() else { return };
    let subscription = field::text(&invoice, "parent.subscription_details.subscription").to_owned();
    let is_collected = field::flag(&invoice, "auto_advance")
        && field::text(&invoice, "status") == "open"
        && field::text(&invoice, "collection_method") == "charge_automatically"
        && matches!(field::text(&invoice, "billing_reason"), "subscription_cycle" | "manual");
    if is_collected && field::integer(&invoice, "attempt_count") == 0 {
        fail(world, id, &subscription);
        return;
    }
    let invoice = world.update(id, "invoice.updated", |one| {
        field::set(one, "attempted", true);
        field::set(one, "attempt_count", field::integer(one, "attempt_count").max(1));
    });
    world.emit("invoice.payment_failed", &invoice, None);
    // Where the attempt was to resume a subscription it has, unless that waits for success.
    if field::at(&invoice, "_sandbox.voids_at").is_i64() && pausing::resumes(world, &invoice) {
        pausing::complete(world, &invoice, "past_due");
    }
}
