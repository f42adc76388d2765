//! The gate: who calls, and whether they may.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::future::Either;
use http::header::AUTHORIZATION;
use prost_reflect::DescriptorPool;
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::config;
use crate::context::Call;
use crate::identity::{ANYONE, Identities, Peer};
use crate::status;

/// What anyone may call.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/"];

/// One permission of a service's own. Its policy is a list of them; what none of them names is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// An identity, or the beginning of several followed by `*`.
    pub identity: &'static str,
    /// A method, `/counterfoil.customer.v1.CustomerService/GetCustomer`, or the beginning of several followed by `*`.
    pub methods: &'static str,
}

/// A permission that the configuration adds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// An identity, `spiffe://company/orders`, or the beginning of several followed by `*`, of which something must be left.
    pub identity: String,
    /// Methods, or the beginnings of several followed by `*`, as in a [`Rule`]. Each must name a method of the process.
    pub methods: Vec<String>,
}

/// Refuses a row that would let everybody, or nobody.
pub(crate) fn check(rows: &[Row]) -> Result<(), config::Error> {
    for Row { identity, methods } in rows {
        let named = identity.strip_suffix('*').unwrap_or(identity);
        if named.is_empty() {
            return Err(wrong("has a row for everybody, each must name an identity"));
        }
        if !named.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*') {
            return Err(wrong(&format!(
                "has a row for `{identity}`, which is no caller's identity"
            )));
        }
        if methods.is_empty() {
            return Err(wrong(&format!("has a row for `{identity}` without methods")));
        }
    }
    Ok(())
}

fn wrong(problem: &str) -> config::Error {
    config::Error::invalid("server.policy", problem)
}

/// Who may call each method of a process, looked up once a call.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    methods: HashMap<String, Callers>,
    /// Who may call whatever begins alike: they are told when there is no such method, and nobody else is.
    wide: Vec<(String, String)>,
}

/// Who may call one method.
#[derive(Debug, Default)]
struct Callers {
    named: HashSet<String>,
    /// The beginnings of identities. There are few.
    beginnings: Vec<String>,
}

impl Policy {
    /// The rules of the process and the rows that its configuration adds, for the methods of `services`.
    ///
    /// # Errors
    /// When no rule names one of the methods: it would be denied to all, so somebody forgot it. When a row names no method,
    /// as a mistyped one does, or [`check`] refuses it. When one of `services` is none that we have a contract for.
    pub(crate) fn new(
        descriptors: &DescriptorPool,
        rules: &[Rule],
        rows: &[Row],
        services: &[&str],
    ) -> anyhow::Result<Policy> {
        let mut policy = Policy::default();
        for name in services {
            let service = descriptors.get_service_by_name(name);
            let service = service.with_context(|| format!("there is no contract for {name}"))?;
            for method in service.methods() {
                let path = format!("/{name}/{}", method.name());
                policy.methods.insert(path, Callers::default());
            }
        }
        for rule in rules {
            policy.allow(rule.identity, rule.methods);
        }
        if let Some(method) = policy.uncovered() {
            bail!("no rule of the policy lets anybody call {method}");
        }
        check(rows)?;
        for Row { identity, methods } in rows {
            for pattern in methods {
                if policy.allow(identity, pattern) == 0 {
                    let problem =
                        format!("has a row for `{identity}` with `{pattern}`, and there is no such method here");
                    return Err(wrong(&problem).into());
                }
            }
        }
        Ok(policy)
    }

    /// Lets `identity` call what `pattern` names; says how many methods that are.
    fn allow(&mut self, identity: &str, pattern: &str) -> usize {
        if pattern.ends_with('*') {
            self.wide.push((identity.to_owned(), pattern.to_owned()));
        }
        let mut named = 0_usize;
        for (_, callers) in self.methods.iter_mut().filter(|(method, _)| matches(pattern, method)) {
            named = named.saturating_add(1);
            match identity.strip_suffix('*') {
                Some(beginning) => callers.beginnings.push(beginning.to_owned()),
                None => {
                    callers.named.insert(identity.to_owned());
                }
            }
        }
        named
    }

    /// A method that nobody may call, the first by name.
    fn uncovered(&self) -> Option<&String> {
        let uncovered = self.methods.iter().filter(|(_, callers)| callers.is_empty());
        uncovered.map(|(method, _)| method).min()
    }

    pub(crate) fn allows(&self, identity: &str, method: &str) -> bool {
        match self.methods.get(method) {
            Some(callers) => callers.include(identity),
            None => {
                let mut wide = self.wide.iter();
                wide.any(|(caller, pattern)| matches(caller, identity) && matches(pattern, method))
            }
        }
    }
}

impl Callers {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.beginnings.is_empty()
    }

    fn include(&self, identity: &str) -> bool {
        self.named.contains(identity)
            || self
                .beginnings
                .iter()
                .any(|beginning| identity.starts_with(beginning.as_str()))
    }
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
    pub(crate) identities: Identities,
    pub(crate) policy: Arc<Policy>,
    pub(crate) calls: TaskTracker,
    pub(crate) max_calls: usize,
}

/// What [`GateLayer`] makes of a service.
#[derive(Debug, Clone)]
pub(crate) struct Gate<S> {
    layer: Arc<GateLayer>,
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            layer: Arc::new(self.clone()),
            inner,
        }
    }
}

