//! Table `specimen`: functions on a connection.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

diesel::table! {
    specimen (specimen_id) {
        specimen_id -> Text,
        user_id -> Text,
        title -> Text,
        return_url -> Text,
        account_number -> Text,
        metadata -> Text,
        created_at -> Timestamptz,
    }
}

/// A specimen.
#[derive(Debug, Clone)]
pub(super) struct Specimen {
    pub(super) specimen_id: String,
    pub(super) user_id: String,
    pub(super) title: String,
    pub(super) return_url: String,
    pub(super) account_number: String,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created_at: DateTime<Utc>,
}

/// Where a specimen stands in a list.
#[derive(Debug, Clone)]
pub(super) struct Position {
    created_at: DateTime<Utc>,
    specimen_id: String,
}

/// A text that is no position.
#[derive(Debug)]
pub(super) struct InvalidPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.created_at.timestamp_micros(), self.specimen_id)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (micros, id) = text.split_once(' ').ok_or(InvalidPosition)?;
        let micros = micros.parse().map_err(|_| InvalidPosition)?;
        Ok(Position {
            created_at: DateTime::from_timestamp_micros(micros).ok_or(InvalidPosition)?,
            specimen_id: id.to_owned(),
        })
    }
}

impl Specimen {
    /// Where it stands in a list.
    pub(super) fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            specimen_id: self.specimen_id.clone(),
        }
    }
}

/// Writes a new one.
pub(super) async fn insert(conn: &mut AsyncPgConnection, specimen: &Specimen) -> QueryResult<()> {
    let row = Row::try_from(specimen)?;
    diesel::insert_into(specimen::table).values(row).execute(conn).await?;
    Ok(())
}

/// Writes all that may change of one.
pub(super) async fn update(conn: &mut AsyncPgConnection, specimen: &Specimen) -> QueryResult<()> {
    let row = Row::try_from(specimen)?;
    diesel::update(specimen::table.find(&specimen.specimen_id))
        .set((
            specimen::title.eq(row.title),
            specimen::return_url.eq(row.return_url),
            specimen::account_number.eq(row.account_number),
            specimen::metadata.eq(row.metadata),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes one; says whether it was there.
pub(super) async fn delete(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<bool> {
    let deleted = diesel::delete(specimen::table.find(id)).execute(conn).await?;
    Ok(deleted > 0)
}

/// One by its id.
pub(super) async fn find(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Option<Specimen>> {
    let row: Option<Row> = specimen::table.find(id).first(conn).await.optional()?;
    row.map(Specimen::try_from).transpose()
}

/// One by its id, which nobody else changes until the transaction ends.
pub(super) async fn lock(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Option<Specimen>> {
    let row: Option<Row> = specimen::table.find(id).for_update().first(conn).await.optional()?;
    row.map(Specimen::try_from).transpose()
}

/// How many a user has.
pub(super) async fn count_of_user(conn: &mut AsyncPgConnection, user_id: &str) -> QueryResult<i64> {
    let of_user = specimen::table.filter(specimen::user_id.eq(user_id));
    of_user.count().get_result(conn).await
}

/// At most `limit` of a user, newest first, after a position; those called `title`, where it is not empty.
pub(super) async fn list_of_user(
    conn: &mut AsyncPgConnection,
    user_id: &str,
    title: &str,
    limit: i64,
    after: Option<Position>,
) -> QueryResult<Vec<Specimen>> {
    let mut query = specimen::table
        .filter(specimen::user_id.eq(user_id))
        .order((specimen::created_at.desc(), specimen::specimen_id.desc()))
        .limit(limit)
        .into_boxed();
    if !title.is_empty() {
        query = query.filter(specimen::title.eq(title));
    }
    if let Some(Position {
        created_at,
        specimen_id,
    }) = after
    {
        let same_time = specimen::created_at
            .eq(created_at)
            .and(specimen::specimen_id.lt(specimen_id));
        query = query.filter(specimen::created_at.lt(created_at).or(same_time));
    }
    let rows: Vec<Row> = query.load(conn).await?;
    rows.into_iter().map(Specimen::try_from).collect()
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = specimen)]
struct Row {
    specimen_id: String,
    user_id: String,
    title: String,
    return_url: String,
    account_number: String,
    metadata: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<&Specimen> for Row {
    type Error = diesel::result::Error;

    fn try_from(specimen: &Specimen) -> QueryResult<Row> {
        let metadata = serde_json::to_string(&specimen.metadata)
            .map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
        Ok(Row {
            specimen_id: specimen.specimen_id.clone(),
            user_id: specimen.user_id.clone(),
            title: specimen.title.clone(),
            return_url: specimen.return_url.clone(),
            account_number: specimen.account_number.clone(),
            metadata,
            created_at: specimen.created_at,
        })
    }
}

impl TryFrom<Row> for Specimen {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Specimen> {
        let metadata = serde_json::from_str(&row.metadata)
            .map_err(|error| diesel::result::Error::DeserializationError(error.into()))?;
        Ok(Specimen {
            specimen_id: row.specimen_id,
            user_id: row.user_id,
            title: row.title,
            return_url: row.return_url,
            account_number: row.account_number,
            metadata,
            created_at: row.created_at,
        })
    }
}
