//! The request ledger: what was sent to Stripe, under which key, and what came back.
//!
//! A row is `sent` before its bytes leave, because nobody can tell afterwards how far they got. It becomes `done` with an
//! answer, `pending` again when for certain nothing was executed, and `unknown` when the sender gives up. Whoever holds the
//! row's lease may send; the lease is told by the database's clock.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use counterfoil_store::{Db, Error as StoreError};
use counterfoil_types::Stamp;
use diesel::OptionalExtension as _;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::API_VERSION;
use crate::answer::Answer;
use crate::wire::{Method, Wire};

/// What a caller of a step found.
pub(crate) enum Begun {
    /// The lease is the caller's: it sends.
    Owned(Entry),
    /// It was answered.
    Done(Answer),
    /// Another caller sends at this moment.
    Busy,
    /// It may have been executed, so long ago that Stripe may have forgotten the key: first at this time.
    TooOld(DateTime<Utc>),
}

/// A row whose lease is ours.
pub(crate) struct Entry {
    pub(crate) op_key: String,
    /// The stored bytes, which are what is sent.
    pub(crate) wire: Wire,
    pub(crate) stripe_version: String,
    pub(crate) idempotency_key: String,
    /// Somebody before us may have sent it.
    pub(crate) resumed: bool,
    generation: i64,
    lease: Duration,
}

#[derive(diesel::QueryableByName)]
struct Fresh {
    #[diesel(sql_type = Text)]
    idempotency_key: String,
    #[diesel(sql_type = BigInt)]
    generation: i64,
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    http_method: String,
    #[diesel(sql_type = Text)]
    path: String,
    #[diesel(sql_type = Binary)]
    form_bytes: Vec<u8>,
    #[diesel(sql_type = Text)]
    stripe_version: String,
    #[diesel(sql_type = Text)]
    account: String,
    #[diesel(sql_type = Text)]
    idempotency_key: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    generation: i64,
    #[diesel(sql_type = Bool)]
    lapsed: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_sent_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Bool)]
    too_old: bool,
    #[diesel(sql_type = Nullable<Integer>)]
    response_status: Option<i32>,
    #[diesel(sql_type = Nullable<Binary>)]
    response: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    stripe_request_id: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    known_from: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    known_to: Option<DateTime<Utc>>,
}

/// Enters the step, or finds what became of it. When this returns `Owned` the row says `sent`.
pub(crate) async fn begin(db: &Db, op_key: &str, built: &Wire, lease: Duration) -> Result<Begun, StoreError> {
    if let Some(fresh) = insert(db, op_key, built, lease).await? {
        return Ok(Begun::Owned(Entry {
            op_key: op_key.to_owned(),
            wire: built.clone(),
            stripe_version: API_VERSION.to_owned(),
            idempotency_key: fresh.idempotency_key,
            resumed: false,
            generation: fresh.generation,
            lease,
        }));
    }
    let row = find(db, op_key).await?;
    if let Some(answer) = row.answer() {
        row.compare(op_key, built)?;
        return Ok(Begun::Done(answer));
    }
    if !row.lapsed {
        return Ok(Begun::Busy);
    }
    if let Some(first_sent) = row.first_sent_at.filter(|_| row.too_old) {
        return Ok(Begun::TooOld(first_sent));
    }
    if !take_over(db, op_key, row.generation, lease).await? {
        return Ok(Begun::Busy);
    }
    let wire = row.compare(op_key, built)?;
    Ok(Begun::Owned(Entry {
        op_key: op_key.to_owned(),
        wire,
        resumed: row.state != "pending",
        generation: row.generation.saturating_add(1),
        stripe_version: row.stripe_version,
        idempotency_key: row.idempotency_key,
        lease,
    }))
}

/// A step of the claim that may have happened at Stripe, though nobody could tell yet: whoever sent it gave up or died.
pub(crate) async fn unclear(db: &Db, claim_id: Uuid) -> Result<Option<String>, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        op_key: String,
    }
    let sql = "select op_key from stripe_request
        where split_part(op_key, ':', 1) = $1 and (state = 'unknown' or state = 'sent' and generation > 1) limit 1";
    let mut conn = db.conn().await?;
    let step: Option<Step> = diesel::sql_query(sql)
        .bind::<Text, _>(claim_id.to_string())
        .get_result(&mut conn)
        .await
        .optional()?;
    Ok(step.map(|step| step.op_key))
}

impl Row {
    fn answer(&self) -> Option<Answer> {
        Some(Answer {
            status: u16::try_from(self.response_status?).ok()?,
            body: Bytes::from(self.response.clone()?),
            stripe_request_id: self.stripe_request_id.clone(),
            replayed: true,
            stamp: Some(Stamp::Answer(self.known_from?, self.known_to?)),
            retry_after: None,
            should_retry: None,
        })
    }

    /// The stored request. One that was built anew may differ, after an upgrade: that is worth knowing, and the stored
    /// one counts, because it is the one that may have been executed.
    fn compare(&self, op_key: &str, built: &Wire) -> Result<Wire, StoreError> {
        let method = Method::parse(&self.http_method);
        let stored = Wire {
            method: method.ok_or_else(|| StoreError::Bug(format!("`{op_key}` has an unknown method")))?,
            path: self.path.clone(),
            body: self.form_bytes.clone(),
            account: self.account.clone(),
        };
        if stored != *built {
            tracing::error!(op_key, "a request differs from the one in the ledger, which counts");
        }
        Ok(stored)
    }
}

