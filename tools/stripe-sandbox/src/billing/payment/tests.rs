//! Whatever is done to a payment intent, in whatever order: its amounts add up, its charge agrees with it, and every change of
//! its status is told once.

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use super::*;
use crate::{
    billing::charges::HOLD,
    http::in_process::InProcess,
    world::{Cause, books},
};

const CASES: u32 = 1500;
const AMOUNT: i64 = 1000;

const CARDS: &[&str] = &[
    "visa",
    "chargeDeclined",
    "chargeCustomerFail",
    "authenticationRequired",
    "authenticationRequiredOnSetup",
    "authenticationRequiredSetupForOffSession",
    "authenticationRequiredChargeDeclinedInsufficientFunds",
    "threeDSecureRequiredChargeDeclined",
    "radarBlock",
    "riskLevelElevated",
];

#[derive(Clone, Debug)]
enum Step {
    Confirm {
        card: Option<&'static str>,
        off_session: bool,
    },
    Update {
        card: Option<&'static str>,
        amount: i64,
    },
    Capture {
        amount: Option<i64>,
    },
    CaptureCharge,
    Cancel,
    Authenticate {
        succeeds: bool,
    },
    Wait {
        seconds: i64,
    },
}

fn any_card() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(CARDS))
}

fn any_step() -> impl Strategy<Value = Step> {
    let amount = prop::option::of(-1..AMOUNT + 200);
    prop_oneof![
        3 => (any_card(), any::<bool>()).prop_map(|(card, off_session)| Step::Confirm { card, off_session }),
        1 => (any_card(), 0..2 * AMOUNT).prop_map(|(card, amount)| Step::Update { card, amount }),
        2 => amount.prop_map(|amount| Step::Capture { amount }),
        1 => Just(Step::CaptureCharge),
        1 => Just(Step::Cancel),
        3 => any::<bool>().prop_map(|succeeds| Step::Authenticate { succeeds }),
        1 => prop::sample::select(vec![60, HOLD - 1, HOLD]).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// How an intent is created, as a form.
fn any_creation() -> impl Strategy<Value = String> {
    let choices = (any_card(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    choices.prop_map(|(card, manual, confirm, saves, has_customer)| {
        let mut form = format!("amount={AMOUNT}&currency=usd&confirm={}", confirm && card.is_some());
        if let Some(card) = card {
            form.push_str(&format!("&payment_method=pm_card_{card}"));
        }
        for (wanted, more) in [
            (manual, "&capture_method=manual"),
            (saves, "&setup_future_usage=off_session"),
            (has_customer, "&customer=CUSTOMER"),
        ] {
            if wanted {
                form.push_str(more);
            }
        }
        form
    })
}

fn take(sandbox: &InProcess, id: &str, step: &Step) -> u16 {
    let post = |path: &str, form: &str| sandbox.call("POST", path, form).0;
    let path = |verb: &str| format!("/v1/payment_intents/{id}{verb}");
    match step {
        Step::Confirm { card, off_session } => {
            let method = card.map(|card| format!("&payment_method=pm_card_{card}"));
            let form = format!("off_session={off_session}{}", method.unwrap_or_default());
            post(&path("/confirm"), &form)
        }
        Step::Update { card, amount } => {
            let method = card.map(|card| format!("&payment_method=pm_card_{card}"));
            post(&path(""), &format!("amount={amount}{}", method.unwrap_or_default()))
        }
        Step::Capture { amount } => {
            let form = amount.map(|amount| format!("amount_to_capture={amount}"));
            post(&path("/capture"), &form.unwrap_or_default())
        }
        Step::CaptureCharge => {
            let charge = field::text(&look(sandbox, id), "latest_charge").to_owned();
            post(&format!("/v1/charges/{charge}/capture"), "")
        }
        Step::Cancel => post(&path("/cancel"), ""),
        Step::Authenticate { succeeds } => {
            let cause = Cause::default();
            let end = sandbox
                .app
                .change("", cause, |world| authentication::end(world, id, *succeeds));
            end.map_or_else(|error| error.status, |_| 200)
        }
        Step::Wait { seconds } => {
            sandbox.advance(*seconds);
            200
        }
    }
}

fn look(sandbox: &InProcess, id: &str) -> Value {
    let mut world = sandbox.app.world();
    world.account = String::new();
    world.find(id).cloned().unwrap_or_default()
}

/// The types and the statuses of the events about `id`, oldest first.
fn told(sandbox: &InProcess, id: &str) -> Vec<(String, String)> {
    let events = sandbox.app.world().all_of("", "event");
    let about = events
        .iter()
        .rev()
        .filter(|one| field::text(one, "data.object.id") == id);
    about
        .map(|one| {
            let text = |path: &str| field::text(one, path).to_owned();
            (text("type"), text("data.object.status"))
        })
        .collect()
}

/// The event that tells of a status.
fn event_of(status: &str) -> &'static str {
    match status {
        "requires_action" => "payment_intent.requires_action",
        "requires_capture" => "payment_intent.amount_capturable_updated",
        "succeeded" => "payment_intent.succeeded",
        "canceled" => "payment_intent.canceled",
        _ => "payment_intent.payment_failed",
    }
}

fn check(sandbox: &InProcess, id: &str) -> Result<(), TestCaseError> {
    let intent = look(sandbox, id);
    let status = field::text(&intent, "status");
    let charges = sandbox.app.world().all_of("", "charge");
    let taken: i64 = charges
        .iter()
        .map(|charge| field::integer(charge, "amount_captured"))
        .sum();
    let (amount, received) = (
        field::integer(&intent, "amount"),
        field::integer(&intent, "amount_received"),
    );
    prop_assert_eq!(taken, received);
    prop_assert!(received <= amount);
    prop_assert_eq!(received > 0, status == "succeeded");
    let held = if status == "requires_capture" { amount } else { 0 };
    prop_assert_eq!(field::integer(&intent, "amount_capturable"), held);
    prop_assert_eq!(
        field::at(&intent, "next_action").is_object(),
        status == "requires_action"
    );
    prop_assert_eq!(field::at(&intent, "canceled_at").is_null(), status != "canceled");
    let latest = look(sandbox, field::text(&intent, "latest_charge"));
    let is = |name: &str| field::flag(&latest, name);
    match status {
        "succeeded" => prop_assert!(is("paid") && is("captured") && !is("refunded")),
        "requires_capture" => prop_assert!(is("paid") && !is("captured") && !is("refunded")),
        "canceled" => prop_assert!(!is("captured") && is("paid") == is("refunded")),
        _ => prop_assert!(!is("paid")),
    }
    let has_method = field::some_text(&intent, "payment_method").is_some();
    match status {
        "requires_payment_method" => prop_assert!(!has_method),
        "canceled" => {}
        _ => prop_assert!(has_method),
    }
    Ok(())
}

#[test]
fn an_intent_stays_consistent_whatever_is_done_to_it() {
    let sandbox = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let steps = prop::collection::vec(any_step(), 0..6);
    let outcome = runner.run(&(any_creation(), steps), |(creation, steps)| {
        sandbox.reset();
        let customer = sandbox.make("/v1/customers", "email=a@b.c");
        let (status, body) = sandbox.call("POST", "/v1/payment_intents", &creation.replace("CUSTOMER", &customer));
        prop_assert!(matches!(status, 200 | 402), "{}: {}", creation, body);
        let made = if status == 200 {
            &body
        } else {
            field::at(&body, "error.payment_intent")
        };
        let id = field::text(made, "id").to_owned();
        check(&sandbox, &id)?;
        for step in &steps {
            let before = field::text(&look(&sandbox, &id), "status").to_owned();
            let told_before = told(&sandbox, &id).len();
            let answered = take(&sandbox, &id, step);
            prop_assert!(matches!(answered, 200 | 400 | 402 | 404), "{:?}: {}", step, answered);
            check(&sandbox, &id)?;
            let after = field::text(&look(&sandbox, &id), "status").to_owned();
            let fresh = told(&sandbox, &id).split_off(told_before);
            for (event, status) in &fresh {
                prop_assert_eq!(event, event_of(status));
            }
            let expected = usize::from(before != after && after != "requires_confirmation");
            let again = before == after && matches!(&*after, "requires_action" | "requires_payment_method");
            prop_assert!(
                fresh.len() == expected || (again && fresh.len() == 1),
                "{:?}: {:?}",
                step,
                fresh
            );
        }
        let problems = books::problems(&sandbox.app.world());
        prop_assert!(problems.is_empty(), "{:?}", problems);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
