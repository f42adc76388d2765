//! Any form to any operation is answered, and never with a 5xx, and whatever calls a world has had, its books are right: in
//! process, without a network.

use std::cell::RefCell;

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use super::{
    table::{Kind, Parameter, Takes},
    *,
};
use crate::{
    http::{in_process::InProcess, route::Routes},
    world::books,
};

const CASES: u32 = 100_000;
/// A world this old is replaced by a new one, as lists take ever longer.
const CASES_PER_WORLD: usize = 500;

/// Stands for the id of something there is.
const ID: &str = "\u{1}";

/// What a text may be: some of it fits somewhere.
const TEXTS: &[&str] = &[
    ID,
    "DE",
    "https://example.com/{CHECKOUT_SESSION_ID}",
    "a@example.com",
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "metadata['a']:'b'",
    "email~\"é",
    "eu_vat",
    "DE123456789",
    "💶",
];
/// What fits nowhere, or not everywhere.
const MISFITS: &[&str] = &["", "x", "-1", "9223372036854775807", "-99999999999", "1e3", "0.1"];

/// A parameter's name in brackets, and values that fit it.
struct Place {
    name: String,
    required: bool,
    fitting: Vec<&'static str>,
}

/// One parameter of a form: where, and which value of that place's, unless it is to be another.
#[derive(Clone, Debug)]
struct Sent {
    place: Index,
    value: Index,
    twist: u8,
    other: Option<String>,
}

#[derive(Clone, Debug)]
enum Form {
    Parameters(Vec<Sent>),
    Bytes(Vec<u8>),
}

fn any_form() -> impl Strategy<Value = Form> {
    let misfit = any::<Index>().prop_map(|index| Some((*index.get(MISFITS)).to_owned()));
    let text = prop::collection::vec(any::<char>(), 0..8).prop_map(|letters| Some(String::from_iter(letters)));
    let other = prop_oneof![12 => Just(None), 2 => misfit, 1 => text];
    let sent = (any::<Index>(), any::<Index>(), any::<u8>(), other);
    let sent = sent.prop_map(|(place, value, twist, other)| Sent {
        place,
        value,
        twist,
        other,
    });
    prop_oneof![
        9 => prop::collection::vec(sent, 0..8).prop_map(Form::Parameters),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Form::Bytes),
    ]
}

/// All places of a form: of a list the first element, of a map one key.
fn places(parameters: &[Parameter], within: &str, all: &mut Vec<Place>) {
    for parameter in parameters {
        let name = if within.is_empty() {
            parameter.name.to_owned()
        } else {
            format!("{within}[{}]", parameter.name)
        };
        if let Takes::Values(kinds) = &parameter.takes {
            kinds
                .iter()
                .for_each(|kind| places_in(kind, name.clone(), parameter.required, all));
        }
    }
}

fn places_in(kind: &Kind, name: String, required: bool, all: &mut Vec<Place>) {
    let fitting: Vec<&'static str> = match kind {
        Kind::Hash(inner) => return places(inner, &name, all),
        Kind::List(kind) => return places_in(kind, format!("{name}[0]"), required, all),
        Kind::Map(kind) => return places_in(kind, format!("{name}[a]"), required, all),
        Kind::Text(_) => TEXTS.to_vec(),
        Kind::Enum(values) => values.to_vec(),
        Kind::Integer(..) | Kind::Number => vec!["1", "2", "100", "2900", "99999999999"],
        Kind::Timestamp => vec!["1", "1800003600", "99999999999"],
        Kind::Currency => vec!["usd", "EUR", "jpy"],
        Kind::Boolean => vec!["true", "false"],
    };
    all.push(Place {
        name,
        required,
        fitting,
    });
}

/// The form as it is sent: a form of parameters has those required at the top, too.
fn encoded(places: &[Place], form: &Form, ids: &[String]) -> Vec<u8> {
    let sent = match form {
        Form::Bytes(bytes) => return bytes.clone(),
        Form::Parameters(sent) => sent,
    };
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    let value = |place: &Place, index: &Index| match *index.get(&place.fitting) {
        ID => index.get(ids).clone(),
        text => text.to_owned(),
    };
    if let Some(first) = sent.first() {
        for place in places
            .iter()
            .filter(|place| place.required && !place.name.contains('['))
        {
            form.append_pair(&place.name, &value(place, &first.value));
        }
    }
    for one in sent.iter().filter(|_| !places.is_empty()) {
        let place = one.place.get(places);
        let name = match one.twist {
            0 => format!("{}[]", place.name),
            1 => format!("{}[x]", place.name),
            2 => place.name.replace("[0]", "[7]"),
            3 => place.name.split('[').next().unwrap_or_default().to_owned(),
            4 => format!("[{}", place.name),
            _ => place.name.clone(),
        };
        let value = one.other.clone().unwrap_or_else(|| value(place, &one.value));
        form.append_pair(&name, &value);
    }
    form.finish().into_bytes()
}

