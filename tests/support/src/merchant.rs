//! What somebody else than the service does at Stripe: the dashboard, a browser, the hands of time.

use serde_json::{Value, json};
use stripe_sandbox::Sandbox;

use counterfoil_types::Mode;

/// A sandbox in memory whose clock stands still, and somebody at work in it.
pub struct Stripe {
    sandbox: Sandbox,
    http: reqwest::Client,
}

impl Stripe {
    /// Starts an empty one.
    pub async fn start() -> Stripe {
        Stripe {
            sandbox: crate::sandbox().await,
            http: reqwest::Client::new(),
        }
    }

    /// How a service reaches it.
    pub fn config(&self) -> counterfoil_stripe::Config {
        counterfoil_stripe::Config {
            secret_key: self.sandbox.secret_key().to_owned().into(),
            mode: Mode::Test,
            base_url: format!("{}/", self.sandbox.url()),
            timeout_ms: 10_000,
            retries: 1,
            backoff_ms: 1,
        }
    }

    /// A client of it, as a service has one.
    pub fn client(&self) -> counterfoil_stripe::Client {
        counterfoil_stripe::Client::new(&self.config()).unwrap()
    }

    /// A call to the API by somebody else; without a body where there is no form.
    pub async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        let request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.sandbox.url()));
        let request = request.bearer_auth(self.sandbox.secret_key());
        let request = if form.is_empty() { request } else { request.form(form) };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The newest objects of a list, at most a hundred, newest first.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        self.call("GET", &format!("{path}?limit=100"), &[]).await["data"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// All events made so far, oldest first.
    pub async fn events(&self) -> Vec<counterfoil_events::Event> {
        self.list("/v1/events").await.iter().rev().map(crate::event).collect()
    }

    /// Posts a form to a hosted page, as a browser does; the status of the answer.
    pub async fn submit(&self, url: &str, form: &[(&str, &str)]) -> u16 {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        http.post(url).form(form).send().await.unwrap().status().as_u16()
    }

    /// Spoils the next `times` answers to `POST path`; `how` is the fault's `kind` and what belongs to it.
    pub async fn spoil(&self, path: &str, times: u32, mut how: Value) {
        how["method"] = "POST".into();
        how["path"] = path.into();
        how["times"] = times.into();
        self.control("/_sandbox/faults", &json!({"seed": 1, "answers": [how]}))
            .await;
    }

    /// Moves the clock.
    pub async fn advance(&self, seconds: i64) {
        self.control("/_sandbox/clock", &json!({"advance_seconds": seconds}))
            .await;
    }

    async fn control(&self, path: &str, body: &Value) {
        let answer = self
            .http
            .post(format!("{}{path}", self.sandbox.url()))
            .json(body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}
