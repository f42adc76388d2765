//! What a change within a period costs: credits for the time that was paid for and not used, debits for the time that is
//! left at the new price. Each is rounded on its own, half up.
//!
//! In flexible billing mode a credit gives back what was in fact debited, one credit for each debit; in classic mode it is
//! reckoned from the price that goes and the discounts last used. Sources: <https://docs.stripe.com/billing/subscriptions/prorations>,
//! <https://docs.stripe.com/billing/subscriptions/billing-mode/compare>.

use super::{
    decimal, discounts, first_period,
    invoice_items::{self, NewItem},
    lines::{self, day},
    period, pricing, redemptions,
    start::product_name,
};
use crate::{
    field,
    json::{Value, json},
    resources::price,
    world::World,
};

/// Where a subscription keeps what its items were debited for time that has not passed.
const DEBITS: &str = "_sandbox.debits";

/// Where it keeps which discounts were in each item's last debit, by the item's id.
const LAST_DISCOUNTS: &str = "_sandbox.last_discounts";

/// Keeps in mind what `invoice` debits for the items' periods, so that it can be given back, and forgets what has passed.
pub(crate) fn remember(subscription: &mut Value, invoice: &Value) {
    let billed_at = field::integer(invoice, "created");
    let debits = field::elements(invoice, "lines.data").iter().filter_map(|line| {
        let item = lines::item_of(line)?;
        // What an invoice item debits was kept in mind when that was made.
        let is_own = lines::invoice_item_of(line).is_none();
        let discounts = field::elements(line, "discount_amounts").iter();
        let off: i64 = discounts.map(|one| field::integer(one, "amount")).sum();
        let amount = field::integer(line, "amount") - off;
        let is_over = field::integer(line, "period.end") <= billed_at;
        (amount > 0 && is_own && !is_over).then(|| {
            json!({
                "item": item, "amount": amount, "start": field::at(line, "period.start"), "end": field::at(line, "period.end"),
                "invoice": field::at(invoice, "id"), "line": field::at(line, "id"),
            })
        })
    });
    let mut kept = field::elements(subscription, DEBITS).to_vec();
    kept.retain(|debit| field::integer(debit, "end") > billed_at);
    kept.extend(debits);
    for line in field::elements(invoice, "lines.data") {
        let is_own = lines::invoice_item_of(line).is_none();
        if let Some(item) = lines::item_of(line).filter(|_| is_own) {
            let own = field::elements(line, "discounts").iter();
            let all: Vec<Value> = own.chain(field::elements(invoice, "discounts")).cloned().collect();
            field::set(subscription, &format!("{LAST_DISCOUNTS}.{item}"), all);
        }
    }
    // A debit that waited stands on a line now.
    for line in field::elements(invoice, "lines.data") {
        let waited = kept.iter_mut().find(|debit| {
            field::at(debit, "invoice").is_null()
                && lines::item_of(line) == field::some_text(debit, "item")
                && field::at(line, "amount") == field::at(debit, "amount")
                && field::at(line, "period.start") == field::at(debit, "start")
        });
        if let Some(debit) = waited {
            field::set(debit, "invoice", field::at(invoice, "id").clone());
            field::set(debit, "line", field::at(line, "id").clone());
        }
    }
    field::set(subscription, DEBITS, kept);
}

/// Forgets all debits, for a subscription whose periods begin anew.
pub(crate) fn forget(subscription: &mut Value) {
    field::set(subscription, DEBITS, json!([]));
}

/// Whether nothing is prorated yet: in a trial nothing was paid for.
fn is_unpaid(subscription: &Value) -> bool {
    matches!(
        field::text(subscription, "status"),
        "trialing" | "incomplete" | "paused"
    )
}

