//! The gate: who calls, and whether they may.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::context::Caller;
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

/// The methods in `methods` that no rule lets anybody call: a service's test walks its descriptors and expects none.
#[must_use]
pub fn uncovered<'m>(policy: &[Rule], methods: impl IntoIterator<Item = &'m str>) -> Vec<&'m str> {
    let covered = |method: &&str| policy.iter().any(|rule| matches(rule.methods, method));
    methods.into_iter().filter(|method| !covered(method)).collect()
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

/// Lets through whom the policy lets, with their identity in the request.
#[derive(Debug, Clone)]
pub(crate) struct GateLayer {
    pub(crate) dev_identity: bool,
    pub(crate) policy: &'static [Rule],
}

/// What [`GateLayer`] makes of a service.
#[derive(Debug, Clone)]
pub(crate) struct Gate<S> {
    identity: Option<Arc<str>>,
    policy: &'static [Rule],
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            identity: self.dev_identity.then(|| Arc::from(DEV)),
            policy: self.policy,
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
        if self.policy.iter().any(|rule| rule.allows(&identity, method)) {
            Ok(identity)
        } else {
            tracing::warn!(identity = &*identity, "a call was denied by the policy");
            Err(status::denied(&identity))
        }
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
            Ok(identity) => {
                request.extensions_mut().insert(Caller(identity));
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
        let methods = ["/a.v1.AService/Get", "/b.v1.BService/Get"];
        assert_eq!(uncovered(&[one, all], methods), ["/b.v1.BService/Get"]);
    }
}
