//! Subscriptions: begun in every way, changed, paused, ended.

use super::{DISCOUNTS, Draw, HOW, Known, Step, now, post};
use crate::world::World;

/// A price, with a quantity where it takes one.
pub(super) fn line(draw: &mut Draw, known: &Known, within: &str) -> String {
    if draw.below(4) == 0 {
        return format!("{within}[price]={}", draw.id(&known.metered));
    }
    let (price, quantity) = (draw.id(&known.licensed), draw.below(9));
    format!("{within}[price]={price}&{within}[quantity]={quantity}")
}

/// Something sold once.
fn once(draw: &mut Draw, known: &Known) -> String {
    let within = "add_invoice_items[0]";
    let (product, amount) = (&known.product, draw.below(4000));
    format!(
        "{within}[price_data][currency]=usd&{within}[price_data][product]={product}\
         &{within}[price_data][unit_amount]={amount}&{within}[quantity]={}",
        draw.below(4)
    )
}

pub(super) fn subscribe(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let customer = known.any_customer(draw);
    let now = now(world, &customer);
    let mut form = format!("customer={customer}&");
    for index in 0..=draw.below(3) {
        form += &(line(draw, known, &format!("items[{index}]")) + "&");
    }
    form += "billing_mode[type]=";
    form += draw.one(&["flexible", "flexible", "classic"]);
    let prorates = draw.one(&["", "", "&proration_behavior=none"]);
    form += &match draw.below(12) {
        0 => format!("&billing_cycle_anchor={}{prorates}", now + draw.days(32)),
        1 => {
            let (day, month) = (1 + draw.below(31), 1 + draw.below(12));
            let more = draw.one(&["", "", "[month]", "[hour]"]);
            let more = match more {
                "" => String::new(),
                name => format!("&billing_cycle_anchor_config{name}={month}"),
            };
            format!("&billing_cycle_anchor_config[day_of_month]={day}{more}{prorates}")
        }
        2 => format!("&backdate_start_date={}{prorates}", now - draw.days(100)),
        3 => format!(
            "&backdate_start_date={}&billing_cycle_anchor={}{prorates}",
            now - draw.days(40),
            now + draw.days(20)
        ),
        4 => format!("&cancel_at={}{prorates}", now + draw.days(70)),
        5 => format!(
            "&trial_end={}&billing_cycle_anchor={}",
            now + draw.days(9),
            now + draw.days(30)
        ),
        _ => draw
            .one(&[
                "",
                "&trial_period_days=5",
                "&trial_period_days=40&trial_settings[end_behavior][missing_payment_method]=pause",
                "&trial_period_days=2&trial_settings[end_behavior][missing_payment_method]=cancel",
                "&payment_behavior=default_incomplete",
                "&payment_behavior=error_if_incomplete",
                "&cancel_at_period_end=true",
            ])
            .to_owned(),
    };
    if draw.below(3) == 0 {
        form = format!("{form}&{}", draw.one(DISCOUNTS));
    }
    if draw.below(6) == 0 {
        form += draw.one(&[
            "&items[0][discounts][0][coupon]=share",
            "&items[0][discounts][0][coupon]=amount",
        ]);
    }
    if draw.below(6) == 0 {
        form = format!("{form}&{}", once(draw, known));
    }
    if draw.below(6) == 0 {
        form = format!(
            "{form}&collection_method=send_invoice&days_until_due={}",
            draw.below(20)
        );
    }
    if draw.below(5) == 0 {
        form += "&automatic_tax[enabled]=true";
    }
    post("/v1/subscriptions", form)
}

