//! The projection of Stripe's customers.

use chrono::{DateTime, Utc};
use counterfoil_events::decide::Known;
use counterfoil_types::{CustomerId, Stamp};
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, SingleValue};
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::customer;
use crate::model::customer::{Customer, Seen};

diesel::define_sql_function! {
    /// The first of the two that is not null.
    fn coalesce<T: SingleValue>(first: Nullable<T>, second: Nullable<T>) -> Nullable<T>;
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = customer)]
struct Row {
    stripe_customer_id: String,
    user_id: Option<String>,
    email: Option<String>,
    name: Option<String>,
    deleted: bool,
    created_at: Option<DateTime<Utc>>,
    object: String,
    known_from: DateTime<Utc>,
    known_to: DateTime<Utc>,
}

/// The customer, deleted or not.
pub async fn get(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Option<Customer>> {
    let row: Option<Row> = customer::table
        .find(id)
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Row::customer).transpose()
}

/// What is known of the customer, to decide about an event. A deletion is its last state.
pub async fn known(conn: &mut AsyncPgConnection, id: &CustomerId) -> QueryResult<Option<Known>> {
    let row: Option<(DateTime<Utc>, DateTime<Utc>, bool)> = customer::table
        .find(id.as_str())
        .select((customer::known_from, customer::known_to, customer::deleted))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(known_from, known_to, terminal)| Known {
        known_from,
        known_to,
        terminal,
    }))
}

/// Writes what was seen unless something newer is stored; says whether it wrote. What an event shows is newer when it
/// happened after all that is known, what a call showed when it did not begin before it. A deletion always wins.
pub async fn upsert(conn: &mut AsyncPgConnection, seen: &Seen) -> QueryResult<bool> {
    use diesel::query_dsl::methods::FilterDsl;
    let row = Row::of(seen);
    let from = row.known_from;
    let by_event = matches!(seen.stamp, Stamp::Event(_));
    let later_event = by_event.into_sql::<Bool>().and(customer::known_to.lt(from));
    let later_answer = (!by_event).into_sql::<Bool>().and(customer::known_from.le(from));
    let written = diesel::insert_into(customer::table)
        .values(row)
        .on_conflict(customer::stripe_customer_id)
        .do_update()
        .set((
            // The stub of a deleted customer has neither of these two.
            customer::user_id.eq(case_when(
                excluded(customer::deleted),
                coalesce(excluded(customer::user_id), customer::user_id),
            )
            .otherwise(excluded(customer::user_id))),
            customer::created_at.eq(coalesce(excluded(customer::created_at), customer::created_at)),
            customer::email.eq(excluded(customer::email)),
            customer::name.eq(excluded(customer::name)),
            customer::deleted.eq(excluded(customer::deleted)),
            customer::object.eq(excluded(customer::object)),
            customer::known_from.eq(excluded(customer::known_from)),
            customer::known_to.eq(excluded(customer::known_to)),
        ))
        .filter(
            customer::deleted
                .eq(false)
                .and(excluded(customer::deleted).or(later_event).or(later_answer)),
        )
        .execute(conn)
        .await?;
    Ok(written > 0)
}

impl Row {
    fn of(seen: &Seen) -> Row {
        let (known_from, known_to) = seen.stamp.range();
        let customer = seen.customer.clone();
        Row {
            stripe_customer_id: customer.id.into(),
            user_id: customer.user_id,
            email: customer.email,
            name: customer.name,
            deleted: customer.deleted,
            created_at: customer.created_at,
            object: seen.object.clone(),
            known_from,
            known_to,
        }
    }

    fn customer(self) -> QueryResult<Customer> {
        let id = CustomerId::parse(self.stripe_customer_id)
            .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?;
        Ok(Customer {
            id,
            user_id: self.user_id,
            op_key: None,
            email: self.email,
            name: self.name,
            deleted: self.deleted,
            created_at: self.created_at,
        })
    }
}