/// The invoice items for what changes between the items of `before` and those of `after` at the moment `at`, and for what is not
/// billed, or is, of their periods as the subscription's end moves.
pub(crate) fn of_change(world: &mut World, before: &Value, after: &mut Value, at: i64) -> Vec<Value> {
    if is_unpaid(before) {
        return Vec::new();
    }
    let mut made = Vec::new();
    for old in field::elements(before, "items.data") {
        let (_, until) = period::billed(before, old);
        let new = item_of(after, field::text(old, "id"));
        match new.filter(|new| !differs(old, new)) {
            Some(same) => {
                let (_, now_until) = period::billed(after, &same);
                made.extend(moved(world, after, &same, until, now_until));
            }
            None => {
                made.extend(usage_so_far(world, before, after, old));
                made.extend(credits(world, after, before, old, (at, until)));
                if let Some(new) = item_of(after, field::text(old, "id")) {
                    made.extend(debit(world, after, &new, at));
                }
            }
        }
    }
    let added: Vec<Value> = field::elements(after, "items.data").to_vec();
    for new in added {
        if item_of(before, field::text(&new, "id")).is_none() {
            made.extend(debit(world, after, &new, at));
        }
    }
    made
}

/// The credits for all that is left of the present periods, for a subscription that ends or begins a new one.
pub(crate) fn of_rest(world: &mut World, subscription: &mut Value, at: i64) -> Vec<Value> {
    if is_unpaid(subscription) {
        return Vec::new();
    }
    let ended = subscription.clone();
    let items = field::elements(&ended, "items.data").iter();
    items
        .flat_map(|item| {
            let (_, until) = period::billed(&ended, item);
            credits(world, subscription, &ended, item, (at, until))
        })
        .collect()
}

/// The credits for all of what was paid for the present periods.
pub(crate) fn of_whole(world: &mut World, subscription: &mut Value) -> Vec<Value> {
    let paused = subscription.clone();
    let items = field::elements(&paused, "items.data").iter();
    items
        .flat_map(|item| credits(world, subscription, &paused, item, period::billed(&paused, item)))
        .collect()
}

/// The debits for what is left after `at` of the periods of a subscription that is taken up again, without those that were
/// paid for and not given back.
pub(crate) fn of_resumption(world: &mut World, subscription: &mut Value, at: i64) -> Vec<Value> {
    let items = field::elements(subscription, "items.data").to_vec();
    let paid = field::elements(subscription, DEBITS).to_vec();
    let is_paid = |item: &Value| {
        let mut paid = paid.iter();
        paid.any(|debit| field::at(debit, "item") == field::at(item, "id") && field::integer(debit, "end") > at)
    };
    items
        .iter()
        .filter(|item| !is_paid(item))
        .filter_map(|item| debit(world, subscription, item, at))
        .collect()
}

/// What was used until now of a metered item that goes, or gets another price: flexible mode bills it at the price that goes,
/// classic mode does not. Source: <https://docs.stripe.com/billing/subscriptions/usage-based/manage-billing-setup>.
fn usage_so_far(world: &mut World, before: &Value, after: &Value, item: &Value) -> Option<Value> {
    let new = item_of(after, field::text(item, "id"));
    let goes = new.is_none_or(|new| field::at(&new, "price.id") != field::at(item, "price.id"));
    // What is over the renewal bills.
    let is_over = field::integer(item, "current_period_end") <= world.now;
    if !is_metered(item) || !goes || is_over || field::text(before, "billing_mode.type") == "classic" {
        return None;
    }
    let line = lines::of_usage(world, before, item);
    (line.amount != 0).then(|| invoice_items::of_usage(world, before, &line))
}

fn item_of(subscription: &Value, id: &str) -> Option<Value> {
    let items = field::elements(subscription, "items.data");
    items.iter().find(|item| field::text(item, "id") == id).cloned()
}

fn differs(old: &Value, new: &Value) -> bool {
    ["price.id", "quantity"]
        .iter()
        .any(|name| field::at(old, name) != field::at(new, name))
}

fn is_metered(item: &Value) -> bool {
    price::is_metered(field::at(item, "price"))
}

/// Takes the item's debits out of mind and gives the credits for the part of them that lies after `at`; it was billed until
/// `until`.
fn credits(
    world: &mut World,
    subscription: &mut Value,
    among: &Value,
    item: &Value,
    (at, until): (i64, i64),
) -> Vec<Value> {
    if is_metered(item) {
        return Vec::new();
    }
    let own = taken_out(subscription, item, at);
    let text = format!("Unused time on {} after {}", named(world, item), day(at));
    if field::text(subscription, "billing_mode.type") == "classic" {
        let amount = -classic_share(world, subscription, among, item, (at, until));
        return entry(world, subscription, item, amount, (at, until), text, Value::Null)
            .into_iter()
            .collect();
    }
    let mut made = Vec::new();
    for debit in own {
        let (start, end) = (field::integer(&debit, "start"), field::integer(&debit, "end"));
        let amount = -share((i128::from(field::integer(&debit, "amount")), 1), (start, end), at);
        let of = (at.max(start), end);
        made.extend(entry(
            world,
            subscription,
            item,
            amount,
            of,
            text.clone(),
            credited(&debit),
        ));
    }
    made
}

