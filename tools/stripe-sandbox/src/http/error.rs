//! Stripe's error bodies.
//!
//! Source: <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/error-codes>.

use http::StatusCode;

use crate::json::{Map, Value, json};

/// A refusal as Stripe words it: a status and the fields of `error`.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) fields: Map,
    /// Headers of the answer, besides those every answer has.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The call had effects that stay (a declined charge, say) although it is refused.
    pub(crate) keeps_effects: bool,
    /// Execution had begun, so the refusal is kept under the idempotency key.
    pub(crate) replayable: bool,
    /// The id of which there is no object.
    missing: Option<Box<str>>,
}

/// What an operation gives: the object to answer with, or the refusal.
pub(crate) type Answer = Result<Value, ApiError>;

impl ApiError {
    pub(crate) fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let mut fields = Map::new();
        fields.insert("type".to_owned(), json!(kind));
        fields.insert("message".to_owned(), json!(message.into()));
        Self {
            status,
            fields,
            headers: Vec::new(),
            keeps_effects: false,
            replayable: true,
            missing: None,
        }
    }

    /// A 400 `invalid_request_error`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn code(self, code: &str) -> Self {
        let doc_url = format!("https://docs.stripe.com/error-codes#{}", code.replace('_', "-"));
        self.with("code", code).with("doc_url", doc_url)
    }

    pub(crate) fn param(self, param: impl Into<String>) -> Self {
        self.with("param", param.into())
    }

    /// Names the parameter as it stands in a hash that was sent: `a[b]` in `hash` is `hash[a][b]`.
    pub(crate) fn within(self, hash: &str) -> Self {
        let named = self.fields.get("param").and_then(Value::as_str);
        let Some(named) = named.filter(|_| !hash.is_empty()) else {
            return self;
        };
        let (first, rest) = named.split_at(named.find('[').unwrap_or(named.len()));
        let param = format!("{hash}[{first}]{rest}");
        self.param(param)
    }

    /// Refused before execution began: the idempotency key stays free.
    pub(crate) fn before_execution(mut self) -> Self {
        self.replayable = false;
        self
    }

    /// There is no object `id` of this kind.
    pub(crate) fn missing(kind: &str, id: &str, param: &str) -> Self {
        let error = Self::new(404, "invalid_request_error", format!("No such {kind}: '{id}'"));
        Self {
            missing: Some(id.into()),
            ..error.code("resource_missing").param(param)
        }
    }

    /// What is missing is a 404 where one of `ids`, those in the URL, names it, and a wrong parameter otherwise.
    pub(crate) fn in_url(mut self, ids: &[String]) -> Self {
        if self
            .missing
            .as_ref()
            .is_some_and(|id| ids.iter().all(|one| **one != **id))
        {
            self.status = 400;
        }
        self
    }

    pub(crate) fn parameter_missing(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}."))
            .code("parameter_missing")
            .param(param)
            .before_execution()
    }

    pub(crate) fn parameter_unknown(param: &str) -> Self {
        Self::invalid(format!("Received unknown parameter: {param}"))
            .code("parameter_unknown")
            .param(param)
            .before_execution()
    }

    /// A number that will not do, though it is one.
    pub(crate) fn invalid_integer(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).code("parameter_invalid_integer").param(param)
    }

    pub(crate) fn below_one(param: &str) -> Self {
        Self::invalid_integer(param, "This value must be greater than or equal to 1.")
    }

    pub(crate) fn not_positive(param: &str) -> Self {
        Self::invalid_integer(param, "Invalid positive integer")
    }

    /// Stripe knows the parameter, or its value, and the sandbox does not act on it. The code is ours, not Stripe's.
    pub(crate) fn unserved_parameter(param: &str) -> Self {
        Self::unserved(param, format!("The sandbox does not serve the parameter {param}."))
    }

    /// As [`ApiError::unserved_parameter`], with a message that says which value is meant.
    pub(crate) fn unserved(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(message)
            .with("code", "sandbox_unsupported_parameter")
            .param(param)
            .before_execution()
    }

    /// The status as it goes out.
    pub(crate) fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body as it goes out.
    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.fields })
    }

    /// An answer that a fault asks for: any status, with the type and code Stripe gives that status.
    pub(crate) fn injected(status: u16) -> Self {
        let (kind, code, message) = match status {
            401 => ("invalid_request_error", None, "Invalid API Key provided"),
            402 => ("card_error", Some("card_declined"), "Your card was declined."),
            404 => ("invalid_request_error", Some("resource_missing"), "No such object"),
            409 => (
                "idempotency_error",
                Some("idempotency_key_in_use"),
                "There is currently another in-progress request",
            ),
            429 => (
                "invalid_request_error",
                Some("rate_limit"),
                "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
            ),
            400..=499 => ("invalid_request_error", None, "The request was refused."),
            _ => ("api_error", None, "An unknown error occurred."),
        };
        let error = Self::new(status, kind, message);
        match code {
            Some(code) => error.code(code),
            None => error,
        }
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, "api_error", "The sandbox could not keep or finish this call.").before_execution()
    }
}
