//! A preview is what then is made, and leaves nothing behind.

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use crate::{field, http::in_process::InProcess, json::Value};

mod schedules;

const CASES: u32 = 120;

/// What a history begins with, besides its mode.
const BEGUN: &[&str] = &[
    "",
    "&items[0][quantity]=3",
    "&discounts[0][coupon]=share",
    "&discounts[0][coupon]=amount",
    "&discounts[0][coupon]=always",
    "&items[0][discounts][0][coupon]=always",
    "&billing_cycle_anchor_config[day_of_month]=31",
    "&trial_period_days=20",
    "&items[1][price]=week",
    "&cancel_at_period_end=true",
];
/// What then is asked for: parameters of an update.
const CHANGES: &[&str] = &[
    "",
    "items[0][quantity]=5",
    "items[0][price]=dear",
    "items[0][price]=yearly",
    "items[1][price]=dear&items[1][quantity]=2",
    "items[0][quantity]=4&discounts[0][coupon]=share",
    "items[0][price]=dear&trial_end=now",
    "discounts=",
    "items[0][price_data][currency]=usd&items[0][price_data][product]=thing&items[0][price_data][unit_amount]=1234\
     &items[0][price_data][recurring][interval]=month",
];
const HOWS: &[&str] = &[
    "",
    "&proration_behavior=none",
    "&proration_behavior=always_invoice",
    "&billing_cycle_anchor[type]=now",
    "&billing_cycle_anchor[type]=now&proration_behavior=none",
];

#[derive(Clone, Debug)]
struct History {
    mode: &'static str,
    begun: &'static str,
    item: Option<i64>,
    waited: i64,
    change: &'static str,
    how: &'static str,
    dated: bool,
    later: i64,
}

fn any_history() -> impl Strategy<Value = History> {
    (
        prop::sample::select(vec!["flexible", "classic"]),
        prop::sample::select(BEGUN.to_vec()),
        prop::option::of(-500..3000_i64),
        prop_oneof![Just(0), 1..28 * 86_400_i64],
        prop::sample::select(CHANGES.to_vec()),
        prop::sample::select(HOWS.to_vec()),
        any::<bool>(),
        0..600_i64,
    )
        .prop_map(|(mode, begun, item, waited, change, how, dated, later)| History {
            mode,
            begun,
            item,
            waited,
            change,
            how,
            dated,
            later,
        })
}

