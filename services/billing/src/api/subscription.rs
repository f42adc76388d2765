//! `SubscriptionService`.

use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_chassis::convert::{money, timestamp};
use counterfoil_proto::billing::v1 as pb;
use counterfoil_proto::billing::v1::subscription_service_server::SubscriptionService;
use counterfoil_types::{SubscriptionId, UserId};
use tonic::{Request, Response};

use super::Reply;
use crate::Billing;
use crate::model::subscription::{Cancellation, Item, Status, Subscription};

/// The service.
pub struct Subscriptions(pub Arc<Billing>);

#[tonic::async_trait]
impl SubscriptionService for Subscriptions {
    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Reply<pb::GetSubscriptionResponse> {
        let (_, Named(id)) = counterfoil_chassis::accept(request)?;
        let subscription = self.0.get_subscription(&id).await?;
        Ok(Response::new(pb::GetSubscriptionResponse {
            subscription: Some(subscription.into()),
        }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Reply<pb::ListSubscriptionsResponse> {
        let (cx, OfUser(user_id)) = counterfoil_chassis::accept(request)?;
        let paging = cx.paging()?;
        let (subscriptions, next) = self.0.list_subscriptions(&user_id, paging.page()?).await?;
        Ok(Response::new(pb::ListSubscriptionsResponse {
            subscriptions: subscriptions.into_iter().map(Into::into).collect(),
            next_page_token: paging.token(next.as_ref()),
        }))
    }

    async fn cancel_subscription(
        &self,
        request: Request<pb::CancelSubscriptionRequest>,
    ) -> Reply<pb::CancelSubscriptionResponse> {
        let (cx, cancellation) = counterfoil_chassis::accept::<_, Cancellation>(request)?;
        let subscription = self.0.cancel_subscription(&cx, &cancellation).await?;
        Ok(Response::new(pb::CancelSubscriptionResponse {
            subscription: Some(subscription.into()),
        }))
    }
}

/// A request for one subscription.
struct Named(SubscriptionId);

impl TryFrom<pb::GetSubscriptionRequest> for Named {
    type Error = Violations;

    fn try_from(request: pb::GetSubscriptionRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let id = violations.field("subscription_id", SubscriptionId::parse(request.subscription_id));
        let (id,) = violations.all((id,))?;
        Ok(Named(id))
    }
}

/// A request for the subscriptions of a user.
struct OfUser(UserId);

impl TryFrom<pb::ListSubscriptionsRequest> for OfUser {
    type Error = Violations;

    fn try_from(request: pb::ListSubscriptionsRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let user_id = violations.field("user_id", UserId::parse(request.user_id));
        let (user_id,) = violations.all((user_id,))?;
        Ok(OfUser(user_id))
    }
}

impl TryFrom<pb::CancelSubscriptionRequest> for Cancellation {
    type Error = Violations;

    fn try_from(request: pb::CancelSubscriptionRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let subscription_id = violations.field("subscription_id", SubscriptionId::parse(request.subscription_id));
        let (subscription_id,) = violations.all((subscription_id,))?;
        Ok(Cancellation { subscription_id })
    }
}

impl From<Subscription> for pb::Subscription {
    fn from(subscription: Subscription) -> Self {
        pb::Subscription {
            subscription_id: subscription.id.into(),
            stripe_customer_id: subscription.customer_id,
            user_id: subscription.user_id.unwrap_or_default(),
            status: pb::SubscriptionStatus::from(&subscription.status).into(),
            items: subscription.items.into_iter().map(Into::into).collect(),
            cancel_time: subscription.cancel_at.map(timestamp),
            end_time: subscription.ended_at.map(timestamp),
            create_time: Some(timestamp(subscription.created_at)),
        }
    }
}

impl From<Item> for pb::SubscriptionItem {
    fn from(item: Item) -> Self {
        pb::SubscriptionItem {
            unit_price: item.unit_price().map(money),
            subscription_item_id: item.id,
            price_id: item.price_id,
            lookup_key: item.lookup_key.unwrap_or_default(),
            quantity: item.quantity.unwrap_or_default(),
            current_period_start_time: item.period_start.map(timestamp),
            current_period_end_time: item.period_end.map(timestamp),
        }
    }
}

impl From<&Status> for pb::SubscriptionStatus {
    fn from(status: &Status) -> Self {
        match status {
            Status::Incomplete => pb::SubscriptionStatus::Incomplete,
            Status::IncompleteExpired => pb::SubscriptionStatus::IncompleteExpired,
            Status::Trialing => pb::SubscriptionStatus::Trialing,
            Status::Active => pb::SubscriptionStatus::Active,
            Status::PastDue => pb::SubscriptionStatus::PastDue,
            Status::Unpaid => pb::SubscriptionStatus::Unpaid,
            Status::Canceled => pb::SubscriptionStatus::Canceled,
            Status::Paused => pb::SubscriptionStatus::Paused,
            Status::Other(_) => pb::SubscriptionStatus::Unspecified,
        }
    }
}
