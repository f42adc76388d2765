//! Whatever parts of an invoice are credited, in whatever order, and taken back: the parts come to the whole, and never to more.

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config as Cases, RngSeed, TestRunner},
};

use super::*;

const CASES: u32 = 1_000;

/// A line: what it costs, in how many units, and how many hundredths of it, and of what is left then, are taken off.
type Line = (i64, i64, i64, i64);

fn invoice(lines: &[Line], rate: i64) -> Value {
    let mut all = Vec::new();
    let mut net = 0;
    for (place, (amount, quantity, first, second)) in lines.iter().enumerate() {
        let first = amount * first / 100;
        let second = (amount - first) * second / 100;
        net += amount - first - second;
        let taken: Vec<Value> = [("di_1", first), ("di_2", second)]
            .iter()
            .filter(|(_, off)| *off > 0)
            .map(|(discount, off)| json!({ "amount": off, "discount": discount }))
            .collect();
        all.push(json!({
            "id": format!("il_{place}"), "amount": amount, "quantity": quantity, "discount_amounts": taken,
            "description": null,
        }));
    }
    let tax = (net * rate * 2 + 100) / 200;
    let taxes = json!([{ "amount": tax, "taxable_amount": net }]);
    json!({
        "lines": { "data": all }, "currency": "usd", "total": net + tax, "total_excluding_tax": net,
        "total_taxes": if rate > 0 { taxes } else { json!([]) },
    })
}

fn wanted(what: What<'_>) -> Wanted<'_> {
    Wanted {
        what,
        metadata: json!({}),
        param: "lines[0]".to_owned(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many hundredths of what is left of a line, but at least one.
    Part(Index, i64),
    Whole(i64),
    Custom(i64),
    Void(Index),
}

fn any_step(others: u32) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<Index>(), prop_oneof![Just(0), 1..101_i64]).prop_map(|(line, part)| Step::Part(line, part)),
        others => (1..60_i64).prop_map(Step::Whole),
        others => (1..20_i64).prop_map(Step::Custom),
        2 => any::<Index>().prop_map(Step::Void),
    ]
}

fn note(lines: Vec<Value>) -> Value {
    json!({ "status": "issued", "lines": { "data": lines } })
}

/// What is left of each line, in units or in amounts.
fn left(invoice: &Value, notes: &[Value], by_units: bool) -> Vec<(String, i64)> {
    let name = if by_units { "quantity" } else { "amount" };
    let lines = field::elements(invoice, "lines.data").iter();
    lines
        .map(|line| {
            let id = field::text(line, "id");
            let credited: i64 = notes
                .iter()
                .flat_map(|note| field::elements(note, "lines.data"))
                .filter(|one| field::text(one, "invoice_line_item") == id)
                .map(|one| field::integer(one, name))
                .sum();
            (id.to_owned(), field::integer(line, name) - credited)
        })
        .collect()
}

fn part(id: &str, amount: i64, by_units: bool) -> Wanted<'_> {
    wanted(if by_units {
        What::Units(id, amount)
    } else {
        What::Amount(id, amount)
    })
}

/// Takes the steps; gives the notes that stand.
fn credit(invoice: &Value, steps: &[Step], by_units: bool) -> Result<Vec<Value>, TestCaseError> {
    let mut notes: Vec<Value> = Vec::new();
    let total = field::integer(invoice, "total");
    for step in steps {
        let lines = left(invoice, &notes, by_units);
        let mut credited = Credited::by(&notes);
        let before = credited.total;
        let written = match step {
            Step::Part(line, hundredths) => {
                let (id, left) = line.get(&lines);
                written(
                    invoice,
                    &mut credited,
                    &[part(id, (left * hundredths / 100).max(1), by_units)],
                )
            }
            Step::Whole(hundredths) => {
                let amount = (total * hundredths / 100).max(1);
                written(invoice, &mut credited, &[wanted(What::Whole(amount))])
            }
            Step::Custom(amount) => {
                let what = What::Custom {
                    description: "x",
                    quantity: 2,
                    unit_amount: *amount,
                };
                written(invoice, &mut credited, &[wanted(what)])
            }
            Step::Void(place) => {
                if !notes.is_empty() {
                    notes.remove(place.index(notes.len()));
                }
                continue;
            }
        };
        let Ok(lines) = written else { continue };
        let sum: i64 = lines.iter().map(super::total).sum();
        for line in &lines {
            let (amount, off) = (field::integer(line, "amount"), field::integer(line, "discount_amount"));
            prop_assert!(amount >= 0 && (0..=amount).contains(&off), "{line}");
            prop_assert!(field::integer(line, "taxes.0.amount") >= 0, "{line}");
        }
        if let Step::Whole(_) = step {
            prop_assert_eq!(
                sum,
                (total
                    * match step {
                        Step::Whole(part) => *part,
                        _ => 0,
                    }
                    / 100)
                    .max(1)
            );
        }
        prop_assert!(before + sum <= total, "{before} and {sum} of {total}");
        prop_assert_eq!(credited.total, before + sum);
        notes.push(note(lines));
        prop_assert!(Credited::by(&notes).tax <= field::integer(invoice, "total_taxes.0.amount"));
    }
    Ok(notes)
}

