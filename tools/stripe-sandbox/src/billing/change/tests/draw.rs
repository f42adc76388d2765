//! What is drawn: the next call of a history, or how long to wait.

use std::fmt;

/// Numbers from a seed.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `end`. Source: <https://prng.di.unimi.it/splitmix64.c>.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
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

/// One step of a history.
#[derive(Clone)]
pub(super) enum Step {
    Call(&'static str, String, String),
    Wait(i64),
}

impl fmt::Debug for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(method, path, form) => write!(out, "{method} {path} {form}"),
            Self::Wait(seconds) => write!(out, "wait {seconds}"),
        }
    }
}

/// What there is to act on.
#[derive(Default)]
pub(super) struct Known {
    pub(super) customer: String,
    pub(super) licensed: Vec<String>,
    pub(super) metered: Vec<String>,
    pub(super) subscriptions: Vec<String>,
    pub(super) items: Vec<String>,
    pub(super) invoices: Vec<String>,
    pub(super) invoice_items: Vec<String>,
    pub(super) methods: Vec<String>,
}

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

fn post(path: String, form: String) -> Step {
    Step::Call("POST", path, form)
}

pub(super) fn step(draw: &mut Draw, known: &Known, now: i64) -> Step {
    match draw.below(100) {
        0..12 => subscribe(draw, known),
        12..46 => change(draw, known, now),
        46..52 => end(draw, known, now),
        52..60 => beside(draw, known, now),
        60..72 => invoice(draw, known),
        72..75 => pay_with(draw, known),
        _ => Step::Wait(match draw.below(8) {
            0 => 3600,
            1 | 2 => draw.below(7200),
            3 | 4 => draw.below(86_400),
            5 | 6 => draw.below(86_400 * 4),
            _ => draw.below(86_400 * 33),
        } as i64),
    }
}

/// A price, with a quantity where it takes one.
fn line(draw: &mut Draw, known: &Known, within: &str) -> String {
    if draw.below(4) == 0 {
        return format!("{within}[price]={}", draw.id(&known.metered));
    }
    let (price, quantity) = (draw.id(&known.licensed), draw.below(9));
    format!("{within}[price]={price}&{within}[quantity]={quantity}")
}

fn subscribe(draw: &mut Draw, known: &Known) -> Step {
    let mut form = format!("customer={}&", known.customer);
    for index in 0..=draw.below(3) {
        form += &(line(draw, known, &format!("items[{index}]")) + "&");
    }
    form += "billing_mode[type]=";
    form += draw.one(&["flexible", "flexible", "classic"]);
    form += draw.one(&[
        "",
        "",
        "",
        "&trial_period_days=5",
        "&trial_period_days=40&trial_settings[end_behavior][missing_payment_method]=pause",
        "&trial_period_days=2&trial_settings[end_behavior][missing_payment_method]=cancel",
        "&payment_behavior=default_incomplete",
        "&payment_behavior=error_if_incomplete",
        "&cancel_at_period_end=true",
    ]);
    if draw.below(2) == 0 {
        form = format!("{form}&{}", draw.one(DISCOUNTS));
    }
    post("/v1/subscriptions".to_owned(), form)
}

fn change(draw: &mut Draw, known: &Known, now: i64) -> Step {
    let (subscription, item) = (draw.id(&known.subscriptions), draw.id(&known.items));
    let (path, of_item) = (
        format!("/v1/subscriptions/{subscription}"),
        format!("/v1/subscription_items/{item}"),
    );
    let how = draw.one(HOW);
    match draw.below(18) {
        0..4 => post(of_item, format!("quantity={}{how}", draw.below(12))),
        4..6 => post(of_item, format!("price={}{how}", draw.id(&known.licensed))),
        6 => post(of_item, format!("price={}{how}", draw.id(&known.metered))),
        7..9 => post(path, format!("{}{how}", line(draw, known, "items[0]"))),
        9 => Step::Call("DELETE", of_item, how.trim_start_matches('&').to_owned()),
        10 => post(path, format!("items[0][id]={item}&items[0][deleted]=true{how}")),
        11 => post(path, format!("billing_cycle_anchor[type]=now{how}")),
        12..14 => post(path, draw.one(DISCOUNTS).to_owned()),
        14 => post(path, format!("trial_end=now{how}")),
        15 => post(path, format!("trial_end={}{how}", now + draw.below(86_400 * 20) as i64)),
        16 => {
            let at = now - draw.below(86_400 * 5) as i64;
            let quantity = draw.below(9);
            post(of_item, format!("quantity={quantity}&proration_date={at}{how}"))
        }
        _ => post(path, format!("metadata[step]={now}")),
    }
}

