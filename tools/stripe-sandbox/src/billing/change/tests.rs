//! Whatever is subscribed to, changed, invoiced and waited for: the invoices are right.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};
use serde_json::Value;

use crate::{
    field,
    http::in_process::InProcess,
    world::{World, books},
};

const CASES: u32 = 150;
const CASES_ON_CLOCKS: u32 = 60;
const CLOCKS: &str = "/v1/test_helpers/test_clocks";

#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        price: usize,
        quantity: i64,
        mode: &'static str,
        more: &'static str,
    },
    Change {
        subscription: Index,
        price: Option<usize>,
        quantity: i64,
        how: &'static str,
    },
    Add {
        subscription: Index,
        price: usize,
        how: &'static str,
    },
    Remove {
        subscription: Index,
        how: &'static str,
    },
    Cancel {
        subscription: Index,
        how: &'static str,
    },
    Card {
        name: &'static str,
    },
    Item {
        amount: i64,
    },
    Invoice,
    Act {
        invoice: Index,
        act: &'static str,
    },
    Wait {
        seconds: i64,
    },
}

/// What every history has: prices by the month, week and year, free, tiered and in a package, and a coupon of each duration.
pub(crate) const PRICES: &[&str] = &[
    "unit_amount=2900&recurring[interval]=month",
    "unit_amount=7901&recurring[interval]=month",
    "unit_amount=333&recurring[interval]=week",
    "unit_amount=29000&recurring[interval]=year",
    "unit_amount=0&recurring[interval]=month",
    "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=3&tiers[0][unit_amount]=700&tiers[1][up_to]=inf\
     &tiers[1][unit_amount]=450&recurring[interval]=month",
];
pub(crate) const COUPONS: &[&str] = &[
    "id=share&percent_off=33.33&duration=forever",
    "id=amount&amount_off=1000&currency=usd&duration=once",
    "id=always&amount_off=701&currency=usd&duration=forever",
];

