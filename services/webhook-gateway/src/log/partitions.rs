//! The monthly tables of the log.

use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

#[derive(QueryableByName)]
struct Made {
    #[diesel(sql_type = Integer)]
    made: i32,
}

/// Makes the tables of this month and the next three, and returns how many were missing.
pub(crate) async fn make(conn: &mut AsyncPgConnection) -> QueryResult<i32> {
    let made: Made = diesel::sql_query("select make_partitions() as made")
        .get_result(conn)
        .await?;
    Ok(made.made)
}