fn end(draw: &mut Draw, known: &Known, now: i64) -> Step {
    let path = format!("/v1/subscriptions/{}", draw.id(&known.subscriptions));
    match draw.below(8) {
        0 | 1 => {
            let how = draw.one(&["", "prorate=true&invoice_now=true", "invoice_now=true", "prorate=true"]);
            Step::Call("DELETE", path, how.to_owned())
        }
        2 => post(path, "cancel_at_period_end=true".to_owned()),
        3 => post(path, "cancel_at_period_end=false".to_owned()),
        4 => post(path, format!("cancel_at={}", now + draw.below(86_400 * 60) as i64)),
        5 => post(path, "cancel_at=min_period_end".to_owned()),
        _ => post(path + "/resume", String::new()),
    }
}

/// Usage, invoice items and the customer's balance.
fn beside(draw: &mut Draw, known: &Known, now: i64) -> Step {
    let customer = &known.customer;
    let amount = draw.below(3500) as i64 - 900;
    match draw.below(8) {
        0..3 => {
            let value = draw.one(&["1", "40", "1500", "0.5", "-3"]);
            let at = now - draw.below(86_400 * 3) as i64;
            let form = format!(
                "event_name=calls&payload[stripe_customer_id]={customer}&payload[value]={value}&timestamp={at}"
            );
            post("/v1/billing/meter_events".to_owned(), form)
        }
        3 | 4 => {
            let mut form = format!("customer={customer}&currency=usd&amount={amount}");
            match draw.below(4) {
                0 => form = format!("{form}&subscription={}", draw.id(&known.subscriptions)),
                1 => form = format!("{form}&invoice={}", draw.id(&known.invoices)),
                _ => form += "&discountable=false",
            }
            post("/v1/invoiceitems".to_owned(), form)
        }
        5 => {
            let path = format!("/v1/invoiceitems/{}", draw.id(&known.invoice_items));
            post(path, format!("amount={amount}"))
        }
        6 => {
            let path = format!("/v1/invoiceitems/{}", draw.id(&known.invoice_items));
            Step::Call("DELETE", path, String::new())
        }
        _ => {
            let path = format!("/v1/customers/{customer}/balance_transactions");
            post(path, format!("currency=usd&amount={}", -amount))
        }
    }
}

/// Invoices by hand.
fn invoice(draw: &mut Draw, known: &Known) -> Step {
    let path = format!("/v1/invoices/{}", draw.id(&known.invoices));
    match draw.below(14) {
        0..3 => {
            let mut form = format!(
                "customer={}&auto_advance={}",
                known.customer,
                draw.one(&["true", "false"])
            );
            form += match draw.below(3) {
                0 => {
                    return post(
                        "/v1/invoices".to_owned(),
                        format!("{form}&subscription={}", draw.id(&known.subscriptions)),
                    );
                }
                _ => "&pending_invoice_items_behavior=include",
            };
            post("/v1/invoices".to_owned(), form)
        }
        3 | 4 => post(path + "/finalize", String::new()),
        5..8 => post(path + "/pay", String::new()),
        8 => post(path + "/pay", "paid_out_of_band=true".to_owned()),
        9 => post(path + "/void", String::new()),
        10 => post(path + "/mark_uncollectible", String::new()),
        11 => Step::Call("DELETE", path, String::new()),
        12 => post(path, format!("auto_advance={}", draw.one(&["true", "false"]))),
        _ => post(path, "description=Thing".to_owned()),
    }
}

/// Another card, a bad one, or none.
fn pay_with(draw: &mut Draw, known: &Known) -> Step {
    let customer = format!("/v1/customers/{}", known.customer);
    match draw.below(4) {
        0 => {
            let card = draw.one(&["visa", "visa", "chargeCustomerFail"]);
            post(
                format!("/v1/payment_methods/pm_card_{card}/attach"),
                format!("customer={}", known.customer),
            )
        }
        1 | 2 => post(
            customer,
            format!("invoice_settings[default_payment_method]={}", draw.id(&known.methods)),
        ),
        _ => post(customer, "invoice_settings[default_payment_method]=".to_owned()),
    }
}
