//! Tax calculations.
//!
//! Source: <https://docs.stripe.com/api/tax/calculations>.

use super::{Call, LARGEST_AMOUNT, Operation, currency, merge_metadata, quantity, retrieve, tax_rates};
use crate::{
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list,
    },
    json::{Value, json},
    shapes,
    world::{World, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/tax/calculations",
        run: create,
    },
    Operation {
        method: "GET",
        path: "/v1/tax/calculations/{id}",
        run: |world, call| retrieve(world, "tax.calculation", call.id()),
    },
    Operation {
        method: "GET",
        path: "/v1/tax/calculations/{id}/line_items",
        run: |world, call| {
            let calculation = world.get("tax.calculation", call.id(), "calculation")?;
            let lines = field::elements(&calculation, "_sandbox.line_items").to_vec();
            list::page(
                &format!("/v1/tax/calculations/{}/line_items", call.id()),
                &call.params,
                lines,
            )
        },
    },
];

/// A calculation can be used for 90 days.
const LIFE: i64 = 90 * 86_400;
/// "General - Electronically Supplied Services", the preset tax code of the sandbox's settings.
const PRESET_TAX_CODE: &str = "txcd_10000000";
const SHIPPING_TAX_CODE: &str = "txcd_92010001";

fn create(world: &mut World, call: &Call) -> Answer {
    let params = &call.params;
    let details = buyer(world, params)?;
    let address = field::at(&details, "address");
    if !tax_rates::is_location(address) {
        let message = "We could not determine the customer's tax location based on the provided customer address. Please \
            provide a valid country and, where the country asks for it, a state or postal code.";
        return Err(ApiError::invalid(message)
            .code("customer_tax_location_invalid")
            .param("customer_details[address]"));
    }
    let has_tax_id = field::elements(&details, "tax_ids")
        .iter()
        .any(|tax_id| tax_rates::is_eu_business(field::text(tax_id, "type"), field::text(tax_id, "value")));
    let treatment = tax_rates::treatment(address, has_tax_id, field::text(&details, "taxability_override"));

    let mut calculation = shapes::tax_calculation();
    let currency = currency(params, "currency");
    let id = world.id("taxcalc_", 24);
    let mut sums = Sums::default();
    let mut lines = Vec::new();
    let sent = params.list("line_items");
    if sent.is_empty() || sent.len() > 1000 {
        return Err(ApiError::invalid("A calculation takes 1 to 1000 line items.").param("line_items"));
    }
    for (index, line) in sent.iter().enumerate() {
        lines.push(new_line(world, line, index, &treatment, &mut sums)?);
    }
    let references: std::collections::BTreeSet<&str> =
        lines.iter().map(|line| field::text(line, "reference")).collect();
    if references.len() < lines.len() {
        return Err(ApiError::invalid("Line item references must be unique.").param("line_items"));
    }
    if params.has("shipping_cost") {
        let shipping = Params::under(params, "shipping_cost");
        let amount = amount(&shipping, "amount", "shipping_cost[amount]")?;
        let behavior = shipping.text("tax_behavior").unwrap_or("exclusive");
        let tax = sums.add(amount, behavior, &treatment);
        field::set(
            &mut calculation,
            "shipping_cost",
            json!({
                "amount": amount, "amount_tax": tax, "tax_behavior": behavior,
                "tax_code": shipping.text("tax_code").unwrap_or(SHIPPING_TAX_CODE),
            }),
        );
    }
    field::set(&mut calculation, "id", id);
    field::set(&mut calculation, "livemode", world.livemode);
    field::set(&mut calculation, "currency", currency);
    field::set(&mut calculation, "customer", params.text("customer"));
    field::set(&mut calculation, "customer_details", details);
    field::set(&mut calculation, "expires_at", world.now + LIFE);
    field::set(
        &mut calculation,
        "tax_date",
        params.integer("tax_date").unwrap_or(world.now),
    );
    field::set(&mut calculation, "amount_total", sums.total + sums.exclusive);
    field::set(&mut calculation, "tax_amount_exclusive", sums.exclusive);
    field::set(&mut calculation, "tax_amount_inclusive", sums.inclusive);
    field::set(&mut calculation, "tax_breakdown", sums.breakdown(&treatment));
    field::set(&mut calculation, "_sandbox.line_items", lines);
    world.put(&calculation);
    Ok(rendered(&calculation))
}

/// Who buys, from the details sent or from the customer named.
fn buyer(world: &World, params: &Params) -> Answer {
    let blank = json!({ "address": null, "address_source": null, "ip_address": null, "tax_ids": [], "taxability_override": "none" });
    let mut details = blank;
    if let Some(id) = params.text("customer") {
        let customer = world.get("customer", id, "customer")?;
        field::set(&mut details, "address", field::at(&customer, "address").clone());
        field::set(&mut details, "address_source", "billing");
        field::set(
            &mut details,
            "tax_ids",
            field::elements(&customer, "_sandbox.tax_ids").to_vec(),
        );
        let exemption = match field::text(&customer, "tax_exempt") {
            "exempt" => "customer_exempt",
            "reverse" => "reverse_charge",
            _ => "none",
        };
        field::set(&mut details, "taxability_override", exemption);
        return Ok(details);
    }
    if !params.has("customer_details") {
        return Err(ApiError::parameter_missing("customer_details"));
    }
    let mut address = super::address(params, "customer_details[address]");
    if let Some(country) = field::some_text(&address, "country").map(str::to_ascii_uppercase) {
        field::set(&mut address, "country", country);
    }
    field::set(&mut details, "address", address);
    let source = params.text("customer_details[address_source]");
    field::set(&mut details, "address_source", source);
    field::set(&mut details, "ip_address", params.text("customer_details[ip_address]"));
    let exemption = params.text("customer_details[taxability_override]").unwrap_or("none");
    field::set(&mut details, "taxability_override", exemption);
    let mut tax_ids = Vec::new();
    for (index, tax_id) in params.list("customer_details[tax_ids]").iter().enumerate() {
        let (kind, value) = (tax_id.given("type"), tax_id.given("value"));
        if kind == "eu_vat" && !tax_rates::is_eu_business(kind, value) {
            let param = format!("customer_details[tax_ids][{index}][value]");
            return Err(ApiError::invalid(format!("Invalid value for {kind}."))
                .code("tax_id_invalid")
                .param(param));
        }
        tax_ids.push(json!({ "type": kind, "value": value }));
    }
    field::set(&mut details, "tax_ids", tax_ids);
    Ok(details)
}

