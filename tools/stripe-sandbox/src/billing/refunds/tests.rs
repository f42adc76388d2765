//! Whatever is charged, refunded and waited for: the money adds up.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use crate::{
    field,
    http::in_process::InProcess,
    json::Value,
    world::{World, books, rendered},
};

const CASES: u32 = 1_000;

const CARDS: &[&str] = &["visa", "bypassPending", "pendingRefund", "refundFail", "chargeDeclined"];

#[derive(Clone, Debug)]
enum Step {
    Charge {
        amount: i64,
        currency: &'static str,
        card: &'static str,
    },
    Refund {
        charge: Index,
        amount: Option<i64>,
    },
    Cancel {
        refund: Index,
    },
    Wait {
        seconds: i64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let currency = prop::sample::select(vec!["usd", "eur", "jpy"]);
    let charge = (50..2000_i64, currency, prop::sample::select(CARDS));
    let amount = prop::option::of(prop_oneof![1..900_i64, -1..2_i64]);
    let seconds = prop_oneof![Just(1), Just(3600), Just(86_400), 1..200_000_i64];
    prop_oneof![
        3 => charge.prop_map(|(amount, currency, card)| Step::Charge { amount, currency, card }),
        4 => (any::<Index>(), amount).prop_map(|(charge, amount)| Step::Refund { charge, amount }),
        1 => any::<Index>().prop_map(|refund| Step::Cancel { refund }),
        2 => seconds.prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn take(stripe: &InProcess, step: &Step) -> u16 {
    let id_of = |object: &str, index: &Index| {
        let all = stripe.app.world().all(object);
        (!all.is_empty()).then(|| field::text(index.get(&all), "id").to_owned())
    };
    match step {
        Step::Charge { amount, currency, card } => {
            let form = format!("amount={amount}&currency={currency}&confirm=true&payment_method=pm_card_{card}");
            stripe.call("POST", "/v1/payment_intents", &form).0
        }
        Step::Refund { charge, amount } => {
            let Some(charge) = id_of("charge", charge) else {
                return 200;
            };
            let amount = amount.map(|amount| format!("&amount={amount}")).unwrap_or_default();
            stripe
                .call("POST", "/v1/refunds", &format!("charge={charge}{amount}"))
                .0
        }
        Step::Cancel { refund } => match id_of("refund", refund) {
            Some(refund) => stripe.call("POST", &format!("/v1/refunds/{refund}/cancel"), "").0,
            None => 200,
        },
        Step::Wait { seconds } => {
            stripe.advance(*seconds);
            200
        }
    }
}

/// The balance is the sum of its transactions, on the side they say, and they say so by the clock.
fn check_balance(world: &World, balance: &Value) -> Result<(), TestCaseError> {
    let mut sums: BTreeMap<(String, String), i64> = BTreeMap::new();
    for one in world.all("balance_transaction") {
        let (status, currency) = (field::text(&one, "status"), field::text(&one, "currency"));
        let come = field::integer(&one, "available_on") <= world.clock.now();
        prop_assert_eq!(status, if come { "available" } else { "pending" }, "{}", one);
        let net = field::integer(&one, "amount") - field::integer(&one, "fee");
        prop_assert_eq!(field::integer(&one, "net"), net);
        *sums.entry((status.to_owned(), currency.to_owned())).or_default() += net;
    }
    for half in ["available", "pending"] {
        for one in field::elements(balance, half) {
            let currency = field::text(one, "currency").to_owned();
            let sum = sums.remove(&(half.to_owned(), currency)).unwrap_or_default();
            prop_assert_eq!(field::integer(one, "amount"), sum, "{} of {}", half, balance);
        }
    }
    prop_assert!(sums.values().all(|sum| *sum == 0), "{:?} is in no balance", sums);
    Ok(())
}

/// Every refund took its amount out, gave it back where it did not come to be, and counts for its charge where it stands.
fn check_refunds(world: &World) -> Result<(), TestCaseError> {
    let mut standing: BTreeMap<String, i64> = BTreeMap::new();
    for refund in world.all("refund") {
        let amount = field::integer(&refund, "amount");
        let posted = |name: &str| {
            let id = field::some_text(&refund, name)?;
            world.find(id).map(|one| field::integer(one, "amount"))
        };
        prop_assert_eq!(posted("balance_transaction"), Some(-amount));
        let stands = !matches!(field::text(&refund, "status"), "failed" | "canceled");
        prop_assert_eq!(posted("failure_balance_transaction"), (!stands).then_some(amount));
        if stands {
            *standing.entry(field::text(&refund, "charge").to_owned()).or_default() += amount;
        }
    }
    for charge in world.all("charge") {
        let refunded = standing.remove(field::text(&charge, "id")).unwrap_or_default();
        let captured = field::integer(&charge, "amount_captured");
        prop_assert_eq!(
            field::integer(&charge, "amount_refunded"),
            refunded,
            "{}",
            rendered(&charge)
        );
        prop_assert!(refunded <= captured);
        prop_assert_eq!(field::flag(&charge, "refunded"), refunded > 0 && refunded == captured);
        let posted = !field::at(&charge, "balance_transaction").is_null();
        prop_assert_eq!(posted, field::flag(&charge, "paid"));
    }
    prop_assert!(standing.is_empty(), "{:?} are of no charge", standing);
    Ok(())
}

#[test]
fn the_money_adds_up_after_any_charges_refunds_and_waiting() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let outcome = runner.run(&prop::collection::vec(any_step(), 1..9), |steps| {
        stripe.reset();
        for step in &steps {
            let status = take(&stripe, step);
            prop_assert!(status < 500, "{:?}", step);
        }
        let balance = stripe.get("/v1/balance", "");
        let world = stripe.app.world();
        let problems = books::problems(&world);
        prop_assert!(problems.is_empty(), "{:?}", problems);
        check_balance(&world, &balance)?;
        check_refunds(&world)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn refunding_what_was_not_captured_yet_releases_it_and_moves_no_money() {
    let stripe = InProcess::new();
    let paid = "amount=1000&currency=usd&confirm=true&payment_method=pm_card_pendingRefund";
    let intent = stripe.make("/v1/payment_intents", paid);
    let charge = {
        // As a charge is whose money is only held.
        let mut world = stripe.app.world();
        world.edit(&intent, |one| field::set(one, "status", "requires_capture"));
        let charge = field::text(world.find(&intent).unwrap(), "latest_charge").to_owned();
        world.edit(&charge, |one| {
            field::set(one, "captured", false);
            field::set(one, "amount_captured", 0);
            field::set(one, "balance_transaction", Value::Null);
        });
        charge
    };
    let before = stripe.get("/v1/balance", "");
    let (status, _) = stripe.call("POST", "/v1/refunds", &format!("charge={charge}&amount=999"));
    assert_eq!(status, 400);
    let refund = stripe.post("/v1/refunds", &format!("charge={charge}"));
    assert_eq!(
        (&refund["status"], &refund["amount"], &refund["balance_transaction"]),
        (&"succeeded".into(), &1000.into(), &Value::Null)
    );
    let charge = stripe.get(&format!("/v1/charges/{charge}"), "");
    assert_eq!(
        (&charge["refunded"], &charge["amount_refunded"]),
        (&true.into(), &1000.into())
    );
    assert_eq!(
        stripe.get(&format!("/v1/payment_intents/{intent}"), "")["status"],
        "canceled"
    );
    assert_eq!(stripe.get("/v1/balance", ""), before);
}
