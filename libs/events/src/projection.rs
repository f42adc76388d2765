//! What a service makes of events.

use std::sync::atomic::AtomicU64;

use counterfoil_store::Db;
use diesel_async::AsyncPgConnection;

use crate::Event;

/// A service's reading of the log: events in, rows out.
///
/// An event may be handed over again after a failure, and events come late and out of order: `apply` must be right by
/// what it stores (see [`crate::decide`]), not by being called once. That its effects are written *once* is the
/// consumer's work: they and the checkpoint are one transaction.
pub trait Projection: Send + Sync + 'static {
    /// What `prepare` found out, for example the object fetched from Stripe.
    type Prepared: Send;
    /// What can go wrong. It is logged as text, so that must hold nothing personal.
    type Error: std::error::Error + From<diesel::result::Error> + Send + Sync + 'static;

    /// The types to be streamed, for example `invoice.paid`; a trailing `.*` stands for any ending. All when empty.
    fn event_types(&self) -> &'static [&'static str];

    /// Gathers what `apply` will need, outside any transaction; may read the database and call Stripe. It sees
    /// everything that earlier events with the same key have written.
    ///
    /// # Errors
    /// Any error makes the event be tried again later.
    fn prepare(&self, db: &Db, event: &Event) -> impl Future<Output = Result<Self::Prepared, Self::Error>> + Send;

    /// Writes the event's effects, in the transaction that moves the checkpoint, and says whether it wrote anything.
    ///
    /// # Errors
    /// Any error rolls the transaction back and makes the event be tried again later, from `prepare`.
    fn apply(
        &self,
        conn: &mut AsyncPgConnection,
        event: &Event,
        prepared: Self::Prepared,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// What a consumer has done since it started. Counts events, not attempts, but for `retried`.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events received over the stream, repeats included.
    pub delivered: AtomicU64,
    /// Events whose projection wrote something.
    pub applied: AtomicU64,
    /// Events whose projection had nothing to write.
    pub passed: AtomicU64,
    /// Events at or below the checkpoint when they came: acknowledged, not applied again.
    pub repeated: AtomicU64,
    /// Attempts that failed and were or will be made again, those of a replay too.
    pub retried: AtomicU64,
    /// 1 once nothing more is applied until an operator has looked: the log and the checkpoint contradict each other, or
    /// a newer release of the consumer has widened its filter.
    pub stopped: AtomicU64,
}
