//! A preview of a schedule, as it is or as it would be, is the invoice that is made next.

use std::cell::Cell;

use super::*;

const CASES: u32 = 80;
const DAY: i64 = 86_400;
/// How long a phase is.
const LENGTHS: &[&str] = &[
    "",
    "&PHASE[duration][interval]=month",
    "&PHASE[duration][interval]=week&PHASE[duration][interval_count]=2",
    "&PHASE[duration][interval]=day&PHASE[duration][interval_count]=40",
];
const MORE: &[&str] = &[
    "",
    "&PHASE[proration_behavior]=none",
    "&PHASE[proration_behavior]=always_invoice",
    "&PHASE[billing_cycle_anchor]=phase_start",
    "&PHASE[trial]=true",
    "&PHASE[discounts][0][coupon]=share",
    "&PHASE[items][0][quantity]=3",
];
const WHOLE: &[&str] = &["", "&end_behavior=cancel"];
const HOWS: &[&str] = &["", "&proration_behavior=none", "&proration_behavior=always_invoice"];

#[derive(Clone, Debug)]
struct Phase {
    price: usize,
    length: &'static str,
    more: &'static str,
}

#[derive(Clone, Debug)]
struct Plan {
    mode: &'static str,
    start: i64,
    phases: Vec<Phase>,
    whole: &'static str,
    waited: i64,
    /// The present phase sells something else, and those after it are others.
    change: Option<(Phase, Vec<Phase>, &'static str)>,
}

fn any_phase() -> impl Strategy<Value = Phase> {
    (
        0..4_usize,
        prop::sample::select(LENGTHS.to_vec()),
        prop::sample::select(MORE.to_vec()),
    )
        .prop_map(|(price, length, more)| Phase { price, length, more })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let phases = || prop::collection::vec(any_phase(), 1..4);
    let how = prop::sample::select(HOWS.to_vec());
    (
        prop::sample::select(vec!["flexible", "classic"]),
        prop_oneof![Just(0), 1..40 * DAY],
        phases(),
        prop::sample::select(WHOLE.to_vec()),
        2 * 3600..25 * DAY,
        prop::option::of((any_phase(), phases(), how)),
    )
        .prop_map(|(mode, start, phases, whole, waited, change)| Plan {
            mode,
            start,
            phases,
            whole,
            waited,
            change,
        })
}

/// The parameters of phases from the place `first` on.
fn written(phases: &[Phase], first: usize, prices: &[String]) -> String {
    let each = phases.iter().zip(first..).map(|(phase, place)| {
        let form = format!(
            "&PHASE[items][0][price]={}{}{}",
            prices[phase.price], phase.length, phase.more
        );
        form.replace("PHASE", &format!("phases[{place}]"))
    });
    each.collect()
}

fn within_details(form: &str) -> String {
    let named = form.split('&').filter(|one| !one.is_empty()).map(|one| {
        let (name, value) = one.split_once('=').unwrap();
        let (first, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
        format!("&schedule_details[{first}]{rest}={value}")
    });
    named.collect()
}

struct Seller<'a> {
    stripe: &'a InProcess,
    customer: String,
    prices: Vec<String>,
}

impl<'a> Seller<'a> {
    fn begin(stripe: &'a InProcess) -> Self {
        stripe.reset();
        let (customer, prices) = super::sold(stripe);
        Self {
            stripe,
            customer,
            prices,
        }
    }

    /// All invoices, oldest first.
    fn invoices(&self) -> Vec<Value> {
        let mut all = self.stripe.app.world().all("invoice");
        all.reverse();
        all
    }

    /// A preview, which leaves nothing behind.
    fn preview(&self, form: &str) -> Result<(u16, Value), TestCaseError> {
        // Any call brings the world up to this moment.
        self.stripe.get("/v1/customers", "");
        let before = self.stripe.app.world().snapshot().unwrap();
        let answer = self.stripe.call("POST", "/v1/invoices/create_preview", form);
        let after = self.stripe.app.world().snapshot().unwrap();
        prop_assert!(before == after, "{} left something behind", form);
        Ok(answer)
    }

