//! Protobuf to model and back. Nothing is decided here.

use std::sync::Arc;

use counterfoil_chassis::Violations;
use counterfoil_chassis::convert::timestamp;
use counterfoil_chassis::redirect::AllowedOrigins;
use counterfoil_proto::connect::v1 as pb;
use counterfoil_proto::connect::v1::connected_account_service_server::ConnectedAccountService;
use counterfoil_types::AccountId;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::model::connected_account::{ConnectedAccount, NewConnectedAccount, OnboardingLink};

type Reply<T> = Result<Response<T>, Status>;

/// The most characters Stripe takes. Source: <https://docs.stripe.com/api/customers/create>, which it shares with
/// accounts.
const MAX_EMAIL: usize = 512;

/// The RPCs on connected accounts.
pub struct ConnectedAccounts(pub Arc<crate::Connect>);

#[tonic::async_trait]
impl ConnectedAccountService for ConnectedAccounts {
    async fn create_connected_account(
        &self,
        request: Request<pb::CreateConnectedAccountRequest>,
    ) -> Reply<pb::CreateConnectedAccountResponse> {
        let allowed = &self.0.allowed_origins;
        let read = |message| new_connected_account(message, allowed);
        let (context, new) = counterfoil_chassis::accept_with(request, read)?;
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

fn new_connected_account(
    message: pb::CreateConnectedAccountRequest,
    allowed: &AllowedOrigins,
) -> Result<NewConnectedAccount, Violations> {
    let encoded = message.encode_to_vec();
    let mut violations = Violations::default();
    let idempotency_key = violations.uuid("idempotency_key", &message.idempotency_key);
    let country = message.country_code.as_bytes();
    if country.len() != 2 || !country.iter().all(u8::is_ascii_uppercase) {
        violations.add("country_code", "must be an ISO 3166-1 alpha-2 code in upper case");
    }
    violations.length("email", &message.email, ..=MAX_EMAIL);
    if message.email.chars().any(char::is_control) {
        violations.add("email", "must not have control characters in it");
    }
    let refresh_url = violations.url("refresh_url", &message.refresh_url, allowed);
    let return_url = violations.url("return_url", &message.return_url, allowed);
    let (idempotency_key, _, _) = violations.all((idempotency_key, refresh_url, return_url))?;
    Ok(NewConnectedAccount {
        idempotency_key,
        country_code: message.country_code,
        email: (!message.email.is_empty()).then_some(message.email),
        refresh_url: message.refresh_url,
        return_url: message.return_url,
        encoded,
    })
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
