//! gRPC clients of the suite that behave as a good caller does: what may be repeated is repeated, under the same key.

use std::time::Duration;

use counterfoil_chassis::client::{self, Channel};
use counterfoil_proto::billing::v1::checkout_service_client::CheckoutServiceClient;
use counterfoil_proto::billing::v1::entitlement_service_client::EntitlementServiceClient;
use counterfoil_proto::billing::v1::subscription_service_client::SubscriptionServiceClient;
use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use counterfoil_proto::customer::v1::customer_service_client::CustomerServiceClient;
use counterfoil_proto::event::v1::event_service_client::EventServiceClient;
use counterfoil_proto::tax::v1::calculation_service_client::CalculationServiceClient;
use counterfoil_proto::{billing, connect, customer, event, tax};
use tokio::time::Instant;
use tonic::{Code, Response, Status};

use crate::addresses::Grpc;

/// A client of every service. Connects when first used, and again after a service was gone.
#[derive(Clone)]
pub struct Clients {
    /// The gateway.
    pub events: EventServiceClient<Channel>,
    /// Customers.
    pub customers: CustomerServiceClient<Channel>,
    /// Checkout.
    pub checkout: CheckoutServiceClient<Channel>,
    /// Subscriptions.
    pub subscriptions: SubscriptionServiceClient<Channel>,
    /// Access.
    pub entitlements: EntitlementServiceClient<Channel>,
    /// Tax.
    pub tax: CalculationServiceClient<Channel>,
    /// Connected accounts.
    pub connect: ConnectedAccountServiceClient<Channel>,
}

impl Clients {
    /// Clients of the services at `grpc`.
    ///
    /// # Errors
    /// When an address is none.
    pub fn new(grpc: &Grpc) -> anyhow::Result<Self> {
        let channel = |address: &str, service_config: &str| -> anyhow::Result<Channel> {
            let channel = client::channel(&format!("http://{address}"))?;
            Ok(channel.with_service_config(service_config)?)
        };
        let billing = channel(&grpc.billing, billing::v1::SERVICE_CONFIG)?;
        Ok(Self {
            events: EventServiceClient::new(channel(&grpc.gateway, event::v1::SERVICE_CONFIG)?),
            customers: CustomerServiceClient::new(channel(&grpc.customer, customer::v1::SERVICE_CONFIG)?),
            checkout: CheckoutServiceClient::new(billing.clone()),
            subscriptions: SubscriptionServiceClient::new(billing.clone()),
            entitlements: EntitlementServiceClient::new(billing),
            tax: CalculationServiceClient::new(channel(&grpc.tax, tax::v1::SERVICE_CONFIG)?),
            connect: ConnectedAccountServiceClient::new(channel(&grpc.connect, connect::v1::SERVICE_CONFIG)?),
        })
    }
}

/// Calls until the answer is final or `patience` is over. The call must be safe to repeat: a read, or a mutation whose
/// request carries its key.
///
/// # Errors
/// The last status.
pub async fn insist<T>(
    patience: Duration,
    mut call: impl AsyncFnMut() -> Result<Response<T>, Status>,
) -> Result<T, Status> {
    let end = Instant::now() + patience;
    loop {
        match call().await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) if !may_pass(status.code()) || Instant::now() >= end => return Err(status),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The codes after which the same call may go through. A server killed while it answers looks CANCELLED or UNKNOWN to
/// its client.
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}
