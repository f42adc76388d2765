//! What waits and is dropped leaves no trace, and what waits and is paid is what paying at once makes.

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use crate::{
    field,
    http::in_process::InProcess,
    json::{Value, json},
};

const CASES: u32 = 60;

const BEGUN: &[&str] = &[
    "",
    "&billing_mode[type]=classic",
    "&items[0][quantity]=3",
    "&discounts[0][coupon]=share",
    "&trial_period_days=20",
    "&items[1][price]=week",
];
const CHANGES: &[&str] = &[
    "items[0][quantity]=5",
    "items[0][price]=dear",
    "items[0][price]=yearly&billing_cycle_anchor[type]=now",
    "items[1][price]=dear&items[1][quantity]=2&metadata[a]=b",
    "items[0][quantity]=4&discounts[0][coupon]=share",
    "items[0][price]=dear&trial_end=now",
    "items[0][quantity]=2&cancel_at_period_end=true",
    "trial_end=1803000000",
];

fn card(stripe: &InProcess, customer: &str, name: &str) -> String {
    let method = stripe.make(
        &format!("/v1/payment_methods/pm_card_{name}/attach"),
        &format!("customer={customer}"),
    );
    let form = format!("invoice_settings[default_payment_method]={method}");
    stripe.post(&format!("/v1/customers/{customer}"), &form);
    method
}

/// A subscription some time after it began, the card that pays for it, and what an update asks for.
fn begin(stripe: &InProcess, begun: &str, waited: i64, change: &str) -> (String, String, String) {
    stripe.reset();
    stripe.post("/v1/products", "id=thing&name=Thing");
    let price = |terms: &str| stripe.make("/v1/prices", &format!("currency=usd&product=thing&{terms}"));
    let month = price("unit_amount=2900&recurring[interval]=month");
    let dear = price("unit_amount=7901&recurring[interval]=month");
    let year = price("unit_amount=29000&recurring[interval]=year");
    let week = price("unit_amount=333&recurring[interval]=week");
    stripe.post("/v1/coupons", "id=share&percent_off=33.33&duration=forever");
    let customer = stripe.make("/v1/customers", "name=Jenny");
    let good = card(stripe, &customer, "visa");
    let named = |form: &str| {
        form.replace("=dear", &format!("={dear}"))
            .replace("=yearly", &format!("={year}"))
            .replace("=week", &format!("={week}"))
    };
    let form = format!("customer={customer}&items[0][price]={month}{}", named(begun));
    let subscription = stripe.post("/v1/subscriptions", &form);
    stripe.advance(waited);
    let item = field::text(&subscription, "items.data.0.id");
    let form = match change.contains("items[0]") {
        true => format!("items[0][id]={item}&{}", named(change)),
        false => named(change),
    };
    let how = "proration_behavior=always_invoice&payment_behavior=pending_if_incomplete";
    (
        field::text(&subscription, "id").to_owned(),
        good,
        format!("{form}&{how}"),
    )
}

fn stored(stripe: &InProcess, id: &str) -> Value {
    stripe.app.world().find(id).cloned().unwrap()
}

/// What of a subscription does not say by which invoice and discount it came about.
fn told(subscription: &Value) -> Value {
    let mut told = subscription.clone();
    for name in ["latest_invoice", "discounts", "_sandbox.debits"] {
        field::set(&mut told, name, Value::Null);
    }
    let debits = field::elements(subscription, "_sandbox.debits").iter();
    let debits: Vec<Value> = debits
        .map(|debit| json!(["amount", "start", "end"].map(|name| field::at(debit, name))))
        .collect();
    json!([told, debits])
}

fn check(stripe: &InProcess, begun: &str, waited: i64, change: &str) -> Result<(), TestCaseError> {
    let (id, _, form) = begin(stripe, begun, waited, change);
    let path = format!("/v1/subscriptions/{id}");
    let (status, answer) = stripe.call("POST", &path, &form);
    prop_assert_eq!(status, 200, "{}: {}", form, answer);
    let at_once = told(&stored(stripe, &id));
    prop_assert!(field::at(&answer, "pending_update").is_null());

    for pays in [true, false] {
        let (id, good, form) = begin(stripe, begun, waited, change);
        let customer = field::text(&stored(stripe, &id), "customer").to_owned();
        card(stripe, &customer, "chargeCustomerFail");
        let before = stored(stripe, &id);
        let waiting = stripe.post(&path, &form);
        let invoice = format!("/v1/invoices/{}", field::text(&waiting, "latest_invoice"));
        if field::at(&waiting, "pending_update").is_null() {
            // Nothing was due, so nothing waits.
            prop_assert_eq!(told(&stored(stripe, &id)), at_once.clone(), "{}", form);
            return Ok(());
        }
        let as_before = |now: &Value| {
            let mut now = now.clone();
            field::set(&mut now, "latest_invoice", field::at(&before, "latest_invoice").clone());
            field::set(&mut now, "pending_update", Value::Null);
            if let Value::Object(private) = field::place(&mut now, "_sandbox") {
                private.shift_remove("pending");
            }
            now
        };
        prop_assert_eq!(
            as_before(&stored(stripe, &id)),
            before.clone(),
            "{} while it waits",
            form
        );
        if pays {
            stripe.post(&format!("{invoice}/pay"), &format!("payment_method={good}"));
            prop_assert_eq!(told(&stored(stripe, &id)), at_once.clone(), "{} when it is paid", form);
        } else {
            stripe.post(&format!("{invoice}/void"), "");
            prop_assert_eq!(as_before(&stored(stripe, &id)), before, "{} when it is dropped", form);
        }
    }
    Ok(())
}

#[test]
fn what_waits_leaves_no_trace_or_is_what_paying_at_once_makes() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let history = (
        prop::sample::select(BEGUN.to_vec()),
        1..27 * 86_400_i64,
        prop::sample::select(CHANGES.to_vec()),
    );
    let outcome = runner.run(&history, |(begun, waited, change)| {
        check(&stripe, begun, waited, change)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
