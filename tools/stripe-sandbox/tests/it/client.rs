//! A sandbox in this process and a plain HTTP client for it.

use std::{path::Path, time::Duration};

use reqwest::{Client, Method, RequestBuilder, header::HeaderMap, redirect::Policy};
use serde_json::{Value, json};
use stripe_sandbox::{Config, Sandbox};
use tokio::net::TcpListener;

/// 2027-01-15T08:00:00Z: the clock of every test stands there until it is advanced.
pub(crate) const START: i64 = 1_800_000_000;
pub(crate) const DAY: i64 = 86_400;

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) http: Client,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }
}

pub(crate) fn config() -> Config {
    Config {
        frozen_time: Some(START),
        ..Config::default()
    }
}

pub(crate) async fn start() -> World {
    start_with(config()).await
}

pub(crate) async fn start_on(journal: &Path) -> World {
    start_with(Config {
        journal: Some(journal.to_owned()),
        ..config()
    })
    .await
}

pub(crate) async fn start_with(config: Config) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    World {
        sandbox: Sandbox::start(config, listener).await.unwrap(),
        http: client(),
    }
}

pub(crate) fn client() -> Client {
    Client::builder()
        .redirect(Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer {
        status,
        headers,
        text: response.text().await.unwrap(),
    }
}

impl World {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.sandbox.url()))
            .bearer_auth(self.sandbox.secret_key())
    }

    /// A call whose outcome is looked at.
    pub(crate) async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.request(method.clone(), path);
        send(if method == Method::GET {
            request.query(form)
        } else {
            request.form(form)
        })
        .await
    }

    /// A call that succeeds.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let answer = self.call("POST", path, form).await;
        assert_eq!(answer.status, 200, "POST {path}: {}", answer.text);
        answer.json()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, &[]).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json()
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Answer {
        send(
            self.http
                .post(format!("{}/_sandbox/{path}", self.sandbox.url()))
                .body(body.to_string()),
        )
        .await
    }

    pub(crate) async fn look(&self, path: &str) -> Value {
        send(self.http.get(format!("{}/_sandbox/{path}", self.sandbox.url())))
            .await
            .json()
    }

    pub(crate) async fn advance(&self, seconds: i64) {
        let answer = self.control("clock", json!({ "advance_seconds": seconds })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// The types of all events of the platform, oldest first.
    pub(crate) async fn events(&self) -> Vec<String> {
        let objects = self.look("objects/event").await;
        let mut types: Vec<String> = objects["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| text(&one["object"]["type"]))
            .collect();
        types.reverse();
        types
    }

    pub(crate) async fn customer(&self) -> String {
        text(
            &self
                .post(
                    "/v1/customers",
                    &[("email", "jenny@example.com"), ("metadata[user_id]", "u1")],
                )
                .await["id"],
        )
    }

    /// Attaches this test card to a customer and has it pay their invoices.
    pub(crate) async fn give_card(&self, customer: &str, card: &str) {
        let path = format!("/v1/payment_methods/pm_card_{card}/attach");
        let method = self.post(&path, &[("customer", customer)]).await;
        let default = [("invoice_settings[default_payment_method]", &*text(&method["id"]))];
        self.post(&format!("/v1/customers/{customer}"), &default).await;
    }

    /// A price of 29.00 usd a month.
    pub(crate) async fn price(&self) -> String {
        let product = text(&self.post("/v1/products", &[("name", "Pro")]).await["id"]);
        let terms = [
            ("product", &*product),
            ("currency", "usd"),
            ("unit_amount", "2900"),
            ("recurring[interval]", "month"),
        ];
        text(&self.post("/v1/prices", &terms).await["id"])
    }

    /// An open checkout session for one such subscription.
    pub(crate) async fn session(&self, customer: &str) -> Value {
        let price = self.price().await;
        let form = [
            ("mode", "subscription"),
            ("customer", customer),
            ("line_items[0][price]", &*price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://example.com/done?s={CHECKOUT_SESSION_ID}"),
            ("cancel_url", "https://example.com/back"),
            ("metadata[order]", "o1"),
            ("subscription_data[metadata][user_id]", "u1"),
        ];
        self.post("/v1/checkout/sessions", &form).await
    }

    pub(crate) async fn pay(&self, session: &Value, number: &str) -> Answer {
        let form = [("card_number", number), ("card_expiry", "12 / 34"), ("card_cvc", "123")];
        send(self.http.post(text(&session["url"])).form(&form)).await
    }

    /// A subscription bought at checkout.
    pub(crate) async fn subscription(&self) -> Value {
        let customer = self.customer().await;
        let session = self.session(&customer).await;
        assert_eq!(self.pay(&session, "4242424242424242").await.status, 303);
        let session = self
            .get(&format!("/v1/checkout/sessions/{}", text(&session["id"])))
            .await;
        self.get(&format!("/v1/subscriptions/{}", text(&session["subscription"])))
            .await
    }
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
        .to_owned()
}

pub(crate) fn has_in_order(events: &[String], wanted: &[&str]) -> bool {
    let mut events = events.iter();
    wanted.iter().all(|one| events.any(|event| event == one))
}