    /// The invoice that is made next, after `had` of them.
    fn next(&self, had: usize) -> Option<Value> {
        for _ in 0..450 {
            if let Some(invoice) = self.invoices().get(had) {
                return Some(invoice.clone());
            }
            self.stripe.advance(DAY);
        }
        None
    }
}

/// The preview was of the invoice that was made next, or of none.
fn check_told(asked: &str, (status, preview): &(u16, Value), invoice: Option<&Value>) -> Result<(), TestCaseError> {
    let Some(invoice) = invoice else {
        let code = field::text(preview, "error.code");
        prop_assert_eq!((*status, code), (404, "invoice_upcoming_none"), "{}", asked);
        return Ok(());
    };
    prop_assert_eq!(*status, 200, "{}: {}", asked, preview);
    prop_assert_eq!(told(preview), told(invoice), "{}", asked);
    prop_assert_eq!(&preview["created"], &invoice["created"], "{}", asked);
    Ok(())
}

/// `foretold` counts the invoices that were foretold, and `changed` those of a changed schedule.
fn check(stripe: &InProcess, plan: &Plan, foretold: &Cell<u32>, changed: &Cell<u32>) -> Result<(), TestCaseError> {
    let seller = Seller::begin(stripe);
    let customer = &seller.customer;
    let start = stripe.app.world().clock.now() + plan.start;
    let mut form = written(&plan.phases, 0, &seller.prices);
    form += &format!("&billing_mode[type]={}{}", plan.mode, plan.whole);
    let details = within_details(&form);
    let asked = format!("customer={customer}&schedule_details[phases][0][start_date]={start}{details}");
    let preview = seller.preview(&asked)?;
    let sent = format!("customer={customer}&start_date={start}{form}");
    let (status, schedule) = stripe.call("POST", "/v1/subscription_schedules", &sent);
    if status != 200 {
        let message = |one: &Value| field::text(one, "error.message").to_owned();
        prop_assert_eq!(
            (preview.0, message(&preview.1)),
            (status, message(&schedule)),
            "{}",
            asked
        );
        return Ok(());
    }
    let id = field::text(&schedule, "id");
    if plan.start > 0 {
        let of_it = seller.preview(&format!("schedule={id}"))?;
        prop_assert_eq!(told(&of_it.1), told(&preview.1), "{}", asked);
    }
    let first = seller.next(0);
    check_told(&asked, &preview, first.as_ref())?;
    foretold.set(foretold.get() + u32::from(first.is_some()));

    stripe.advance(plan.waited);
    let path = format!("/v1/subscription_schedules/{id}");
    let schedule = stripe.get(&path, "");
    let mut asked = format!("schedule={id}");
    let mut form = None;
    let current = field::at(&schedule, "current_phase");
    if let Some((present, phases, how)) = plan.change.as_ref().filter(|_| current.is_object()) {
        let (start, end) = (field::at(current, "start_date"), field::at(current, "end_date"));
        let sent = format!(
            "phases[0][start_date]={start}&phases[0][end_date]={end}&phases[0][items][0][price]={}{}{how}",
            seller.prices[present.price],
            written(phases, 1, &seller.prices)
        );
        asked += &within_details(&sent);
        form = Some(sent);
    }
    let preview = seller.preview(&asked)?;
    let had = seller.invoices().len();
    let changes = form.is_some();
    if let Some(form) = form {
        stripe.post(&path, &form);
    }
    if field::text(&schedule, "status") == "active" {
        let next = seller.next(had);
        check_told(&asked, &preview, next.as_ref())?;
        let counted = if changes { changed } else { foretold };
        counted.set(counted.get() + u32::from(next.is_some()));
    } else {
        prop_assert_eq!(preview.0, 404, "{} of {}", asked, schedule);
    }
    Ok(())
}

#[test]
fn a_preview_of_a_schedule_is_the_invoice_that_is_made_next() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let (foretold, changed) = (Cell::new(0), Cell::new(0));
    let outcome = runner.run(&any_plan(), |plan| check(&stripe, &plan, &foretold, &changed));
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let counts = (foretold.get(), changed.get());
    assert!(counts.0 > CASES && counts.1 > CASES / 5, "{counts:?}");
}