/// `a[b]=1&c=2` as parameters of `subscription_details`; discounts stand beside those.
fn within(form: &str) -> String {
    let named = form.split('&').filter(|one| !one.is_empty()).map(|one| {
        let (name, value) = one.split_once('=').unwrap();
        let (first, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
        match first {
            "discounts" => one.to_owned(),
            _ => format!("subscription_details[{first}]{rest}={value}"),
        }
    });
    named.collect::<Vec<_>>().join("&")
}

/// What of an invoice a preview foretells.
fn told(invoice: &Value) -> Value {
    let lines = field::elements(invoice, "lines.data").iter().map(|line| {
        let names = [
            "amount",
            "quantity",
            "currency",
            "description",
            "discountable",
            "metadata",
            "period",
            "pricing.unit_amount_decimal",
            "pricing.price_details.product",
            "parent.type",
            "parent.subscription_item_details.proration",
            "parent.subscription_item_details.proration_details",
        ];
        let mut told: Vec<Value> = names.map(|name| field::at(line, name).clone()).to_vec();
        let off = field::elements(line, "discount_amounts").iter();
        told.extend(off.map(|one| field::at(one, "amount").clone()));
        Value::from(told)
    });
    let mut told = vec![Value::from(lines.collect::<Vec<_>>())];
    let names = [
        "customer",
        "currency",
        "subtotal",
        "total",
        "amount_due",
        "starting_balance",
        "collection_method",
    ];
    told.extend(names.map(|name| field::at(invoice, name).clone()));
    let off = field::elements(invoice, "total_discount_amounts").iter();
    told.extend(off.map(|one| field::at(one, "amount").clone()));
    Value::from(told)
}

fn amounts(invoice: &Value) -> Vec<i64> {
    let lines = field::elements(invoice, "lines.data").iter();
    let mut amounts: Vec<i64> = lines.map(|line| field::integer(line, "amount")).collect();
    amounts.extend(["subtotal", "total", "amount_due"].map(|name| field::integer(invoice, name)));
    amounts
}

/// A customer whose invoices a card pays, and prices: by the month, dearer, by the year and by the week.
fn sold(stripe: &InProcess) -> (String, Vec<String>) {
    stripe.post("/v1/products", "id=thing&name=Thing");
    let mut prices = Vec::new();
    for terms in [
        "unit_amount=2900&recurring[interval]=month",
        "unit_amount=7901&recurring[interval]=month",
        "unit_amount=29000&recurring[interval]=year",
        "unit_amount=333&recurring[interval]=week",
    ] {
        prices.push(stripe.make("/v1/prices", &format!("currency=usd&product=thing&{terms}")));
    }
    stripe.post("/v1/coupons", "id=share&percent_off=33.33&duration=forever");
    stripe.post("/v1/coupons", "id=amount&amount_off=1000&currency=usd&duration=once");
    stripe.post("/v1/coupons", "id=always&amount_off=701&currency=usd&duration=forever");
    let customer = stripe.make("/v1/customers", "name=Jenny&payment_method=pm_card_visa");
    let method = stripe.get(&format!("/v1/customers/{customer}/payment_methods"), "");
    let method = field::text(&method, "data.0.id");
    stripe.post(
        &format!("/v1/customers/{customer}"),
        &format!("invoice_settings[default_payment_method]={method}"),
    );
    (customer, prices)
}

fn begin(stripe: &InProcess, history: &History) -> (String, String) {
    stripe.reset();
    let (customer, prices) = sold(stripe);
    let [month, dear, year, week] = &prices[..] else {
        panic!()
    };
    let named = |form: &str| {
        form.replace("=dear", &format!("={dear}"))
            .replace("=yearly", &format!("={year}"))
            .replace("=week", &format!("={week}"))
    };
    let form = format!(
        "customer={customer}&items[0][price]={month}&billing_mode[type]={}{}",
        history.mode,
        named(history.begun)
    );
    let subscription = stripe.post("/v1/subscriptions", &form);
    let mut change = named(history.change);
    if change.contains("items[0]") {
        let item = field::text(&subscription, "items.data.0.id");
        change = format!("items[0][id]={item}&{change}");
    }
    let form = format!("{change}{}", history.how);
    (
        field::text(&subscription, "id").to_owned(),
        form.trim_start_matches('&').to_owned(),
    )
}

fn check(stripe: &InProcess, history: &History) -> Result<(), TestCaseError> {
    let (id, mut form) = begin(stripe, history);
    stripe.advance(history.waited);
    let path = format!("/v1/subscriptions/{id}");
    if let Some(amount) = history.item {
        let customer = stripe.get(&path, "")["customer"].clone();
        let form = format!("customer={}&currency=usd&amount={amount}", customer.as_str().unwrap());
        stripe.post("/v1/invoiceitems", &form);
    }
    let now = stripe.app.world().clock.now();
    if history.dated {
        form = format!("{form}&proration_date={}", now - 5);
    }
    // Any call brings the world up to this moment.
    stripe.get(&path, "");
    let before = stripe.app.world().snapshot().unwrap();
    let asked = format!("subscription={id}&{}", within(&form));
    let (status, preview) = stripe.call("POST", "/v1/invoices/create_preview", &asked);
    let after = stripe.app.world().snapshot().unwrap();
    prop_assert!(before == after, "{} left something behind", asked);

    // Then it is done, a little later where the date says that this makes no difference.
    if history.dated {
        stripe.advance(history.later);
    }
    let latest = |one: &Value| field::text(one, "latest_invoice").to_owned();
    let before = stripe.get(&path, "");
    let had = latest(&before);
    let (done, subscription) = stripe.call("POST", &path, &form);
    if done != 200 {
        let message = |one: &Value| field::text(one, "error.message").to_owned();
        prop_assert_eq!((done, message(&subscription)), (status, message(&preview)), "{}", asked);
        return Ok(());
    }
    let mut invoice = latest(&subscription);
    let anew = subscription["billing_cycle_anchor"] != before["billing_cycle_anchor"];
    if invoice == had {
        // What was begun has its end in a week or a month, or a year.
        for _ in 0..400 {
            if invoice != had {
                break;
            }
            stripe.advance(86_400);
            invoice = latest(&stripe.get(&path, ""));
        }
        if invoice == had {
            let code = field::text(&preview, "error.code");
            prop_assert_eq!((status, code), (404, "invoice_upcoming_none"), "{}", asked);
            return Ok(());
        }
    }
    prop_assert_eq!(status, 200, "{}: {}", asked, preview);
    let invoice = stripe.get(&format!("/v1/invoices/{invoice}"), "");
    if anew && history.dated {
        // A period that begins now begins later, and costs the same.
        prop_assert_eq!(amounts(&preview), amounts(&invoice), "{}", asked);
        return Ok(());
    }
    prop_assert_eq!(told(&preview), told(&invoice), "{}", asked);
    Ok(())
}

#[test]
fn a_preview_is_the_invoice_that_is_then_made_and_leaves_nothing_behind() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let outcome = runner.run(&any_history(), |history| check(&stripe, &history));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
