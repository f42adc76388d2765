//! Table `customer_user`.

use chrono::{DateTime, Utc};
use counterfoil_events::decide::Known;
use counterfoil_types::Stamp;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::schema::customer_user::{self, dsl};
use crate::stripe::CustomerUser;

/// Writes `link` unless a newer state is stored; says whether it wrote. A deleted customer keeps its user, whose past
/// subscriptions it still has.
pub async fn upsert(conn: &mut AsyncPgConnection, link: &CustomerUser, stamp: Stamp) -> QueryResult<bool> {
    use diesel::query_dsl::methods::FilterDsl;
    let (from, to) = stamp.range();
    let values = (
        dsl::customer_id.eq(&link.customer_id),
        dsl::user_id.eq(&link.user_id),
        dsl::deleted.eq(link.deleted),
        dsl::known_from.eq(from),
        dsl::known_to.eq(to),
    );
    let newer = match stamp {
        Stamp::Event(_) => sql::<Bool>(
            "customer_user.known_to < excluded.known_from and (not customer_user.deleted or excluded.deleted)",
        ),
        Stamp::Answer(..) => sql::<Bool>("customer_user.known_from <= excluded.known_from"),
    };
    let user_id = sql::<Nullable<Text>>(
        "case when excluded.deleted then coalesce(excluded.user_id, customer_user.user_id) else excluded.user_id end",
    );
    let rows = diesel::insert_into(customer_user::table)
        .values(values)
        .on_conflict(dsl::customer_id)
        .do_update()
        .set((
            dsl::user_id.eq(user_id),
            dsl::deleted.eq(link.deleted),
            dsl::known_from.eq(from),
            dsl::known_to.eq(to),
        ))
        .filter(newer)
        .execute(conn)
        .await?;
    Ok(rows > 0)
}

/// What is stored of a customer's history; a deletion is its end.
pub async fn known(conn: &mut AsyncPgConnection, customer_id: &str) -> QueryResult<Option<Known>> {
    let row: Option<(DateTime<Utc>, DateTime<Utc>, bool)> = dsl::customer_user
        .find(customer_id)
        .select((dsl::known_from, dsl::known_to, dsl::deleted))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(known_from, known_to, terminal)| Known {
        known_from,
        known_to,
        terminal,
    }))
}

/// The customer that stands for a user now, where its event has come.
pub async fn customer_of(conn: &mut AsyncPgConnection, user_id: &str) -> QueryResult<Option<String>> {
    dsl::customer_user
        .filter(dsl::user_id.eq(user_id).and(dsl::deleted.eq(false)))
        .order(dsl::known_to.desc())
        .select(dsl::customer_id)
        .first(conn)
        .await
        .optional()
}
