//! Protobuf to model and back. Nothing is decided here.

use std::sync::Arc;

use counterfoil_chassis::convert::timestamp;
use counterfoil_chassis::field_mask::Paths;
use counterfoil_chassis::{Violations, accept, etag};
use counterfoil_proto::common::v1::FieldReason;
use tonic::{Request, Response, Status};

use super::app::{Change, NewSpecimen};
use super::pb;
use super::pb::specimen_service_server::SpecimenService;
use super::store::Specimen;

type Reply<T> = Result<Response<T>, Status>;

/// The RPCs on specimens.
pub struct Specimens(pub Arc<super::Specimens>);

#[tonic::async_trait]
impl SpecimenService for Specimens {
    async fn get_specimen(&self, request: Request<pb::GetSpecimenRequest>) -> Reply<pb::GetSpecimenResponse> {
        let (_, pb::GetSpecimenRequest { specimen_id }) = accept(request)?;
        let specimen = self.0.get_specimen(&specimen_id).await?;
        Ok(Response::new(pb::GetSpecimenResponse {
            specimen: Some(specimen.into()),
        }))
    }

    async fn list_specimens(&self, request: Request<pb::ListSpecimensRequest>) -> Reply<pb::ListSpecimensResponse> {
        let (cx, filter): (_, pb::ListSpecimensRequest) = accept(request)?;
        let paging = cx.paging()?;
        let listed = self.0.list_specimens(&filter.user_id, &filter.title, paging.page()?);
        let (specimens, next) = listed.await?;
        Ok(Response::new(pb::ListSpecimensResponse {
            specimens: specimens.into_iter().map(Into::into).collect(),
            next_page_token: paging.token(next.as_ref()),
        }))
    }

    async fn create_specimen(&self, request: Request<pb::CreateSpecimenRequest>) -> Reply<pb::CreateSpecimenResponse> {
        let (cx, new) = accept::<_, NewSpecimen>(request)?;
        let specimen = self.0.create_specimen(&cx, new).await?;
        Ok(Response::new(pb::CreateSpecimenResponse {
            specimen: Some(specimen.into()),
        }))
    }

    async fn update_specimen(&self, request: Request<pb::UpdateSpecimenRequest>) -> Reply<pb::UpdateSpecimenResponse> {
        let (cx, change) = accept::<_, Change>(request)?;
        let specimen = self.0.update_specimen(&cx, &change).await?;
        Ok(Response::new(pb::UpdateSpecimenResponse {
            specimen: Some(specimen.into()),
        }))
    }

    async fn delete_specimen(&self, request: Request<pb::DeleteSpecimenRequest>) -> Reply<pb::DeleteSpecimenResponse> {
        let (cx, pb::DeleteSpecimenRequest { specimen_id, .. }) = accept(request)?;
        self.0.delete_specimen(&cx, &specimen_id).await?;
        Ok(Response::new(pb::DeleteSpecimenResponse {}))
    }
}

impl TryFrom<pb::CreateSpecimenRequest> for NewSpecimen {
    type Error = Violations;

    fn try_from(message: pb::CreateSpecimenRequest) -> Result<Self, Violations> {
        Ok(NewSpecimen {
            user_id: message.user_id,
            title: message.title,
            return_url: message.return_url,
            account_number: message.account_number,
            metadata: message.metadata,
        })
    }
}

impl TryFrom<pb::UpdateSpecimenRequest> for Change {
    type Error = Violations;

    fn try_from(message: pb::UpdateSpecimenRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let specimen = violations.required("specimen", message.specimen);
        let paths = violations.required("update_mask", message.update_mask.map(Paths::from));
        if paths.as_ref().is_some_and(Paths::is_empty) {
            violations.add_for(FieldReason::Required, "update_mask", "must name a field");
        }
        let (specimen, paths) = violations.all((specimen, paths))?;
        let covered = |path, value| paths.covers(path).then_some(value);
        Ok(Change {
            specimen_id: message.specimen_id,
            etag: message.etag,
            title: covered("title", specimen.title),
            return_url: covered("return_url", specimen.return_url),
            account_number: covered("account_number", specimen.account_number),
            metadata: paths.covers("metadata").then_some(specimen.metadata),
        })
    }
}

impl From<Specimen> for pb::Specimen {
    fn from(specimen: Specimen) -> pb::Specimen {
        let mut message = pb::Specimen {
            specimen_id: specimen.specimen_id,
            user_id: specimen.user_id,
            title: specimen.title,
            return_url: specimen.return_url,
            account_number: specimen.account_number,
            metadata: specimen.metadata,
            etag: String::new(),
            create_time: Some(timestamp(specimen.created_at)),
        };
        message.etag = etag::of(&message);
        message
    }
}