/// A world with one of most things, and their ids.
struct Furnished {
    sandbox: InProcess,
    /// Where each was made.
    made_at: Vec<String>,
    ids: Vec<String>,
    cases: usize,
    taken: usize,
}

impl Furnished {
    fn new() -> Self {
        let mut furnished = Self {
            sandbox: InProcess::new(),
            made_at: Vec::new(),
            ids: Vec::new(),
            cases: 0,
            taken: 0,
        };
        furnished.pay_out();
        let customer = furnished.make("/v1/customers", "email=a@b.c&payment_method=pm_card_visa");
        furnished.make("/v1/tax_ids", "type=eu_vat&value=DE123456789");
        let product = furnished.make("/v1/products", "name=p");
        let terms = format!("product={product}&currency=usd&unit_amount=900");
        let price = furnished.make("/v1/prices", &format!("{terms}&recurring[interval]=month"));
        furnished.make("/v1/prices", &terms);
        let tiers = "billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=inf&tiers[0][unit_amount_decimal]=0.5";
        furnished.make("/v1/prices", &format!("product={product}&currency=usd&{tiers}"));
        let line = format!("customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete");
        let subscription = furnished.make("/v1/subscriptions", &line);
        furnished.find("/v1/subscription_items", &format!("subscription={subscription}"));
        let phase = format!("customer={customer}&phases[0][items][0][price]={price}");
        for start in ["now", "1800864000"] {
            let schedule = format!("{phase}&start_date={start}");
            furnished.make("/v1/subscription_schedules", &schedule);
        }
        let item = format!("customer={customer}&currency=usd&amount=500");
        furnished.make("/v1/invoiceitems", &item);
        let pending = format!("customer={customer}&pending_invoice_items_behavior=include");
        furnished.make("/v1/invoices", &pending);
        furnished.make("/v1/invoiceitems", &item);
        for (step, form, amounts) in [
            ("finalize", "", "amount=90"),
            ("pay", "paid_out_of_band=true", "amount=90&credit_amount=90"),
        ] {
            let invoice = furnished.invoice(&customer, step, form);
            furnished.make("/v1/credit_notes", &format!("invoice={invoice}&{amounts}"));
        }
        let meter = "display_name=m&event_name=e&default_aggregation[formula]=sum";
        furnished.make("/v1/billing/meters", meter);
        let link = format!("line_items[0][price]={price}&line_items[0][quantity]=1");
        furnished.make("/v1/payment_links", &link);
        let features = "features[invoice_history][enabled]=true";
        furnished.make("/v1/billing_portal/configurations", features);
        let line = format!("line_items[0][price]={price}&line_items[0][quantity]=1&success_url=http://a.b");
        furnished.make("/v1/checkout/sessions", &format!("mode=subscription&{line}"));
        furnished.make(
            "/v1/payment_intents",
            "amount=100&currency=usd&payment_method=pm_card_visa",
        );
        let paid = "amount=900&currency=usd&confirm=true&payment_method=pm_card_pendingRefund";
        let paid = furnished.make("/v1/payment_intents", paid);
        furnished.make("/v1/refunds", &format!("payment_intent={paid}&amount=300"));
        let coupon = furnished.make("/v1/coupons", "percent_off=10");
        let promotion = format!("promotion[type]=coupon&promotion[coupon]={coupon}");
        furnished.make("/v1/promotion_codes", &promotion);
        let line = "line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=900\
            &line_items[0][price_data][product_data][name]=n&line_items[0][quantity]=2&success_url=http://a.b";
        let discount = format!("discounts[0][coupon]={coupon}");
        furnished.make("/v1/checkout/sessions", &format!("mode=payment&{line}&{discount}"));
        let paid = "amount=100&currency=usd&confirm=true&payment_method=";
        for more in ["pm_card_visa&capture_method=manual", "pm_card_authenticationRequired"] {
            furnished.make("/v1/payment_intents", &format!("{paid}{more}"));
        }
        for more in ["pm_card_createDispute", "pm_card_createIssuerFraudRecord"] {
            furnished.make("/v1/payment_intents", &format!("{paid}{more}"));
        }
        furnished.find("/v1/disputes", "");
        furnished.find("/v1/radar/early_fraud_warnings", "");
        let saved = format!("customer={customer}&confirm=true&payment_method=");
        for more in ["pm_card_visa", "pm_card_authenticationRequired"] {
            furnished.make("/v1/setup_intents", &format!("{saved}{more}"));
        }
        furnished.make("/v1/payment_methods", "type=card&card[token]=tok_visa");
        let clock = furnished.make("/v1/test_helpers/test_clocks", "frozen_time=1700000000");
        let customer = format!("test_clock={clock}&payment_method=pm_card_visa");
        let customer = furnished.make("/v1/customers", &customer);
        let line = format!("customer={customer}&items[0][price]={price}&payment_behavior=default_incomplete");
        furnished.make("/v1/subscriptions", &line);
        furnished.make(
            "/v1/webhook_endpoints",
            "url=https://example.com&enabled_events[]=charge.failed",
        );
        furnished
    }

