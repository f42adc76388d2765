//! A changed filter: what it newly admits is replayed from the beginning of the log.

use counterfoil_proto::event::v1 as pb;

use crate::checkpoint::{self, Checkpoint};
use crate::consume::{Client, Consumer, Ended, refused};
use crate::filter::admits;
use crate::run::Failure;
use crate::{Event, Projection};

impl<P: Projection> Consumer<P> {
    /// Applies the events up to `at` that `filter` admits and the filter of `at` did not, then notes `filter`.
    ///
    /// It moves no offset. When it is cut off it begins again, which writes nothing twice: late events are what
    /// projections are made for.
    pub(crate) async fn change_filter(
        &self,
        client: &mut Client,
        at: &mut Checkpoint,
        filter: &[&str],
    ) -> Result<(), Ended> {
        let wider = !at.filter.is_empty()
            && (filter.is_empty() || filter.iter().any(|new| !at.filter.iter().any(|old| old == new)));
        if wider && at.log_offset > 0 {
            tracing::info!(
                consumer = self.name,
                partition = at.partition,
                "replaying newly wanted types of events"
            );
            self.replay(client, at, filter).await?;
        }
        at.filter = filter.iter().map(ToString::to_string).collect();
        self.db
            .transaction(async |conn| {
                let mut row = checkpoint::lock(conn, self.name, at.partition).await?;
                row.filter.clone_from(&at.filter);
                checkpoint::write(conn, self.name, &row, 0, 0).await?;
                Ok::<_, counterfoil_store::Error>(())
            })
            .await?;
        Ok(())
    }

    async fn replay(&self, client: &mut Client, at: &Checkpoint, filter: &[&str]) -> Result<(), Ended> {
        let mut page_token = String::new();
        loop {
            let request = pb::ListEventsRequest {
                partition: at.partition,
                page_size: 100,
                page_token,
                ..Default::default()
            };
            let page = refused(client.list_events(request).await)?.into_inner();
            for event in page.events {
                let event = Event::try_from(event).map_err(|error| Ended::Protocol(error.to_string()))?;
                if event.offset > at.log_offset {
                    return Ok(());
                }
                if admits(filter, &event.event_type) && !admits(&at.filter, &event.event_type) {
                    self.reapply(&event)
                        .await
                        .map_err(|failure| Ended::Replay(failure.to_string()))?;
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    /// Holds the checkpoint's lock, so that replay and stream exclude each other, and does not move it.
    async fn reapply(&self, event: &Event) -> Result<bool, Failure<P::Error>> {
        let prepared = self
            .projection
            .prepare(&self.db, event)
            .await
            .map_err(Failure::Projection)?;
        self.db
            .transaction(async |conn| {
                checkpoint::lock(conn, self.name, event.partition).await?;
                self.projection
                    .apply(conn, event, prepared)
                    .await
                    .map_err(Failure::Projection)
            })
            .await
    }
}
