//! Protobuf to model and back. Nothing is decided here.

use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_chassis::convert::timestamp;
use counterfoil_proto::connect::v1 as pb;
use counterfoil_proto::connect::v1::connected_account_service_server::ConnectedAccountService;
use counterfoil_types::AccountId;
use tonic::{Request, Response, Status};

use crate::model::connected_account::{ConnectedAccount, NewConnectedAccount, OnboardingLink};

type Reply<T> = Result<Response<T>, Status>;

/// The RPCs on connected accounts.
pub struct ConnectedAccounts(pub Arc<crate::Connect>);

#[tonic::async_trait]
impl ConnectedAccountService for ConnectedAccounts {
    async fn create_connected_account(
        &self,
        request: Request<pb::CreateConnectedAccountRequest>,
    ) -> Reply<pb::CreateConnectedAccountResponse> {
        let (context, new) = counterfoil_chassis::accept::<_, NewConnectedAccount>(request)?;
        let (account, link) = self.0.create_connected_account(&context, &new).await?;
        Ok(Response::new(pb::CreateConnectedAccountResponse {
            connected_account: Some(account.into()),
            onboarding_link: Some(link.into()),
        }))
    }

    async fn get_connected_account(
        &self,
        request: Request<pb::GetConnectedAccountRequest>,
    ) -> Reply<pb::GetConnectedAccountResponse> {
        let (_, Named(id)) = counterfoil_chassis::accept::<_, Named>(request)?;
        let account = self.0.get_connected_account(&id).await?;
        Ok(Response::new(pb::GetConnectedAccountResponse {
            connected_account: Some(account.into()),
        }))
    }
}

/// A request for one account.
struct Named(AccountId);

impl TryFrom<pb::GetConnectedAccountRequest> for Named {
    type Error = Violations;

    fn try_from(message: pb::GetConnectedAccountRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let id = violations.field("account_id", AccountId::parse(message.account_id));
        let (id,) = violations.all((id,))?;
        Ok(Named(id))
    }
}

impl TryFrom<pb::CreateConnectedAccountRequest> for NewConnectedAccount {
    type Error = Violations;

    fn try_from(message: pb::CreateConnectedAccountRequest) -> Result<Self, Violations> {
        Ok(NewConnectedAccount {
            country_code: message.country_code,
            email: (!message.email.is_empty()).then_some(message.email),
            refresh_url: message.refresh_url,
            return_url: message.return_url,
        })
    }
}

impl From<ConnectedAccount> for pb::ConnectedAccount {
    fn from(account: ConnectedAccount) -> pb::ConnectedAccount {
        pb::ConnectedAccount {
            account_id: account.id.into(),
            country_code: account.country_code.unwrap_or_default(),
            details_submitted: account.details_submitted,
            charges_enabled: account.charges_enabled,
            payouts_enabled: account.payouts_enabled,
            create_time: account.created_at.map(timestamp),
        }
    }
}

impl From<OnboardingLink> for pb::OnboardingLink {
    fn from(link: OnboardingLink) -> pb::OnboardingLink {
        pb::OnboardingLink {
            url: link.url,
            expire_time: Some(timestamp(link.expires_at)),
        }
    }
}
