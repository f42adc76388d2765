//! The API without a network, for tests that make many calls.

use std::{cell::RefCell, sync::Arc};

use axum::body::Body;
use http::{Uri, header};
use tower::ServiceExt;

use super::{App, run};
use crate::{Config, app, field, http::route::Routes, json::Value, world::World};

/// 2027-01-15T08:00:00Z, where the clock stands at first.
const START: i64 = 1_800_000_000;

pub(crate) struct InProcess {
    pub(crate) app: Arc<App>,
    /// The connected account that calls are for, or empty for the platform.
    pub(crate) account: RefCell<String>,
}

impl InProcess {
    pub(crate) fn new() -> Self {
        let routes = Routes::new().unwrap();
        Self {
            app: Arc::new(App::new(new_world(), &Config::default(), routes)),
            account: RefCell::default(),
        }
    }

    /// Begins again with nothing.
    pub(crate) fn reset(&self) {
        *self.app.world() = new_world();
        self.account.borrow_mut().clear();
    }

    /// One call: the status and the body. The form is the body of a POST, and else the query.
    pub(crate) fn call(&self, method: &str, path: &str, form: &str) -> (u16, Value) {
        let uri = match method {
            "POST" => path.to_owned(),
            _ => format!("{path}?{form}"),
        };
        let (status, body) = self.send(method, uri.parse().unwrap(), form.as_bytes());
        (status, serde_json::from_str(&body).unwrap())
    }

    /// One call to any address; the body is sent by a POST only.
    pub(crate) fn send(&self, method: &str, uri: Uri, body: &[u8]) -> (u16, String) {
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.app.secret_key));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = if method == "POST" { body } else { b"" };
        match run(&self.app, &parts, body, &self.account.borrow(), None, "req_test", false) {
            Ok(reply) => (reply.status, reply.body),
            Err(error) => (error.status, error.body().to_string()),
        }
    }

    /// One call to a page, or to the control interface, which takes JSON: the status.
    pub(crate) fn visit(&self, method: &str, path: &str, body: &str) -> u16 {
        let kind = match path.starts_with("/_sandbox") {
            true => "application/json",
            false => "application/x-www-form-urlencoded",
        };
        let request = http::Request::builder().method(method).uri(path);
        let request = request
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.to_owned()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answered = runtime.block_on(crate::router(self.app.clone()).oneshot(request.unwrap()));
        answered.unwrap().status().as_u16()
    }

    /// A call that is taken: the object it answers with.
    pub(crate) fn post(&self, path: &str, form: &str) -> Value {
        let (status, body) = self.call("POST", path, form);
        assert_eq!(status, 200, "POST {path} {form}: {body}");
        body
    }

    /// What a call that is taken answers with.
    pub(crate) fn get(&self, path: &str, form: &str) -> Value {
        let (status, body) = self.call("GET", path, form);
        assert_eq!(status, 200, "GET {path} {form}: {body}");
        body
    }

    /// The id of what a call makes.
    pub(crate) fn make(&self, path: &str, form: &str) -> String {
        field::text(&self.post(path, form), "id").to_owned()
    }

    /// Lets time pass, and does what comes due.
    pub(crate) fn advance(&self, seconds: i64) {
        let mut world = self.app.world();
        world.clock.offset += seconds;
        app::catch_up(&mut world).unwrap();
    }
}

fn new_world() -> World {
    let config = Config {
        frozen_time: Some(START),
        ..Config::default()
    };
    World::open(&config, "http://sandbox".to_owned()).unwrap()
}