/// Takes the debits of an item that reach past `at` out of mind.
fn taken_out(subscription: &mut Value, item: &Value, at: i64) -> Vec<Value> {
    let id = field::text(item, "id");
    let mut debits = field::elements(subscription, DEBITS).to_vec();
    let own: Vec<Value> = debits
        .extract_if(.., |debit| field::text(debit, "item") == id)
        .filter(|debit| field::integer(debit, "end") > at)
        .collect();
    field::set(subscription, DEBITS, debits);
    own
}

fn keep_in_mind(subscription: &mut Value, new: impl IntoIterator<Item = Value>) {
    let mut debits = field::elements(subscription, DEBITS).to_vec();
    debits.extend(new);
    field::set(subscription, DEBITS, debits);
}

/// What a credit says it gives back.
fn credited(debit: &Value) -> Value {
    match field::some_text(debit, "invoice") {
        Some(invoice) => json!({ "invoice": invoice, "invoice_line_items": [field::at(debit, "line")] }),
        None => Value::Null,
    }
}

/// What an item's price, less the discounts last used, comes to from one moment to another of its period; nothing of a first
/// period that was free.
fn classic_share(world: &World, subscription: &Value, among: &Value, item: &Value, (from, until): (i64, i64)) -> i64 {
    let is_free = field::integer(subscription, &first_period::free_until(item)) >= until;
    let start = field::integer(item, "current_period_start");
    if is_free {
        return 0;
    }
    let last = field::at(subscription, &format!("{LAST_DISCOUNTS}.{}", field::text(item, "id")));
    let used = last
        .as_array()
        .map_or_else(|| discounts_of(subscription, item), <[Value]>::to_vec);
    let whole = period::whole(subscription, item);
    part(price_of(world, among, item, &used), until - from.max(start), whole)
}

/// The debit for an item from `at` to the end of its period, kept in mind.
fn debit(world: &mut World, subscription: &mut Value, item: &Value, at: i64) -> Option<Value> {
    let (start, end) = period::billed(subscription, item);
    let text = format!("Remaining time on {} after {}", named(world, item), day(at));
    debit_until(world, subscription, item, (at, at.max(start), end), text)
}

/// The debit for a part of an item's period, kept in mind. What it says it is for may begin before the period does.
fn debit_until(
    world: &mut World,
    subscription: &mut Value,
    item: &Value,
    (said, from, until): (i64, i64, i64),
    text: String,
) -> Option<Value> {
    if is_metered(item) {
        return None;
    }
    let whole = period::whole(subscription, item);
    let discounts = discounts_of(subscription, item);
    let amount = part(price_of(world, subscription, item, &discounts), until - from, whole);
    let last = format!("{LAST_DISCOUNTS}.{}", field::text(item, "id"));
    field::set(subscription, &last, discounts);
    // What is free of it is over with the first debit.
    field::set(subscription, &first_period::free_until(item), Value::Null);
    let made = entry(world, subscription, item, amount, (said, until), text, Value::Null)?;
    let debit = json!({
        "item": field::at(item, "id"), "amount": amount, "start": said, "end": until, "invoice": null, "line": null,
    });
    keep_in_mind(subscription, [debit]);
    Some(made)
}