    fn make(&mut self, path: &'static str, form: &str) -> String {
        let id = self.sandbox.make(path, form);
        self.ids.push(id.clone());
        self.made_at.push(path.to_owned());
        id
    }

    /// Bank accounts and payouts, one of them by a schedule: time passes for it, so nothing that time would end is there yet.
    fn pay_out(&mut self) {
        let account = self.make("/v1/accounts", "country=DE&external_account=btok_us_verified_noAccount");
        let listed = self.sandbox.get(&format!("/v1/accounts/{account}"), "");
        self.keep(
            &format!("/v1/accounts/{account}/external_accounts"),
            field::text(&listed, "external_accounts.data.0.id"),
        );
        let platform = field::text(&self.sandbox.get("/v1/account", ""), "id").to_owned();
        self.keep("/v1/accounts", &platform);
        let bypassed = "amount=100000&currency=usd&confirm=true&payment_method=pm_card_bypassPending";
        self.make("/v1/payment_intents", bypassed);
        self.make("/v1/payouts", "amount=100&currency=usd");
        let schedule = "payments[payouts][schedule][interval]=daily";
        self.sandbox.post("/v1/balance_settings", schedule);
        self.sandbox.advance(2 * 86_400);
        self.find("/v1/payouts", "");
    }

    fn keep(&mut self, path: &str, id: &str) {
        self.ids.push(id.to_owned());
        self.made_at.push(path.to_owned());
    }

    /// An invoice with an item of its own, after this step.
    fn invoice(&mut self, customer: &str, step: &str, form: &str) -> String {
        let invoice = self.make("/v1/invoices", &format!("customer={customer}"));
        let item = format!("customer={customer}&currency=usd&amount=500&invoice={invoice}");
        self.make("/v1/invoiceitems", &item);
        self.sandbox.post(&format!("/v1/invoices/{invoice}/{step}"), form);
        invoice
    }

    /// Keeps the id of the newest of a list, which came about by something else that was made.
    fn find(&mut self, path: &'static str, form: &str) {
        let list = self.sandbox.get(path, form);
        self.ids.push(field::text(&list, "data.0.id").to_owned());
        self.made_at.push(path.to_owned());
    }

    /// The path with ids of what was made where the id stands, or else of anything.
    fn path(&self, template: &str, index: &Index) -> String {
        let mut path = String::new();
        for step in template.split('/').skip(1) {
            let made_here = (0..self.ids.len()).filter(|id| self.made_at[*id] == path);
            let made_here: Vec<usize> = made_here.collect();
            let id = match made_here.len() {
                0 => index.index(self.ids.len()),
                _ => *index.get(&made_here),
            };
            path.push('/');
            path.push_str(if step.starts_with('{') { &self.ids[id] } else { step });
        }
        path
    }

    fn call(&self, method: &str, path: &str, form: &[u8]) -> (u16, String) {
        let uri = if method != "POST" {
            format!(
                "{path}?{}",
                percent_encoding::percent_encode(form, percent_encoding::CONTROLS)
            )
        } else {
            path.to_owned()
        };
        let uri = uri
            .replace(|letter: char| " \"<>{}|\\^`#".contains(letter), "%20")
            .parse::<http::Uri>();
        match uri {
            Ok(uri) => self.sandbox.send(method, uri, form),
            Err(_) => (400, String::new()),
        }
    }
}

#[test]
fn no_form_makes_an_operation_fail() {
    let routes = Routes::new().unwrap();
    let operations: Vec<(&Operation, Vec<Place>)> = crate::resources::operations()
        .map(|operation| {
            let (route, _) = routes.find(operation.method, operation.path).unwrap();
            let mut all = Vec::new();
            places(&route.parameters, "", &mut all);
            (operation, all)
        })
        .collect();
    let furnished = RefCell::new(Furnished::new());
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let outcome = runner.run(
        &(any::<Index>(), any::<Index>(), any_form()),
        |(operation, id, form)| {
            let mut world = furnished.borrow_mut();
            if world.cases == CASES_PER_WORLD {
                let taken = world.taken;
                let problems = books::problems(&world.sandbox.app.world());
                *world = Furnished::new();
                prop_assert!(problems.is_empty(), "{problems:?}");
                // The handlers are tried with what gets past the check, so enough of it must.
                prop_assert!(taken > CASES_PER_WORLD / 20, "only {taken} forms were taken");
            }
            let (operation, places) = operation.get(&operations);
            let path = world.path(operation.path, &id);
            let form = encoded(places, &form, &world.ids);
            let (status, body) = world.call(operation.method, &path, &form);
            world.cases += 1;
            world.taken += usize::from(status == 200);
            let shown = String::from_utf8_lossy(&form).into_owned();
            prop_assert!(status < 500, "{} {path} {shown}: {body}", operation.method);
            Ok(())
        },
    );
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