pub(super) fn change(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let (subscription, item) = (draw.id(known.all("sub")), draw.id(&known.items));
    let now = now(world, &subscription);
    let (path, of_item) = (
        format!("/v1/subscriptions/{subscription}"),
        format!("/v1/subscription_items/{item}"),
    );
    let how = draw.one(HOW);
    match draw.below(26) {
        0..4 => post(of_item, format!("quantity={}{how}", draw.below(12))),
        4..6 => post(of_item, format!("price={}{how}", draw.id(&known.licensed))),
        6 => post(of_item, format!("price={}{how}", draw.id(&known.metered))),
        7..9 => post(path, format!("{}{how}", line(draw, known, "items[0]"))),
        9 => Step::Call("DELETE", of_item, how.trim_start_matches('&').to_owned()),
        10 => post(path, format!("items[0][id]={item}&items[0][deleted]=true{how}")),
        11 => post(path, format!("billing_cycle_anchor[type]=now{how}")),
        12..14 => post(path, draw.one(DISCOUNTS)),
        14 => post(path, format!("trial_end=now{how}")),
        15 => post(path, format!("trial_end={}{how}", now + draw.days(20))),
        16 => {
            let at = now - draw.days(5);
            let quantity = draw.below(9);
            post(of_item, format!("quantity={quantity}&proration_date={at}{how}"))
        }
        17 => post(of_item, draw.one(DISCOUNTS)),
        18 => {
            let price = draw.id(&known.licensed);
            let form = format!(
                "subscription={subscription}&price={price}&quantity={}{how}",
                draw.below(5)
            );
            post("/v1/subscription_items", form)
        }
        19 => post(path, format!("{}{how}", once(draw, known))),
        20 => post(
            path,
            draw.one(&[
                "collection_method=send_invoice&days_until_due=4",
                "collection_method=charge_automatically",
                "collection_method=charge_automatically",
            ]),
        ),
        21 => post(path + "/migrate", "billing_mode[type]=flexible"),
        22 => post(path, format!("default_payment_method={}", draw.id(known.all("pm")))),
        23 | 24 => {
            // One of the changes that may wait until they are paid.
            let price = draw.id(&known.licensed);
            let how = "proration_behavior=always_invoice&payment_behavior=pending_if_incomplete";
            post(path, format!("items[0][id]={item}&items[0][price]={price}&{how}"))
        }
        _ => post(path, format!("metadata[step]={now}")),
    }
}

pub(super) fn end(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let subscription = draw.id(known.all("sub"));
    let now = now(world, &subscription);
    let path = format!("/v1/subscriptions/{subscription}");
    let how = draw.one(HOW);
    match draw.below(8) {
        0 => {
            let how = draw.one(&["", "prorate=true&invoice_now=true", "invoice_now=true", "prorate=true"]);
            Step::Call("DELETE", path, how.to_owned())
        }
        1 => post(path, "cancel_at_period_end=true"),
        2 => post(path, "cancel_at_period_end=false"),
        3 | 4 => post(path, format!("cancel_at={}{how}", now + draw.days(60))),
        5 => post(path, format!("cancel_at={how}")),
        6 => post(path, "cancel_at=min_period_end"),
        _ => post(path, "cancel_at=max_period_end"),
    }
}

/// Of the subscription, or of its collection only; and taking it up again.
pub(super) fn pause(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let kind = draw.below(10);
    let status = if kind < 7 { "active" } else { "paused" };
    let subscription = draw.with_status(known.all("sub"), status, world);
    let now = now(world, &subscription);
    let path = format!("/v1/subscriptions/{subscription}");
    match kind {
        0 | 1 => {
            let behavior = draw.one(&["keep_as_draft", "mark_uncollectible", "void"]);
            let mut form = format!("pause_collection[behavior]={behavior}");
            if draw.below(2) == 0 {
                form = format!("{form}&pause_collection[resumes_at]={}", now + 1 + draw.days(40));
            }
            post(path, form)
        }
        2 => post(path, "pause_collection="),
        3..7 => {
            let mut form = vec![draw.one(&[
                "",
                "invoicing_behavior=invoice",
                "invoicing_behavior=pending_invoice_item",
            ])];
            form.push(draw.one(&[
                "",
                "bill_for[unused_time_from][type]=none",
                "bill_for[unused_time_from][type]=now",
                "bill_for[unused_time_from][type]=item_current_period_start",
            ]));
            form.push(draw.one(&[
                "",
                "bill_for[outstanding_usage_through][type]=none",
                "bill_for[outstanding_usage_through][type]=now",
            ]));
            form.retain(|part| !part.is_empty());
            post(path + "/pause", form.join("&"))
        }
        _ => {
            let mut form = vec![draw.one(&[
                "",
                "billing_cycle_anchor[type]=unchanged",
                "billing_cycle_anchor[type]=now",
            ])];
            form.push(draw.one(&["", "proration_behavior=none", "proration_behavior=always_invoice"]));
            form.push(draw.one(&["", "payment_behavior=resume_on_payment_success"]));
            form.retain(|part| !part.is_empty());
            let mut form = form.join("&");
            if draw.below(5) == 0 {
                form = format!("{form}&proration_date={}", now - draw.days(5));
            }
            post(path + "/resume", form.trim_start_matches('&'))
        }
    }
}
