//! Tax calculations.

use chrono::{DateTime, Utc};
use counterfoil_types::{Currency, Money};

/// A request for a calculation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCalculation {
    /// The currency of every line.
    pub currency: Currency,
    /// 1 to 100 lines, whose sum fits.
    pub lines: Vec<Line>,
    /// Where the customer is.
    pub address: Address,
    /// At most 20.
    pub tax_ids: Vec<TaxId>,
}

/// One line to be taxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Unique within the request.
    pub reference: String,
    /// For the whole quantity, in minor units, not negative.
    pub amount: i64,
    /// 1 to 1,000,000.
    pub quantity: u64,
    /// Stripe's tax code; the account's default where there is none.
    pub tax_code: Option<String>,
    /// Whether the amount contains the tax.
    pub inclusive: bool,
}

/// A place, as exact as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// ISO 3166-1 alpha-2.
    pub country_code: String,
    /// State, county, province or region.
    pub state: Option<String>,
    /// City, district, town or village.
    pub city: Option<String>,
    /// ZIP or postal code.
    pub postal_code: Option<String>,
    /// First line.
    pub line1: Option<String>,
    /// Second line.
    pub line2: Option<String>,
}

/// A tax id of the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxId {
    /// In Stripe's word, `eu_vat`.
    pub kind: String,
    /// The id.
    pub value: String,
}

/// A calculation as Stripe made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calculation {
    /// Stripe's id.
    pub id: String,
    /// What the customer pays in all.
    pub total: Money,
    /// The tax on top of the lines' amounts.
    pub exclusive_tax: Money,
    /// The tax contained in them.
    pub inclusive_tax: Money,
    /// The tax by rate.
    pub breakdown: Vec<Breakdown>,
    /// When it can no longer be committed.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakdown {
    /// The tax.
    pub tax: Money,
    /// What the rate applies to.
    pub taxable_amount: Money,
    /// Whether the tax is contained in the lines' amounts.
    pub inclusive: bool,
    /// The rate in percent, as a decimal.
    pub percentage_decimal: String,
    /// ISO 3166-1 alpha-2; `None` where none applies.
    pub country_code: Option<String>,
    /// State or province; `None` where none applies.
    pub state: Option<String>,
    /// Why the tax is what it is, in Stripe's word.
    pub taxability_reason: String,
}
