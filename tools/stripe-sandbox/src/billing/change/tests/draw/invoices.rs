//! Invoices by hand, what is put on them, what is given back, and what pays.

use super::{DISCOUNTS, Draw, Known, Step, now, post, visits};
use crate::{field, json::Value, world::World};

/// What follows where an invoice is not paid.
const SETTINGS: &[&str] = &[
    "{}",
    r#"{"after_retries":{"subscription":"unpaid","invoice":"open"},"retries":{"custom":[1]}}"#,
    r#"{"after_retries":{"subscription":"past_due","invoice":"uncollectible"},"retries":{"custom":[]}}"#,
    r#"{"retries":{"smart":{"tries":8,"days":14}},"upcoming_days":null}"#,
    r#"{"sent_invoices":{"days":3,"subscription":"unpaid","invoice":"uncollectible","overdue_days":1}}"#,
];

/// Usage, invoice items and the customer's balance.
pub(super) fn beside(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let customer = &known.any_customer(draw);
    let amount = draw.below(3500) as i64 - 900;
    match draw.below(12) {
        0..3 | 10 | 11 => {
            let value = draw.one(&["1", "40", "1500", "0.5", "-3"]);
            let at = now(world, customer) - draw.days(3);
            let name = draw.below(30);
            let form = format!(
                "event_name=calls&payload[stripe_customer_id]={customer}&payload[value]={value}&timestamp={at}\
                 &identifier=use-{name}"
            );
            post("/v1/billing/meter_events", form)
        }
        3 => {
            let event = world.each("billing.meter_event").next().unwrap_or_default();
            let identifier = field::text(&event, "identifier");
            let form = format!("event_name=calls&type=cancel&cancel[identifier]={identifier}");
            post("/v1/billing/meter_event_adjustments", form)
        }
        4..7 => {
            let mut form = format!("customer={customer}&currency=usd&amount={amount}");
            match draw.below(5) {
                0 => form = format!("{form}&subscription={}", draw.id(known.all("sub"))),
                1 => {
                    let draft = draw.with_status(known.all("in"), "draft", world);
                    form = format!("{form}&invoice={draft}");
                }
                2 => form = format!("{form}&{}", draw.one(DISCOUNTS)),
                _ => form += "&discountable=false",
            }
            post("/v1/invoiceitems", form)
        }
        7 => {
            let path = format!("/v1/invoiceitems/{}", draw.id(known.all("ii")));
            post(path, format!("amount={amount}"))
        }
        8 => {
            let path = format!("/v1/invoiceitems/{}", draw.id(known.all("ii")));
            Step::Call("DELETE", path, String::new())
        }
        _ => {
            let path = format!("/v1/customers/{customer}/balance_transactions");
            post(path, format!("currency=usd&amount={}", -amount))
        }
    }
}

pub(super) fn by_hand(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let status = draw.one(&["draft", "open", "open"]);
    let invoice = draw.with_status(known.all("in"), status, world);
    let path = format!("/v1/invoices/{invoice}");
    if draw.below(5) == 0 {
        return begin(draw, known);
    }
    match (status, draw.below(8)) {
        ("draft", 0 | 1) => post(
            path + "/finalize",
            draw.one(&["", "auto_advance=true", "auto_advance=false"]),
        ),
        ("draft", 2) => Step::Call("DELETE", path, String::new()),
        ("draft", 3) => {
            let at = now(world, &invoice) + draw.days(3);
            post(path, format!("automatically_finalizes_at={at}"))
        }
        ("draft", 4) => {
            let is_sent = |one: &Value| field::text(one, "collection_method") == "send_invoice";
            post(
                format!("/v1/invoices/{}/send", draw.fit(known.all("in"), world, is_sent)),
                "",
            )
        }
        ("draft", 5) => post(path, draw.one(DISCOUNTS)),
        (_, 6) => post(path, format!("auto_advance={}", draw.one(&["true", "false"]))),
        (_, 0 | 1) => post(path + "/pay", ""),
        (_, 2) => post(path + "/pay", "paid_out_of_band=true"),
        (_, 3) => {
            let customer = world.find(&invoice).map_or("", |one| field::text(one, "customer"));
            let own = |one: &Value| field::text(one, "customer") == customer;
            let method = draw.fit(known.all("pm"), world, own);
            post(path + "/pay", format!("payment_method={method}"))
        }
        (_, 4) => post(path + "/void", ""),
        (_, 5) => post(path + "/mark_uncollectible", ""),
        _ => {
            let written_off = draw.with_status(known.all("in"), "uncollectible", world);
            let act = draw.one(&["pay", "void"]);
            post(format!("/v1/invoices/{written_off}/{act}"), "")
        }
    }
}