fn any_invoice() -> impl Strategy<Value = Value> {
    let off = || prop_oneof![2 => Just(0), 1 => 1..101_i64];
    let line = (prop_oneof![1..25_i64, 1..5_000_i64], 1..9_i64, off(), off());
    let rate = prop_oneof![Just(0), 1..30_i64];
    (prop::collection::vec(line, 1..4), rate).prop_map(|(lines, rate)| invoice(&lines, rate))
}

fn run(others: u32, check: impl Fn(&Value, Vec<Value>, bool) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(Cases {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Cases::default()
    });
    let steps = prop::collection::vec(any_step(others), 0..25);
    let outcome = runner.run(&(any_invoice(), steps, any::<bool>()), |(invoice, steps, by_units)| {
        let notes = credit(&invoice, &steps, by_units)?;
        check(&invoice, notes, by_units)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn notes_over_all_lines_come_to_exactly_the_invoice() {
    run(0, |invoice, mut notes, by_units| {
        for (id, left) in left(invoice, &notes, by_units) {
            if left > 0 {
                let rest = written(invoice, &mut Credited::by(&notes), &[part(&id, left, by_units)]);
                notes.push(note(
                    rest.map_err(|error| TestCaseError::fail(format!("{:?}", error.fields)))?,
                ));
            }
        }
        let lines: Vec<&Value> = notes
            .iter()
            .flat_map(|note| field::elements(note, "lines.data"))
            .collect();
        let sum = |name: &str| lines.iter().map(|line| field::integer(line, name)).sum::<i64>();
        prop_assert_eq!(sum("taxes.0.amount"), field::integer(invoice, "total_taxes.0.amount"));
        let net = sum("amount") - sum("discount_amount");
        prop_assert_eq!(net, field::integer(invoice, "total_excluding_tax"));
        prop_assert_eq!(Credited::by(&notes).total, field::integer(invoice, "total"));
        for line in field::elements(invoice, "lines.data") {
            for (place, taken) in field::elements(line, "discount_amounts").iter().enumerate() {
                let own = lines
                    .iter()
                    .filter(|one| field::at(one, "invoice_line_item") == field::at(line, "id"));
                let credited = own.map(|one| field::integer(one, &format!("discount_amounts.{place}.amount")));
                prop_assert_eq!(credited.sum::<i64>(), field::integer(taken, "amount"));
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_left_of_an_invoice_can_be_credited_whatever_was_before() {
    run(2, |invoice, mut notes, _| {
        let left = field::integer(invoice, "total") - Credited::by(&notes).total;
        if left > 0 {
            let more = written(invoice, &mut Credited::by(&notes), &[wanted(What::Whole(left + 1))]);
            prop_assert!(more.is_err());
            let rest = written(invoice, &mut Credited::by(&notes), &[wanted(What::Whole(left))]);
            notes.push(note(
                rest.map_err(|error| TestCaseError::fail(format!("{:?}", error.fields)))?,
            ));
        }
        prop_assert_eq!(Credited::by(&notes).total, field::integer(invoice, "total"));
        Ok(())
    });
}

#[test]
fn the_first_part_is_in_proportion_half_up() {
    let invoice = invoice(&[(1000, 3, 25, 0), (500, 1, 0, 0)], 19);
    let mut credited = Credited::default();
    let lines = written(&invoice, &mut credited, &[part("il_0", 1, true)]).unwrap();
    let line = &lines[0];
    assert_eq!(
        (field::integer(line, "amount"), field::integer(line, "discount_amount")),
        (333, 83)
    );
    // 237.5 on 1250: 47.5 on 250.
    assert_eq!(field::integer(line, "taxes.0.amount"), 48);
    assert_eq!(field::integer(line, "taxes.0.taxable_amount"), 250);
    let whole = written(&invoice, &mut Credited::default(), &[wanted(What::Whole(119))]).unwrap();
    assert_eq!(
        (
            field::integer(&whole[0], "amount"),
            field::integer(&whole[0], "taxes.0.amount")
        ),
        (100, 19)
    );
}

#[test]
fn a_line_is_credited_by_quantity_or_by_amount() {
    let invoice = invoice(&[(1000, 3, 0, 0)], 0);
    for (first, then) in [(true, false), (false, true)] {
        let mut credited = Credited::default();
        written(&invoice, &mut credited, &[part("il_0", 1, first)]).unwrap();
        assert!(written(&invoice, &mut credited, &[part("il_0", 1, then)]).is_err());
        assert!(written(&invoice, &mut credited, &[part("il_0", 1, first)]).is_ok());
    }
}
