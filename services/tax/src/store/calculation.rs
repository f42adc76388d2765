//! The record of calculations.

use chrono::{DateTime, Utc};
use counterfoil_types::{Currency, Money};
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};

use super::schema::calculation;
use crate::model::calculation::{Breakdown, Calculation};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = calculation)]
struct Row {
    calculation_id: String,
    currency_code: String,
    total: i64,
    exclusive_tax: i64,
    inclusive_tax: i64,
    expires_at: Option<DateTime<Utc>>,
    breakdown: Option<String>,
}

/// The tax of one rate, as the column `breakdown` lists them. Its amounts are in the row's currency.
#[derive(Serialize, Deserialize)]
struct Part {
    tax: i64,
    taxable_amount: i64,
    inclusive: bool,
    percentage_decimal: String,
    country_code: Option<String>,
    state: Option<String>,
    taxability_reason: String,
}

/// Records a calculation.
pub async fn insert(conn: &mut AsyncPgConnection, made: &Calculation, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(calculation::table)
        .values((Row::of(made)?, calculation::created_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(())
}

/// The calculation.
pub async fn get(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Option<Calculation>> {
    let row: Option<Row> = calculation::table
        .find(id)
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Row::calculation).transpose()
}

impl Row {
    fn of(made: &Calculation) -> QueryResult<Row> {
        let parts: Vec<Part> = made.breakdown.iter().map(Part::of).collect();
        let breakdown = serde_json::to_string(&parts).map_err(|error| SerializationError(Box::new(error)))?;
        Ok(Row {
            calculation_id: made.id.clone(),
            currency_code: made.total.currency.code().to_owned(),
            total: made.total.minor_units,
            exclusive_tax: made.exclusive_tax.minor_units,
            inclusive_tax: made.inclusive_tax.minor_units,
            expires_at: made.expires_at,
            breakdown: Some(breakdown),
        })
    }

    fn calculation(self) -> QueryResult<Calculation> {
        let currency = Currency::parse(&self.currency_code).map_err(|error| DeserializationError(Box::new(error)))?;
        let money = |minor_units| Money { minor_units, currency };
        let parts: Vec<Part> = match &self.breakdown {
            Some(json) => serde_json::from_str(json).map_err(|error| DeserializationError(Box::new(error)))?,
            None => Vec::new(),
        };
        Ok(Calculation {
            id: self.calculation_id,
            total: money(self.total),
            exclusive_tax: money(self.exclusive_tax),
            inclusive_tax: money(self.inclusive_tax),
            breakdown: parts.into_iter().map(|part| part.breakdown(currency)).collect(),
            expires_at: self.expires_at,
        })
    }
}

impl Part {
    fn of(part: &Breakdown) -> Part {
        let part = part.clone();
        Part {
            tax: part.tax.minor_units,
            taxable_amount: part.taxable_amount.minor_units,
            inclusive: part.inclusive,
            percentage_decimal: part.percentage_decimal,
            country_code: part.country_code,
            state: part.state,
            taxability_reason: part.taxability_reason,
        }
    }

    fn breakdown(self, currency: Currency) -> Breakdown {
        let money = |minor_units| Money { minor_units, currency };
        Breakdown {
            tax: money(self.tax),
            taxable_amount: money(self.taxable_amount),
            inclusive: self.inclusive,
            percentage_decimal: self.percentage_decimal,
            country_code: self.country_code,
            state: self.state,
            taxability_reason: self.taxability_reason,
        }
    }
}
