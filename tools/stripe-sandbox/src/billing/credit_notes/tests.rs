//! Whatever is sold, credited, taken back, paid, refunded and waited for: the invoices and their credit notes are right.

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use crate::{
    field,
    http::in_process::InProcess,
    json::Value,
    world::{World, books},
};

const CASES: u32 = 120;

#[derive(Clone, Debug)]
enum Step {
    Sell(&'static str),
    Credit {
        invoice: Index,
        line: Option<Index>,
        amount: i64,
        /// How what was paid goes back, in hundredths: refunded, to the balance, and the rest elsewhere.
        back: (i64, i64),
    },
    Void(Index),
    Act(Index, &'static str),
    Refund(Index, i64),
    /// An invoice by hand.
    Bill(i64),
    /// A payment intent for so many hundredths of what remains, and a payment before or after it is attached.
    Attach {
        invoice: Index,
        share: i64,
        paid_before: bool,
    },
    /// Something is done with a payment intent that is attached.
    Intend(Index, &'static str, &'static str),
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let one_of = prop::sample::select::<&'static str>;
    let sale = one_of(vec!["default_incomplete", "allow_incomplete"]);
    let credit = (
        any::<Index>(),
        prop::option::of(any::<Index>()),
        1..900_i64,
        (0..120_i64, 0..120_i64),
    );
    prop_oneof![
        3 => sale.prop_map(Step::Sell),
        9 => credit.prop_map(|(invoice, line, amount, back)| Step::Credit { invoice, line, amount, back }),
        1 => any::<Index>().prop_map(Step::Void),
        2 => (any::<Index>(), one_of(vec!["pay", "void", "mark_uncollectible"])).prop_map(|(invoice, act)| Step::Act(invoice, act)),
        2 => (any::<Index>(), 1..500_i64).prop_map(|(charge, amount)| Step::Refund(charge, amount)),
        2 => (60..3000_i64).prop_map(Step::Bill),
        4 => (any::<Index>(), 30..110_i64, any::<bool>())
            .prop_map(|(invoice, share, paid_before)| Step::Attach { invoice, share, paid_before }),
        4 => (any::<Index>(), one_of(vec!["confirm", "confirm", "cancel", ""]))
            .prop_map(|(intent, act)| Step::Intend(intent, act, if act.is_empty() { "amount=111" } else { "" })),
        1 => prop::sample::select(vec![3600, 86_400, 31 * 86_400]).prop_map(Step::Wait),
    ]
}

/// A customer in Germany with a card, two prices and a coupon: what a sale is made of.
fn sale(stripe: &InProcess) -> String {
    let customer = stripe.make("/v1/customers", "payment_method=pm_card_visa&address[country]=DE");
    let method = field::text(
        &stripe.get("/v1/payment_methods", &format!("customer={customer}")),
        "data.0.id",
    )
    .to_owned();
    let default = format!("invoice_settings[default_payment_method]={method}");
    stripe.post(&format!("/v1/customers/{customer}"), &default);
    let product = stripe.make("/v1/products", "name=p");
    let mut form = format!("customer={customer}&automatic_tax[enabled]=true");
    for (place, (amount, quantity)) in [(299, 3), (1001, 1)].iter().enumerate() {
        let price = format!("product={product}&currency=usd&unit_amount={amount}&recurring[interval]=month");
        let price = stripe.make("/v1/prices", &price);
        form.push_str(&format!(
            "&items[{place}][price]={price}&items[{place}][quantity]={quantity}"
        ));
    }
    let coupon = stripe.make("/v1/coupons", "percent_off=15&duration=forever");
    format!("{form}&discounts[0][coupon]={coupon}&payment_behavior=")
}

/// The first refund of what paid an invoice.
fn refund_of(world: &World, invoice: &Value) -> Option<String> {
    let charge = super::charges_of(world, invoice).pop()?;
    let all = world.all("refund").into_iter().rev();
    let mut own = all.filter(|one| field::at(one, "charge") == field::at(&charge, "id"));
    own.next().map(|one| field::text(&one, "id").to_owned())
}

/// The amounts of a message that says two sums must be equal.
fn amounts_in(message: &str) -> Vec<i64> {
    let amounts = message.split("($").skip(1).filter_map(|rest| rest.split_once(')'));
    let amounts = amounts.filter_map(|(amount, _)| amount.replace('.', "").parse().ok());
    amounts.filter(|_| message.contains("must equal")).collect()
}

fn take(stripe: &InProcess, sale: &str, step: &Step) -> u16 {
    let found = |object: &str, index: &Index| {
        let all = stripe.app.world().all(object);
        (!all.is_empty()).then(|| index.get(&all).clone())
    };
    let found_that = |object: &str, index: &Index, is: fn(&Value) -> bool| {
        let mut all = stripe.app.world().all(object);
        all.retain(is);
        (!all.is_empty()).then(|| index.get(&all).clone())
    };
    let post = |path: &str, form: &str| stripe.call("POST", path, form).0;
    match step {
        Step::Sell(how) => post("/v1/subscriptions", &format!("{sale}{how}")),
        Step::Credit {
            invoice,
            line,
            amount,
            back,
        } => {
            let Some(invoice) = found("invoice", invoice) else {
                return 200;
            };
            let mut form = format!("invoice={}", field::text(&invoice, "id"));
            match line {
                Some(line) => {
                    let line = line.get(field::elements(&invoice, "lines.data"));
                    let id = field::text(line, "id");
                    form.push_str("&lines[0][type]=invoice_line_item");
                    form.push_str(&format!("&lines[0][invoice_line_item]={id}&lines[0][amount]={amount}"));
                }
                None => form.push_str(&format!("&amount={amount}")),
            }
            // A refund that was made, which may be linked already or have given back less.
            if let Some(refund) = refund_of(&stripe.app.world(), &invoice).filter(|_| back.0 > 60) {
                form.push_str(&format!("&refunds[0][refund]={refund}"));
                if back.1 > 90 {
                    form.push_str(&format!("&refunds[0][amount_refunded]={}", back.1));
                }
            }
            // The refusal of a note that gives too little back says what is missing.
            let refusal = stripe.call("GET", "/v1/credit_notes/preview", &form).1;
            let amounts = amounts_in(field::text(&refusal, "error.message"));
            if let [given, wanted] = amounts[..] {
                let missing = (wanted - given).max(0);
                let (refund, credit) = (missing * back.0 / 100, missing * back.1 / 100);
                let elsewhere = (missing - refund - credit).max(0);
                form.push_str(&format!(
                    "&refund_amount={refund}&credit_amount={credit}&out_of_band_amount={elsewhere}"
                ));
            }
            post("/v1/credit_notes", &form)
        }
        Step::Void(note) => match found("credit_note", note) {
            Some(note) => post(&format!("/v1/credit_notes/{}/void", field::text(&note, "id")), ""),
            None => 200,
        },
        Step::Act(invoice, act) => match found("invoice", invoice) {
            Some(invoice) => post(&format!("/v1/invoices/{}/{act}", field::text(&invoice, "id")), ""),
            None => 200,
        },
        Step::Refund(charge, amount) => match found("charge", charge) {
            Some(charge) => post(
                "/v1/refunds",
                &format!("charge={}&amount={amount}", field::text(&charge, "id")),
            ),
            None => 200,
        },
        Step::Bill(amount) => {
            let customer = sale.split('&').next().unwrap_or_default();
            let status = post("/v1/invoiceitems", &format!("{customer}&currency=usd&amount={amount}"));
            let made = stripe.call(
                "POST",
                "/v1/invoices",
                &format!("{customer}&pending_invoice_items_behavior=include"),
            );
            let path = format!("/v1/invoices/{}/finalize", field::text(&made.1, "id"));
            status.max(made.0).max(post(&path, "auto_advance=false"))
        }
        Step::Attach {
            invoice,
            share,
            paid_before,
        } => {
            let is_open = |one: &Value| field::text(one, "status") == "open";
            let Some(invoice) = found_that("invoice", invoice, is_open) else {
                return 200;
            };
            let customer = field::text(&invoice, "customer");
            let amount = (field::integer(&invoice, "amount_remaining") * share / 100).max(50);
            let mut form = format!("customer={customer}&currency=usd&amount={amount}&payment_method=pm_card_visa");
            if *paid_before {
                form.push_str("&confirm=true&return_url=https://example.com");
            }
            let intent = stripe.make("/v1/payment_intents", &form);
            let path = format!("/v1/invoices/{}/attach_payment", field::text(&invoice, "id"));
            post(&path, &format!("payment_intent={intent}"))
        }
        Step::Intend(intent, act, form) => match found_that("payment_intent", intent, |one| {
            !field::at(one, "_sandbox.attached").is_null() && field::text(one, "status") != "succeeded"
        }) {
            Some(intent) => {
                let path = format!("/v1/payment_intents/{}/{act}", field::text(&intent, "id"));
                let form = match *act {
                    "confirm" => "return_url=https://example.com",
                    _ => form,
                };
                post(path.trim_end_matches('/'), form)
            }
            None => 200,
        },
        Step::Wait(seconds) => {
            stripe.advance(*seconds);
            200
        }
    }
}

/// What of an invoice remains is what its own payment asks for, and nothing is asked for twice.
fn check(world: &World) -> Result<(), TestCaseError> {
    for invoice in world.all("invoice") {
        let (due, paid) = (
            field::integer(&invoice, "amount_due"),
            field::integer(&invoice, "amount_paid"),
        );
        let status = field::text(&invoice, "status");
        let remains = field::integer(&invoice, "amount_remaining");
        prop_assert_eq!(paid + remains, due, "{}", invoice);
        prop_assert!(status != "open" || remains > 0, "{invoice}");
        let payment = super::invoicing::payment_of(world, field::text(&invoice, "id"));
        let Some(payment) = payment.filter(|_| status != "void") else {
            continue;
        };
        let asked = field::integer(&payment, "amount_requested");
        let intent = world.find(field::text(&payment, "payment.payment_intent")).unwrap();
        let (amount, received) = match field::text(&payment, "status") {
            "open" => (remains, 0),
            _ => (asked, asked),
        };
        prop_assert_eq!(asked, amount, "{}", invoice);
        prop_assert_eq!(field::integer(intent, "amount"), amount, "{}", invoice);
        prop_assert_eq!(field::integer(intent, "amount_received"), received, "{}", invoice);
    }
    Ok(())
}

#[test]
fn the_books_are_right_whatever_is_credited() {
    let stripe = InProcess::new();
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2),
        ..Cases::default()
    });
    let (issued, linked) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let (mixed, overpaid) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome = runner.run(&prop::collection::vec(any_step(), 1..40), |steps| {
        stripe.reset();
        let sale = sale(&stripe);
        for step in &steps {
            let status = take(&stripe, &sale, step);
            prop_assert!(status < 500, "{step:?}");
        }
        let world = stripe.app.world();
        let notes = world.all("credit_note");
        issued.set(issued.get() + notes.len());
        let two = notes.iter().filter(|note| field::elements(note, "refunds").len() > 1);
        linked.set(linked.get() + two.count());
        let both = notes.iter().filter(|note| field::text(note, "type") == "mixed");
        mixed.set(mixed.get() + both.count());
        let invoices = world.all("invoice").into_iter();
        let over = invoices.filter(|one| field::integer(one, "amount_overpaid") > 0);
        overpaid.set(overpaid.get() + over.count());
        let problems = books::problems(&world);
        prop_assert!(problems.is_empty(), "{problems:?}");
        check(&world)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(linked.get() > 0, "no refund was linked beside another");
    let counts = (mixed.get(), overpaid.get());
    assert!(
        counts.0 > 0 && counts.1 > 0,
        "{counts:?} notes on invoices paid in part, and invoices overpaid"
    );
    assert!(
        issued.get() > usize::try_from(CASES).unwrap(),
        "only {} notes were issued",
        issued.get()
    );
}

/// An open invoice of 1500 in one line of three units.
fn open(stripe: &InProcess) -> Value {
    let customer = stripe.make("/v1/customers", "payment_method=pm_card_visa");
    let item = format!("customer={customer}&price_data[currency]=usd&price_data[unit_amount]=500&quantity=3");
    let product = stripe.make("/v1/products", "name=p");
    stripe.post("/v1/invoiceitems", &format!("{item}&price_data[product]={product}"));
    let form = format!("customer={customer}&pending_invoice_items_behavior=include");
    let invoice = stripe.make("/v1/invoices", &form);
    stripe.post(&format!("/v1/invoices/{invoice}/finalize"), "")
}

#[test]
fn a_preview_is_what_is_issued_and_changes_nothing() {
    let stripe = InProcess::new();
    let invoice = open(&stripe);
    let line = field::text(&invoice, "lines.data.0.id");
    let form = format!(
        "invoice={}&lines[0][type]=invoice_line_item&lines[0][invoice_line_item]={line}&lines[0][quantity]=2&memo=m",
        field::text(&invoice, "id")
    );
    let before = stripe.app.world().hash();
    let mut previewed = stripe.get("/v1/credit_notes/preview", &form);
    assert_eq!(stripe.app.world().hash(), before);
    let mut issued = stripe.post("/v1/credit_notes", &form);
    assert_eq!(field::integer(&issued, "total"), 1000);
    for note in [&mut previewed, &mut issued] {
        for name in ["id", "pdf", "lines.url", "lines.data.0.id"] {
            field::set(note, name, "");
        }
    }
    assert_eq!(previewed, issued);
}
