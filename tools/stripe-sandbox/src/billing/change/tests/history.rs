//! A world in which billing goes on, step by step.

use std::collections::BTreeMap;

use super::{
    COUPONS, LICENSED,
    checks::{self, Seen},
    draw::{Known, Step},
};
use crate::{field, http::in_process::InProcess, json::Value, world::books};

const CLOCKS: &str = "/v1/test_helpers/test_clocks";
/// All books of a world are looked at after so many steps, and at its end.
const BOOKS_EVERY: usize = 20;
const METERED: &[&str] = &["unit_amount_decimal=2.5", "unit_amount=7"];
const CUSTOMER: &str = "name=Jenny&email=jenny@example.com&address[country]=DE&address[postal_code]=10115";
/// What customers may do in the portal: at once, or when a period ends.
const PORTALS: &[&str] = &[
    "features[subscription_cancel][enabled]=true&features[subscription_cancel][mode]=immediately\
     &features[subscription_cancel][proration_behavior]=always_invoice&features[payment_method_update][enabled]=true\
     &features[subscription_update][enabled]=true&features[subscription_update][default_allowed_updates][]=price\
     &features[subscription_update][default_allowed_updates][]=quantity\
     &features[subscription_update][proration_behavior]=always_invoice",
    "features[subscription_cancel][enabled]=true&features[subscription_cancel][mode]=at_period_end\
     &features[payment_method_update][enabled]=true&features[subscription_update][enabled]=true\
     &features[subscription_update][default_allowed_updates][]=price\
     &features[subscription_update][default_allowed_updates][]=quantity\
     &features[subscription_update][schedule_at_period_end][conditions][0][type]=decreasing_item_amount\
     &features[subscription_update][schedule_at_period_end][conditions][1][type]=shortening_interval",
];
const OFFERED: &str = "features[subscription_update][products][0]";

/// How a history begins.
#[derive(Clone, Copy, Default)]
pub(super) struct Begin<'a> {
    /// With one customer and one time only.
    pub(super) is_alone: bool,
    /// With that customer on a test clock.
    pub(super) on_clock: bool,
    /// Without events of these types.
    pub(super) silent: &'a [String],
}

/// A step that was done.
#[derive(Clone)]
struct Taken {
    step: Step,
    /// The ids that came of it.
    made: Vec<String>,
}

/// A world with a customer, a card and things to subscribe to, and what was done in it.
pub(super) struct History<'a> {
    stripe: &'a InProcess,
    begin: Begin<'a>,
    /// The test clock that the customer goes by, if any.
    clock: Option<String>,
    pub(super) known: Known,
    seen: Seen,
    taken: Vec<Taken>,
    books_every: usize,
}

impl<'a> History<'a> {
    pub(super) fn begin(stripe: &'a InProcess, begin: Begin<'a>) -> Self {
        stripe.reset();
        stripe.app.world().faults.deliveries.never_generate = begin.silent.to_vec();
        let product = stripe.make("/v1/products", "name=Thing");
        let meter = stripe.make(
            "/v1/billing/meters",
            "display_name=Calls&event_name=calls&default_aggregation[formula]=sum",
        );
        let price = |terms: &str| stripe.make("/v1/prices", &format!("currency=usd&product={product}&{terms}"));
        let of_meter = format!("&recurring[interval]=month&recurring[usage_type]=metered&recurring[meter]={meter}");
        let now = stripe.app.world().clock.now();
        let clock = begin
            .on_clock
            .then(|| stripe.make(CLOCKS, &format!("frozen_time={now}")));
        let on = clock.as_ref().map(|id| format!("&test_clock={id}")).unwrap_or_default();
        let licensed: Vec<String> = LICENSED.iter().map(|terms| price(terms)).collect();
        let metered = METERED.iter().map(|terms| price(&format!("{terms}{of_meter}")));
        let mut known = Known {
            metered: metered.collect(),
            customer: stripe.make("/v1/customers", &format!("{CUSTOMER}{on}")),
            is_alone: begin.is_alone,
            ..Known::default()
        };
        for coupon in COUPONS {
            stripe.post("/v1/coupons", coupon);
        }
        for features in PORTALS {
            let offered: String = licensed.iter().map(|id| format!("&{OFFERED}[prices][]={id}")).collect();
            let form = format!("{features}&{OFFERED}[product]={product}{offered}");
            known.add(stripe.make("/v1/billing_portal/configurations", &form));
        }
        (known.licensed, known.product) = (licensed, product);
        let customer = &known.customer;
        let visa = stripe.make(
            "/v1/payment_methods/pm_card_visa/attach",
            &format!("customer={customer}"),
        );
        let form = format!("invoice_settings[default_payment_method]={visa}");
        stripe.post(&format!("/v1/customers/{customer}"), &form);
        known.add(visa);
        Self {
            stripe,
            begin,
            clock,
            known,
            seen: Seen::default(),
            taken: Vec::new(),
            books_every: BOOKS_EVERY,
        }
    }

