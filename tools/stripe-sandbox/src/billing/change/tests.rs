//! Whatever is subscribed to, changed, used, invoiced and waited for: the invoices are right.
//!
//! `STEPS=100000 cargo test --release -p stripe-sandbox --lib whatever_happens` takes so many steps; a test run takes fewer, for
//! its time. `SEED=7` begins with another world.

mod checks;
mod draw;
mod found;
mod history;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    checks::Seen,
    draw::{Draw, Step},
    history::{Begin, History},
};
use crate::{
    field,
    http::in_process::InProcess,
    json::Value,
    world::{World, books},
};

/// Of a test run; in the days of a world, which is best small.
const STEPS: u64 = 5_000;
const LIFE: u64 = 100;
/// As many worlds are lived through on a test clock too, in fewer steps each.
const LIVES_ON_CLOCKS: u64 = 20;
const LIFE_ON_CLOCK: u64 = 60;

/// What every history has: prices by the month, week and year, free, tiered and in a package, metered ones, and a coupon of
/// each duration.
pub(crate) const LICENSED: &[&str] = &[
    "unit_amount=2900&recurring[interval]=month",
    "unit_amount=7901&recurring[interval]=month",
    "unit_amount=333&recurring[interval]=week",
    "unit_amount=29000&recurring[interval]=year",
    "unit_amount=0&recurring[interval]=month",
    "unit_amount_decimal=99.5&recurring[interval]=month&recurring[interval_count]=3&transform_quantity[divide_by]=2\
     &transform_quantity[round]=up",
    "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=3&tiers[0][unit_amount]=700&tiers[1][up_to]=inf\
     &tiers[1][unit_amount]=450&recurring[interval]=month",
];
pub(crate) const COUPONS: &[&str] = &[
    "id=share&percent_off=33.33&duration=forever",
    "id=amount&amount_off=1000&currency=usd&duration=once",
    "id=months&percent_off=12.5&duration=repeating&duration_in_months=2",
];

/// What is wrong with a world as it is now.
pub(crate) fn problems(world: &World) -> Vec<String> {
    let mut seen = Seen::default();
    let (_, all) = seen.new_effects(world);
    let mut problems = books::problems(world);
    problems.extend(seen.problems(world, &all));
    problems
}

/// What a number is that is asked for by hand.
fn asked_for(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for by hand")]
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

#[test]
fn invoices_are_right_whatever_happens() {
    let (steps, first) = (asked_for("STEPS", STEPS), asked_for("SEED", 0));
    let stripe = InProcess::new();
    let (mut taken, mut answered, mut world) = (0, 0, first);
    let mut done: BTreeMap<String, u64> = BTreeMap::new();
    // Events are a third of the work: of four worlds one has them.
    let mut told = BTreeSet::new();
    while taken < steps {
        let mut draw = Draw::new(world);
        let silent: Vec<String> = told.iter().cloned().collect();
        let begin = Begin {
            silent: if world % 4 == 0 { &[] } else { &silent },
            ..Begin::default()
        };
        let mut history = History::begin(&stripe, begin);
        for _ in 0..LIFE.min(steps - taken) {
            let step = draw::step(&mut draw, &history.known, &stripe.app.world());
            let names = step.names();
            taken += 1;
            if history.take(step) < 400 {
                answered += 1;
                for name in names {
                    *done.entry(name).or_default() += 1;
                }
            }
        }
        history.end();
        let events = stripe.app.world().all("event");
        told.extend(events.iter().map(|event| field::text(event, "type").to_owned()));
        world += 1;
    }
    // Most steps do something, and whatever there is to do is done.
    assert!(answered * 2 > taken, "{answered} of {taken} steps were taken");
    let missing: Vec<&&str> = draw::ALL.iter().filter(|name| !done.contains_key(**name)).collect();
    assert!(
        missing.is_empty() || steps < STEPS,
        "no step was {missing:#?}, but {done:#?}"
    );
}

/// Whether a step may begin a subscription, or shows what one that begins would be.
fn begins_one(step: &Step) -> bool {
    let begins = [
        "/v1/subscriptions",
        "/v1/subscription_schedules",
        "/v1/checkout/sessions",
    ];
    matches!(step, Step::Call(_, path, form) if begins.contains(&&**path) || path.starts_with("/v1/payment_pages")
        || path == "/v1/invoices/create_preview" && form.starts_with("customer="))
}

#[test]
fn a_life_on_a_test_clock_is_the_same_as_in_any_time() {
    let (stripe, other) = (InProcess::new(), InProcess::new());
    for life in 0..LIVES_ON_CLOCKS {
        let mut draw = Draw::new(1_000_000 + life);
        let begin = |on_clock| Begin {
            is_alone: true,
            on_clock,
            silent: &[],
        };
        let mut on_clock = History::begin(&stripe, begin(true));
        let mut present = History::begin(&other, begin(false));
        for _ in 0..LIFE_ON_CLOCK {
            let step = draw::step(&mut draw, &present.known, &other.app.world());
            let has_ended = |one: &Value| ["canceled", "incomplete_expired"].contains(&field::text(one, "status"));
            let mut running = other.app.world().all("subscription");
            running.retain(|one| !has_ended(one));
            // A customer of a clock has no more than three.
            if running.len() > 2 && begins_one(&step) {
                continue;
            }
            let (status, same) = (on_clock.take(step.clone()), present.take(step));
            assert_eq!(status, same, "{:#?}", present.steps());
        }
        // What is due at the moment of the last call.
        stripe.get("/v1/customers", "");
        other.get("/v1/customers", "");
        let ((one, heard), (same, heard_too)) = (on_clock.told(), present.told());
        assert_eq!(one, same, "{:#?}", present.steps());
        assert_eq!(heard, heard_too, "{:#?}", present.steps());
    }
}