fn amount(params: &Params, name: &str, shown: &str) -> Result<i64, ApiError> {
    let amount = params.integer(name).unwrap_or_default();
    if amount.abs() > LARGEST_AMOUNT {
        return Err(ApiError::invalid(format!("Invalid amount: {amount}"))
            .code("amount_too_large")
            .param(shown));
    }
    Ok(amount)
}

fn new_line(
    world: &mut World,
    line: &Params,
    index: usize,
    treatment: &tax_rates::Treatment,
    sums: &mut Sums,
) -> Answer {
    let amount = amount(line, "amount", &format!("line_items[{index}][amount]"))?;
    let behavior = line.text("tax_behavior").unwrap_or("exclusive");
    let tax = sums.add(amount, behavior, treatment);
    let id = world.id("tax_li_", 14);
    let mut out = shapes::tax_calculation_line_item();
    field::set(
        &mut out,
        "reference",
        line.text("reference").map_or_else(|| id.clone(), str::to_owned),
    );
    field::set(&mut out, "id", id);
    field::set(&mut out, "livemode", world.livemode);
    field::set(&mut out, "amount", amount);
    field::set(&mut out, "amount_tax", tax);
    field::set(&mut out, "quantity", quantity(line, "quantity")?);
    field::set(&mut out, "tax_behavior", behavior);
    field::set(&mut out, "tax_code", line.text("tax_code").unwrap_or(PRESET_TAX_CODE));
    field::set(&mut out, "product", line.text("product"));
    field::set(&mut out, "metadata", merge_metadata(&json!({}), line, "metadata")?);
    let jurisdiction = json!({
        "country": treatment.country,
        "display_name": treatment.state.as_deref().unwrap_or(&treatment.country),
        "level": if treatment.state.is_some() { "state" } else { "country" },
        "state": treatment.state,
    });
    let taxed = treatment.rate > 0;
    let rate = treatment.tax_type.filter(|_| taxed).map(|tax_type| {
        json!({ "display_name": display_name(tax_type), "percentage_decimal": tax_rates::percentage(treatment.rate), "tax_type": tax_type })
    });
    field::set(
        &mut out,
        "tax_breakdown",
        json!([{
            "amount": tax, "jurisdiction": jurisdiction, "sourcing": "destination", "tax_rate_details": rate,
            "taxability_reason": treatment.reason,
            "taxable_amount": if taxed { if behavior == "inclusive" { amount - tax } else { amount } } else { 0 },
        }]),
    );
    Ok(out)
}

fn display_name(tax_type: &str) -> &str {
    match tax_type {
        "sales_tax" => "Sales tax",
        "vat" => "VAT",
        "gst" => "GST",
        "hst" => "HST",
        "jct" => "JCT",
        other => other,
    }
}

#[derive(Default)]
struct Sums {
    total: i64,
    exclusive: i64,
    inclusive: i64,
    taxable_exclusive: i64,
    taxable_inclusive: i64,
    has_exclusive: bool,
    has_inclusive: bool,
}

impl Sums {
    /// Adds an amount and gives the tax on it.
    fn add(&mut self, amount: i64, behavior: &str, treatment: &tax_rates::Treatment) -> i64 {
        let inclusive = behavior == "inclusive";
        let tax = tax_rates::tax(amount, treatment.rate, inclusive);
        self.total += amount;
        let (sum, taxable, has) = if inclusive {
            (
                &mut self.inclusive,
                &mut self.taxable_inclusive,
                &mut self.has_inclusive,
            )
        } else {
            (
                &mut self.exclusive,
                &mut self.taxable_exclusive,
                &mut self.has_exclusive,
            )
        };
        *sum += tax;
        *has = true;
        if treatment.rate > 0 {
            *taxable += if inclusive { amount - tax } else { amount };
        }
        tax
    }

    fn breakdown(&self, treatment: &tax_rates::Treatment) -> Vec<Value> {
        let part = |amount: i64, taxable: i64, inclusive: bool| {
            json!({
                "amount": amount,
                "inclusive": inclusive,
                "tax_rate_details": {
                    "country": treatment.country,
                    "flat_amount": null,
                    "percentage_decimal": tax_rates::percentage(treatment.rate),
                    "rate_type": if treatment.rate > 0 { json!("percentage") } else { Value::Null },
                    "state": treatment.state,
                    "tax_type": treatment.tax_type,
                },
                "taxability_reason": treatment.reason,
                "taxable_amount": taxable,
            })
        };
        let exclusive = self
            .has_exclusive
            .then(|| part(self.exclusive, self.taxable_exclusive, false));
        let inclusive = self
            .has_inclusive
            .then(|| part(self.inclusive, self.taxable_inclusive, true));
        exclusive.into_iter().chain(inclusive).collect()
    }
}
