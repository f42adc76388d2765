//! One try of one request: bytes out, an answer or none in.

use std::time::Duration;

use bytes::Bytes;
use counterfoil_store::budget;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;
use tracing::Instrument;
use url::Url;

use crate::answer::Answer;
use crate::config::{Config, ConfigError, bad_url};
use crate::error::Error;
use crate::stamp::stamp;
use crate::wire::Wire;

/// A pooled HTTP client with our key in it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Url,
    authorization: HeaderValue,
    timeout: Duration,
}

/// What a try is sent with beside the request.
pub(crate) struct Headers<'a> {
    pub(crate) stripe_version: &'a str,
    pub(crate) idempotency_key: Option<&'a str>,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// No connection, or no time: Stripe saw nothing of it.
    NotSent,
    /// The bytes may have left.
    Lost,
    /// The request cannot be written down.
    Bug(Error),
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger answers are not read: no object is nearly as large.
const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const KEEPALIVE: Duration = Duration::from_secs(20);

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const STRIPE_ACCOUNT: HeaderName = HeaderName::from_static("stripe-account");
const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Transport, ConfigError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE));
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|_| bad_url("no TLS version is available"))?;
        // The base URL was checked: plain http leads to loopback only.
        let connector = tls.https_or_http().enable_http1().enable_http2().wrap_connector(tcp);
        let http = HttpClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .http2_keep_alive_timeout(CONNECT_TIMEOUT)
            .build(connector);
        Ok(Transport {
            http,
            base: config.base()?,
            authorization: config.authorization()?,
            timeout: config.timeout(),
        })
    }

    /// Sends `wire` once and reads the whole answer, in the time that the work's budget leaves for it. Redirects are not
    /// followed.
    pub(crate) async fn send(&self, wire: &Wire, headers: &Headers<'_>, tried: u32) -> Result<Answer, NoAnswer> {
        let template = wire.template();
        let span = tracing::info_span!(
            "stripe",
            otel.name = format!("{} {template}", wire.method.as_str()),
            otel.kind = "client",
            http.request.method = wire.method.as_str(),
            url.template = template,
            http.request.resend_count = tried,
            http.response.status_code = tracing::field::Empty,
            stripe.request_id = tracing::field::Empty,
            error.type = tracing::field::Empty,
        );
        let request = self.request(wire, headers).map_err(NoAnswer::Bug)?;
        async {
            let timeout = budget::remaining().map_or(self.timeout, |left| left.min(self.timeout));
            let answered = if timeout.is_zero() {
                Err(NoAnswer::NotSent)
            } else {
                let exchange = tokio::time::timeout(timeout, self.exchange(request));
                exchange.await.unwrap_or(Err(NoAnswer::Lost))
            };
            let span = tracing::Span::current();
            match &answered {
                Ok(answer) => {
                    span.record("http.response.status_code", answer.status);
                    span.record("stripe.request_id", answer.stripe_request_id.as_deref());
                }
                Err(NoAnswer::NotSent) => {
                    span.record("error.type", "not_sent");
                }
                Err(_) => {
                    span.record("error.type", "lost");
                }
            }
            answered
        }
        .instrument(span)
        .await
    }

    fn request(&self, wire: &Wire, headers: &Headers<'_>) -> Result<Request<Full<Bytes>>, Error> {
        let uri = format!("{}{}", self.base, wire.path.trim_start_matches('/'));
        let mut builder = Request::builder()
            .method(wire.method.as_str())
            .uri(uri)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(USER_AGENT, concat!("counterfoil/", env!("CARGO_PKG_VERSION")))
            .header(STRIPE_VERSION, headers.stripe_version);
        if !wire.body.is_empty() || wire.method != crate::wire::Method::Get {
            builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if !wire.account.is_empty() {
            builder = builder.header(STRIPE_ACCOUNT, &wire.account);
        }
        if let Some(key) = headers.idempotency_key {
            builder = builder.header(IDEMPOTENCY_KEY, key);
        }
        let body = Full::new(Bytes::copy_from_slice(&wire.body));
        // The error may repeat the path, which may hold what a caller gave.
        builder
            .body(body)
            .map_err(|_| Error::Bug(format!("{} {} is no request", wire.method.as_str(), wire.template())))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        let began = Instant::now();
        let response = self.http.request(request).await.map_err(|error| {
            tracing::debug!(%error, "a request to stripe got no answer");
            if error.is_connect() {
                NoAnswer::NotSent
            } else {
                NoAnswer::Lost
            }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body.map_err(|_| NoAnswer::Lost)?.to_bytes();
        let elapsed = began.elapsed();
        let text = |name: HeaderName| text(&head.headers, &name);
        Ok(Answer {
            status: head.status.as_u16(),
            body,
            stripe_request_id: text(REQUEST_ID).map(str::to_owned),
            replayed: text(IDEMPOTENT_REPLAYED) == Some("true"),
            stamp: text(DATE).and_then(|date| stamp(date, elapsed)),
            retry_after: text(RETRY_AFTER)
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            should_retry: text(STRIPE_SHOULD_RETRY).and_then(|opinion| opinion.parse().ok()),
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
