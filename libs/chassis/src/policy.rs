//! The gate: who calls, and whether they may.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::Either;
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::context::Call;
use crate::status;

/// The identity of every caller on loopback where `server.dev_identity` is set.
pub(crate) const DEV: &str = "dev";

/// What anyone may call.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/"];

/// One permission. A policy is a list of them; what none of them names is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// An identity, or the beginning of several followed by `*`.
    pub identity: &'static str,
    /// A method, `/counterfoil.customer.v1.CustomerService/GetCustomer`, or the beginning of several followed by `*`.
    pub methods: &'static str,
}

impl Rule {
    fn allows(&self, identity: &str, method: &str) -> bool {
        matches(self.identity, identity) && matches(self.methods, method)
    }
}

/// The methods of `services` that no rule lets anybody call. They would be denied to all, so somebody forgot them.
pub(crate) fn uncovered(policy: &[Rule], services: &[&str]) -> anyhow::Result<Vec<String>> {
    let files = FileDescriptorSet::decode(counterfoil_proto::FILE_DESCRIPTOR_SET)?.file;
    let mut methods = Vec::new();
    for file in files {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            if services.contains(&name.as_str()) {
                methods.extend(service.method.iter().map(|method| format!("/{name}/{}", method.name())));
            }
        }
    }
    methods.retain(|method| !policy.iter().any(|rule| matches(rule.methods, method)));
    Ok(methods)
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

/// How long a caller who came when too many calls were running waits before they come again.
const RETRY: Duration = Duration::from_secs(1);

/// Lets through whom the policy lets, with their identity in the request, while fewer than `max_calls` are running. Those
/// whose caller has left are running too, so the limit on a connection's streams bounds nothing.
#[derive(Debug, Clone)]
pub(crate) struct GateLayer {
    pub(crate) dev_identity: bool,
    pub(crate) policy: &'static [Rule],
    pub(crate) calls: TaskTracker,
    pub(crate) max_calls: usize,
}

/// What [`GateLayer`] makes of a service.
#[derive(Debug, Clone)]
pub(crate) struct Gate<S> {
    identity: Option<Arc<str>>,
    layer: GateLayer,
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            identity: self.dev_identity.then(|| Arc::from(DEV)),
            layer: self.clone(),
            inner,
        }
    }
}

impl<S> Gate<S> {
    /// The caller, or why the call is refused.
    fn admit(&self, method: &str) -> Result<Arc<str>, Status> {
        if OPEN.iter().any(|open| method.starts_with(open)) {
            return Ok(self.identity.clone().unwrap_or_else(|| Arc::from("anonymous")));
        }
        let identity = self.identity.clone().ok_or_else(status::unauthenticated)?;
        if !self.layer.policy.iter().any(|rule| rule.allows(&identity, method)) {
            tracing::warn!(identity = &*identity, "a call was denied by the policy");
            return Err(status::denied(&identity));
        }
        if self.layer.calls.len() >= self.layer.max_calls {
            tracing::warn!("a call was refused, too many are running");
            return Err(status::rate_limited(RETRY));
        }
        Ok(identity)
    }
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<http::Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match self.admit(request.uri().path()) {
            Ok(caller) => {
                let method = Arc::from(request.uri().path().trim_start_matches('/'));
                request.extensions_mut().insert(Call { caller, method });
                Either::Left(self.inner.call(request))
            }
            Err(refusal) => Either::Right(ready(Ok(refusal.into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_one_method_or_all_that_begin_alike() {
        let one = Rule {
            identity: "dev",
            methods: "/a.v1.AService/Get",
        };
        assert!(one.allows("dev", "/a.v1.AService/Get"));
        assert!(!one.allows("dev", "/a.v1.AService/GetAll"));
        assert!(!one.allows("developer", "/a.v1.AService/Get"));
        let all = Rule {
            identity: "spiffe://company/billing/*",
            methods: "/a.v1.AService/*",
        };
        assert!(all.allows("spiffe://company/billing/worker", "/a.v1.AService/Get"));
        assert!(!all.allows("spiffe://company/bill", "/a.v1.AService/Get"));
        assert!(!all.allows("spiffe://company/billing/worker", "/a.v1.AService2/Get"));
    }

    const GET: &str = "/counterfoil.connect.v1.ConnectedAccountService/GetConnectedAccount";
    const RULES: &[Rule] = &[Rule {
        identity: "dev",
        methods: GET,
    }];

    #[test]
    fn a_method_without_a_rule_is_found() {
        let services = ["counterfoil.connect.v1.ConnectedAccountService"];
        let forgotten = "/counterfoil.connect.v1.ConnectedAccountService/CreateConnectedAccount";
        assert_eq!(uncovered(RULES, &services).unwrap(), [forgotten]);
        assert!(uncovered(RULES, &[]).unwrap().is_empty());
    }

    #[tokio::test]
    async fn when_too_many_calls_are_running_only_health_and_reflection_get_through() {
        let calls = TaskTracker::new();
        let layer = GateLayer {
            dev_identity: true,
            policy: RULES,
            calls: calls.clone(),
            max_calls: 1,
        };
        let gate = layer.layer(());
        assert_eq!(&*gate.admit(GET).unwrap(), "dev");
        let running = calls.track_future(std::future::pending::<()>());
        let refused = gate.admit(GET).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(gate.admit("/grpc.health.v1.Health/Check").is_ok());
        drop(running);
        assert!(gate.admit(GET).is_ok());
    }
}