/// What is given back, or debited again, of an item whose period was billed until one moment and now is until another.
/// Source: <https://docs.stripe.com/api/subscriptions/update#update_subscription-cancel_at>.
fn moved(world: &mut World, subscription: &mut Value, item: &Value, until: i64, now_until: i64) -> Vec<Value> {
    if is_metered(item) || until == now_until {
        return Vec::new();
    }
    if until < now_until {
        let own = field::elements(subscription, DEBITS).iter();
        let own = own.filter(|debit| field::text(debit, "item") == field::text(item, "id"));
        // An end that came without prorations gave nothing back.
        let paid_until = own.map(|debit| field::integer(debit, "end")).max();
        let until = until.max(paid_until.unwrap_or(until));
        let is_free = field::integer(subscription, &first_period::free_until(item)) >= now_until;
        if is_free || until >= now_until {
            return Vec::new();
        }
        let text = format!("Remaining time on {} after {}", named(world, item), day(until));
        let debit = debit_until(world, subscription, item, (until, until, now_until), text);
        return debit.into_iter().collect();
    }
    let text = format!("Unused time on {} after {}", named(world, item), day(now_until));
    let is_classic = field::text(subscription, "billing_mode.type") == "classic";
    let mut made = Vec::new();
    for mut debit in taken_out(subscription, item, i64::MIN) {
        let (start, end) = (field::integer(&debit, "start"), field::integer(&debit, "end"));
        let amount = field::integer(&debit, "amount");
        let back = share((i128::from(amount), 1), (start, end), now_until);
        if back != 0 && !is_classic {
            let of = (now_until.max(start), end);
            made.extend(entry(
                world,
                subscription,
                item,
                -back,
                of,
                text.clone(),
                credited(&debit),
            ));
        }
        field::set(&mut debit, "amount", amount - back);
        field::set(&mut debit, "end", end.min(now_until));
        if start < now_until {
            keep_in_mind(subscription, [debit]);
        }
    }
    if is_classic {
        let of = (now_until, until);
        let amount = -classic_share(world, subscription, subscription, item, of);
        made.extend(entry(world, subscription, item, amount, of, text, Value::Null));
    }
    made
}

fn entry(
    world: &mut World,
    subscription: &Value,
    item: &Value,
    amount: i64,
    period: (i64, i64),
    description: String,
    credited: Value,
) -> Option<Value> {
    let made = NewItem {
        customer: field::text(subscription, "customer"),
        currency: field::text(subscription, "currency"),
        amount,
        quantity: field::integer(item, "quantity"),
        price: field::at(item, "price").clone(),
        description: Some(description),
        period,
        metadata: field::at(subscription, "metadata").clone(),
        subscription: field::some_text(subscription, "id"),
        prorates: field::some_text(item, "id"),
        credited,
        ..NewItem::default()
    };
    (amount != 0).then(|| invoice_items::build(world, &made))
}

/// The discounts that an item has now: its own, then those of its subscription.
fn discounts_of(subscription: &Value, item: &Value) -> Vec<Value> {
    let own = field::elements(item, "discounts").iter();
    own.chain(field::elements(subscription, "discounts")).cloned().collect()
}

/// What an item costs for a whole period, less `discounts`, as a fraction of minor units. Of an amount off the whole subscription
/// an item bears its share by amounts in flexible mode, and by their number in classic mode; `among` has the items that share.
/// Source: <https://docs.stripe.com/billing/subscriptions/billing-mode/compare#proportional-discount-application>.
fn price_of(world: &World, among: &Value, item: &Value, discounts: &[Value]) -> (i128, i128) {
    let amount = |item: &Value| match is_metered(item) {
        true => 0,
        false => pricing::amount_at(world, field::at(item, "price"), field::integer(item, "quantity")),
    };
    let mut fraction = (i128::from(amount(item)), 1);
    let currency = field::text(among, "currency");
    let product = field::text(item, "price.product");
    let is_classic = field::text(among, "billing_mode.type") == "classic";
    let is_own = |discount: &Value| {
        let discount = discount.as_str().and_then(|id| world.find(id));
        discount.is_some_and(|one| field::some_text(one, "subscription_item").is_some())
    };
    for discount in discounts {
        let coupon = redemptions::coupon_of(world, discount);
        let Some(coupon) = coupon.filter(|coupon| discounts::applies_to(coupon, product)) else {
            continue;
        };
        if let Some(percent) = decimal::of(field::at(coupon, "percent_off")) {
            fraction = times(fraction, (100 * decimal::ONE - percent, 100 * decimal::ONE));
            continue;
        }
        let off = i128::from(discounts::amount_off(coupon, currency).unwrap_or_default());
        let borne = if is_own(discount) {
            (1, 1)
        } else {
            let items = field::elements(among, "items.data").iter();
            let sharing = items.filter(|one| discounts::applies_to(coupon, field::text(one, "price.product")));
            let amounts: Vec<i128> = sharing
                .map(|one| i128::from(amount(one)))
                .filter(|one| *one > 0)
                .collect();
            match is_classic {
                true => (1, i128::try_from(amounts.len().max(1)).unwrap_or(1)),
                false => (i128::from(amount(item)), amounts.iter().sum::<i128>().max(1)),
            }
        };
        fraction = less(fraction, times((off, 1), borne));
    }
    fraction
}

