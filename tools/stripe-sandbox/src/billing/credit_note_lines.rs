//! What the lines of a credit note come to: a part of an invoice's lines, with the discounts and the tax that go with it.
//!
//! A part takes of a discount or a tax what belongs to all that is credited by then, rounded half up, less what was credited
//! before. So the first note takes its proportion to the cent, and the last one exactly what is left. That is ours: Stripe
//! says only that they are in proportion. Source: <https://docs.stripe.com/invoicing/integration/programmatic-credit-notes>.

use std::collections::BTreeMap;

use super::start::symbolic;
use crate::{
    field,
    http::error::ApiError,
    json::{Value, json},
    shapes,
};

/// What one line of a credit note is to credit.
pub(crate) struct Wanted<'a> {
    pub(crate) what: What<'a>,
    pub(crate) metadata: Value,
    /// What the parameter is called that asks for it.
    pub(crate) param: String,
}

pub(crate) enum What<'a> {
    /// So many units of a line of the invoice.
    Units(&'a str, i64),
    /// So much of a line of the invoice, before discounts and tax.
    Amount(&'a str, i64),
    /// So many times an amount that nothing is taxed of.
    Custom {
        description: &'a str,
        quantity: i64,
        unit_amount: i64,
    },
    /// So much of the whole invoice, tax included.
    Whole(i64),
}

/// What of an invoice its credit notes that stand have credited, in minor units.
#[derive(Default)]
pub(crate) struct Credited {
    lines: BTreeMap<String, CreditedLine>,
    /// Of what is taxed: after discounts, and its tax.
    net: i64,
    tax: i64,
    pub(crate) total: i64,
}

#[derive(Default)]
struct CreditedLine {
    amount: i64,
    discounts: Vec<i64>,
    units: i64,
}

impl Credited {
    /// By these notes.
    pub(crate) fn by(notes: &[Value]) -> Self {
        let mut credited = Self::default();
        for note in notes.iter().filter(|note| field::text(note, "status") == "issued") {
            field::elements(note, "lines.data")
                .iter()
                .for_each(|line| credited.add(line));
        }
        credited
    }

    fn add(&mut self, line: &Value) {
        let (amount, off) = (field::integer(line, "amount"), field::integer(line, "discount_amount"));
        let tax = field::integer(line, "taxes.0.amount");
        if !field::at(line, "taxes.0").is_null() || field::some_text(line, "invoice_line_item").is_some() {
            self.net += amount - off;
        }
        self.tax += tax;
        self.total += amount - off + tax;
        if let Some(id) = field::some_text(line, "invoice_line_item") {
            let before = self.lines.entry(id.to_owned()).or_default();
            before.amount += amount;
            before.units += field::integer(line, "quantity");
            let offs = field::elements(line, "discount_amounts");
            before.discounts.resize(before.discounts.len().max(offs.len()), 0);
            for (sum, off) in before.discounts.iter_mut().zip(offs) {
                *sum += field::integer(off, "amount");
            }
        }
    }
}

/// Part of a sum that was credited already, and all of it.
#[derive(Clone, Copy)]
struct Part {
    before: i64,
    whole: i64,
}

impl Part {
    fn left(self) -> i64 {
        self.whole - self.before
    }

    /// What goes along with the part of `base` that reaches `reached`, within what is left and these limits.
    fn share(self, reached: i64, base: i64, least: i64, most: i64) -> i64 {
        let whole = i128::from(self.whole) * i128::from(reached.min(base));
        let proportion = super::decimal::divided(whole, i128::from(base));
        let (least, most) = (least.max(0), most.min(self.left()).max(0));
        (proportion - self.before).min(most).max(least)
    }
}

/// The lines of a credit note on `invoice`, without ids, after what was credited before. Of what is less than nothing
/// nothing can be credited.
pub(crate) fn written(invoice: &Value, credited: &mut Credited, wanted: &[Wanted<'_>]) -> Result<Vec<Value>, ApiError> {
    let mut lines = Vec::new();
    for one in wanted {
        let mut line = shapes::credit_note_line_item();
        field::set(&mut line, "livemode", field::at(invoice, "livemode").clone());
        field::set(&mut line, "metadata", one.metadata.clone());
        match one.what {
            What::Units(id, _) | What::Amount(id, _) => {
                of_invoice_line(invoice, credited, id, one, &mut line)?;
                let net = field::integer(&line, "amount") - field::integer(&line, "discount_amount");
                tax_on(invoice, credited, net, &mut line);
            }
            What::Custom {
                description,
                quantity,
                unit_amount,
            } => custom(&mut line, description, quantity, unit_amount),
            What::Whole(amount) => {
                let tax = tax_within(invoice, credited, amount);
                custom(&mut line, "Credit", 1, amount - tax.unwrap_or_default());
                if let Some(tax) = tax {
                    write_tax(invoice, tax, amount - tax, &mut line);
                }
            }
        }
        credited.add(&line);
        lines.push(line);
    }
    let left = field::integer(invoice, "total") - credited.total;
    if left < 0 {
        let currency = field::text(invoice, "currency");
        let asked: i64 = lines.iter().map(total).sum();
        let message = format!(
            "The credit note amount ({}) is greater than what is left to be credited of the invoice ({}).",
            symbolic(asked, currency),
            symbolic((asked + left).max(0), currency)
        );
        let param = if matches!(
            wanted,
            [Wanted {
                what: What::Whole(_),
                ..
            }]
        ) {
            "amount"
        } else {
            "lines"
        };
        return Err(ApiError::invalid(message).param(param));
    }
    Ok(lines)
}

/// What a line of a credit note comes to, discounts and tax included.
pub(crate) fn total(line: &Value) -> i64 {
    field::integer(line, "amount") - field::integer(line, "discount_amount") + field::integer(line, "taxes.0.amount")
}

fn custom(line: &mut Value, description: &str, quantity: i64, unit_amount: i64) {
    field::set(line, "type", "custom_line_item");
    field::set(line, "description", description);
    field::set(line, "quantity", quantity);
    field::set(line, "unit_amount", unit_amount);
    field::set(line, "unit_amount_decimal", unit_amount.to_string());
    field::set(line, "amount", quantity.saturating_mul(unit_amount));
}

fn of_invoice_line(
    invoice: &Value,
    credited: &mut Credited,
    id: &str,
    wanted: &Wanted<'_>,
    line: &mut Value,
) -> Result<(), ApiError> {
    let all = field::elements(invoice, "lines.data");
    let Some(of) = all.iter().find(|one| field::text(one, "id") == id) else {
        return Err(ApiError::missing(
            "invoice line item",
            id,
            &format!("{}[invoice_line_item]", wanted.param),
        ));
    };
    let before = credited.lines.entry(id.to_owned()).or_default();
    let gross = Part {
        before: before.amount,
        whole: field::integer(of, "amount"),
    };
    let units = Part {
        before: before.units,
        whole: if gross.whole < 0 {
            0
        } else {
            field::integer(of, "quantity")
        },
    };
    let by_units = matches!(wanted.what, What::Units(..));
    let was_by_units = before.units > 0;
    if (before.amount > 0 || was_by_units) && was_by_units != by_units {
        let how = if was_by_units { "quantity" } else { "amount" };
        let message = format!("Part of the invoice line item {id} was credited by {how}: so must the rest be.");
        return Err(ApiError::invalid(message).param(wanted.param.clone()));
    }
    let amount = match wanted.what {
        What::Units(_, quantity) => {
            limit(quantity, units.left(), &format!("{}[quantity]", wanted.param), id)?;
            field::set(line, "quantity", quantity);
            gross.share(units.before + quantity, units.whole, 0, gross.left())
        }
        What::Amount(_, amount) => {
            limit(amount, gross.left(), &format!("{}[amount]", wanted.param), id)?;
            amount
        }
        _ => 0,
    };
    field::set(line, "type", "invoice_line_item");
    field::set(line, "invoice_line_item", id);
    field::set(line, "description", field::at(of, "description").clone());
    field::set(line, "amount", amount);
    // What is left after one discount is what the next may take of.
    let (mut whole, mut done, mut now) = (gross.whole, gross.before, amount);
    let mut offs = Vec::new();
    let mut sum = 0;
    for (place, taken) in field::elements(of, "discount_amounts").iter().enumerate() {
        let part = Part {
            before: before.discounts.get(place).copied().unwrap_or_default(),
            whole: field::integer(taken, "amount"),
        };
        let least = (done - part.before) + now - (whole - part.whole);
        let off = part.share(done + now, whole, least, now);
        (whole, done, now) = (whole - part.whole, done - part.before, now - off);
        sum += off;
        offs.push((off, field::at(taken, "discount").clone()));
    }
    field::set(line, "discount_amount", sum);
    let discounts: Vec<Value> = offs
        .iter()
        .map(|(amount, discount)| json!({ "amount": amount, "discount": discount }))
        .collect();
    field::set(line, "discount_amounts", discounts);
    let pretax: Vec<Value> = offs
        .iter()
        .map(|(amount, discount)| json!({ "amount": amount, "discount": discount, "type": "discount" }))
        .collect();
    field::set(line, "pretax_credit_amounts", pretax);
    Ok(())
}

fn limit(wanted: i64, left: i64, param: &str, id: &str) -> Result<(), ApiError> {
    if wanted < 1 {
        return Err(ApiError::not_positive(param));
    }
    if wanted > left {
        let message = format!(
            "{wanted} is greater than what is left to be credited of {id} ({}).",
            left.max(0)
        );
        return Err(ApiError::invalid_integer(param, message));
    }
    Ok(())
}

/// The tax of an invoice, and what of it was credited; none where it is not taxed.
fn tax_of(invoice: &Value, credited: &Credited) -> Option<Part> {
    (!field::at(invoice, "total_taxes.0").is_null()).then(|| Part {
        before: credited.tax,
        whole: field::integer(invoice, "total_taxes.0.amount"),
    })
}

/// Adds the tax that goes with `net`.
fn tax_on(invoice: &Value, credited: &Credited, net: i64, line: &mut Value) {
    if let Some(part) = tax_of(invoice, credited) {
        let base = field::integer(invoice, "total_excluding_tax");
        let tax = part.share(credited.net + net, base, 0, part.left());
        write_tax(invoice, tax, net, line);
    }
}

/// The tax that is in `amount` of the whole invoice.
fn tax_within(invoice: &Value, credited: &Credited, amount: i64) -> Option<i64> {
    let part = tax_of(invoice, credited)?;
    let net_left = field::integer(invoice, "total_excluding_tax") - credited.net;
    let reached = credited.net + credited.tax + amount;
    Some(part.share(reached, field::integer(invoice, "total"), amount - net_left, amount))
}

fn write_tax(invoice: &Value, tax: i64, net: i64, line: &mut Value) {
    let mut written = field::at(invoice, "total_taxes.0").clone();
    let taxed = field::integer(&written, "taxable_amount") != 0;
    field::set(&mut written, "amount", tax);
    field::set(&mut written, "taxable_amount", if taxed { net } else { 0 });
    field::set(line, "taxes", json!([written]));
}

#[cfg(test)]
mod tests;