impl GateLayer {
    /// The caller, or why the call is refused.
    fn admit<B>(&self, request: &http::Request<B>) -> Result<Arc<str>, Status> {
        let method = request.uri().path();
        if OPEN.iter().any(|open| method.starts_with(open)) {
            return Ok(Arc::from(ANYONE));
        }
        let peer = request.extensions().get().unwrap_or(&Peer::Remote);
        let identity = self.identities.of(peer, request.headers())?;
        if !self.policy.allows(&identity, method) {
            tracing::warn!(identity = &*identity, "a call was denied by the policy");
            return Err(status::denied(&identity));
        }
        if self.calls.len() >= self.max_calls {
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
        match self.layer.admit(&request) {
            Ok(caller) => {
                // Nobody behind the gate needs the token, so nobody can let it slip.
                request.headers_mut().remove(AUTHORIZATION);
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

    const SERVICE: &str = "counterfoil.connect.v1.ConnectedAccountService";
    const GET: &str = "/counterfoil.connect.v1.ConnectedAccountService/GetConnectedAccount";
    const CREATE: &str = "/counterfoil.connect.v1.ConnectedAccountService/CreateConnectedAccount";
    const RULES: &[Rule] = &[Rule {
        identity: "dev",
        methods: "/counterfoil.connect.v1.ConnectedAccountService/*",
    }];

    fn descriptors() -> DescriptorPool {
        DescriptorPool::decode(counterfoil_proto::FILE_DESCRIPTOR_SET).unwrap()
    }

    fn row(identity: &str, methods: &[&str]) -> Row {
        Row {
            identity: identity.to_owned(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        }
    }

    fn refusal(rules: &[Rule], row: Row) -> String {
        Policy::new(&descriptors(), rules, &[row], &[SERVICE])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_row_lets_one_identity_or_all_that_begin_alike_call_what_its_patterns_name() {
        let rows = [
            row("spiffe://company/orders", &[GET]),
            row("spiffe://company/admin/*", &["/counterfoil.connect.v1.Conn*"]),
        ];
        let policy = Policy::new(&descriptors(), RULES, &rows, &[SERVICE]).unwrap();
        for (identity, method, allowed) in [
            ("dev", GET, true),
            ("dev", CREATE, true),
            ("developer", GET, false),
            ("spiffe://company/orders", GET, true),
            ("spiffe://company/orders", CREATE, false),
            ("spiffe://company/orders/2", GET, false),
            ("spiffe://company/admin/ada", CREATE, true),
            ("spiffe://company/admin", CREATE, false),
            ("spiffe://Company/orders", GET, false),
            ("", GET, false),
            ("*", GET, false),
            // They are let through to be told that there is no such method.
            ("dev", "/counterfoil.connect.v1.ConnectedAccountService/Get", true),
            (
                "spiffe://company/admin/ada",
                "/counterfoil.connect.v1.ConnectedAccountService/Get",
                true,
            ),
            (
                "spiffe://company/orders",
                "/counterfoil.connect.v1.ConnectedAccountService/Get",
                false,
            ),
            ("dev", "/counterfoil.tax.v1.CalculationService/CreateCalculation", false),
        ] {
            assert_eq!(policy.allows(identity, method), allowed, "{identity} {method}");
        }
    }

    #[test]
    fn a_row_for_everybody_or_for_no_method_is_refused() {
        for everybody in ["", "*"] {
            assert!(refusal(RULES, row(everybody, &[GET])).contains("row for everybody"));
        }
        for nobody in ["**", " ", " *", "spiffe://*/orders", "spiffe://company/orders "] {
            assert!(
                refusal(RULES, row(nobody, &[GET])).contains("no caller's identity"),
                "{nobody}"
            );
        }
        assert!(refusal(RULES, row("a", &[])).contains("without methods"));
        for mistyped in [
            "",
            "/counterfoil.connect.v1.ConnectedAccountService/Gte*",
            &GET[1..],
            "/counterfoil.tax.v1.*",
        ] {
            let refusal = refusal(RULES, row("spiffe://company/orders", &[GET, mistyped]));
            assert!(
                refusal.contains("there is no such method here"),
                "{mistyped}: {refusal}"
            );
        }
    }

    #[test]
    fn a_method_without_a_rule_and_a_service_without_a_contract_are_found() {
        let one = [Rule {
            identity: "dev",
            methods: GET,
        }];
        // A row does not stand in for a rule.
        let forgotten = refusal(&one, row("spiffe://company/orders", &[CREATE]));
        assert_eq!(forgotten, format!("no rule of the policy lets anybody call {CREATE}"));
        assert!(Policy::new(&descriptors(), &one, &[], &[]).is_ok());
        let unknown = Policy::new(&descriptors(), RULES, &[], &[SERVICE, "other.v1.Service"]).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no contract for other.v1.Service");
    }

    #[tokio::test]
    async fn when_too_many_calls_are_running_only_health_and_reflection_get_through() {
        let calls = TaskTracker::new();
        let gate = GateLayer {
            identities: Identities::new(true, None),
            policy: Arc::new(Policy::new(&descriptors(), RULES, &[], &[SERVICE]).unwrap()),
            calls: calls.clone(),
            max_calls: 1,
        };
        let call = |method: &str| http::Request::post(method).extension(Peer::Loopback).body(()).unwrap();
        assert_eq!(&*gate.admit(&call(GET)).unwrap(), "dev");
        let running = calls.track_future(std::future::pending::<()>());
        let refused = gate.admit(&call(GET)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(gate.admit(&call("/grpc.health.v1.Health/Check")).is_ok());
        drop(running);
        assert!(gate.admit(&call(GET)).is_ok());
        let from_nowhere = http::Request::post(GET).body(()).unwrap();
        assert_eq!(
            gate.admit(&from_nowhere).unwrap_err().code(),
            tonic::Code::Unauthenticated
        );
    }
}