fn begin(draw: &mut Draw, known: &Known) -> Step {
    let mut form = format!(
        "customer={}&auto_advance={}",
        known.any_customer(draw),
        draw.one(&["true", "false"])
    );
    form += &match draw.below(6) {
        0 | 5 => format!("&subscription={}", draw.id(known.all("sub"))),
        1 => format!(
            "&pending_invoice_items_behavior=include&collection_method=send_invoice&days_until_due={}",
            draw.below(9)
        ),
        2 => format!("&pending_invoice_items_behavior=include&{}", draw.one(DISCOUNTS)),
        3 => "&pending_invoice_items_behavior=include&automatic_tax[enabled]=true".to_owned(),
        _ => "&pending_invoice_items_behavior=include".to_owned(),
    };
    post("/v1/invoices", form)
}

/// Credit notes, refunds and disputes.
pub(super) fn give_back(draw: &mut Draw, known: &Known, world: &World) -> Step {
    match draw.below(12) {
        0..5 => {
            // Soon it cannot be void any more.
            if draw.below(3) == 0 {
                draw.next = Some(|_, known, _| post(format!("/v1/credit_notes/{}/void", known.newest("cn")), ""));
            }
            post("/v1/credit_notes", credit(draw, known, world))
        }
        5..7 => {
            let charge = draw.with_status(known.all("ch"), "succeeded", world);
            let amount = match draw.below(2) {
                0 => String::new(),
                _ => format!("&amount={}", 1 + draw.below(2000)),
            };
            post("/v1/refunds", format!("charge={charge}{amount}"))
        }
        7..9 => {
            let charge = draw.with_status(known.all("ch"), "succeeded", world);
            let (reason, inquiry) = (draw.one(&["fraudulent", "subscription_canceled"]), draw.below(2) == 0);
            if draw.below(3) == 0 {
                draw.next = Some(|_, known, _| post(format!("/v1/disputes/{}/close", known.newest("dp")), ""));
            }
            let body = format!("{{\"charge\":\"{charge}\",\"reason\":\"{reason}\",\"inquiry\":{inquiry}}}");
            post("/_sandbox/disputes", body)
        }
        9 | 10 => {
            let status = draw.one(&["needs_response", "warning_needs_response"]);
            let dispute = draw.with_status(known.all("dp"), status, world);
            let evidence = draw.one(&["winning_evidence", "losing_evidence", "anything"]);
            let form = format!("evidence[uncategorized_text]={evidence}");
            post(format!("/v1/disputes/{dispute}"), form)
        }
        _ => post(format!("/v1/disputes/{}/close", draw.id(known.all("dp"))), ""),
    }
}

/// A credit note for an invoice: of an amount, or for one of its lines. What was paid is credited, refunded or given back
/// elsewhere.
pub(super) fn credit(draw: &mut Draw, known: &Known, world: &World) -> String {
    let status = draw.one(&["open", "paid"]);
    let id = draw.with_status(known.all("in"), status, world);
    let invoice = world.find(&id).cloned().unwrap_or_default();
    let mut part = |of: i64| match draw.below(3) {
        0 => of.max(1),
        _ => 1 + draw.below(of.max(1) as u64) as i64,
    };
    let lines = field::elements(&invoice, "lines.data");
    let line = lines.iter().max_by_key(|line| field::integer(line, "amount"));
    let (of_line, of_all) = (
        part(line.map_or(0, |line| field::integer(line, "amount"))),
        part(field::integer(&invoice, "total")),
    );
    let (mut form, amount) = match line {
        Some(line) if draw.below(3) == 0 => {
            let line = field::text(line, "id");
            let form = format!(
                "lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][amount]={of_line}"
            );
            (format!("invoice={id}&{form}"), of_line)
        }
        _ => (format!("invoice={id}&amount={of_all}"), of_all),
    };
    if field::text(&invoice, "status") == "paid" {
        form += &format!(
            "&{}={amount}",
            draw.one(&["credit_amount", "refund_amount", "out_of_band_amount"])
        );
    }
    form
}

/// Another card, a bad one, or none; and what follows if that is not enough.
pub(super) fn pay_with(draw: &mut Draw, known: &Known, world: &World) -> Step {
    let customer = format!("/v1/customers/{}", known.customer);
    if draw.below(4) == 0
        && let Some(step) = visits::authenticate(draw, known, world)
    {
        return step;
    }
    if draw.below(5) == 0 {
        return post("/_sandbox/billing", draw.one(SETTINGS));
    }
    match draw.below(5) {
        0 | 1 => {
            let card = draw.one(&[
                "visa",
                "visa",
                "chargeCustomerFail",
                "createDispute",
                "refundFail",
                "authenticationRequired",
                "pendingRefund",
            ]);
            post(
                format!("/v1/payment_methods/pm_card_{card}/attach"),
                format!("customer={}", known.customer),
            )
        }
        2 | 3 => post(
            customer,
            format!("invoice_settings[default_payment_method]={}", draw.id(known.all("pm"))),
        ),
        _ => post(customer, "invoice_settings[default_payment_method]="),
    }
}