/// The difference, never less than nothing, in lowest terms.
fn less(one: (i128, i128), other: (i128, i128)) -> (i128, i128) {
    let number = one.0.saturating_mul(other.1) - other.0.saturating_mul(one.1);
    times((number.max(0), one.1.saturating_mul(other.1).max(1)), (1, 1))
}

/// The part of `whole` that falls after `at` in the period from `start` to `end`, rounded half up.
fn share(whole: (i128, i128), (start, end): (i64, i64), at: i64) -> i64 {
    part(whole, end - at.max(start), end - start)
}

/// So many seconds of `whole`, which is for `of` seconds, rounded half up.
fn part(whole: (i128, i128), seconds: i64, of: i64) -> i64 {
    let (number, by) = times(whole, (i128::from(seconds.max(0)), i128::from(of.max(1))));
    decimal::divided(number, by)
}

/// The product in lowest terms, so that numbers stay small.
fn times(one: (i128, i128), other: (i128, i128)) -> (i128, i128) {
    let reduced = |(number, by): (i128, i128)| {
        let common = gcd(number.unsigned_abs(), by.unsigned_abs()).max(1);
        let common = i128::try_from(common).unwrap_or(1);
        (number / common, by / common)
    };
    let (one, other) = (reduced(one), reduced(other));
    let (crossed, back) = (reduced((one.0, other.1)), reduced((other.0, one.1)));
    (crossed.0.saturating_mul(back.0), crossed.1.saturating_mul(back.1))
}

fn gcd(one: u128, other: u128) -> u128 {
    if other == 0 { one } else { gcd(other, one % other) }
}

fn named(world: &World, item: &Value) -> String {
    let name = product_name(world, field::at(item, "price"));
    match field::integer(item, "quantity") {
        1 => name,
        quantity => format!("{quantity} × {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of June 2026, changed on the 11th at 08:00.
    const JUNE: (i64, i64) = (1_780_272_000, 1_782_864_000);
    const CHANGE: i64 = 1_781_164_800;

    #[test]
    fn a_share_is_by_the_second_and_rounded_half_up() {
        for (whole, part) in [
            (2900, 1901),
            (7900, 5179),
            (5 * 1200, 3933),
            (8 * 1200, 6293),
            (29_000, 19_011),
            (0, 0),
        ] {
            assert_eq!(share((whole, 1), JUNE, CHANGE), part, "{whole}");
        }
        let fifth_off = (100 * decimal::ONE - 20 * decimal::ONE, 100 * decimal::ONE);
        assert_eq!(share(times((2900, 1), fifth_off), JUNE, CHANGE), 1521);
        assert_eq!(share(times((7900, 1), fifth_off), JUNE, CHANGE), 4143);
        let half = (JUNE.0 + JUNE.1) / 2;
        assert_eq!(share((1000, 1), JUNE, half), 500);
        assert_eq!(share((1001, 1), JUNE, half), 501);
        assert_eq!(share((1000, 1), JUNE, JUNE.0 - 5), 1000);
        assert_eq!(share((1000, 1), JUNE, JUNE.1 + 5), 0);
    }

    #[test]
    fn a_difference_is_exact_and_never_less_than_nothing() {
        assert_eq!(less((2900, 1), (1000, 1)), (1900, 1));
        assert_eq!(less((2900, 3), (1000, 6)), (800, 1));
        assert_eq!(less((100, 1), (1000, 3)).0, 0);
    }

    #[test]
    fn products_of_many_percentages_stay_exact() {
        // A third off, and again, and again.
        let off = (6667, 10_000);
        let mut price = (99_999_999_000_000, 1);
        for _ in 0..3 {
            price = times(price, off);
        }
        let (number, by) = price;
        assert_eq!(decimal::divided(number, by), 29_634_073_999_959);
    }
}
