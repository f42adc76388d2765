//! Whatever is subscribed to, changed, used, invoiced and waited for: the invoices are right.
//!
//! `STEPS=100000 cargo nextest run -p stripe-sandbox whatever_happens` takes so many steps; a test run takes fewer, for its
//! time.

mod checks;
mod draw;
mod found;

use std::collections::BTreeSet;

use serde_json::Value;

use self::{
    checks::Seen,
    draw::{Draw, Known, Step},
};
use crate::{
    field,
    http::in_process::InProcess,
    world::{World, books},
};

/// Of a test run; in the days of a world, which is best small.
const STEPS: u64 = 5_000;
const LIFE: u64 = 100;
/// As many worlds are lived through on a test clock too, in fewer steps each.
const LIVES_ON_CLOCKS: u64 = 20;
const LIFE_ON_CLOCK: u64 = 60;
const CLOCKS: &str = "/v1/test_helpers/test_clocks";

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
const METERED: &[&str] = &["unit_amount_decimal=2.5", "unit_amount=7"];
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

/// A world with a customer, a card and things to subscribe to, and what was done in it.
struct History<'a> {
    stripe: &'a InProcess,
    /// The test clock that the customer goes by, if any.
    clock: Option<String>,
    known: Known,
    seen: Seen,
    taken: Vec<Step>,
}

impl<'a> History<'a> {
    /// A world in which there are no events of some types.
    fn begin(stripe: &'a InProcess, on_clock: bool, silent: &[String]) -> Self {
        stripe.reset();
        stripe.app.world().faults.deliveries.never_generate = silent.to_vec();
        let product = stripe.make("/v1/products", "name=Thing");
        let meter = stripe.make(
            "/v1/billing/meters",
            "display_name=Calls&event_name=calls&default_aggregation[formula]=sum",
        );
        let price = |terms: &str| stripe.make("/v1/prices", &format!("currency=usd&product={product}&{terms}"));
        let of_meter = format!("&recurring[interval]=month&recurring[usage_type]=metered&recurring[meter]={meter}");
        let now = stripe.app.world().clock.now();
        let clock = on_clock.then(|| stripe.make(CLOCKS, &format!("frozen_time={now}")));
        let on = clock.as_ref().map(|id| format!("&test_clock={id}")).unwrap_or_default();
        let mut known = Known {
            licensed: LICENSED.iter().map(|terms| price(terms)).collect(),
            metered: METERED
                .iter()
                .map(|terms| price(&format!("{terms}{of_meter}")))
                .collect(),
            customer: stripe.make("/v1/customers", &format!("name=Jenny{on}")),
            ..Known::default()
        };
        for coupon in COUPONS {
            stripe.post("/v1/coupons", coupon);
        }
        let customer = &known.customer;
        let visa = stripe.make(
            "/v1/payment_methods/pm_card_visa/attach",
            &format!("customer={customer}"),
        );
        let form = format!("invoice_settings[default_payment_method]={visa}");
        stripe.post(&format!("/v1/customers/{customer}"), &form);
        known.methods = vec![visa];
        Self {
            stripe,
            clock,
            known,
            seen: Seen::default(),
            taken: Vec::new(),
        }
    }

    /// Does one step and looks at what it touched. Gives the status it was answered with.
    fn take(&mut self, step: Step) -> u16 {
        let status = match &step {
            Step::Call(method, path, form) => {
                let uri = match *method {
                    "POST" => path.clone(),
                    _ => format!("{path}?{form}"),
                };
                self.stripe.send(method, uri.parse().unwrap(), form.as_bytes()).0
            }
            Step::Wait(seconds) => {
                self.wait(*seconds);
                200
            }
        };
        self.taken.push(step);
        let world = self.stripe.app.world();
        let (created, touched) = self.seen.new_effects(&world);
        let mut problems = self.seen.problems(&world, &touched);
        if status >= 500 {
            problems.push(format!("the answer is {status}"));
        }
        for id in created {
            let kind = match id.split('_').next() {
                Some("sub") => &mut self.known.subscriptions,
                Some("in") => &mut self.known.invoices,
                Some("ii") => &mut self.known.invoice_items,
                Some("pm") => &mut self.known.methods,
                _ => continue,
            };
            kind.push(id);
        }
        for subscription in touched.iter().filter(|id| id.starts_with("sub_")) {
            for item in field::elements(world.find(subscription).unwrap_or(&Value::Null), "items.data") {
                let id = field::text(item, "id").to_owned();
                if !self.known.items.contains(&id) {
                    self.known.items.push(id);
                }
            }
        }
        drop(world);
        self.expect(problems);
        status
    }

