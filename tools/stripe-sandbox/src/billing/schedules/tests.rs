//! Whatever is scheduled, changed and waited for: phases begin at their times, the invoices are right, and in the end every
//! subscription was let go or has ended.

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use crate::{
    billing::change::tests::{COUPONS, LICENSED, problems},
    field,
    http::in_process::InProcess,
    json::Value,
    world::World,
};

const CASES: u32 = 80;
const DAY: i64 = 86_400;

/// A phase as it is asked for.
#[derive(Clone, Debug)]
struct Phase {
    /// Each with its quantity; at least one.
    prices: Vec<(usize, i64)>,
    length: &'static str,
    more: &'static str,
}

#[derive(Clone, Debug)]
enum Step {
    Schedule {
        /// Seconds from now.
        start: i64,
        trial: bool,
        phases: Vec<Phase>,
        more: &'static str,
    },
    Subscribe {
        price: usize,
        more: &'static str,
    },
    TakeOver {
        subscription: Index,
    },
    /// The phases after the present one are others, and it may be, too.
    Replace {
        schedule: Index,
        present: Option<(usize, i64)>,
        phases: Vec<Phase>,
        more: &'static str,
    },
    Act {
        schedule: Index,
        act: &'static str,
        how: &'static str,
    },
    /// A change of the subscription itself.
    Change {
        subscription: Index,
        how: &'static str,
    },
    Card {
        name: &'static str,
    },
    Wait {
        seconds: i64,
    },
}

fn any_phase() -> impl Strategy<Value = Phase> {
    let length = prop::sample::select(vec![
        "",
        "[duration][interval]=month",
        "[duration][interval]=month",
        "[duration][interval]=week",
        "[duration][interval]=day&PHASE[duration][interval_count]=10",
        "[duration][interval]=month&PHASE[duration][interval_count]=2",
        "[duration][interval]=year",
    ]);
    let more = prop::sample::select(vec![
        "",
        "",
        "&PHASE[proration_behavior]=none",
        "&PHASE[proration_behavior]=always_invoice",
        "&PHASE[billing_cycle_anchor]=phase_start",
        "&PHASE[discounts][0][coupon]=share",
        "&PHASE[discounts][0][coupon]=amount",
        "&PHASE[items][0][discounts][0][coupon]=share",
        "&PHASE[items][0][discounts][0][coupon]=amount",
        "&PHASE[metadata][a]=1",
        "&PHASE[trial]=true",
        "&PHASE[trial]=true&PHASE[proration_behavior]=always_invoice",
        "&PHASE[trial_end]=SOON",
    ]);
    let prices = prop::collection::vec((0..LICENSED.len(), 1..9_i64), 1..3);
    (prices, length, more).prop_map(|(prices, length, more)| Phase { prices, length, more })
}