async fn insert(db: &Db, op_key: &str, built: &Wire, lease: Duration) -> Result<Option<Fresh>, StoreError> {
    let sql = "insert into stripe_request
            (op_key, http_method, path, form_bytes, stripe_version, account, state, first_sent_at, lease_until)
        values ($1, $2, $3, $4, $5, $6, 'sent', clock_timestamp(), clock_timestamp() + $7 * interval '1 millisecond')
        on conflict (op_key) do nothing
        returning idempotency_key, generation";
    let mut conn = db.conn().await?;
    let fresh = diesel::sql_query(sql)
        .bind::<Text, _>(op_key)
        .bind::<Text, _>(built.method.as_str())
        .bind::<Text, _>(&built.path)
        .bind::<Binary, _>(&built.body)
        .bind::<Text, _>(API_VERSION)
        .bind::<Text, _>(&built.account)
        .bind::<BigInt, _>(milliseconds(lease))
        .get_result(&mut conn)
        .await;
    Ok(fresh.optional()?)
}

async fn find(db: &Db, op_key: &str) -> Result<Row, StoreError> {
    let sql = "select *, lease_until <= clock_timestamp() as lapsed,
            coalesce(first_sent_at <= clock_timestamp() - interval '23 hours', false) as too_old
        from stripe_request where op_key = $1";
    let mut conn = db.conn().await?;
    Ok(diesel::sql_query(sql)
        .bind::<Text, _>(op_key)
        .get_result(&mut conn)
        .await?)
}

/// One of those who see a lapsed lease gets it.
async fn take_over(db: &Db, op_key: &str, generation: i64, lease: Duration) -> Result<bool, StoreError> {
    let sql = "update stripe_request
        set state = 'sent', generation = generation + 1, first_sent_at = coalesce(first_sent_at, clock_timestamp()),
            lease_until = clock_timestamp() + $3 * interval '1 millisecond'
        where op_key = $1 and generation = $2 and state <> 'done' and lease_until <= clock_timestamp()";
    let mut conn = db.conn().await?;
    let taken = diesel::sql_query(sql)
        .bind::<Text, _>(op_key)
        .bind::<BigInt, _>(generation)
        .bind::<BigInt, _>(milliseconds(lease))
        .execute(&mut conn)
        .await?;
    Ok(taken == 1)
}

impl Entry {
    /// Renews the lease for another try; says whether it was still ours.
    pub(crate) async fn renew(&self, db: &Db) -> Result<bool, StoreError> {
        let sql = "update stripe_request set lease_until = clock_timestamp() + $3 * interval '1 millisecond'
            where op_key = $1 and generation = $2 and state = 'sent'";
        let mut conn = db.conn().await?;
        let renewed = diesel::sql_query(sql)
            .bind::<Text, _>(&self.op_key)
            .bind::<BigInt, _>(self.generation)
            .bind::<BigInt, _>(milliseconds(self.lease))
            .execute(&mut conn)
            .await?;
        Ok(renewed == 1)
    }

    /// Stores the answer, whoever holds the lease by now: under one key there is one answer.
    pub(crate) async fn done(&self, db: &Db, answer: &Answer, stamp: Stamp) -> Result<(), StoreError> {
        let sql = "update stripe_request
            set state = 'done', answered_at = clock_timestamp(), response_status = $2, response = $3,
                stripe_request_id = $4, known_from = $5, known_to = $6,
                first_sent_at = coalesce(first_sent_at, clock_timestamp())
            where op_key = $1 and state <> 'done'";
        let (known_from, known_to) = stamp.range();
        let mut conn = db.conn().await?;
        diesel::sql_query(sql)
            .bind::<Text, _>(&self.op_key)
            .bind::<Integer, _>(i32::from(answer.status))
            .bind::<Binary, _>(answer.body.as_ref())
            .bind::<Nullable<Text>, _>(answer.stripe_request_id.as_deref())
            .bind::<Timestamptz, _>(known_from)
            .bind::<Timestamptz, _>(known_to)
            .execute(&mut conn)
            .await?;
        Ok(())
    }

    /// Records that for certain nothing was executed: the step is as if it had never been sent.
    pub(crate) async fn not_executed(&self, db: &Db) -> Result<(), StoreError> {
        self.give_up(db, "set state = 'pending', first_sent_at = null").await
    }

    /// Records that the sender does not know what became of it.
    pub(crate) async fn unknown(&self, db: &Db) -> Result<(), StoreError> {
        self.give_up(db, "set state = 'unknown'").await
    }

    async fn give_up(&self, db: &Db, set: &'static str) -> Result<(), StoreError> {
        let sql = format!(
            "update stripe_request {set}, lease_until = clock_timestamp()
            where op_key = $1 and generation = $2 and state = 'sent'"
        );
        let mut conn = db.conn().await?;
        diesel::sql_query(sql)
            .bind::<Text, _>(&self.op_key)
            .bind::<BigInt, _>(self.generation)
            .execute(&mut conn)
            .await?;
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
