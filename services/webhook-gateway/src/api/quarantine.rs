//! `QuarantineService`: what is held back, and what operators decide about it.

use std::sync::Arc;

use counterfoil_chassis::convert::timestamp;
use counterfoil_chassis::{Context, accept, status};
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::ErrorReason;
use counterfoil_proto::event::v1::quarantine_service_server::QuarantineService;
use counterfoil_store::{Db, Error};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

use super::unavailable;
use crate::envelope::Envelope;
use crate::log::append::is_row_at_fault;
use crate::log::quarantine::{self, Row};

type Reply<T> = Result<Response<T>, Status>;

/// The service.
pub(crate) struct Quarantine {
    pub(crate) db: Db,
    /// Told when something was released into the log.
    pub(crate) appended: Arc<Notify>,
}

#[tonic::async_trait]
impl QuarantineService for Quarantine {
    async fn list_quarantined(
        &self,
        request: Request<pb::ListQuarantinedRequest>,
    ) -> Reply<pb::ListQuarantinedResponse> {
        let (cx, request) = accept::<_, pb::ListQuarantinedRequest>(request)?;
        let paging = cx.paging()?;
        let page = paging.page::<i64>()?;
        let found = async {
            let mut conn = self.db.conn().await?;
            Ok(quarantine::list(&mut conn, page.after, request.include_decided, page.rows()).await?)
        };
        let rows = found.await.map_err(|error: Error| unavailable(&error))?;
        let (rows, last) = page.cut(rows, |row| row.id);
        Ok(Response::new(pb::ListQuarantinedResponse {
            deliveries: rows.into_iter().map(Into::into).collect(),
            next_page_token: paging.token(last.as_ref()),
        }))
    }

    async fn get_quarantined(&self, request: Request<pb::GetQuarantinedRequest>) -> Reply<pb::GetQuarantinedResponse> {
        let (_, pb::GetQuarantinedRequest { quarantined_id }) = accept(request)?;
        Ok(Response::new(pb::GetQuarantinedResponse {
            delivery: Some(self.get(quarantined_id).await?.into()),
        }))
    }

    async fn release_quarantined(
        &self,
        request: Request<pb::ReleaseQuarantinedRequest>,
    ) -> Reply<pb::ReleaseQuarantinedResponse> {
        let (cx, pb::ReleaseQuarantinedRequest { quarantined_id }) = accept(request)?;
        let held = self.get(quarantined_id).await?;
        if held.state == "held" {
            self.release(&cx, &held).await?;
        }
        Ok(Response::new(pb::ReleaseQuarantinedResponse {
            delivery: Some(self.decided(quarantined_id, "released").await?),
        }))
    }

    async fn discard_quarantined(
        &self,
        request: Request<pb::DiscardQuarantinedRequest>,
    ) -> Reply<pb::DiscardQuarantinedResponse> {
        let (cx, pb::DiscardQuarantinedRequest { quarantined_id }) = accept(request)?;
        let entry = audit(&cx, quarantined_id, "discarded");
        let discarded = self.db.transaction(async |conn| {
            let discarded = quarantine::discard(conn, quarantined_id, &cx.caller).await?;
            if discarded {
                counterfoil_store::audit::record(conn, &entry).await?;
            }
            Ok::<_, Error>(discarded)
        });
        if discarded.await.map_err(|error| unavailable(&error))? {
            tracing::warn!(
                quarantined_id,
                caller = &*cx.caller,
                "a quarantined delivery was discarded"
            );
        }
        Ok(Response::new(pb::DiscardQuarantinedResponse {
            delivery: Some(self.decided(quarantined_id, "discarded").await?),
        }))
    }
}

impl Quarantine {
    async fn get(&self, id: i64) -> Result<Row, Status> {
        let found = async {
            let mut conn = self.db.conn().await?;
            Ok(quarantine::get(&mut conn, id).await?)
        };
        let row = found.await.map_err(|error: Error| unavailable(&error))?;
        row.ok_or_else(|| status::not_found("quarantined_delivery", &id.to_string()))
    }

    /// Releases what was held a moment ago. If somebody else decided meanwhile, theirs stands.
    async fn release(&self, cx: &Context, held: &Row) -> Result<(), Status> {
        let body = held.body.as_deref().unwrap_or_default();
        let envelope = Envelope::read(body).map_err(|unreadable| not_releasable(held.id, &unreadable.to_string()))?;
        let entry = audit(cx, held.id, "released");
        let released = async {
            let mut conn = self.db.conn().await?;
            Ok(quarantine::release(&mut conn, held.id, &envelope, &entry).await?)
        };
        match released.await {
            Ok(Some(stored)) => {
                self.appended.notify_one();
                tracing::warn!(
                    quarantined_id = held.id,
                    caller = &*cx.caller,
                    event.id = envelope.event_id,
                    event.type = envelope.event_type,
                    object.id = envelope.object_id,
                    stored,
                    "a quarantined delivery was released into the log"
                );
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(Error::Query(error)) if is_row_at_fault(&error) => {
                Err(not_releasable(held.id, "the database cannot store it"))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// What stands, if it is what was asked for.
    async fn decided(&self, id: i64, state: &str) -> Result<pb::QuarantinedDelivery, Status> {
        let row = self.get(id).await?;
        if row.state != state {
            let description = format!("quarantined delivery {id} is {}", row.state);
            let metadata = [("state".to_owned(), row.state)];
            return Err(precondition(
                &ErrorReason::QuarantineDecided,
                id,
                &description,
                metadata,
            ));
        }
        Ok(Row { body: None, ..row }.into())
    }
}

fn audit(cx: &Context, id: i64, outcome: &str) -> counterfoil_store::audit::Entry {
    cx.audit("quarantined_delivery", &id.to_string(), outcome)
}

fn not_releasable(id: i64, why: &str) -> Status {
    let description = format!("quarantined delivery {id}: {why}");
    precondition(&ErrorReason::NotReleasable, id, &description, [])
}

fn precondition(
    reason: &ErrorReason,
    id: i64,
    description: &str,
    metadata: impl IntoIterator<Item = (String, String)>,
) -> Status {
    let subject = format!("quarantined_deliveries/{id}");
    status::precondition(reason, "QUARANTINE", &subject, description, metadata)
}

impl From<Row> for pb::QuarantinedDelivery {
    fn from(row: Row) -> Self {
        let reason = match row.reason.as_str() {
            "wrong_mode" => pb::QuarantineReason::WrongMode,
            "unreadable_envelope" => pb::QuarantineReason::UnreadableEnvelope,
            "row_at_fault" => pb::QuarantineReason::RowAtFault,
            _ => pb::QuarantineReason::Unspecified,
        };
        let state = match row.state.as_str() {
            "held" => pb::QuarantineState::Held,
            "released" => pb::QuarantineState::Released,
            "discarded" => pb::QuarantineState::Discarded,
            _ => pb::QuarantineState::Unspecified,
        };
        pb::QuarantinedDelivery {
            quarantined_id: row.id,
            reason: reason.into(),
            state: state.into(),
            endpoint: row.endpoint,
            secret_name: row.secret_name,
            received_time: Some(timestamp(row.received_at)),
            sha256: row.body_sha256,
            body: row.body.unwrap_or_default(),
            decided_time: row.decided_at.map(timestamp),
            decided_by: row.decided_by.unwrap_or_default(),
            event_id: row.event_id.unwrap_or_default(),
            account: row.account.unwrap_or_default(),
        }
    }
}
