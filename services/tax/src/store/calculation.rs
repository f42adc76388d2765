//! The record of calculations.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::calculation;
use crate::model::calculation::Calculation;

/// Records a calculation.
pub async fn insert(conn: &mut AsyncPgConnection, made: &Calculation, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(calculation::table)
        .values((
            calculation::calculation_id.eq(&made.id),
            calculation::currency_code.eq(made.total.currency.code()),
            calculation::total.eq(made.total.minor_units),
            calculation::exclusive_tax.eq(made.exclusive_tax.minor_units),
            calculation::inclusive_tax.eq(made.inclusive_tax.minor_units),
            calculation::expires_at.eq(made.expires_at),
            calculation::created_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
