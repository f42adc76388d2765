//! The record of signups.

use chrono::{DateTime, Utc};
use counterfoil_types::{CustomerId, UserId};
use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::signup;
use crate::model::signup::{NewCustomer, Signup, State, op_key};

const CREATING: &str = "creating";
const ACTIVE: &str = "active";
const REFUSED: &str = "refused";
const DELETED: &str = "deleted";

#[derive(Queryable, Selectable)]
#[diesel(table_name = signup)]
struct Row {
    user_id: String,
    generation: i64,
    op_key: String,
    state: String,
    email: Option<String>,
    name: Option<String>,
    stripe_customer_id: Option<String>,
}

/// The user's signup that is neither refused nor deleted.
pub async fn live(conn: &mut AsyncPgConnection, user_id: &UserId) -> QueryResult<Option<Signup>> {
    let row: Option<Row> = signup::table
        .filter(signup::user_id.eq(user_id.as_str()))
        .filter(signup::state.eq_any([CREATING, ACTIVE]))
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Row::signup).transpose()
}

/// Begins the user's next signup, unless one is live.
pub async fn begin(conn: &mut AsyncPgConnection, new: &NewCustomer, now: DateTime<Utc>) -> QueryResult<()> {
    let last: Option<i64> = signup::table
        .filter(signup::user_id.eq(new.user_id.as_str()))
        .select(max(signup::generation))
        .first(conn)
        .await?;
    let generation = last.unwrap_or_default().saturating_add(1);
    diesel::insert_into(signup::table)
        .values((
            signup::user_id.eq(new.user_id.as_str()),
            signup::generation.eq(generation),
            signup::op_key.eq(op_key(&new.user_id, generation)),
            signup::state.eq(CREATING),
            signup::email.eq(&new.email),
            signup::name.eq(&new.name),
            signup::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that the operation made a customer.
pub async fn activate(conn: &mut AsyncPgConnection, op_key: &str, id: &CustomerId) -> QueryResult<()> {
    diesel::update(signup::table)
        .filter(signup::op_key.eq(op_key))
        .filter(signup::state.eq(CREATING))
        .set((signup::state.eq(ACTIVE), signup::stripe_customer_id.eq(id.as_str())))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that the operation made none.
pub async fn refuse(conn: &mut AsyncPgConnection, op_key: &str) -> QueryResult<()> {
    diesel::update(signup::table)
        .filter(signup::op_key.eq(op_key))
        .filter(signup::state.eq(CREATING))
        .set(signup::state.eq(REFUSED))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that the customer was deleted: in the signup that has it, or in the one whose operation made it where that
/// operation's end is not recorded yet.
pub async fn delete(conn: &mut AsyncPgConnection, id: &CustomerId, op_key: Option<&str>) -> QueryResult<()> {
    let had = diesel::update(signup::table)
        .filter(signup::stripe_customer_id.eq(id.as_str()))
        .set(signup::state.eq(DELETED))
        .execute(conn)
        .await?;
    if let (0, Some(op_key)) = (had, op_key) {
        diesel::update(signup::table)
            .filter(signup::op_key.eq(op_key))
            .filter(signup::state.eq(CREATING))
            .set((signup::state.eq(DELETED), signup::stripe_customer_id.eq(id.as_str())))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Stripe's id of the customer the operation made, where that is recorded.
pub async fn customer_of(conn: &mut AsyncPgConnection, op_key: &str) -> QueryResult<Option<String>> {
    let id: Option<Option<String>> = signup::table
        .filter(signup::op_key.eq(op_key))
        .select(signup::stripe_customer_id)
        .first(conn)
        .await
        .optional()?;
    Ok(id.flatten())
}

/// Stripe's id of the last customer the user was given, deleted or not.
pub async fn last_customer(conn: &mut AsyncPgConnection, user_id: &UserId) -> QueryResult<Option<String>> {
    let id: Option<Option<String>> = signup::table
        .filter(signup::user_id.eq(user_id.as_str()))
        .filter(signup::stripe_customer_id.is_not_null())
        .order(signup::generation.desc())
        .select(signup::stripe_customer_id)
        .first(conn)
        .await
        .optional()?;
    Ok(id.flatten())
}

impl Row {
    fn signup(self) -> QueryResult<Signup> {
        let unreadable = |error: &str| diesel::result::Error::DeserializationError(error.into());
        let state = match (self.state.as_str(), self.stripe_customer_id) {
            (CREATING, _) => State::Creating,
            (ACTIVE, Some(id)) => State::Active(CustomerId::parse(id).map_err(|error| unreadable(&error.to_string()))?),
            (REFUSED, _) => State::Refused,
            (DELETED, _) => State::Deleted,
            _ => return Err(unreadable("a signup's state is none of ours")),
        };
        Ok(Signup {
            user_id: self.user_id,
            generation: self.generation,
            op_key: self.op_key,
            email: self.email,
            name: self.name,
            state,
        })
    }
}
