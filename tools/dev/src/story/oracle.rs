//! The judge: looks into the suite's database from outside, as its administrator, and spoils it where a hop is to be
//! spoiled.

use std::collections::BTreeSet;

use anyhow::Context;
use tokio_postgres::{Client, NoTls};

/// Stores one event a second time, as a log without deduplication would.
pub(super) const STORE_TWICE: &str = "
    insert into webhook_gateway.event_log
    select e.partition, h.next_offset[e.partition + 1], e.received_at, e.account, e.event_id, e.type, e.api_version,
           e.object_id, e.key, e.created, e.source, e.endpoint, e.secret_name, e.signature, e.traceparent, e.body
      from webhook_gateway.event_log e, webhook_gateway.log_head h order by e.partition, e.log_offset limit 1;
    update webhook_gateway.log_head h set next_offset[e.partition + 1] = next_offset[e.partition + 1] + 1
      from (select partition from webhook_gateway.event_log order by partition, log_offset limit 1) e";

/// Makes billing forget, once it is started again, what it has applied.
const FORGET_APPLIED: &str = "update billing.checkpoint set log_offset = 0, event_id = ''";

/// Takes one event out of the log.
pub(super) const LOSE_EVENT: &str = "
    delete from webhook_gateway.event_log
     where (partition, log_offset) = (select partition, log_offset from webhook_gateway.event_log limit 1)";

/// A connection to the suite's database.
pub(super) struct Oracle {
    client: Client,
}

/// What the log and billing have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Events in the log.
    pub stored: i64,
    /// The sum of the log's offsets: equal to `stored` where they are dense.
    pub heads: i64,
    /// Events of billing's types in the log.
    pub of_billing: i64,
    /// The sum of the offsets billing stands at: equal to `heads` once it has caught up.
    pub caught_up: i64,
    /// Events billing was delivered and has committed.
    pub delivered: i64,
    /// Those of them that changed a row.
    pub applied: i64,
}

impl Oracle {
    /// Connects as administrator.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .context("the suite's database")?;
        tokio::spawn(connection);
        Ok(Self { client })
    }

    /// The ids of all events in the log, each once for every time it is stored.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn event_ids(&self) -> anyhow::Result<Vec<String>> {
        let rows = self
            .client
            .query("select event_id from webhook_gateway.event_log order by 1", &[])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// What the log and billing have counted, for the event types in `of_billing`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn counts(&self, of_billing: &[&str]) -> anyhow::Result<Counts> {
        let row = self
            .client
            .query_one(
                "select (select count(*) from webhook_gateway.event_log),
                        (select coalesce(sum(head - 1), 0)::bigint
                           from webhook_gateway.log_head, unnest(next_offset) as head),
                        (select count(*) from webhook_gateway.event_log where type = any($1)),
                        coalesce(sum(log_offset), 0)::bigint, coalesce(sum(delivered), 0)::bigint,
                        coalesce(sum(applied), 0)::bigint
                   from billing.checkpoint",
                &[&of_billing],
            )
            .await?;
        Ok(Counts {
            stored: row.get(0),
            heads: row.get(1),
            of_billing: row.get(2),
            caught_up: row.get(3),
            delivered: row.get(4),
            applied: row.get(5),
        })
    }

    /// A subscription's status and whether a cancellation is scheduled, as billing has it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn subscriptions(&self) -> anyhow::Result<BTreeSet<(String, String)>> {
        let rows = self
            .client
            .query("select subscription_id, status from billing.subscription", &[])
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Seconds from the storing of the first event that shows `subscription_id` active to now, by the database's clock.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn seconds_since_active(&self, subscription_id: &str) -> anyhow::Result<f64> {
        let row = self
            .client
            .query_one(
                "select extract(epoch from clock_timestamp() - min(received_at))::float8
                   from webhook_gateway.event_log
                  where object_id = $1 and convert_from(body, 'UTF8')::json #>> '{data,object,status}' = 'active'",
                &[&subscription_id],
            )
            .await?;
        row.try_get(0).context("no event that shows it active is in the log")
    }

    /// Sets billing's checkpoint back to the beginning.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn forget_applied(&self) -> anyhow::Result<()> {
        self.spoil(FORGET_APPLIED).await
    }

    /// Spoils the database with `statement`.
    ///
    /// # Errors
    /// When the statement fails.
    pub(super) async fn spoil(&self, statement: &str) -> anyhow::Result<()> {
        Ok(self.client.batch_execute(statement).await?)
    }
}
