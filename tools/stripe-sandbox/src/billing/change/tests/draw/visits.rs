//! What a customer does on the hosted pages, previews, and test clocks.

use super::{DAY, DISCOUNTS, Draw, HOW, Known, Step, invoices, now, post, subscriptions::line};
use crate::{billing::has_ended, field, json::Value, world::World};

const CARD: &str = "card_number=4242424242424242&card_expiry=12/34&card_cvc=123";
const BAD_CARD: &str = "card_number=4000000000000341&card_expiry=12/34&card_cvc=123";
const ASKING_CARD: &str = "card_number=4000002760003184&card_expiry=12/34&card_cvc=123";

/// A session of the customer's, or a link for anybody.
pub(super) fn checkout(draw: &mut Draw, known: &Known) -> Step {
    let line = line(draw, known, "line_items[0]");
    if draw.below(3) > 0 || known.is_alone {
        draw.next = Some(|draw, known, _| {
            let path = format!("/v1/payment_pages/{}/confirm", known.newest("cs_test"));
            draw.next = Some(after_card);
            let card = draw.one(&["visa", "chargeDeclined", "authenticationRequired"]);
            post(path, format!("payment_method=pm_card_{card}"))
        });
        let more = draw.one(&[
            "",
            "&discounts[0][coupon]=share",
            "&subscription_data[trial_period_days]=3",
            "&subscription_data[billing_mode][type]=classic",
        ]);
        let form = format!(
            "mode=subscription&customer={}&success_url=http://a.b&{line}{more}",
            known.customer
        );
        return post("/v1/checkout/sessions", form);
    }
    if draw.below(2) == 0 && !known.all("plink").is_empty() {
        draw.next = Some(|draw, known, _| {
            let path = format!("/c/pay/{}", known.newest("cs_test"));
            draw.next = Some(after_card);
            let card = draw.one(&[CARD, BAD_CARD, ASKING_CARD]);
            post(path, format!("email=ann@example.com&{card}"))
        });
        let path = format!("/p/{}", draw.id(known.all("plink")));
        return Step::Call("GET", path, String::new());
    }
    let more = draw.one(&[
        "",
        "&subscription_data[trial_period_days]=3",
        "&restrictions[completed_sessions][limit]=1",
    ]);
    post("/v1/payment_links", format!("{line}{more}"))
}

/// Whoever was asked for it authenticates; and a session that is still open is tried once more.
fn after_card(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let asked = authenticate(draw, known, world);
    let session = known.newest("cs_test");
    let is_open = world
        .find(&session)
        .is_some_and(|one| field::text(one, "status") == "open");
    match asked {
        Some(step) => step,
        None if is_open => post(
            format!("/v1/payment_pages/{session}/confirm"),
            "payment_method=pm_card_visa",
        ),
        None => Step::Wait(60),
    }
}

/// On the page of the bank, for the newest payment or setup that waits for it.
pub(super) fn authenticate(draw: &mut Draw, known: &Known, world: &World) -> Option<Step> {
    let asks = |id: &&String| {
        world
            .find(id)
            .is_some_and(|one| field::text(one, "status") == "requires_action")
    };
    let mut intents = ["pi", "seti"]
        .iter()
        .filter_map(|kind| known.all(kind).iter().rev().find(asks));
    let action = draw.one(&["complete", "complete", "fail"]);
    Some(post(
        format!("/3d_secure/{}", intents.next()?),
        format!("action={action}"),
    ))
}

/// The portal is entered, and then something is done there.
pub(super) fn portal(draw: &mut Draw, known: &Known, _: &World) -> Step {
    draw.next = Some(in_portal);
    let configuration = draw.id(known.all("bpc"));
    let form = format!("customer={}&configuration={configuration}", known.customer);
    post("/v1/billing_portal/sessions", form)
}

fn in_portal(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let subscription = draw.id(known.all("sub"));
    let action = match draw.below(8) {
        0 | 1 => format!("action=cancel&subscription={subscription}"),
        2 | 3 => {
            let ends = |one: &Value| !has_ended(one) && !field::at(one, "cancel_at").is_null();
            let ending = draw.fit(known.all("sub"), world, ends);
            format!("action=renew&subscription={ending}")
        }
        4 => format!("action=card&{}", draw.one(&[CARD, CARD, BAD_CARD])),
        _ => format!(
            "action=change&subscription={subscription}&price={}&quantity={}",
            draw.id(&known.licensed),
            1 + draw.below(5)
        ),
    };
    // One thing leads to another, sometimes.
    if draw.below(2) == 0 {
        draw.next = Some(in_portal);
    }
    post(format!("/p/session/{}", known.newest("bps")), action)
}

/// Of an invoice to come, whatever changes before it, or of a credit note.
pub(super) fn preview(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let (subscription, item) = (draw.id(known.all("sub")), draw.id(&known.items));
    let now = now(world, &subscription);
    let path = "/v1/invoices/create_preview";
    let within = "subscription_details";
    let how = draw.one(HOW).split("&payment_behavior").next().unwrap_or_default();
    let how = how.replace("proration_behavior", &format!("{within}[proration_behavior]"));
    let about = match draw.below(11) {
        0 => String::new(),
        1 => "&preview_mode=recurring".to_owned(),
        2 => format!(
            "&{within}[items][0][id]={item}&{within}[items][0][quantity]={}{how}",
            draw.below(9)
        ),
        3 => format!("&{}{how}", line(draw, known, &format!("{within}[items][0]"))),
        4 => format!("&{within}[cancel_now]=true{how}"),
        5 => {
            let paused = draw.with_status(known.all("sub"), "paused", world);
            return post(path, format!("subscription={paused}&{within}[resume_at]=now"));
        }
        6 => format!("&{within}[billing_cycle_anchor][type]=now{how}"),
        7 => format!("&{within}[trial_end]={}{how}", now + DAY + draw.days(9)),
        8 => format!("&{}", draw.one(DISCOUNTS)),
        9 => {
            let item = line(draw, known, &format!("{within}[items][0]"));
            return post(path, format!("customer={}&{item}", known.customer));
        }
        _ => {
            let form = invoices::credit(draw, known, world);
            return Step::Call("GET", "/v1/credit_notes/preview".to_owned(), form);
        }
    };
    post(path, format!("subscription={subscription}{about}"))
}

/// A time of its own for other customers.
pub(super) fn clock(draw: &mut Draw, known: &Known, world: &World) -> Step {
    if known.is_alone {
        return Step::Wait(draw.days(1));
    }
    let clocks = "/v1/test_helpers/test_clocks";
    let id = draw.id(known.all("clock"));
    let path = format!("{clocks}/{id}");
    match draw.below(10) {
        kind if kind == 0 || known.all("clock").is_empty() => {
            draw.next = Some(of_clock);
            post(clocks, format!("frozen_time={}", world.clock.now() - draw.days(60)))
        }
        1 => of_clock(draw, known, world),
        2 => Step::Call("DELETE", path, String::new()),
        _ => {
            let frozen = world.find(&id).map_or(0, |one| field::integer(one, "frozen_time"));
            post(path + "/advance", format!("frozen_time={}", frozen + 1 + draw.days(14)))
        }
    }
}

fn of_clock(draw: &mut Draw, known: &Known, _: &World) -> Step {
    let card = draw.one(&["visa", "visa", "chargeCustomerFail"]);
    let form = format!(
        "test_clock={}&email=bob@example.com&payment_method=pm_card_{card}\
         &invoice_settings[default_payment_method]=pm_card_{card}",
        known.newest("clock")
    );
    post("/v1/customers", form)
}
