//! Protobuf to model and back. Nothing is decided here.

use std::collections::HashSet;
use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_chassis::convert::{money, timestamp};
use counterfoil_proto::common::v1::FieldReason;
use counterfoil_proto::tax::v1 as pb;
use counterfoil_proto::tax::v1::calculation_service_server::CalculationService;
use counterfoil_types::Currency;
use tonic::{Request, Response, Status};

use crate::model::calculation::{Address, Breakdown, Calculation, Line, NewCalculation, TaxId};

type Reply<T> = Result<Response<T>, Status>;

/// Lines that are looked at; more are refused.
const MAX_LINES: usize = 100;

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

    async fn get_calculation(&self, request: Request<pb::GetCalculationRequest>) -> Reply<pb::GetCalculationResponse> {
        let (_, request) = counterfoil_chassis::accept::<_, pb::GetCalculationRequest>(request)?;
        let calculation = self.0.get_calculation(&request.calculation_id).await?;
        Ok(Response::new(pb::GetCalculationResponse {
            calculation: Some(calculation.into()),
        }))
    }
}

impl TryFrom<pb::CreateCalculationRequest> for NewCalculation {
    type Error = Violations;

    fn try_from(mut message: pb::CreateCalculationRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        // What is beyond the limit is refused by its rule, and not read.
        message.line_items.truncate(MAX_LINES);
        let currency = one_currency(&mut violations, &message.line_items);
        let lines = lines(&mut violations, message.line_items);
        let address = violations.required("address", message.address).map(Address::from);
        let (currency, address) = violations.all((currency, address))?;
        Ok(NewCalculation {
            currency,
            lines,
            address,
            tax_ids: message.tax_ids.into_iter().map(TaxId::from).collect(),
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
        if !references.insert(item.reference.clone()) {
            violations.add(path("reference"), "must be unique among the lines");
        }
        let amount = item.amount.as_ref().map_or(0, |money| money.minor_units);
        if amount < 0 {
            violations.add_for(FieldReason::Range, path("amount.minor_units"), "must be at least 0");
        }
        sum = sum.and_then(|sum| sum.checked_add(amount));
        lines.push(Line {
            inclusive: item.tax_behavior() == pb::TaxBehavior::Inclusive,
            reference: item.reference,
            amount,
            // Where it is negative the request is refused by its rules.
            quantity: u64::try_from(item.quantity).unwrap_or_default().max(1),
            tax_code: (!item.tax_code.is_empty()).then_some(item.tax_code),
        });
    }
    if sum.is_none() {
        violations.add("line_items", "must not add up to more than an amount can hold");
    }
    lines
}

impl From<pb::Address> for Address {
    fn from(given: pb::Address) -> Address {
        let part = |value: String| (!value.is_empty()).then_some(value);
        Address {
            country_code: given.country_code,
            state: part(given.state),
            city: part(given.city),
            postal_code: part(given.postal_code),
            line1: part(given.line1),
            line2: part(given.line2),
        }
    }
}

impl From<pb::TaxId> for TaxId {
    fn from(given: pb::TaxId) -> TaxId {
        TaxId {
            kind: given.r#type,
            value: given.value,
        }
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
