//! What is drawn: the next call of a history, or how long to wait.

mod invoices;
mod schedules;
mod subscriptions;
mod visits;

use std::{collections::BTreeMap, fmt};

use crate::{field, json::Value, world::World};

const DAY: i64 = 86_400;

/// Numbers from a seed.
pub(super) struct Draw {
    state: u64,
    /// What goes on at once with what the last step began.
    next: Option<fn(&mut Draw, &Known, &World) -> Step>,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            next: None,
        }
    }

    /// Below `end`. Source: <https://prng.di.unimi.it/splitmix64.c>.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Below so many days, in seconds.
    fn days(&mut self, days: u64) -> i64 {
        self.below(86_400 * days) as i64
    }

    pub(super) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// One of those there are, or an id of nothing.
    pub(super) fn id(&mut self, of: &[String]) -> String {
        // Of many the newest, mostly: they are at work.
        let newest = of.len().saturating_sub(6);
        let of = if self.below(4) > 0 { &of[newest..] } else { of };
        match of.len() {
            0 => "none".to_owned(),
            some => of[usize::try_from(self.below(some as u64)).unwrap()].clone(),
        }
    }
}

impl Draw {
    /// As [`Draw::id`], but one of this kind, mostly, if there is one.
    fn fit(&mut self, of: &[String], world: &World, is: impl Fn(&Value) -> bool) -> String {
        let newest = of.iter().rev().take(30);
        let fit = newest.filter(|id| world.find(id).is_some_and(&is));
        let fit: Vec<String> = fit.cloned().collect();
        match fit.is_empty() || self.below(8) == 0 {
            true => self.id(of),
            false => self.id(&fit),
        }
    }

    /// As [`Draw::fit`], one with this status.
    fn with_status(&mut self, of: &[String], status: &str, world: &World) -> String {
        self.fit(of, world, |one| field::text(one, "status") == status)
    }
}

/// One step of a history.
#[derive(Clone)]
pub(super) enum Step {
    /// Of the API, a page or the control interface.
    Call(&'static str, String, String),
    /// An item is changed and changed back.
    Reverse(String),
    Wait(i64),
}

impl Step {
    /// What is called, without ids, and that with each of the parameters, and with each that is a word.
    pub(super) fn names(&self) -> Vec<String> {
        let (method, path, form) = match self {
            Self::Call(method, path, form) => (method, path, form),
            Self::Reverse(_) => return vec!["a reversal".to_owned()],
            Self::Wait(_) => return Vec::new(),
        };
        let steps = path.split('/').map(|step| match step.rsplit_once('_') {
            Some((prefix, id)) if id.len() > 13 => format!("{prefix}_"),
            _ => step.to_owned(),
        });
        let name = format!("{method} {}", steps.collect::<Vec<_>>().join("/"));
        let mut names = vec![name.clone()];
        for (parameter, value) in form.split('&').filter_map(|part| part.split_once('=')) {
            let with = format!("{name} {}", parameter.replace("[0]", ""));
            if value
                .bytes()
                .all(|letter| letter.is_ascii_lowercase() || letter == b'_')
            {
                names.push(format!("{with}={value}"));
            }
            names.push(with);
        }
        names.sort();
        names.dedup();
        names
    }
}

impl Step {
    /// The same with other ids.
    pub(super) fn with(&self, ids: &BTreeMap<&str, String>) -> Self {
        let of = |text: &str| {
            // Whatever an id is made of, and nothing else.
            let words = text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let changed = words.map(|word| {
                let id = word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                ids.get(id).map_or_else(|| word.to_owned(), |new| word.replace(id, new))
            });
            changed.collect::<String>()
        };
        match self {
            Self::Call(method, path, form) => Self::Call(method, of(path), of(form)),
            Self::Reverse(item) => Self::Reverse(of(item)),
            Self::Wait(seconds) => Self::Wait(*seconds),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(method, path, form) => write!(out, "{method} {path} {form}"),
            Self::Reverse(item) => write!(out, "change {item} and back"),
            Self::Wait(seconds) => write!(out, "wait {seconds}"),
        }
    }
}

/// What there is to act on.
#[derive(Default)]
pub(super) struct Known {
    /// The customer of most steps, whose life it is.
    pub(super) customer: String,
    pub(super) product: String,
    pub(super) licensed: Vec<String>,
    pub(super) metered: Vec<String>,
    pub(super) items: Vec<String>,
    /// Whether there is that customer only, and no time but the customer's.
    pub(super) is_alone: bool,
    /// The ids of what else was made, by what they begin with.
    pub(super) made: BTreeMap<String, Vec<String>>,
}

impl Known {
    pub(super) fn add(&mut self, id: String) {
        if let Some((prefix, _)) = id.rsplit_once('_') {
            self.made.entry(prefix.to_owned()).or_default().push(id);
        }
    }