fn any_step() -> impl Strategy<Value = Step> {
    let start = prop_oneof![2 => Just(0), 1 => 1..50 * DAY];
    let whole = prop::sample::select(vec![
        "",
        "",
        "&end_behavior=cancel",
        "&default_settings[billing_cycle_anchor]=phase_start",
        "&billing_mode[type]=classic",
    ]);
    let more = prop::sample::select(vec![
        "",
        "&trial_period_days=9",
        "&trial_period_days=9&trial_settings[end_behavior][missing_payment_method]=pause",
        "&cancel_at_period_end=true",
        "&billing_mode[type]=classic",
        "&discounts[0][coupon]=share",
    ]);
    let how = prop::sample::select(vec![
        "",
        "&proration_behavior=none",
        "&proration_behavior=always_invoice",
        "&end_behavior=cancel",
        "&end_behavior=release",
    ]);
    let act = prop::sample::select(vec![
        ("cancel", ""),
        ("cancel", "prorate=false&invoice_now=false"),
        ("release", ""),
        ("release", "preserve_cancel_date=true"),
        ("", "end_behavior=cancel"),
        ("", "end_behavior=release"),
    ]);
    let change = prop::sample::select(vec![
        "items[0][id]=ITEM&items[0][quantity]=4",
        "items[0][id]=ITEM&items[0][quantity]=2&proration_behavior=always_invoice",
        "items[0][price]=NEW",
        "billing_cycle_anchor[type]=now",
        "trial_end=now",
        "cancel_at_period_end=true",
        "discounts=",
        "pause_collection[behavior]=keep_as_draft",
        "pause_collection[behavior]=void&pause_collection[resumes_at]=SOON",
        "pause_collection=",
        "items[0][id]=ITEM&items[0][price]=NEW&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete",
        "collection_method=send_invoice&days_until_due=5",
        "collection_method=charge_automatically",
        "DELETE",
        "/pause",
        "/resume",
    ]);
    let seconds = prop_oneof![Just(3600), 1..DAY, DAY..10 * DAY, DAY..40 * DAY];
    let present = prop::option::of((0..LICENSED.len(), 1..9_i64));
    let phases = || prop::collection::vec(any_phase(), 1..4);
    prop_oneof![
        3 => (start, any::<bool>(), phases(), whole)
            .prop_map(|(start, trial, phases, more)| Step::Schedule { start, trial, phases, more }),
        2 => (0..LICENSED.len(), more).prop_map(|(price, more)| Step::Subscribe { price, more }),
        2 => any::<Index>().prop_map(|subscription| Step::TakeOver { subscription }),
        4 => (any::<Index>(), present, phases(), how)
            .prop_map(|(schedule, present, phases, more)| Step::Replace { schedule, present, phases, more }),
        1 => (any::<Index>(), act).prop_map(|(schedule, (act, how))| Step::Act { schedule, act, how }),
        2 => (any::<Index>(), change).prop_map(|(subscription, how)| Step::Change { subscription, how }),
        1 => prop::sample::select(vec!["visa", "chargeCustomerFail"]).prop_map(|name| Step::Card { name }),
        6 => seconds.prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// A customer, with things to subscribe to.
struct History<'a> {
    stripe: &'a InProcess,
    customer: String,
    prices: Vec<String>,
}

impl<'a> History<'a> {
    fn begin(stripe: &'a InProcess) -> Self {
        stripe.reset();
        let product = stripe.make("/v1/products", "name=Thing");
        let price = |terms: &&str| stripe.make("/v1/prices", &format!("currency=usd&product={product}&{terms}"));
        let prices = LICENSED.iter().map(price).collect();
        for coupon in COUPONS {
            stripe.post("/v1/coupons", coupon);
        }
        Self {
            stripe,
            customer: stripe.make("/v1/customers", "email=jenny@example.com&payment_method=pm_card_visa"),
            prices,
        }
    }

    fn one_of(&self, object: &str, index: &Index) -> Option<Value> {
        let all = self.stripe.app.world().all(object);
        (!all.is_empty()).then(|| index.get(&all).clone())
    }

    fn has_schedules(&self) -> bool {
        let all = self.stripe.app.world().all("subscription_schedule");
        all.iter().any(|one| super::due_at(one).is_some())
    }

    /// Cancels the subscriptions that no schedule has, which would go on for ever.
    fn end_the_free(&self) {
        let all = self.stripe.app.world().all("subscription");
        for one in all
            .iter()
            .filter(|one| !is_over(one) && field::at(one, "schedule").is_null())
        {
            let path = format!("/v1/subscriptions/{}", field::text(one, "id"));
            self.stripe.call("DELETE", &path, "");
        }
    }

    fn written(&self, phase: &Phase, place: usize) -> String {
        let mut form = format!("&PHASE{}{}", phase.length, phase.more);
        let mut prices = phase.prices.clone();
        prices.dedup_by_key(|(price, _)| *price);
        for (index, (price, quantity)) in prices.iter().enumerate() {
            let id = &self.prices[*price];
            form += &format!("&PHASE[items][{index}][price]={id}&PHASE[items][{index}][quantity]={quantity}");
        }
        let soon = self.stripe.app.world().clock.now() + 5 * DAY;
        form.replace("&PHASE&", "&")
            .replace("PHASE", &format!("phases[{place}]"))
            .replace("SOON", &soon.to_string())
    }

    /// The status of the step's call.
    fn take(&self, step: &Step) -> u16 {
        let Self { stripe, customer, .. } = self;
        match step {
            Step::Schedule {
                start,
                trial,
                phases,
                more,
            } => {
                let start = stripe.app.world().clock.now() + start;
                let mut form = format!("customer={customer}&start_date={start}{more}");
                for (place, phase) in phases.iter().enumerate() {
                    form += &self.written(phase, place);
                }
                if *trial {
                    form += "&phases[0][trial]=true";
                }
                stripe.call("POST", "/v1/subscription_schedules", &form).0
            }
            Step::Subscribe { price, more } => {
                let form = format!("customer={customer}&items[0][price]={}{more}", self.prices[*price]);
                stripe.call("POST", "/v1/subscriptions", &form).0
            }
            Step::TakeOver { subscription } => {
                let Some(one) = self.one_of("subscription", subscription) else {
                    return 200;
                };
                let form = format!("from_subscription={}", field::text(&one, "id"));
                stripe.call("POST", "/v1/subscription_schedules", &form).0
            }
            Step::Replace {
                schedule,
                present,
                phases,
                more,
            } => {
                let Some(one) = self.one_of("subscription_schedule", schedule) else {
                    return 200;
                };
                let current = field::at(&one, "current_phase");
                let place = super::current(&one).unwrap_or_default();
                let was = field::at(&one, &format!("phases.{place}"));
                let mut form = format!("a=&{}", &more.get(1..).unwrap_or_default());
                if current.is_object() {
                    let (start, end) = (field::at(current, "start_date"), field::at(current, "end_date"));
                    form += &format!("&phases[0][start_date]={start}&phases[0][end_date]={end}");
                    if let Some(trial) = field::at(was, "trial_end").as_i64() {
                        form += &format!("&phases[0][trial_end]={trial}");
                    }
                    let items = match present {
                        Some((price, quantity)) => vec![(self.prices[*price].clone(), *quantity)],
                        None => sold(field::elements(was, "items"), "price"),
                    };
                    for (index, (price, quantity)) in items.iter().enumerate() {
                        let item = format!("phases[0][items][{index}]");
                        form += &format!("&{item}[price]={price}&{item}[quantity]={quantity}");
                    }
                } else {
                    form += &format!("&phases[0][start_date]={}", field::at(&one, "phases.0.start_date"));
                }
                let first = usize::from(current.is_object());
                for (place, phase) in phases.iter().enumerate() {
                    form += &self.written(phase, first + place);
                }
                let path = format!("/v1/subscription_schedules/{}", field::text(&one, "id"));
                let form = form.replace("a=&&", "").replace("a=&", "");
                stripe.call("POST", &path, &form).0
            }
            Step::Act { schedule, act, how } => {
                let Some(one) = self.one_of("subscription_schedule", schedule) else {
                    return 200;
                };
                let path = format!("/v1/subscription_schedules/{}/{act}", field::text(&one, "id"));
                stripe.call("POST", path.trim_end_matches('/'), how).0
            }
            Step::Change { subscription, how } => {
                let Some(one) = self.one_of("subscription", subscription) else {
                    return 200;
                };
                let path = format!("/v1/subscriptions/{}", field::text(&one, "id"));
                let item = field::text(&one, "items.data.0.id");
                let soon = (stripe.app.world().clock.now() + 9 * DAY).to_string();
                let form = how
                    .replace("ITEM", item)
                    .replace("NEW", &self.prices[1])
                    .replace("SOON", &soon);
                match *how {
                    "/pause" | "/resume" => stripe.call("POST", &format!("{path}{how}"), "").0,
                    "DELETE" => stripe.call("DELETE", &path, "").0,
                    _ => stripe.call("POST", &path, &form).0,
                }
            }
            Step::Card { name } => {
                let path = format!("/v1/payment_methods/pm_card_{name}/attach");
                let method = stripe.make(&path, &format!("customer={customer}"));
                let form = format!("invoice_settings[default_payment_method]={method}");
                stripe.call("POST", &format!("/v1/customers/{customer}"), &form).0
            }
            Step::Wait { seconds } => {
                stripe.advance(*seconds);
                200
            }
        }
    }
}

/// The prices of items with their quantities, in order.
fn sold(items: &[Value], price: &str) -> Vec<(String, i64)> {
    let mut all: Vec<(String, i64)> = items
        .iter()
        .map(|item| (field::text(item, price).to_owned(), field::integer(item, "quantity")))
        .collect();
    all.sort();
    all
}

fn is_over(subscription: &Value) -> bool {
    matches!(field::text(subscription, "status"), "canceled" | "incomplete_expired")
}

/// A schedule is what its status says `now`, and its subscription what its present phase says.
pub(crate) fn check_schedule(world: &World, schedule: &Value, now: i64) -> Result<(), TestCaseError> {
    let id = field::at(schedule, "id");
    let phases = field::elements(schedule, "phases");
    let (start, end) = ("start_date", "end_date");
    for phase in phases {
        prop_assert!(
            field::integer(phase, start) < field::integer(phase, end),
            "{}",
            schedule
        );
    }
    for pair in phases.windows(2) {
        prop_assert_eq!(field::at(&pair[0], end), field::at(&pair[1], start), "{}", schedule);
    }
    let status = field::text(schedule, "status");
    let current = field::at(schedule, "current_phase");
    prop_assert_eq!(status == "active", current.is_object(), "{}", schedule);
    for (at, of) in [
        ("released_at", "released"),
        ("canceled_at", "canceled"),
        ("completed_at", "completed"),
    ] {
        prop_assert_eq!(field::at(schedule, at).is_null(), status != of, "{}", schedule);
    }
    prop_assert!(super::due_at(schedule).is_none_or(|at| at > now), "{}", schedule);
    let subscription = world.find(field::text(schedule, "subscription"));
    match (status, subscription) {
        ("not_started" | "released" | "canceled", None) => {}
        ("canceled" | "completed", Some(subscription)) => {
            prop_assert!(is_over(subscription), "{} of {}", subscription, schedule);
        }
        ("active", Some(subscription)) => {
            prop_assert!(!is_over(subscription), "{} of {}", subscription, schedule);
            prop_assert_eq!(field::at(subscription, "schedule"), id);
            let (from, to) = (field::integer(current, start), field::integer(current, end));
            prop_assert!(from <= now && now < to, "{} at {}", schedule, now);
            let place = super::current(schedule);
            let phase = field::at(schedule, &format!("phases.{}", place.unwrap_or(usize::MAX)));
            prop_assert_eq!(field::integer(phase, end), to, "{}", schedule);
            let trial = super::phases::trial_end(phase, now);
            let is = field::text(subscription, "status");
            prop_assert!(
                is == "paused" || trial.is_some() == (is == "trialing"),
                "{} of {}",
                subscription,
                schedule
            );
            if is == "trialing" {
                prop_assert_eq!(field::at(subscription, "trial_end").as_i64(), trial, "{}", schedule);
            }
            let has = sold(field::elements(subscription, "items.data"), "price.id");
            prop_assert_eq!(has, sold(field::elements(phase, "items"), "price"), "{}", schedule);
            let planned = phases
                .last()
                .filter(|_| field::text(schedule, "end_behavior") == "cancel");
            let planned = planned.map(|last| field::integer(last, end));
            prop_assert_eq!(field::at(subscription, "cancel_at").as_i64(), planned, "{}", schedule);
        }
        other => prop_assert!(false, "{:?}: {}", other, schedule),
    }
    Ok(())
}

/// What a schedule became the present phase of came at the time that it says.
fn check_times(world: &World) -> Result<(), TestCaseError> {
    for event in world.all("event") {
        let before = field::at(&event, "data.previous_attributes");
        let began = field::at(before, "current_phase.start_date").is_i64()
            || before
                .as_object()
                .is_some_and(|all| all.get("current_phase") == Some(&Value::Null));
        let start = field::at(&event, "data.object.current_phase.start_date");
        if field::text(&event, "type") == "subscription_schedule.updated" && began && start.is_i64() {
            prop_assert_eq!(field::at(&event, "created"), start, "{}", event);
        }
    }
    Ok(())
}

fn check_all(world: &World) -> Result<(), TestCaseError> {
    let problems = problems(world);
    prop_assert!(problems.is_empty(), "{problems:?}");
    for schedule in world.all("subscription_schedule") {
        check_schedule(world, &schedule, world.clock.now())?;
    }
    let live = world.all("subscription").into_iter().filter(|one| !is_over(one));
    for subscription in live.filter(|one| !field::at(one, "schedule").is_null()) {
        let schedule = super::of(world, &subscription);
        prop_assert_eq!(
            schedule.map(|one| field::at(one, "subscription")),
            Some(field::at(&subscription, "id"))
        );
    }
    Ok(())
}

#[test]
fn schedules_are_kept_whatever_happens() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let steps = prop::collection::vec(any_step(), 5..25);
    let (mut taken, mut ends) = (0, std::collections::BTreeMap::new());
    let (counts, seen) = (std::cell::RefCell::new(&mut taken), std::cell::RefCell::new(&mut ends));
    let outcome = runner.run(&steps, |steps| {
        let history = History::begin(&stripe);
        for step in &steps {
            let status = history.take(step);
            prop_assert!(status < 500, "{:?} is {}", step, status);
            let schedules = matches!(step, Step::Schedule { .. } | Step::Replace { .. });
            **counts.borrow_mut() += u32::from(schedules && status == 200);
            let world = stripe.app.world();
            check_all(&world)?;
        }
        check_times(&stripe.app.world())?;
        // The longest are four phases of a year, which a change may put off by as many.
        while history.has_schedules() {
            history.end_the_free();
            stripe.advance(100 * DAY);
        }
        let world = stripe.app.world();
        check_times(&world)?;
        check_all(&world)?;
        for schedule in world.all("subscription_schedule") {
            let status = field::text(&schedule, "status").to_owned();
            prop_assert!(
                matches!(&*status, "released" | "canceled" | "completed"),
                "{}",
                schedule
            );
            *seen.borrow_mut().entry(status).or_insert(0_u32) += 1;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(taken > CASES, "only {taken} schedules were taken");
    assert!(ends.len() == 3 && ends.values().all(|count| *count > 10), "{ends:?}");
}
