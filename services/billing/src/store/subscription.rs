//! Table `subscription`.

use chrono::{DateTime, Utc};
use counterfoil_events::decide::Known;
use counterfoil_types::{Stamp, SubscriptionId};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::{customer_user, subscription, subscription::dsl};
use crate::model::subscription::{Position, Status, Subscription};

/// Writes `subscription` with the JSON it was read from, unless a newer or a terminal state is stored; says whether it
/// wrote. A terminal state gives way only to a call that shows another.
pub async fn upsert(
    conn: &mut AsyncPgConnection,
    subscription: &Subscription,
    object: &str,
    stamp: Stamp,
) -> QueryResult<bool> {
    let items = serde_json::to_string(&subscription.items)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    use diesel::query_dsl::methods::FilterDsl;
    let (from, to) = stamp.range();
    let values = (
        dsl::subscription_id.eq(subscription.id.as_str()),
        dsl::customer_id.eq(&subscription.customer_id),
        dsl::status.eq(subscription.status.as_str()),
        dsl::cancel_at.eq(subscription.cancel_at),
        dsl::ended_at.eq(subscription.ended_at),
        dsl::created_at.eq(subscription.created_at),
        dsl::items.eq(&items),
        dsl::object.eq(object),
        dsl::known_from.eq(from),
        dsl::known_to.eq(to),
    );
    let newer = match stamp {
        Stamp::Event(_) => sql::<Bool>(
            "subscription.known_to < excluded.known_from \
             and (subscription.status not in ('canceled', 'incomplete_expired') or excluded.status = subscription.status)",
        ),
        Stamp::Answer(..) => sql::<Bool>("subscription.known_from <= excluded.known_from"),
    };
    let rows = diesel::insert_into(subscription::table)
        .values(values)
        .on_conflict(dsl::subscription_id)
        .do_update()
        .set(values)
        .filter(newer)
        .execute(conn)
        .await?;
    Ok(rows > 0)
}

/// What is stored of a subscription's history.
pub async fn known(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Option<Known>> {
    let row: Option<(DateTime<Utc>, DateTime<Utc>, String)> = dsl::subscription
        .find(id)
        .select((dsl::known_from, dsl::known_to, dsl::status))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(known_from, known_to, status)| Known {
        known_from,
        known_to,
        terminal: Status::parse(&status).is_terminal(),
    }))
}

/// A subscription by its id.
pub async fn find(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Option<Subscription>> {
    let row: Option<Row> = with_user()
        .filter(dsl::subscription_id.eq(id))
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Subscription::try_from).transpose()
}

/// At most `limit` subscriptions of a user, newest first, after a position.
pub async fn list_of_user(
    conn: &mut AsyncPgConnection,
    user_id: &str,
    limit: i64,
    after: Option<Position>,
) -> QueryResult<Vec<Subscription>> {
    let mut query = with_user()
        .filter(customer_user::user_id.eq(user_id))
        .order((dsl::created_at.desc(), dsl::subscription_id.desc()))
        .limit(limit)
        .select(Row::as_select())
        .into_boxed();
    if let Some(Position { created_at, id }) = after {
        let same_second = dsl::created_at
            .eq(created_at)
            .and(dsl::subscription_id.lt(String::from(id)));
        query = query.filter(dsl::created_at.lt(created_at).or(same_second));
    }
    let rows: Vec<Row> = query.load(conn).await?;
    rows.into_iter().map(Subscription::try_from).collect()
}

/// A subscription with the user its customer stands for, looked up when read: the two come by events of their own, in
/// either order.
#[diesel::dsl::auto_type(no_type_alias)]
fn with_user() -> _ {
    subscription::table.left_join(customer_user::table.on(customer_user::customer_id.eq(subscription::customer_id)))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = subscription, check_for_backend(diesel::pg::Pg))]
struct Row {
    subscription_id: String,
    customer_id: String,
    #[diesel(select_expression = customer_user::user_id.nullable())]
    user_id: Option<String>,
    status: String,
    cancel_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    items: String,
}

impl TryFrom<Row> for Subscription {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let unreadable =
            |error: Box<dyn std::error::Error + Send + Sync>| diesel::result::Error::DeserializationError(error);
        Ok(Subscription {
            id: SubscriptionId::parse(row.subscription_id).map_err(|error| unreadable(error.into()))?,
            customer_id: row.customer_id,
            user_id: row.user_id,
            status: Status::parse(&row.status),
            items: serde_json::from_str(&row.items).map_err(|error| unreadable(error.into()))?,
            cancel_at: row.cancel_at,
            ended_at: row.ended_at,
            created_at: row.created_at,
        })
    }
}
