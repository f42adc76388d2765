//! The projection of connected accounts.

use chrono::{DateTime, Utc};
use counterfoil_events::decide::Known;
use counterfoil_types::{AccountId, Stamp};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, SingleValue};
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::connected_account;
use crate::model::connected_account::{ConnectedAccount, Seen};

diesel::define_sql_function! {
    /// The first of the two that is not null.
    fn coalesce<T: SingleValue>(first: Nullable<T>, second: Nullable<T>) -> Nullable<T>;
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = connected_account)]
struct Row {
    account_id: String,
    country_code: Option<String>,
    details_submitted: bool,
    charges_enabled: bool,
    payouts_enabled: bool,
    created_at: Option<DateTime<Utc>>,
    object: String,
    known_from: DateTime<Utc>,
    known_to: DateTime<Utc>,
}

/// The account.
pub async fn get(conn: &mut AsyncPgConnection, id: &AccountId) -> QueryResult<Option<ConnectedAccount>> {
    let row: Option<Row> = connected_account::table
        .find(id.as_str())
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Row::account).transpose()
}

/// What is known of the account, to decide about an event. No state is its last.
pub async fn known(conn: &mut AsyncPgConnection, id: &AccountId) -> QueryResult<Option<Known>> {
    let row: Option<(DateTime<Utc>, DateTime<Utc>)> = connected_account::table
        .find(id.as_str())
        .select((connected_account::known_from, connected_account::known_to))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(known_from, known_to)| Known {
        known_from,
        known_to,
        terminal: false,
    }))
}

/// Writes what was seen unless something newer is stored; says whether it wrote. What an event shows is newer when it
/// happened after all that is known, what a call showed when it did not begin before it.
pub async fn upsert(conn: &mut AsyncPgConnection, seen: &Seen) -> QueryResult<bool> {
    use diesel::query_dsl::methods::FilterDsl;
    let row = Row::of(seen);
    let from = row.known_from;
    let by_event = matches!(seen.stamp, Stamp::Event(_));
    let later_event = by_event.into_sql::<Bool>().and(connected_account::known_to.lt(from));
    let later_answer = (!by_event)
        .into_sql::<Bool>()
        .and(connected_account::known_from.le(from));
    let written = diesel::insert_into(connected_account::table)
        .values(row)
        .on_conflict(connected_account::account_id)
        .do_update()
        .set((
            connected_account::country_code.eq(excluded(connected_account::country_code)),
            connected_account::details_submitted.eq(excluded(connected_account::details_submitted)),
            connected_account::charges_enabled.eq(excluded(connected_account::charges_enabled)),
            connected_account::payouts_enabled.eq(excluded(connected_account::payouts_enabled)),
            // Not every event names it.
            connected_account::created_at.eq(coalesce(
                excluded(connected_account::created_at),
                connected_account::created_at,
            )),
            connected_account::object.eq(excluded(connected_account::object)),
            connected_account::known_from.eq(excluded(connected_account::known_from)),
            connected_account::known_to.eq(excluded(connected_account::known_to)),
        ))
        .filter(later_event.or(later_answer))
        .execute(conn)
        .await?;
    Ok(written > 0)
}

impl Row {
    fn of(seen: &Seen) -> Row {
        let (known_from, known_to) = seen.stamp.range();
        let account = seen.account.clone();
        Row {
            account_id: account.id.into(),
            country_code: account.country_code,
            details_submitted: account.details_submitted,
            charges_enabled: account.charges_enabled,
            payouts_enabled: account.payouts_enabled,
            created_at: account.created_at,
            object: seen.object.clone(),
            known_from,
            known_to,
        }
    }

    fn account(self) -> QueryResult<ConnectedAccount> {
        let id = AccountId::parse(self.account_id)
            .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?;
        Ok(ConnectedAccount {
            id,
            country_code: self.country_code,
            details_submitted: self.details_submitted,
            charges_enabled: self.charges_enabled,
            payouts_enabled: self.payouts_enabled,
            created_at: self.created_at,
        })
    }
}
