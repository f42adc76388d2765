//! The services, each behind a channel that connects when it is first used.

use std::time::Duration;

use counterfoil_chassis::client;
use counterfoil_proto::billing::v1 as billing;
use counterfoil_proto::billing::v1::entitlement_service_client::EntitlementServiceClient;
use counterfoil_proto::billing::v1::subscription_service_client::SubscriptionServiceClient;
use counterfoil_proto::customer::v1 as customer;
use counterfoil_proto::customer::v1::customer_service_client::CustomerServiceClient;
use counterfoil_proto::event::v1 as event;
use counterfoil_proto::event::v1::event_service_client::EventServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;

use crate::addresses::{Addresses, Service};
use crate::caller::{Caller, Token};
use crate::failure::Failure;

/// The largest answer taken: a page of a thousand headers, or one event with the largest body.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A connection over which each call shows who asks.
pub(crate) type Channel = InterceptedService<client::Channel, Token>;

/// Where the services are, who asks, and how long a call may take.
pub(crate) struct Services {
    pub(crate) addresses: Addresses,
    pub(crate) caller: Caller,
    pub(crate) timeout: Duration,
}

impl Services {
    /// The address of `service`, where one is known.
    pub(crate) fn address(&self, service: Service) -> Option<&str> {
        self.addresses.of(service).ok()
    }

    pub(crate) fn events(&self) -> anyhow::Result<EventServiceClient<Channel>> {
        let client = EventServiceClient::new(self.calls(Service::Gateway, event::SERVICE_CONFIG)?);
        Ok(client.max_decoding_message_size(MAX_ANSWER))
    }

    pub(crate) fn customers(&self) -> anyhow::Result<CustomerServiceClient<Channel>> {
        Ok(CustomerServiceClient::new(
            self.calls(Service::Customer, customer::SERVICE_CONFIG)?,
        ))
    }

    pub(crate) fn subscriptions(&self) -> anyhow::Result<SubscriptionServiceClient<Channel>> {
        Ok(SubscriptionServiceClient::new(
            self.calls(Service::Billing, billing::SERVICE_CONFIG)?,
        ))
    }

    pub(crate) fn entitlements(&self) -> anyhow::Result<EntitlementServiceClient<Channel>> {
        Ok(EntitlementServiceClient::new(
            self.calls(Service::Billing, billing::SERVICE_CONFIG)?,
        ))
    }

    /// Health is open to everybody, so nobody's token is shown for it.
    pub(crate) fn health(&self, service: Service) -> anyhow::Result<HealthClient<client::Channel>> {
        Ok(HealthClient::new(self.channel(service)?))
    }

    /// A request that ends at the timeout.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// What `service` answered.
    pub(crate) fn answer<T>(&self, service: Service, answer: Result<Response<T>, Status>) -> Result<T, Failure> {
        answer
            .map(Response::into_inner)
            .map_err(|status| self.failure(service, status))
    }

    pub(crate) fn failure(&self, service: Service, status: Status) -> Failure {
        let address = self.address(service).unwrap_or_default();
        Failure::Status(format!("{} at {address}", service.name()), Box::new(status))
    }

    fn calls(&self, service: Service, service_config: &str) -> anyhow::Result<Channel> {
        let channel = self.channel(service)?.with_service_config(service_config)?;
        Ok(InterceptedService::new(channel, self.caller.token()))
    }

    fn channel(&self, service: Service) -> anyhow::Result<client::Channel> {
        self.caller.channel(service, &self.addresses.uri(service)?)
    }
}
