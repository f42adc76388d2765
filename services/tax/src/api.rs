//! Protobuf to model and back. Nothing is decided here.

use std::collections::HashSet;
use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_chassis::convert::{money, timestamp};
use counterfoil_proto::tax::v1 as pb;
use counterfoil_proto::tax::v1::calculation_service_server::CalculationService;
use counterfoil_types::Currency;
use tonic::{Request, Response, Status};

use crate::model::calculation::{Address, Breakdown, Calculation, Line, NewCalculation, TaxId};

type Reply<T> = Result<Response<T>, Status>;

/// The most characters Stripe takes in a part of an address. Source: <https://docs.stripe.com/api/tax/calculations/create>.
const MAX_ADDRESS: usize = 5_000;
const MAX_LINES: usize = 100;
const MAX_TAX_IDS: usize = 20;
const MAX_QUANTITY: i64 = 1_000_000;

/// The RPCs on calculations.
pub struct Calculations(pub Arc<crate::Tax>);

#[tonic::async_trait]
impl CalculationService for Calculations {
    async fn create_calculation(
        &self,
        request: Request<pb::CreateCalculationRequest>,
    ) -> Reply<pb::CreateCalculationResponse> {
        let (_, new) = counterfoil_chassis::accept::<_, NewCalculation>(request)?;
        let calculation = self.0.create_calculation(&new).await?;
        Ok(Response::new(pb::CreateCalculationResponse {
            calculation: Some(calculation.into()),
        }))
    }
}

impl TryFrom<pb::CreateCalculationRequest> for NewCalculation {
    type Error = Violations;

    fn try_from(mut message: pb::CreateCalculationRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        // What is beyond the limits is counted, not read.
        if !(1..=MAX_LINES).contains(&message.line_items.len()) {
            violations.add("line_items", "must be 1 to 100");
            message.line_items.truncate(MAX_LINES);
        }
        if message.tax_ids.len() > MAX_TAX_IDS {
            violations.add("tax_ids", "must be at most 20");
            message.tax_ids.truncate(MAX_TAX_IDS);
        }
        let currency = one_currency(&mut violations, &message.line_items);
        let lines = lines(&mut violations, message.line_items);
        let address = violations.required("address", message.address);
        let address = address.map(|given| address_of(&mut violations, given));
        let tax_ids = message.tax_ids.into_iter().enumerate();
        let tax_ids = tax_ids
            .map(|(index, given)| tax_id(&mut violations, index, given))
            .collect();
        let (currency, address) = violations.all((currency, address))?;
        Ok(NewCalculation {
            currency,
            lines,
            address,
            tax_ids,
        })
    }
}

/// The currency of the first line. The others must have it too.
fn one_currency(violations: &mut Violations, items: &[pb::LineItem]) -> Option<Currency> {
    let mut first: Option<Currency> = None;
    for (index, item) in items.iter().enumerate() {
        // A line without an amount is reported where the lines are read.
        let Some(amount) = &item.amount else { continue };
        let field = format!("line_items[{index}].amount.currency_code");
        let Some(currency) = violations.field(&field, Currency::parse(&amount.currency_code)) else {
            continue;
        };
        if first.is_some_and(|first| first != currency) {
            violations.add(field, "must be the currency of the first line");
        }
        first = first.or(Some(currency));
    }
    first
}

fn lines(violations: &mut Violations, items: Vec<pb::LineItem>) -> Vec<Line> {
    let mut references = HashSet::new();
    let mut sum = Some(0_i64);
    let mut lines = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = |name: &str| format!("line_items[{index}].{name}");
        text(violations, path("reference"), &item.reference, 1, 255);
        if !references.insert(item.reference.clone()) {
            violations.add(path("reference"), "must be unique among the lines");
        }
        let amount = violations
            .required(&path("amount"), item.amount)
            .map_or(0, |money| money.minor_units);
        violations.range(&path("amount.minor_units"), amount, 0..);
        sum = sum.and_then(|sum| sum.checked_add(amount));
        let quantity = if item.quantity == 0 { 1 } else { item.quantity };
        violations.range(&path("quantity"), quantity, 1..=MAX_QUANTITY);
        let code = item.tax_code.strip_prefix("txcd_").unwrap_or_default();
        let plain = !code.is_empty() && code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !item.tax_code.is_empty() && !plain {
            violations.add(path("tax_code"), "must be a Stripe tax code beginning with txcd_");
        }
        let behavior = pb::TaxBehavior::try_from(item.tax_behavior);
        let behavior = behavior.map_err(|_| "must be one of the behaviors this version knows");
        let behavior = violations.field(&path("tax_behavior"), behavior);
        lines.push(Line {
            reference: item.reference,
            amount,
            // Where it is negative the request is refused above.
            quantity: u64::try_from(quantity).unwrap_or_default(),
            tax_code: (!item.tax_code.is_empty()).then_some(item.tax_code),
            inclusive: behavior == Some(pb::TaxBehavior::Inclusive),
        });
    }
    if sum.is_none() {
        violations.add("line_items", "must not add up to more than an amount can hold");
    }
    lines
}

fn address_of(violations: &mut Violations, given: pb::Address) -> Address {
    let country = given.country_code.as_bytes();
    if country.len() != 2 || !country.iter().all(u8::is_ascii_uppercase) {
        violations.add(
            "address.country_code",
            "must be an ISO 3166-1 alpha-2 code in upper case",
        );
    }
    let mut part = |name: &str, value: String| {
        text(violations, format!("address.{name}"), &value, 0, MAX_ADDRESS);
        (!value.is_empty()).then_some(value)
    };
    Address {
        state: part("state", given.state),
        city: part("city", given.city),
        postal_code: part("postal_code", given.postal_code),
        line1: part("line1", given.line1),
        line2: part("line2", given.line2),
        country_code: given.country_code,
    }
}

fn tax_id(violations: &mut Violations, index: usize, given: pb::TaxId) -> TaxId {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=32).contains(&given.r#type.len()) || !given.r#type.bytes().all(word) {
        violations.add(
            format!("tax_ids[{index}].type"),
            "must be one of Stripe's words, for example eu_vat",
        );
    }
    text(violations, format!("tax_ids[{index}].value"), &given.value, 1, 100);
    TaxId {
        kind: given.r#type,
        value: given.value,
    }
}

fn text(violations: &mut Violations, field: String, value: &str, least: usize, most: usize) {
    if least == 0 {
        violations.length(&field, value, ..=most);
    } else {
        violations.length(&field, value, least..=most);
    }
    if value.chars().any(char::is_control) {
        violations.add(field, "must not have control characters in it");
    }
}

impl From<Calculation> for pb::Calculation {
    fn from(calculation: Calculation) -> pb::Calculation {
        pb::Calculation {
            calculation_id: calculation.id,
            total: Some(money(calculation.total)),
            exclusive_tax: Some(money(calculation.exclusive_tax)),
            inclusive_tax: Some(money(calculation.inclusive_tax)),
            breakdown: calculation.breakdown.into_iter().map(breakdown).collect(),
            expire_time: calculation.expires_at.map(timestamp),
        }
    }
}

fn breakdown(part: Breakdown) -> pb::TaxBreakdown {
    pb::TaxBreakdown {
        tax: Some(money(part.tax)),
        taxable_amount: Some(money(part.taxable_amount)),
        inclusive: part.inclusive,
        percentage_decimal: part.percentage_decimal,
        country_code: part.country_code.unwrap_or_default(),
        state: part.state.unwrap_or_default(),
        taxability_reason: part.taxability_reason,
    }
}
