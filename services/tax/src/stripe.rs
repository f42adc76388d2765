//! Stripe's objects to our model, our requests to Stripe's, and Stripe's names of parameters to our fields. A
//! calculation's JSON is read for what the model needs and the rest is passed over, so a field Stripe adds or drops
//! elsewhere harms nothing.

use chrono::DateTime;
use counterfoil_stripe::json::{Unreadable, read};
use counterfoil_stripe::tax_calculation as calculations;
use counterfoil_types::{Currency, Money};
use serde::Deserialize;

use crate::model::calculation::{Breakdown, Calculation, Line, NewCalculation, TaxId};

/// The request for a calculation.
#[must_use]
pub fn create_calculation(new: &NewCalculation) -> calculations::CreateTaxCalculation {
    let mut address = calculations::CreateTaxCalculationCustomerDetailsAddress::new(&new.address.country_code);
    address.state = new.address.state.clone();
    address.city = new.address.city.clone();
    address.postal_code = new.address.postal_code.clone();
    address.line1 = new.address.line1.clone();
    address.line2 = new.address.line2.clone();
    let mut customer = calculations::CreateTaxCalculationCustomerDetails::new();
    customer.address = Some(address);
    customer.address_source = Some(calculations::CreateTaxCalculationCustomerDetailsAddressSource::Billing);
    if !new.tax_ids.is_empty() {
        customer.tax_ids = Some(new.tax_ids.iter().map(tax_id).collect());
    }
    let lines: Vec<_> = new.lines.iter().map(line).collect();
    calculations::CreateTaxCalculation::new(currency(new.currency), lines).customer_details(customer)
}

fn line(line: &Line) -> calculations::CreateTaxCalculationLineItems {
    use calculations::CreateTaxCalculationLineItemsTaxBehavior::{Exclusive, Inclusive};
    let mut item = calculations::CreateTaxCalculationLineItems::new(line.amount);
    item.reference = Some(line.reference.clone());
    item.quantity = Some(line.quantity);
    item.tax_code = line.tax_code.clone();
    item.tax_behavior = Some(if line.inclusive { Inclusive } else { Exclusive });
    item
}

fn tax_id(id: &TaxId) -> calculations::CreateTaxCalculationCustomerDetailsTaxIds {
    use std::str::FromStr;
    let Ok(kind) = calculations::CreateTaxCalculationCustomerDetailsTaxIdsType::from_str(&id.kind);
    calculations::CreateTaxCalculationCustomerDetailsTaxIds::new(kind, &id.value)
}

fn currency(currency: Currency) -> counterfoil_stripe::Currency {
    use std::str::FromStr;
    let Ok(currency) = counterfoil_stripe::Currency::from_str(currency.code());
    currency
}

/// Reads a calculation.
///
/// # Errors
/// When a field the model needs is missing or of another type. The message names no value.
pub fn calculation(json: &[u8]) -> Result<Calculation, Unreadable> {
    #[derive(Deserialize)]
    struct Object {
        id: String,
        currency: String,
        amount_total: i64,
        tax_amount_exclusive: i64,
        tax_amount_inclusive: i64,
        tax_breakdown: Vec<Part>,
        #[serde(default)]
        expires_at: Option<i64>,
    }
    #[derive(Deserialize)]
    struct Part {
        amount: i64,
        taxable_amount: i64,
        inclusive: bool,
        taxability_reason: String,
        tax_rate_details: Rate,
    }
    #[derive(Deserialize)]
    struct Rate {
        percentage_decimal: String,
        #[serde(default)]
        country: Option<String>,
        #[serde(default)]
        state: Option<String>,
    }

    let object: Object = read("tax calculation", json)?;
    let currency = Currency::parse(&object.currency)
        .map_err(|error| Unreadable::new("tax calculation", format!("its currency {error}")))?;
    let money = |minor_units| Money { minor_units, currency };
    let breakdown = object.tax_breakdown.into_iter().map(|part| Breakdown {
        tax: money(part.amount),
        taxable_amount: money(part.taxable_amount),
        inclusive: part.inclusive,
        percentage_decimal: part.tax_rate_details.percentage_decimal,
        country_code: part.tax_rate_details.country,
        state: part.tax_rate_details.state,
        taxability_reason: part.taxability_reason,
    });
    Ok(Calculation {
        id: object.id,
        total: money(object.amount_total),
        exclusive_tax: money(object.tax_amount_exclusive),
        inclusive_tax: money(object.tax_amount_inclusive),
        breakdown: breakdown.collect(),
        expires_at: object
            .expires_at
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
    })
}

/// The field of our request that a parameter of Stripe's stands for, where there is one:
/// `customer_details[address][postal_code]` is `address.postal_code`.
#[must_use]
pub fn field_of(param: &str) -> Option<String> {
    let path: Vec<&str> = param.split(['[', ']']).filter(|part| !part.is_empty()).collect();
    match path.as_slice() {
        ["currency"] => Some("line_items[0].amount.currency_code".to_owned()),
        ["line_items"] => Some("line_items".to_owned()),
        ["line_items", index, name] => {
            let name = match *name {
                "amount" => "amount.minor_units",
                name @ ("reference" | "quantity" | "tax_code" | "tax_behavior") => name,
                _ => return None,
            };
            Some(format!("line_items[{index}].{name}"))
        }
        ["customer_details", "address"] => Some("address".to_owned()),
        ["customer_details", "address", "country"] => Some("address.country_code".to_owned()),
        [
            "customer_details",
            "address",
            name @ ("state" | "city" | "postal_code" | "line1" | "line2"),
        ] => Some(format!("address.{name}")),
        ["customer_details", "tax_ids"] => Some("tax_ids".to_owned()),
        ["customer_details", "tax_ids", index] => Some(format!("tax_ids[{index}]")),
        ["customer_details", "tax_ids", index, name @ ("type" | "value")] => Some(format!("tax_ids[{index}].{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_calculation_is_read_and_unknown_fields_passed_over() {
        let object = json!({
            "id": "taxcalc_1", "currency": "eur", "amount_total": 11_900, "tax_amount_exclusive": 1_900,
            "tax_amount_inclusive": 0, "expires_at": null, "something_new": [1],
            "tax_breakdown": [{"amount": 1_900, "taxable_amount": 10_000, "inclusive": false,
                "taxability_reason": "a_reason_of_tomorrow",
                "tax_rate_details": {"percentage_decimal": "19.0", "country": "DE", "state": null}}],
        });
        let read = calculation(object.to_string().as_bytes()).unwrap();
        assert_eq!(read.total.to_string(), "119.00 EUR");
        assert_eq!(read.breakdown[0].taxability_reason, "a_reason_of_tomorrow");
        assert_eq!((read.breakdown[0].state.as_deref(), read.expires_at), (None, None));
    }

    #[test]
    fn stripes_parameters_are_told_in_our_fields() {
        for (param, field) in [
            ("customer_details[address]", Some("address")),
            ("customer_details[address][country]", Some("address.country_code")),
            ("customer_details[address][postal_code]", Some("address.postal_code")),
            ("customer_details[tax_ids][1][value]", Some("tax_ids[1].value")),
            ("line_items[3][amount]", Some("line_items[3].amount.minor_units")),
            ("line_items[0][tax_code]", Some("line_items[0].tax_code")),
            ("currency", Some("line_items[0].amount.currency_code")),
            ("customer_details[address_source]", None),
            ("expand", None),
            ("", None),
        ] {
            assert_eq!(field_of(param).as_deref(), field, "{param}");
        }
    }
}
