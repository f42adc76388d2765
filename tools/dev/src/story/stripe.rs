//! What the story does at the sandbox as a merchant's dashboard, a customer's browser and the hands of time would.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::addresses;

/// How long to wait for a sandbox that does not listen yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sandbox, seen from outside.
#[derive(Clone)]
pub struct Stripe {
    http: reqwest::Client,
    url: String,
    secret_key: String,
}

impl Stripe {
    /// A client of the sandbox at `address`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(address: &addresses::Sandbox) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            http,
            url: address.url.clone(),
            secret_key: address.secret_key.clone(),
        })
    }

    /// `GET path` of the API.
    ///
    /// # Errors
    /// When Stripe does not answer 2xx.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.http.get(format!("{}{path}", self.url)), path).await
    }

    /// `POST path` of the API with a form.
    ///
    /// # Errors
    /// When Stripe does not answer 2xx.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.send(self.http.post(format!("{}{path}", self.url)).form(form), path)
            .await
    }

    /// `POST path` of the sandbox's control API with JSON.
    ///
    /// # Errors
    /// When the sandbox does not answer 2xx.
    pub async fn control(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body), path)
            .await
    }

    /// Every object of a type, from the sandbox's own books.
    ///
    /// # Errors
    /// When the sandbox does not answer.
    pub async fn objects(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.get(&format!("/_sandbox/objects/{kind}")).await?;
        let entries = answer.pointer("/data").and_then(Value::as_array);
        let entries = entries.with_context(|| format!("the sandbox lists no objects of type {kind}"))?;
        Ok(entries
            .iter()
            .filter_map(|entry| entry.get("object").cloned())
            .collect())
    }

    /// The sandbox's time, in seconds since 1970.
    ///
    /// # Errors
    /// When the sandbox does not answer.
    pub async fn now(&self) -> anyhow::Result<i64> {
        let clock = self.get("/_sandbox/clock").await?;
        clock
            .get("now")
            .and_then(Value::as_i64)
            .context("the sandbox's clock has no time")
    }

    /// Moves the sandbox's clock forward.
    ///
    /// # Errors
    /// When the sandbox does not answer.
    pub async fn advance(&self, seconds: i64) -> anyhow::Result<()> {
        self.control("/_sandbox/clock", &json!({"advance_seconds": seconds}))
            .await
            .map(|_| ())
    }

    /// Opens the hosted page of a checkout session, as a browser would.
    ///
    /// # Errors
    /// When there is no such page.
    pub async fn open_page(&self, url: &str) -> anyhow::Result<String> {
        let answer = self.http.get(url).send().await?;
        ensure!(
            answer.status().is_success(),
            "the payment page answers {}",
            answer.status()
        );
        Ok(answer.text().await?)
    }

    /// Pays on the hosted page; tells where the browser is sent, or the page shown again.
    ///
    /// # Errors
    /// When the page answers neither.
    pub async fn pay(&self, url: &str, card: &str) -> anyhow::Result<Paid> {
        let form = [
            ("card_number", card),
            ("card_expiry", "12/34"),
            ("card_cvc", "123"),
            ("name", "Ada"),
        ];
        let answer = reach(self.http.post(url).form(&form)).await?;
        if answer.status().is_redirection() {
            let location = answer.headers().get("location").context("a redirect to nowhere")?;
            return Ok(Paid::Redirected(location.to_str()?.to_owned()));
        }
        ensure!(
            answer.status().is_success() || answer.status().as_u16() == 402,
            "paying answers {}",
            answer.status()
        );
        Ok(Paid::ShownAgain(answer.text().await?))
    }

    /// Opens a seller's onboarding page and agrees to everything.
    ///
    /// # Errors
    /// When there is no such page or the seller is not sent back.
    pub async fn onboard(&self, url: &str) -> anyhow::Result<()> {
        self.open_page(url).await?;
        let answer = reach(self.http.post(url).form(&[("action", "submit")])).await?;
        ensure!(
            answer.status().is_redirection(),
            "the onboarding page answers {}",
            answer.status()
        );
        Ok(())
    }

    async fn send(&self, request: reqwest::RequestBuilder, path: &str) -> anyhow::Result<Value> {
        let answer = reach(request.bearer_auth(&self.secret_key)).await?;
        let status = answer.status();
        let body: Value = answer
            .json()
            .await
            .with_context(|| format!("{path} answers {status} without JSON"))?;
        if !status.is_success() {
            bail!(
                "{path} answers {status}: {}",
                text(&body, "/error/message").unwrap_or_default()
            );
        }
        Ok(body)
    }
}

/// The text at a JSON pointer.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// Sends, and waits for a sandbox that is just being started. Nothing was sent where no connection was made.
async fn reach(request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
    let end = Instant::now() + PATIENCE;
    loop {
        let again = request.try_clone().context("a request that cannot be repeated")?;
        match again.send().await {
            Err(error) if error.is_connect() && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            answered => return Ok(answered?),
        }
    }
}

/// What came of paying on the page.
#[derive(Debug)]
pub enum Paid {
    /// The browser was sent on.
    Redirected(String),
    /// The page was shown again, with what is wrong.
    ShownAgain(String),
}