fn any_step() -> impl Strategy<Value = Step> {
    let mode = prop::sample::select(vec!["flexible", "classic"]);
    let more = prop::sample::select(vec![
        "",
        "",
        "&trial_period_days=5",
        "&trial_period_days=2",
        "&discounts[0][coupon]=share",
        "&discounts[0][coupon]=amount",
        "&discounts[0][coupon]=always",
        "&items[0][discounts][0][coupon]=share",
        "&billing_cycle_anchor_config[day_of_month]=31",
        "&billing_cycle_anchor_config[day_of_month]=1&proration_behavior=none",
        "&payment_behavior=default_incomplete",
        "&cancel_at_period_end=true",
    ]);
    let how = || {
        prop::sample::select(vec![
            "",
            "&proration_behavior=none",
            "&proration_behavior=always_invoice",
            "&proration_behavior=always_invoice&payment_behavior=error_if_incomplete",
            "&proration_behavior=always_invoice&payment_behavior=default_incomplete",
            "&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete",
            "&billing_cycle_anchor[type]=now",
            "&cancel_at=max_period_end",
            "&cancel_at=",
            "&trial_end=now",
        ])
    };
    let cancel = prop::sample::select(vec![
        "",
        "prorate=true&invoice_now=true",
        "invoice_now=true",
        "prorate=true",
    ]);
    let act = prop::sample::select(vec!["finalize", "pay", "pay", "void", "mark_uncollectible", "delete"]);
    let seconds = prop_oneof![
        Just(3600),
        1..86_400_i64,
        86_400..10 * 86_400_i64,
        86_400..40 * 86_400_i64
    ];
    let price = || 0..PRICES.len();
    prop_oneof![
        2 => (price(), 1..9_i64, mode, more).prop_map(|(price, quantity, mode, more)| Step::Subscribe { price, quantity, mode, more }),
        5 => (any::<Index>(), prop::option::of(price()), 1..9_i64, how())
            .prop_map(|(subscription, price, quantity, how)| Step::Change { subscription, price, quantity, how }),
        2 => (any::<Index>(), price(), how()).prop_map(|(subscription, price, how)| Step::Add { subscription, price, how }),
        1 => (any::<Index>(), how()).prop_map(|(subscription, how)| Step::Remove { subscription, how }),
        1 => (any::<Index>(), cancel).prop_map(|(subscription, how)| Step::Cancel { subscription, how }),
        1 => prop::sample::select(vec!["visa", "chargeCustomerFail"]).prop_map(|name| Step::Card { name }),
        1 => (-500..2000_i64).prop_map(|amount| Step::Item { amount }),
        1 => Just(Step::Invoice),
        2 => (any::<Index>(), act).prop_map(|(invoice, act)| Step::Act { invoice, act }),
        4 => seconds.prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// A customer with a card, and things to subscribe to.
struct History<'a> {
    stripe: &'a InProcess,
    /// The test clock that the customer goes by, if any.
    clock: Option<String>,
    customer: String,
    prices: Vec<String>,
}

impl<'a> History<'a> {
    fn begin(stripe: &'a InProcess, on_clock: bool) -> Self {
        stripe.reset();
        let product = stripe.make("/v1/products", "name=Thing");
        let price = |terms: &&str| stripe.make("/v1/prices", &format!("currency=usd&product={product}&{terms}"));
        let prices = PRICES.iter().map(price).collect();
        for coupon in COUPONS {
            stripe.post("/v1/coupons", coupon);
        }
        let now = stripe.app.world().clock.now();
        let clock = on_clock.then(|| stripe.make(CLOCKS, &format!("frozen_time={now}")));
        let on = clock.as_ref().map(|id| format!("&test_clock={id}")).unwrap_or_default();
        let customer = stripe.make("/v1/customers", &format!("name=Jenny{on}"));
        let history = Self {
            stripe,
            clock,
            customer,
            prices,
        };
        history.take(&Step::Card { name: "visa" });
        history
    }

    /// Lets time pass on a clock, no more at once than two weeks: it could have a subscription by the week.
    fn advance(&self, clock: &str, seconds: i64) {
        let path = format!("{CLOCKS}/{clock}");
        let begin = field::integer(&self.stripe.get(&path, ""), "frozen_time");
        let mut passed = 0;
        while passed < seconds {
            passed = (passed + 14 * 86_400).min(seconds);
            let form = format!("frozen_time={}", begin + passed);
            self.stripe.post(&format!("{path}/advance"), &form);
            assert_eq!(field::text(&self.stripe.get(&path, ""), "status"), "ready");
        }
    }

    /// All that there is of the customer's, but for what says that it is on a clock, and the events that told of it.
    fn told(&self) -> (Vec<Value>, Vec<(String, String, i64)>) {
        const KINDS: &[&str] = &[
            "balance_transaction",
            "charge",
            "customer",
            "customer_balance_transaction",
            "invoice",
            "invoice_payment",
            "invoiceitem",
            "payment_intent",
            "subscription",
        ];
        let world = self.stripe.app.world();
        let mut all: Vec<Value> = KINDS.iter().flat_map(|kind| world.all(kind)).collect();
        for one in &mut all {
            let fields = one.as_object_mut().unwrap();
            fields.shift_remove("_sandbox");
            fields.shift_remove("test_clock");
        }
        let events = world.all("event").into_iter().map(|event| {
            let text = |path: &str| field::text(&event, path).to_owned();
            (text("type"), text("data.object.id"), field::integer(&event, "created"))
        });
        (
            all,
            events.filter(|(kind, ..)| !kind.starts_with("test_helpers")).collect(),
        )
    }

    fn one_of(&self, object: &str, index: &Index) -> Option<Value> {
        let all = self.stripe.app.world().all(object);
        (!all.is_empty()).then(|| index.get(&all).clone())
    }

    /// The status of the step's call.
    fn take(&self, step: &Step) -> u16 {
        let Self { stripe, customer, .. } = self;
        match step {
            Step::Subscribe {
                price,
                quantity,
                mode,
                more,
            } => {
                let price = &self.prices[*price];
                let form = format!(
                    "customer={customer}&items[0][price]={price}&items[0][quantity]={quantity}&billing_mode[type]={mode}{more}"
                );
                stripe.call("POST", "/v1/subscriptions", &form).0
            }
            Step::Change {
                subscription,
                price,
                quantity,
                how,
            } => {
                let Some(subscription) = self.one_of("subscription", subscription) else {
                    return 200;
                };
                let item = field::text(&subscription, "items.data.0.id");
                let price = price
                    .map(|price| format!("&items[0][price]={}", self.prices[price]))
                    .unwrap_or_default();
                let form = format!("items[0][id]={item}&items[0][quantity]={quantity}{price}{how}");
                let path = format!("/v1/subscriptions/{}", field::text(&subscription, "id"));
                stripe.call("POST", &path, &form).0
            }
            Step::Add {
                subscription,
                price,
                how,
            } => {
                let Some(subscription) = self.one_of("subscription", subscription) else {
                    return 200;
                };
                let path = format!("/v1/subscriptions/{}", field::text(&subscription, "id"));
                stripe
                    .call("POST", &path, &format!("items[0][price]={}{how}", self.prices[*price]))
                    .0
            }
            Step::Remove { subscription, how } => {
                let Some(subscription) = self.one_of("subscription", subscription) else {
                    return 200;
                };
                let item = field::text(&subscription, "items.data.0.id");
                let path = format!("/v1/subscriptions/{}", field::text(&subscription, "id"));
                let form = format!("items[0][id]={item}&items[0][deleted]=true{how}");
                stripe.call("POST", &path, &form).0
            }
            Step::Cancel { subscription, how } => match self.one_of("subscription", subscription) {
                Some(one) => {
                    let path = format!("/v1/subscriptions/{}", field::text(&one, "id"));
                    stripe.call("DELETE", &path, how).0
                }
                None => 200,
            },
            Step::Card { name } => {
                let path = format!("/v1/payment_methods/pm_card_{name}/attach");
                let method = stripe.make(&path, &format!("customer={customer}"));
                let form = format!("invoice_settings[default_payment_method]={method}");
                stripe.call("POST", &format!("/v1/customers/{customer}"), &form).0
            }
            Step::Item { amount } => {
                let form = format!("customer={customer}&currency=usd&amount={amount}");
                stripe.call("POST", "/v1/invoiceitems", &form).0
            }
            Step::Invoice => {
                let form = format!("customer={customer}&pending_invoice_items_behavior=include");
                stripe.call("POST", "/v1/invoices", &form).0
            }
            Step::Act { invoice, act } => {
                let Some(invoice) = self.one_of("invoice", invoice) else {
                    return 200;
                };
                let path = format!("/v1/invoices/{}", field::text(&invoice, "id"));
                match *act {
                    "delete" => stripe.call("DELETE", &path, "").0,
                    act => stripe.call("POST", &format!("{path}/{act}"), "").0,
                }
            }
            Step::Wait { seconds } => {
                match &self.clock {
                    Some(clock) => self.advance(clock, *seconds),
                    None => stripe.advance(*seconds),
                }
                200
            }
        }
    }
}

/// An invoice is what its lines say, and what is due of it is what no balance bears.
fn check_invoice(invoice: &Value) -> Result<(), TestCaseError> {
    let sum = |list: &str, name: &str| -> i64 {
        let all = field::elements(invoice, list).iter();
        all.map(|one| field::integer(one, name)).sum()
    };
    let lines = sum("lines.data", "amount");
    prop_assert_eq!(field::integer(invoice, "subtotal"), lines, "{}", invoice);
    let off = sum("total_discount_amounts", "amount");
    let of_lines: i64 = field::elements(invoice, "lines.data")
        .iter()
        .flat_map(|line| field::elements(line, "discount_amounts"))
        .map(|one| field::integer(one, "amount"))
        .sum();
    prop_assert_eq!(off, of_lines, "{}", invoice);
    let total = field::integer(invoice, "total");
    prop_assert_eq!(total, lines - off, "{}", invoice);
    let (start, end) = (
        field::integer(invoice, "starting_balance"),
        field::at(invoice, "ending_balance"),
    );
    let due = field::integer(invoice, "amount_due");
    prop_assert_eq!(due, (total + start).max(0), "{}", invoice);
    if let Some(end) = end.as_i64() {
        prop_assert_eq!(total + start, due + end, "{}", invoice);
    }
    let paid = field::text(invoice, "status") == "paid";
    prop_assert_eq!(
        field::integer(invoice, "amount_paid"),
        if paid { due } else { 0 },
        "{}",
        invoice
    );
    Ok(())
}

/// Every invoice is what its lines say, no period is renewed twice, and the balance is what moved it.
pub(crate) fn check(world: &World, customer: &str) -> Result<(), TestCaseError> {
    let problems = books::problems(world);
    prop_assert!(problems.is_empty(), "{:?}", problems);
    let mut billed = BTreeSet::new();
    for invoice in world.all("invoice") {
        check_invoice(&invoice)?;
        for line in field::elements(&invoice, "lines.data") {
            let Some(item) = super::lines::item_of(line) else {
                continue;
            };
            // A period that is begun anew in the second it began is given back and billed again.
            if field::text(&invoice, "billing_reason") != "subscription_cycle"
                || field::flag(line, "parent.subscription_item_details.proration")
            {
                continue;
            }
            let period = (field::integer(line, "period.start"), field::integer(line, "period.end"));
            let first = billed.insert((item.to_owned(), period));
            prop_assert!(first, "{} is invoiced twice for {:?}", item, period);
        }
    }
    let moved = world.all("customer_balance_transaction");
    let moved: i64 = moved.iter().map(|one| field::integer(one, "amount")).sum();
    let balance = world.find(customer).map(|one| field::integer(one, "balance"));
    prop_assert_eq!(balance, Some(moved));
    Ok(())
}

#[test]
fn invoices_are_right_whatever_happens() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let steps = prop::collection::vec(any_step(), 5..40);
    let outcome = runner.run(&steps, |steps| {
        let history = History::begin(&stripe, false);
        for step in &steps {
            let status = history.take(step);
            prop_assert!(status < 500, "{:?} is {}", step, status);
        }
        check(&stripe.app.world(), &history.customer)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_life_on_a_test_clock_is_the_same_as_in_any_time() {
    let (stripe, other) = (InProcess::new(), InProcess::new());
    let mut runner = TestRunner::new(Cases {
        cases: CASES_ON_CLOCKS,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2),
        ..Cases::default()
    });
    let steps = prop::collection::vec(any_step(), 5..40);
    let outcome = runner.run(&steps, |steps| {
        let on_clock = History::begin(&stripe, true);
        let present = History::begin(&other, false);
        for step in &steps {
            let has_ended = |one: &Value| ["canceled", "incomplete_expired"].contains(&field::text(one, "status"));
            let mut running = other.app.world().all("subscription");
            running.retain(|one| !has_ended(one));
            // A customer of a clock has no more than three.
            if matches!(step, Step::Subscribe { .. }) && running.len() > 2 {
                continue;
            }
            prop_assert_eq!(on_clock.take(step), present.take(step), "{:?}", step);
        }
        // What is due at the moment of the last call.
        on_clock.stripe.get("/v1/customers", "");
        present.stripe.get("/v1/customers", "");
        let ((one, heard), (same, heard_too)) = (on_clock.told(), present.told());
        prop_assert_eq!(one, same);
        prop_assert_eq!(heard, heard_too);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