    pub(super) fn steps(&self) -> Vec<&Step> {
        self.taken.iter().map(|one| &one.step).collect()
    }

    /// Does one step and looks at what it touched. Gives the status it was answered with.
    ///
    /// # Panics
    /// With the fewest steps that come to the same, where something is wrong.
    pub(super) fn take(&mut self, step: Step) -> u16 {
        let tried = self.try_step(step);
        self.unless_wrong(tried)
    }

    /// Looks at all there is once more.
    ///
    /// # Panics
    /// As [`History::take`].
    pub(super) fn end(&self) {
        let problems = self.last_problems();
        self.unless_wrong(problems.into_iter().next().map_or(Ok(()), Err));
    }

    fn last_problems(&self) -> Vec<String> {
        let world = self.stripe.app.world();
        let mut problems = books::problems(&world);
        problems.extend(checks::wrong_ways(&world));
        problems
    }

    fn unless_wrong<T>(&self, tried: Result<T, String>) -> T {
        tried.unwrap_or_else(|problem| {
            let (steps, problem) = self.shortened(problem);
            panic!("after {steps:#?}: {problem}")
        })
    }

    fn try_step(&mut self, step: Step) -> Result<u16, String> {
        let mut problems = Vec::new();
        let mut made = Vec::new();
        let status = match &step {
            Step::Call(method, path, form) if path.contains("preview") => {
                // What is due is done before the preview, and would be without it.
                self.stripe.advance(0);
                made = self.look(&mut problems);
                let before = self.stripe.app.world().hash();
                let status = self.call(method, path, form);
                if self.stripe.app.world().hash() != before {
                    problems.push("a preview has changed the world".to_owned());
                }
                status
            }
            Step::Call(method, path, form) => self.call(method, path, form),
            Step::Reverse(item) => self.reverse(item, &mut problems),
            Step::Wait(seconds) => {
                self.wait(*seconds);
                200
            }
        };
        made.extend(self.look(&mut problems));
        self.taken.push(Taken { step, made });
        if status >= 500 {
            problems.push(format!("the answer is {status}"));
        }
        if self.taken.len().is_multiple_of(self.books_every) {
            problems.extend(books::problems(&self.stripe.app.world()));
        }
        problems.into_iter().next().map_or(Ok(status), Err)
    }

    fn call(&self, method: &str, path: &str, form: &str) -> u16 {
        if !path.starts_with("/v1/") {
            return self.stripe.visit(method, path, form);
        }
        let uri = match method {
            "POST" => path.to_owned(),
            _ => format!("{path}?{form}"),
        };
        self.stripe.send(method, uri.parse().unwrap(), form.as_bytes()).0
    }

