//! Seeded histories of bad luck: whatever happens to the answers, a step has at most one effect, and nothing that is said
//! about it is false.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use counterfoil_store::MIGRATIONS;
use counterfoil_stripe::customer::CreateCustomer;
use counterfoil_stripe::{Client, Config, Error};
use counterfoil_test_support::TestDb;
use counterfoil_types::Mode;
use http::{HeaderMap, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::net::TcpListener;

const HISTORIES: u64 = 100;
const CALLS: u32 = 4;

/// What happens to one request. All but the first four execute it, unless it was executed before.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Limited,
    Locked,
    Unauthorised,
    LostBefore,
    LostAfter,
    SilentAfter,
    BadGatewayAfter,
    ErrorAfter,
    Answered,
}

const FATES: [Fate; 9] = [
    Fate::Limited,
    Fate::Locked,
    Fate::Unauthorised,
    Fate::LostBefore,
    Fate::LostAfter,
    Fate::SilentAfter,
    Fate::BadGatewayAfter,
    Fate::ErrorAfter,
    Fate::Answered,
];

/// A server with Stripe's memory of idempotency keys.
struct Server {
    luck: StdRng,
    /// Per key the object that was made.
    effects: HashMap<String, u32>,
    made: u32,
    keys_seen: Vec<String>,
}

impl Server {
    /// Executes the request with this key, once; the object's number.
    fn execute(&mut self, key: &str) -> u32 {
        let next = self.made + 1;
        let object = *self.effects.entry(key.to_owned()).or_insert(next);
        self.made = self.made.max(object);
        object
    }
}

async fn handle(State(server): State<Arc<Mutex<Server>>>, headers: HeaderMap) -> Response {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let (fate, object, replayed) = {
        let mut server = server.lock().unwrap();
        let fate = FATES[server.luck.random_range(0..FATES.len())];
        server.keys_seen.push(key.clone());
        let replayed = server.effects.contains_key(&key);
        let executes = !matches!(
            fate,
            Fate::Limited | Fate::Locked | Fate::Unauthorised | Fate::LostBefore
        );
        let object = if executes { server.execute(&key) } else { 0 };
        (fate, object, replayed)
    };
    let error = |status, kind: &str, code: &str| {
        let body = format!(r#"{{"error": {{"type": "{kind}", "code": "{code}"}}}}"#);
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    };
    match fate {
        Fate::Limited => error(429, "invalid_request_error", "rate_limit"),
        Fate::Locked => error(429, "invalid_request_error", "lock_timeout"),
        Fate::Unauthorised => error(401, "invalid_request_error", ""),
        Fate::LostBefore | Fate::LostAfter => {
            let half: [Result<Bytes, std::io::Error>; 2] =
                [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("lost"))];
            Body::from_stream(futures::stream::iter(half)).into_response()
        }
        Fate::SilentAfter => std::future::pending().await,
        Fate::BadGatewayAfter => (StatusCode::BAD_GATEWAY, "<html>").into_response(),
        Fate::ErrorAfter => error(500, "api_error", ""),
        Fate::Answered => {
            let json = format!(r#"{{"id": "cus_{object}", "object": "customer", "created": 1, "livemode": false}}"#);
            let headers = if replayed {
                vec![("idempotent-replayed", "true")]
            } else {
                vec![]
            };
            (axum::response::AppendHeaders(headers), json).into_response()
        }
    }
}

#[tokio::test]
async fn a_step_has_at_most_one_effect_and_what_is_said_of_it_is_true() {
    let test = TestDb::new(&MIGRATIONS).await;
    let db = test.db();
    let (mut answered, mut unknown, mut nothing) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let server = Arc::new(Mutex::new(Server {
            luck: StdRng::seed_from_u64(seed),
            effects: HashMap::new(),
            made: 0,
            keys_seen: Vec::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(handle).with_state(server.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let op_key = format!("history:{seed}");
        let mut maybe_executed = false;
        for call in 0..CALLS {
            // Each call is another process, after the one before died or gave up.
            let client = Client::new(&Config {
                secret_key: "sk_test_canary".into(),
                mode: Mode::Test,
                base_url: url.clone(),
                timeout_ms: 50,
                retries: 1,
                backoff_ms: 1,
            })
            .unwrap();
            let request = CreateCustomer::new().name(format!("call {call}"));
            let said = client.step(&db, &op_key, &request, None).await;
            let server = server.lock().unwrap();
            let context = format!("seed {seed}, call {call}, said {said:?}, effects {:?}", server.effects);
            assert!(server.effects.len() <= 1, "{context}");
            match said {
                Ok(reply) => {
                    assert_eq!(reply.object().unwrap().id.as_str(), "cus_1", "{context}");
                    assert_eq!(server.effects.len(), 1, "{context}");
                    answered += 1;
                }
                Err(Error::OutcomeUnknown { .. }) => {
                    maybe_executed = true;
                    unknown += 1;
                }
                Err(Error::RateLimited { .. } | Error::Conflict | Error::Unauthorised | Error::Unavailable) => {
                    assert!(server.effects.is_empty(), "{context}");
                    assert!(!maybe_executed, "{context}");
                    nothing += 1;
                }
                Err(other) => panic!("{other} {context}"),
            }
        }
        serving.abort();
        let server = server.lock().unwrap();
        assert!(
            server.keys_seen.iter().all(|key| *key == server.keys_seen[0]),
            "seed {seed}: one key"
        );
    }
    assert!(
        answered > 0 && unknown > 0 && nothing > 0,
        "{answered} {unknown} {nothing}"
    );
}
