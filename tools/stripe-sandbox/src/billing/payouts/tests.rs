//! Whatever is earned, refunded, paid out by wish and by schedule, given back by banks and waited for: the money adds up.

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use super::*;
use crate::{app::cause, http::in_process::InProcess, resources::account, world::books};

const CASES: u32 = 150;
const DAY: i64 = 86_400;

#[derive(Clone, Debug)]
enum Step {
    Charge(i64, &'static str, &'static str),
    Refund(Index, i64),
    PayOut(i64, &'static str),
    Act(Index, &'static str),
    Schedule(&'static str),
    Bank(&'static str),
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let one_of = prop::sample::select::<&'static str>;
    let currency = || prop::sample::select(vec!["usd", "usd", "eur"]);
    let card = one_of(vec!["visa", "bypassPending", "createDispute"]);
    let schedule = one_of(vec![
        "[interval]=daily",
        "[interval]=weekly&S[weekly_payout_days][]=tuesday",
        "[interval]=monthly&S[monthly_payout_days][]=31",
        "[interval]=manual",
    ]);
    let bank = one_of(vec!["", "", "_noAccount", "_accountClosed"]);
    let seconds = prop::sample::select(vec![1, 3600, DAY, DAY + 7, 2 * DAY, 9 * DAY, 40 * DAY]);
    prop_oneof![
        4 => (100..5_000_i64, currency(), card).prop_map(|(amount, currency, card)| Step::Charge(amount, currency, card)),
        1 => (any::<Index>(), 1..900_i64).prop_map(|(charge, amount)| Step::Refund(charge, amount)),
        3 => (1..3_000_i64, currency()).prop_map(|(amount, currency)| Step::PayOut(amount, currency)),
        2 => (any::<Index>(), one_of(vec!["cancel", "reverse", "reverse"])).prop_map(|(payout, act)| Step::Act(payout, act)),
        1 => schedule.prop_map(Step::Schedule),
        1 => bank.prop_map(Step::Bank),
        5 => seconds.prop_map(Step::Wait),
    ]
}

fn take(stripe: &InProcess, own: &str, step: &Step) -> u16 {
    let found = |object: &str, index: &Index| {
        let all = stripe.app.world().all_of(&stripe.account.borrow(), object);
        (!all.is_empty()).then(|| field::text(index.get(&all), "id").to_owned())
    };
    let post = |path: &str, form: &str| stripe.call("POST", path, form).0;
    match step {
        Step::Charge(amount, currency, card) => {
            let form = format!("amount={amount}&currency={currency}&confirm=true&payment_method=pm_card_{card}");
            post("/v1/payment_intents", &form)
        }
        Step::Refund(charge, amount) => match found("charge", charge) {
            Some(charge) => post("/v1/refunds", &format!("charge={charge}&amount={amount}")),
            None => 200,
        },
        Step::PayOut(amount, currency) => post("/v1/payouts", &format!("amount={amount}&currency={currency}")),
        Step::Act(payout, act) => match found("payout", payout) {
            Some(payout) => post(&format!("/v1/payouts/{payout}/{act}"), ""),
            None => 200,
        },
        Step::Schedule(schedule) => {
            let name = "payments[payouts][schedule]";
            let form = format!("{name}{}", schedule.replace('S', name));
            post("/v1/balance_settings", &form)
        }
        Step::Bank(kind) => {
            let path = format!("/v1/accounts/{own}/external_accounts");
            let form = format!("external_account=btok_us_verified{kind}&default_for_currency=true");
            post(&path, &form)
        }
        Step::Wait(seconds) => {
            stripe.advance(*seconds);
            200
        }
    }
}

/// An account that is connected and may be paid out.
fn connect(stripe: &InProcess) -> String {
    let id = stripe.make("/v1/accounts", "country=US");
    let onboarded = stripe.app.change("", cause("onboarding page"), |world| {
        account::onboard(world, &id);
        Ok(())
    });
    onboarded.unwrap();
    id
}

#[test]
fn the_books_are_right_whatever_is_paid_out() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let made = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let steps = prop::collection::vec(any_step(), 1..30);
    let outcome = runner.run(&(steps, any::<bool>()), |(steps, connected)| {
        stripe.reset();
        let own = if connected {
            let id = connect(&stripe);
            *stripe.account.borrow_mut() = id.clone();
            id
        } else {
            stripe.app.world().platform_id()
        };
        for step in &steps {
            let status = take(&stripe, &own, step);
            prop_assert!(status < 500, "{step:?}");
        }
        let problems = books::problems(&stripe.app.world());
        prop_assert!(problems.is_empty(), "{problems:?}");

        // In the end nothing is on its way, and with a bank account that works all is paid out.
        for step in [Step::Bank(""), Step::Schedule("[interval]=daily"), Step::Wait(40 * DAY)] {
            prop_assert_eq!(take(&stripe, &own, &step), 200);
        }
        let world = stripe.app.world();
        let problems = books::problems(&world);
        prop_assert!(problems.is_empty(), "{problems:?}");
        let account = stripe.account.borrow().clone();
        for payout in world.all_of(&account, "payout") {
            let status = field::text(&payout, "status").to_owned();
            prop_assert!(!matches!(&*status, "pending" | "in_transit"), "{payout}");
            let how = if field::flag(&payout, "automatic") {
                "by schedule"
            } else {
                "by wish"
            };
            let back = if field::integer(&payout, "amount") < 0 {
                " back"
            } else {
                ""
            };
            made.borrow_mut().insert(format!("{status} {how}{back}"));
        }
        let balance = world.found(&account, "/balance").cloned().unwrap_or_default();
        for one in field::elements(&balance, "available") {
            let usd = field::text(one, "currency") == "usd";
            prop_assert!(!usd || field::integer(one, "amount") <= 0, "{balance}");
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let all = [
        "canceled by wish",
        "failed by schedule",
        "failed by wish",
        "paid by schedule",
        "paid by wish",
        "paid by wish back",
    ];
    assert_eq!(made.into_inner().into_iter().collect::<Vec<_>>(), all);
}
