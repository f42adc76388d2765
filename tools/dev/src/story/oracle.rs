//! The judge: looks into the suite's database from outside, as its administrator, and spoils it where a hop is to be
//! spoiled.

use std::collections::BTreeSet;

use anyhow::Context;
use tokio_postgres::{Client, NoTls};

/// A connection to the suite's database.
pub struct Oracle {
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
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("the suite's database")?;
        tokio::spawn(connection);
        Ok(Self { client })
    }

    /// The ids of all events in the log, each once for every time it is stored.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn event_ids(&self) -> anyhow::Result<Vec<String>> {
        let rows = self.client.query("select event_id from webhook_gateway.event_log order by 1", &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// What the log and billing have counted, for the event types in `of_billing`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn counts(&self, of_billing: &[&str]) -> anyhow::Result<Counts> {
        let row = self
            .client
            .query_one(
                "select (select count(*) from webhook_gateway.event_log),
                        (select coalesce(sum(head - 1), 0)::bigint
                           from webhook_gateway.log_head, unnest(next_offset) as head),
                        (select count(*) from webhook_gateway.event_log where type = any($1)),
                        coalesce(sum(delivered), 0)::bigint, coalesce(sum(applied), 0)::bigint
                   from billing.checkpoint",
                &[&of_billing],
            )
            .await?;
        Ok(Counts {
            stored: row.get(0),
            heads: row.get(1),
            of_billing: row.get(2),
            delivered: row.get(3),
            applied: row.get(4),
        })
    }

    /// A subscription's status and whether a cancellation is scheduled, as billing has it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn subscriptions(&self) -> anyhow::Result<BTreeSet<(String, String)>> {
        let rows = self.client.query("select subscription_id, status from billing.subscription", &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Seconds from the storing of the first event about `object_id` to now, by the database's clock.
    ///
    /// # Errors
    /// When there is none.
    pub async fn seconds_since_first_event(&self, object_id: &str) -> anyhow::Result<f64> {
        let row = self
            .client
            .query_one(
                "select extract(epoch from clock_timestamp() - min(received_at))::float8
                   from webhook_gateway.event_log where object_id = $1",
                &[&object_id],
            )
            .await?;
        row.try_get(0).context("no event about it is in the log")
    }

    /// Spoils the database with `statement`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn spoil(&self, statement: &str) -> anyhow::Result<()> {
        Ok(self.client.batch_execute(statement).await?)
    }
}