    /// Whatever a subscription has been through: an item's quantity changed and changed back in the same second costs nothing.
    fn reverse(&mut self, item: &str, problems: &mut Vec<String>) -> u16 {
        let path = format!("/v1/subscription_items/{item}");
        let (status, body) = self.stripe.call("GET", &path, "");
        let Some(quantity) = body["quantity"].as_i64().filter(|_| status == 200) else {
            return 400;
        };
        let items = |stripe: &InProcess| stripe.app.world().counts().get("invoiceitem").copied().unwrap_or(0);
        let mut before = 0;
        // The first time brings what was debited up to the price and the discounts there are now.
        for _ in 0..2 {
            before = items(self.stripe);
            for quantity in [quantity + 3, quantity] {
                let status = self.call("POST", &path, &format!("quantity={quantity}"));
                if status != 200 {
                    return status;
                }
            }
        }
        let made = items(self.stripe) - before;
        let world = self.stripe.app.world();
        let sum: i64 = world
            .each("invoiceitem")
            .take(made)
            .map(|one| field::integer(&one, "amount"))
            .sum();
        if sum != 0 {
            problems.push(format!("an item changed and changed back costs: {item} {sum}"));
        }
        200
    }

    /// Looks at what was touched since the last time, and gives the ids that are new.
    fn look(&mut self, problems: &mut Vec<String>) -> Vec<String> {
        let world = self.stripe.app.world();
        let (mut created, touched) = self.seen.new_effects(&world);
        problems.extend(self.seen.problems(&world, &touched));
        for id in &created {
            self.known.add(id.clone());
        }
        for subscription in touched.iter().filter(|id| id.starts_with("sub_")) {
            for item in field::elements(world.find(subscription).unwrap_or(&Value::Null), "items.data") {
                let id = field::text(item, "id").to_owned();
                if !self.known.items.contains(&id) {
                    self.known.items.push(id.clone());
                    created.push(id);
                }
            }
        }
        created
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
    pub(super) fn told(&self) -> (Vec<Value>, Vec<(String, String, i64)>) {
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

    /// The fewest of the steps that come to a problem like this one, and that problem.
    fn shortened(&self, mut problem: String) -> (Vec<Step>, String) {
        let mut steps = self.taken.clone();
        let mut at_once = steps.len() / 2;
        while at_once > 0 {
            let mut from = 0;
            while from < steps.len() {
                let mut fewer = steps.clone();
                fewer.drain(from..(from + at_once).min(steps.len()));
                match self.again(&fewer).filter(|found| kind(found) == kind(&problem)) {
                    Some(found) => (steps, problem) = (fewer, found),
                    None => from += at_once,
                }
            }
            at_once /= 2;
        }
        // With the ids that they have by themselves.
        let _ = self.again(&steps);
        (steps.into_iter().map(|one| one.step).collect(), problem)
    }

    /// What is wrong after some of the steps, with the ids that come of them now in place of those that came of them first.
    fn again(&self, steps: &[Taken]) -> Option<String> {
        let mut history = Self::begin(
            self.stripe,
            Begin {
                silent: &[],
                ..self.begin
            },
        );
        history.books_every = 1;
        let mut ids: BTreeMap<&str, String> = BTreeMap::new();
        for taken in steps {
            if let Err(problem) = history.try_step(taken.step.with(&ids)) {
                return Some(problem);
            }
            let mut made: Vec<&String> = history
                .taken
                .last()
                .map(|one| one.made.iter().collect())
                .unwrap_or_default();
            for was in &taken.made {
                let Some(place) = made.iter().position(|id| prefix(id) == prefix(was)) else {
                    continue;
                };
                ids.insert(was, made.remove(place).clone());
            }
        }
        history.last_problems().into_iter().next()
    }
}

fn prefix(id: &str) -> &str {
    id.rsplit_once('_').map_or(id, |(prefix, _)| prefix)
}

/// A problem without what it is about.
fn kind(problem: &str) -> String {
    let words = problem.split(['{', '(']).next().unwrap_or_default().split_whitespace();
    words
        .filter(|word| word.chars().all(char::is_alphabetic))
        .collect::<Vec<_>>()
        .join(" ")
}