    /// The ids that begin so, oldest first.
    pub(super) fn all(&self, prefix: &str) -> &[String] {
        self.made.get(prefix).map(Vec::as_slice).unwrap_or_default()
    }

    /// The newest id that begins so, or an id of nothing.
    fn newest(&self, prefix: &str) -> String {
        self.all(prefix).last().cloned().unwrap_or_else(|| "none".to_owned())
    }

    /// The customer, or another that there is.
    fn any_customer(&self, draw: &mut Draw) -> String {
        match draw.below(4) {
            0 if !self.is_alone => draw.id(self.all("cus")),
            _ => self.customer.clone(),
        }
    }
}

/// What is done in every run, by its name.
pub(super) const ALL: &[&str] = &[
    "DELETE /v1/invoiceitems/ii_",
    "DELETE /v1/invoices/in_",
    "DELETE /v1/subscription_items/si_",
    "DELETE /v1/subscriptions/sub_",
    "DELETE /v1/subscriptions/sub_ invoice_now=true",
    "DELETE /v1/subscriptions/sub_ prorate=true",
    "DELETE /v1/test_helpers/test_clocks/clock_",
    "GET /p/plink_",
    "GET /v1/credit_notes/preview",
    "POST /3d_secure/pi_ action=complete",
    "POST /3d_secure/pi_ action=fail",
    "POST /_sandbox/billing",
    "POST /_sandbox/disputes",
    "POST /c/pay/cs_test_",
    "POST /p/session/bps_ action=cancel",
    "POST /p/session/bps_ action=card",
    "POST /p/session/bps_ action=change",
    "POST /p/session/bps_ action=renew",
    "POST /v1/billing/meter_event_adjustments",
    "POST /v1/billing/meter_events",
    "POST /v1/checkout/sessions mode=subscription",
    "POST /v1/credit_notes amount",
    "POST /v1/credit_notes credit_amount",
    "POST /v1/credit_notes lines[type]=invoice_line_item",
    "POST /v1/credit_notes out_of_band_amount",
    "POST /v1/credit_notes refund_amount",
    "POST /v1/credit_notes/cn_/void",
    "POST /v1/customers test_clock",
    "POST /v1/customers/cus_ invoice_settings[default_payment_method]",
    "POST /v1/customers/cus_/balance_transactions",
    "POST /v1/disputes/dp_",
    "POST /v1/disputes/dp_/close",
    "POST /v1/invoiceitems invoice",
    "POST /v1/invoiceitems subscription",
    "POST /v1/invoiceitems/ii_",
    "POST /v1/invoices automatic_tax[enabled]=true",
    "POST /v1/invoices collection_method=send_invoice",
    "POST /v1/invoices discounts[coupon]",
    "POST /v1/invoices subscription",
    "POST /v1/invoices/create_preview customer",
    "POST /v1/invoices/create_preview preview_mode=recurring",
    "POST /v1/invoices/create_preview subscription_details[billing_cycle_anchor][type]=now",
    "POST /v1/invoices/create_preview subscription_details[cancel_now]=true",
    "POST /v1/invoices/create_preview subscription_details[items][price]",
    "POST /v1/invoices/create_preview subscription_details[resume_at]=now",
    "POST /v1/invoices/create_preview subscription_details[trial_end]",
    "POST /v1/invoices/in_ auto_advance",
    "POST /v1/invoices/in_ automatically_finalizes_at",
    "POST /v1/invoices/in_/finalize",
    "POST /v1/invoices/in_/mark_uncollectible",
    "POST /v1/invoices/in_/pay paid_out_of_band=true",
    "POST /v1/invoices/in_/pay payment_method",
    "POST /v1/invoices/in_/send",
    "POST /v1/invoices/in_/void",
    "POST /v1/payment_links",
    "POST /v1/payment_pages/cs_test_/confirm",
    "POST /v1/refunds amount",
    "POST /v1/subscription_items",
    "POST /v1/subscription_items/si_ discounts[coupon]",
    "POST /v1/subscription_items/si_ payment_behavior=pending_if_incomplete",
    "POST /v1/subscription_items/si_ proration_date",
    "POST /v1/subscription_schedules end_behavior=cancel",
    "POST /v1/subscription_schedules from_subscription",
    "POST /v1/subscription_schedules phases[billing_cycle_anchor]=phase_start",
    "POST /v1/subscription_schedules phases[trial]=true",
    "POST /v1/subscription_schedules/sub_sched_ phases[items][price]",
    "POST /v1/subscription_schedules/sub_sched_/cancel",
    "POST /v1/subscription_schedules/sub_sched_/release",
    "POST /v1/subscriptions add_invoice_items[quantity]",
    "POST /v1/subscriptions automatic_tax[enabled]=true",
    "POST /v1/subscriptions backdate_start_date",
    "POST /v1/subscriptions billing_cycle_anchor",
    "POST /v1/subscriptions billing_cycle_anchor_config[day_of_month]",
    "POST /v1/subscriptions cancel_at",
    "POST /v1/subscriptions collection_method=send_invoice",
    "POST /v1/subscriptions discounts[coupon]",
    "POST /v1/subscriptions items[discounts][coupon]",
    "POST /v1/subscriptions trial_settings[end_behavior][missing_payment_method]=pause",
    "POST /v1/subscriptions/sub_ add_invoice_items[quantity]",
    "POST /v1/subscriptions/sub_ billing_cycle_anchor[type]=now",
    "POST /v1/subscriptions/sub_ cancel_at",
    "POST /v1/subscriptions/sub_ cancel_at=max_period_end",
    "POST /v1/subscriptions/sub_ cancel_at_period_end=true",
    "POST /v1/subscriptions/sub_ collection_method=send_invoice",
    "POST /v1/subscriptions/sub_ items[deleted]=true",
    "POST /v1/subscriptions/sub_ pause_collection=",
    "POST /v1/subscriptions/sub_ pause_collection[behavior]=keep_as_draft",
    "POST /v1/subscriptions/sub_ pause_collection[behavior]=mark_uncollectible",
    "POST /v1/subscriptions/sub_ pause_collection[behavior]=void",
    "POST /v1/subscriptions/sub_ pause_collection[resumes_at]",
    "POST /v1/subscriptions/sub_ payment_behavior=pending_if_incomplete",
    "POST /v1/subscriptions/sub_ trial_end=now",
    "POST /v1/subscriptions/sub_/migrate",
    "POST /v1/subscriptions/sub_/pause bill_for[unused_time_from][type]=item_current_period_start",
    "POST /v1/subscriptions/sub_/pause invoicing_behavior=invoice",
    "POST /v1/subscriptions/sub_/resume",
    "POST /v1/subscriptions/sub_/resume billing_cycle_anchor[type]=unchanged",
    "POST /v1/test_helpers/test_clocks/clock_/advance",
    "a reversal",
];

const HOW: &[&str] = &[
    "",
    "",
    "&proration_behavior=none",
    "&proration_behavior=always_invoice",
    "&proration_behavior=always_invoice&payment_behavior=error_if_incomplete",
    "&proration_behavior=always_invoice&payment_behavior=default_incomplete",
    "&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete",
];
const DISCOUNTS: &[&str] = &[
    "discounts[0][coupon]=share",
    "discounts[0][coupon]=amount",
    "discounts[0][coupon]=months",
    "discounts[0][coupon]=share&discounts[1][coupon]=months",
    "discounts=",
];

fn post(path: impl Into<String>, form: impl Into<String>) -> Step {
    Step::Call("POST", path.into(), form.into())
}

/// What it is for the object `id`: the time of its test clock, or the present.
pub(super) fn now(world: &World, id: &str) -> i64 {
    let clock = world.clock_of("", id);
    clock.map_or_else(|| world.clock.now(), |clock| field::integer(clock, "frozen_time"))
}

/// The next step of a history in this world.
pub(super) fn step(draw: &mut Draw, known: &Known, world: &World) -> Step {
    if let Some(next) = draw.next.take() {
        return next(draw, known, world);
    }
    match draw.below(100) {
        0..10 => subscriptions::subscribe(draw, known, world),
        10..28 => subscriptions::change(draw, known, world),
        28..33 => subscriptions::end(draw, known, world),
        33..41 => subscriptions::pause(draw, known, world),
        41..48 => schedules::step(draw, known, world),
        48..56 => invoices::beside(draw, known, world),
        56..63 => invoices::by_hand(draw, known, world),
        63..70 => invoices::give_back(draw, known, world),
        70..73 => invoices::pay_with(draw, known, world),
        73..76 => visits::checkout(draw, known),
        76..78 => visits::portal(draw, known, world),
        78..81 => visits::preview(draw, known, world),
        81..84 => visits::clock(draw, known, world),
        84..86 => Step::Reverse(draw.id(&known.items)),
        _ => Step::Wait(match draw.below(8) {
            0 => 3600,
            1 => draw.below(7200) as i64,
            2 | 3 => draw.days(1),
            4 | 5 => draw.days(4),
            6 => draw.days(12),
            _ => draw.days(40),
        }),
    }
}
