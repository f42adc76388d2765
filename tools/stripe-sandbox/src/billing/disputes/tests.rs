//! Whatever is disputed, answered, refunded and waited for: the money adds up.

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use super::*;
use crate::{http::in_process::InProcess, json::json, world::books};

const CASES: u32 = 500;

const CARDS: &[&str] = &[
    "visa",
    "createDispute",
    "createDisputeInquiry",
    "createIssuerFraudRecord",
    "pendingRefund",
    "refundFail",
];
const STATUSES: &[&str] = &["won", "lost", "needs_response", "warning_closed", "under_review"];
const ANSWERS: &[&str] = &[
    "",
    "submit=false",
    "submit=true",
    "metadata[a]=b",
    "evidence[customer_name]=Jenny",
    "evidence[customer_name]=Jenny&submit=false",
    "evidence[uncategorized_text]=winning_evidence",
    "evidence[uncategorized_text]=winning_evidence&submit=false",
    "evidence[uncategorized_text]=losing_evidence",
    "evidence[uncategorized_text]=escalate_inquiry_evidence",
];

#[derive(Clone, Debug)]
enum Step {
    Charge(&'static str, bool),
    Dispute(Index, Option<i64>, bool),
    Answer(Index, &'static str),
    Close(Index),
    Decide(Index, &'static str),
    Refund(Index, Option<i64>),
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![
        Just(3600),
        Just(7 * DAY),
        Just(7 * DAY - 1),
        Just(60 * DAY),
        Just(120 * DAY)
    ];
    let part = || prop::option::of(0..1100_i64);
    let one_of = prop::sample::select::<&'static str>;
    prop_oneof![
        3 => (one_of(CARDS.to_vec()), any::<bool>()).prop_map(|(card, held)| Step::Charge(card, held)),
        2 => (any::<Index>(), part(), any::<bool>()).prop_map(|(charge, part, inquiry)| Step::Dispute(charge, part, inquiry)),
        4 => (any::<Index>(), one_of(ANSWERS.to_vec())).prop_map(|(dispute, answer)| Step::Answer(dispute, answer)),
        1 => any::<Index>().prop_map(Step::Close),
        2 => (any::<Index>(), one_of(STATUSES.to_vec())).prop_map(|(dispute, status)| Step::Decide(dispute, status)),
        2 => (any::<Index>(), part()).prop_map(|(charge, part)| Step::Refund(charge, part)),
        2 => seconds.prop_map(Step::Wait),
    ]
}

/// Takes a step; gives the status of the call it made, if any.
fn take(stripe: &InProcess, step: &Step) -> Option<u16> {
    let one_of = |object: &str, index: &Index| {
        let all = stripe.app.world().all(object);
        (!all.is_empty()).then(|| index.get(&all).clone())
    };
    let post = |path: &str, form: &str| Some(stripe.call("POST", path, form).0);
    let id = |one: &Value| field::text(one, "id").to_owned();
    match step {
        Step::Charge(card, held) => {
            let form = format!("amount=1000&currency=usd&confirm=true&payment_method=pm_card_{card}");
            if !held {
                return post("/v1/payment_intents", &form);
            }
            let intent = stripe.make("/v1/payment_intents", &format!("{form}&capture_method=manual"));
            post(
                &format!("/v1/payment_intents/{intent}/capture"),
                "amount_to_capture=800",
            )
        }
        Step::Dispute(charge, amount, inquiry) => {
            let charge = one_of("charge", charge)?;
            let new = NewDispute {
                amount: *amount,
                reason: "fraudulent",
                inquiry: *inquiry,
            };
            changed(stripe, |world| open(world, &charge, &new))
        }
        Step::Answer(dispute, answer) => post(&format!("/v1/disputes/{}", id(&one_of("dispute", dispute)?)), answer),
        Step::Close(dispute) => post(&format!("/v1/disputes/{}/close", id(&one_of("dispute", dispute)?)), ""),
        Step::Decide(dispute, status) => {
            let dispute = one_of("dispute", dispute)?;
            changed(stripe, |world| become_status(world, &dispute, status))
        }
        Step::Refund(charge, amount) => {
            let amount = amount.map(|amount| format!("&amount={amount}")).unwrap_or_default();
            post(
                "/v1/refunds",
                &format!("charge={}{amount}", id(&one_of("charge", charge)?)),
            )
        }
        Step::Wait(seconds) => {
            stripe.advance(*seconds);
            None
        }
    }
}

fn changed(stripe: &InProcess, change: impl FnOnce(&mut World) -> Result<Value, ApiError>) -> Option<u16> {
    let outcome = stripe.app.change("", crate::app::cause("dispute"), change);
    Some(outcome.map_or_else(|error| error.status_code().as_u16(), |_| 200))
}

#[test]
fn the_books_are_right_after_any_disputes_answers_refunds_and_waiting() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let outcome = runner.run(&prop::collection::vec(any_step(), 1..12), |steps| {
        stripe.reset();
        for step in &steps {
            let status = take(&stripe, step);
            prop_assert!(status.is_none_or(|status| status < 500), "{:?}", step);
        }
        stripe.advance(200 * DAY);
        let world = stripe.app.world();
        let problems = books::problems(&world);
        prop_assert!(problems.is_empty(), "{:?}", problems);
        let open = world
            .all("dispute")
            .into_iter()
            .find(|one| !field::at(one, "_sandbox.due_at").is_null());
        prop_assert_eq!(open, None, "is never decided");
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn what_is_submitted_and_when_is_counted() {
    let mut inquiry =
        json!({ "status": "warning_needs_response", "evidence_details": { "due_by": 100, "submission_count": 0 } });
    note_submission(&mut inquiry, 101);
    assert_eq!(inquiry["status"], "warning_under_review");
    assert_eq!(
        inquiry["evidence_details"],
        json!({ "due_by": 100, "submission_count": 1, "past_due": true })
    );
    let mut chargeback =
        json!({ "status": "needs_response", "evidence_details": { "due_by": 100, "submission_count": 1 } });
    note_submission(&mut chargeback, 100);
    assert_eq!(
        (&chargeback["status"], &chargeback["_sandbox"]["due_at"]),
        (&json!("under_review"), &json!(100 + REVIEW))
    );
    assert_eq!(
        chargeback["evidence_details"],
        json!({ "due_by": 100, "submission_count": 2, "past_due": false })
    );
}
