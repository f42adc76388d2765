//! `EntitlementService`.

use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_proto::billing::v1 as pb;
use counterfoil_proto::billing::v1::entitlement_service_server::EntitlementService;
use counterfoil_types::UserId;
use tonic::{Request, Response};

use super::Reply;
use crate::Billing;
use crate::model::access::{Access, Feature, Reason};

/// The service.
pub struct Entitlements(pub Arc<Billing>);

#[tonic::async_trait]
impl EntitlementService for Entitlements {
    async fn check_access(&self, request: Request<pb::CheckAccessRequest>) -> Reply<pb::CheckAccessResponse> {
        let (_, question) = counterfoil_chassis::accept::<_, Question>(request)?;
        let access = self.0.check_access(&question.user_id, &question.feature).await?;
        Ok(Response::new(pb::CheckAccessResponse {
            access: Some(access.into()),
        }))
    }
}

struct Question {
    user_id: UserId,
    feature: Feature,
}

impl TryFrom<pb::CheckAccessRequest> for Question {
    type Error = Violations;

    fn try_from(request: pb::CheckAccessRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let user_id = violations.field("user_id", UserId::parse(request.user_id));
        let feature = violations.field("feature", Feature::parse(request.feature));
        let (user_id, feature) = violations.all((user_id, feature))?;
        Ok(Question { user_id, feature })
    }
}

impl From<Access> for pb::Access {
    fn from(access: Access) -> Self {
        let reason = match access.reason {
            Reason::Subscribed => pb::AccessReason::Subscribed,
            Reason::Grace => pb::AccessReason::Grace,
            Reason::NoSubscription => pb::AccessReason::NoSubscription,
            Reason::SubscriptionInactive => pb::AccessReason::SubscriptionInactive,
        };
        pb::Access {
            allowed: access.reason.allows(),
            reason: reason.into(),
            subscription_id: access.subscription_id.unwrap_or_default(),
            plan: access.plan.unwrap_or_default(),
        }
    }
}
