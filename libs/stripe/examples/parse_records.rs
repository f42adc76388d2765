//! Parses every object of Stripe's in recorded traffic with async-stripe's types, and says which do not fit. The records are
//! those of `tests/peers`: lines of JSON, each with what was answered or delivered.
//!
//! Three kinds of objects those types do not know, and they are passed over: events in older versions, the part of an intent
//! that whoever has only its `client_secret` is shown, and one whose deleted customer is expanded.
//!
//! ```sh
//! cargo run -p counterfoil-stripe --example parse_records -- .counterfoil/peers-records/*
//! ```

use std::collections::BTreeMap;
use std::process::ExitCode;

use counterfoil_stripe::objects;
use miniserde::Deserialize;
use miniserde::json::from_str;
use serde_json::Value;
use stripe_core::Balance;
use stripe_misc::{TaxCalculation, WebhookEndpoint};

/// The version that the types are made for; events may be in others.
const VERSION: &str = "2026-09-30.endive";

/// Whether an object's JSON is one of a type.
type Parses = fn(&str) -> bool;

/// Each type by what Stripe calls its object.
const TYPES: [(&str, Parses); 31] = [
    ("account", fits::<objects::Account>),
    ("application_fee", fits::<objects::ApplicationFee>),
    ("balance", fits::<Balance>),
    ("balance_transaction", fits::<objects::BalanceTransaction>),
    ("charge", fits::<objects::Charge>),
    ("checkout.session", fits::<objects::CheckoutSession>),
    ("coupon", fits::<objects::Coupon>),
    ("customer", fits::<objects::Customer>),
    (
        "customer_balance_transaction",
        fits::<objects::CustomerBalanceTransaction>,
    ),
    ("discount", fits::<objects::Discount>),
    ("dispute", fits::<objects::Dispute>),
    ("event", fits::<objects::Event>),
    ("invoice", fits::<objects::Invoice>),
    ("invoice_payment", fits::<objects::InvoicePayment>),
    ("item", fits::<objects::CheckoutSessionItem>),
    ("line_item", fits::<objects::InvoiceLineItem>),
    ("payment_intent", fits::<objects::PaymentIntent>),
    ("payment_method", fits::<objects::PaymentMethod>),
    ("plan", fits::<objects::Plan>),
    ("price", fits::<objects::Price>),
    ("product", fits::<objects::Product>),
    ("promotion_code", fits::<objects::PromotionCode>),
    ("refund", fits::<objects::Refund>),
    ("review", fits::<objects::Review>),
    ("setup_attempt", fits::<objects::SetupAttempt>),
    ("setup_intent", fits::<objects::SetupIntent>),
    ("subscription", fits::<objects::Subscription>),
    ("subscription_item", fits::<objects::SubscriptionItem>),
    ("tax.calculation", fits::<TaxCalculation>),
    ("tax_id", fits::<objects::TaxId>),
    ("webhook_endpoint", fits::<WebhookEndpoint>),
];

fn fits<T: Deserialize>(json: &str) -> bool {
    from_str::<T>(json).is_ok()
}

/// How many objects of a kind were read, and which do not fit.
#[derive(Default)]
struct Found {
    read: usize,
    misfits: Vec<String>,
}

fn main() -> ExitCode {
    let mut found: BTreeMap<&'static str, Found> = BTreeMap::new();
    for path in std::env::args().skip(1) {
        let lines = match std::fs::read_to_string(&path) {
            Ok(lines) => lines,
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        };
        for (number, line) in (1..).zip(lines.lines()) {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                eprintln!("{path}:{number} is no JSON");
                return ExitCode::FAILURE;
            };
            if let Some(body) = line.get("body").filter(|_| !is_by_client_secret(&line)) {
                read(body, &format!("{path}:{number}"), &mut found);
            }
        }
    }
    let (mut read, mut misfits) = (0_usize, 0_usize);
    for (kind, of_kind) in &found {
        read = read.saturating_add(of_kind.read);
        misfits = misfits.saturating_add(of_kind.misfits.len());
        for misfit in of_kind.misfits.iter().take(3) {
            println!("{kind} of {misfit} does not fit async-stripe's type");
        }
    }
    println!(
        "async-stripe parsed {read} objects of {} types: {misfits} do not fit",
        found.len()
    );
    if read > 0 && misfits == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether a call proved by an intent's `client_secret` that it may see it.
fn is_by_client_secret(line: &Value) -> bool {
    let parameters = ["query", "form"]
        .into_iter()
        .filter_map(|part| line.get(part)?.as_array());
    let mut names = parameters.flatten().filter_map(|pair| pair.get(0)?.as_str());
    names.any(|name| name == "client_secret")
}

fn is_deleted(value: &Value) -> bool {
    value.get("deleted") == Some(&Value::Bool(true))
}

/// Reads `value` if it is an object of a known kind, and whatever is in it.
fn read(value: &Value, place: &str, found: &mut BTreeMap<&'static str, Found>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| read(item, place, found)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            if text("api_version").is_some_and(|version| version != VERSION) {
                return;
            }
            let is_known = !is_deleted(value) && !fields.values().any(is_deleted);
            let kind = TYPES.iter().find(|(name, _)| Some(*name) == text("object"));
            if let Some((name, parses)) = kind.filter(|_| is_known) {
                let of_kind = found.entry(name).or_default();
                of_kind.read = of_kind.read.saturating_add(1);
                if !parses(&value.to_string()) {
                    of_kind
                        .misfits
                        .push(format!("{place} ({})", text("id").unwrap_or("no id")));
                }
            }
            // What was before a change is no object of its own.
            let inner = fields.iter().filter(|(name, _)| *name != "previous_attributes");
            inner.for_each(|(_, inner)| read(inner, place, found));
        }
        _ => {}
    }
}