    fn wait(&self, seconds: i64) {
        let Some(clock) = &self.clock else {
            return self.stripe.advance(seconds);
        };
        // Two weeks at most: there can be a subscription by the week.
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

    fn expect(&self, problems: Vec<String>) {
        assert!(problems.is_empty(), "after {:#?}: {problems:#?}", self.taken);
    }

    fn end(&self) {
        self.expect(books::problems(&self.stripe.app.world()));
    }

    /// Whatever a subscription has been through: an item's quantity changed and changed back in the same second costs nothing.
    fn reverses(&mut self, draw: &mut Draw) -> bool {
        let item = draw.id(&self.known.items);
        let (status, body) = self.stripe.call("GET", &format!("/v1/subscription_items/{item}"), "");
        let Some(quantity) = body["quantity"].as_i64().filter(|_| status == 200) else {
            return false;
        };
        let mut before = 0;
        // The first time brings what was debited up to the price and the discounts there are now.
        for _ in 0..2 {
            before = self.known.invoice_items.len();
            for quantity in [quantity + 3, quantity] {
                let form = format!("quantity={quantity}");
                if self.take(Step::Call("POST", format!("/v1/subscription_items/{item}"), form)) != 200 {
                    return false;
                }
            }
        }
        let world = self.stripe.app.world();
        let made = self.known.invoice_items[before..]
            .iter()
            .filter_map(|id| world.find(id));
        let sum: i64 = made.map(|one| field::integer(one, "amount")).sum();
        let problem = (sum != 0).then(|| format!("{item} changed and changed back costs {sum}"));
        drop(world);
        self.expect(problem.into_iter().collect());
        true
    }
}

#[test]
fn invoices_are_right_whatever_happens() {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for by hand")]
    let steps = std::env::var("STEPS").map_or(STEPS, |steps| steps.parse().unwrap());
    let stripe = InProcess::new();
    let (mut taken, mut answered, mut reversed, mut world) = (0, 0, 0, 0);
    // Events are a third of the work: of four worlds one has them.
    let mut told = BTreeSet::new();
    while taken < steps {
        let mut draw = Draw::new(world);
        let silent: Vec<String> = told.iter().cloned().collect();
        let silent = if world % 4 == 0 { &[] } else { &*silent };
        let mut history = History::begin(&stripe, false, silent);
        for _ in 0..LIFE.min(steps - taken) {
            let now = stripe.app.world().clock.now();
            let step = draw::step(&mut draw, &history.known, now);
            answered += u64::from(history.take(step) == 200);
            if draw.below(25) == 0 {
                reversed += u64::from(history.reverses(&mut draw));
            }
        }
        history.end();
        let events = stripe.app.world().all("event");
        told.extend(events.iter().map(|event| field::text(event, "type").to_owned()));
        taken += history.taken.len() as u64;
        world += 1;
    }
    // Most steps do something.
    assert!(answered * 2 > taken, "{answered} of {taken} steps were taken");
    assert!(reversed * 200 > taken, "{reversed} reversals");
}

#[test]
fn a_life_on_a_test_clock_is_the_same_as_in_any_time() {
    let (stripe, other) = (InProcess::new(), InProcess::new());
    for life in 0..LIVES_ON_CLOCKS {
        let mut draw = Draw::new(1_000_000 + life);
        let mut on_clock = History::begin(&stripe, true, &[]);
        let mut present = History::begin(&other, false, &[]);
        for _ in 0..LIFE_ON_CLOCK {
            let now = other.app.world().clock.now();
            let step = draw::step(&mut draw, &present.known, now);
            let has_ended = |one: &Value| ["canceled", "incomplete_expired"].contains(&field::text(one, "status"));
            let mut running = other.app.world().all("subscription");
            running.retain(|one| !has_ended(one));
            // A customer of a clock has no more than three.
            if running.len() > 2 && matches!(&step, Step::Call(_, path, _) if path == "/v1/subscriptions") {
                continue;
            }
            let (status, same) = (on_clock.take(step.clone()), present.take(step));
            assert_eq!(status, same, "{:#?}", present.taken);
        }
        // What is due at the moment of the last call.
        stripe.get("/v1/customers", "");
        other.get("/v1/customers", "");
        let ((one, heard), (same, heard_too)) = (on_clock.told(), present.told());
        assert_eq!(one, same, "{:#?}", present.taken);
        assert_eq!(heard, heard_too, "{:#?}", present.taken);
    }
}
