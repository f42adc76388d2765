//! People with tokens, and who may call which of all methods there are.

use counterfoil_chassis::{Clock, EmbeddedMigrations, Host, Row, Rule, Service, Started, client, run, serve};
use counterfoil_test_support::{Log, eventually};
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Request};
use tower::ServiceExt;

use crate::certificates::{Authority, Side};
use crate::service::{Accounts, GET, Served, Settings, config, get, reason};

/// A token and the line that lets its holder be `identity`, made by the binary's own command.
fn token(identity: &str) -> (String, String) {
    let mut out = Vec::new();
    let arguments = ["test-accounts", "token", "new", identity].map(Into::into);
    assert_eq!(
        run::<Accounts<true>>(arguments, [], &mut out, &mut std::io::stderr()),
        0
    );
    let out = String::from_utf8(out).unwrap();
    let (token, line) = out.split_once('\n').unwrap();
    (token.to_owned(), line.to_owned())
}

fn row(identity: &str, methods: &[&str]) -> Row {
    Row {
        identity: identity.to_owned(),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
    }
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let authorization = format!("Bearer {token}");
    request
        .metadata_mut()
        .insert("authorization", authorization.parse().unwrap());
    request
}

#[tokio::test]
async fn a_token_is_its_holder_until_its_line_is_gone() {
    let side = Side::empty();
    let ((adas, ada), (bos, bo)) = (token("ada@company.example"), token("bo@company.example"));
    side.write("tokens", &format!("{ada}{bo}"));
    let mut config = config();
    config.server.dev_identity = false;
    config.server.token_file = Some(side.file("tokens"));
    config.server.reload_ms = 10;
    config.server.policy = vec![row("ada@company.example", &[GET])];
    let served = Served::new(config).await;
    let call = async |token: &str| served.client().get_connected_account(with(token, get("acct_1"))).await;

    let account = call(&adas).await.unwrap().into_inner().connected_account.unwrap();
    assert_eq!(account.country_code, "ada@company.example");
    let denied = call(&bos).await.unwrap_err();
    assert_eq!(
        (denied.code(), reason(&denied).as_str()),
        (Code::PermissionDenied, "DENIED_BY_POLICY")
    );
    for wrong in ["", "counterfoil_", &adas[..70], &ada[..64]] {
        let unknown = call(wrong).await.unwrap_err();
        assert_eq!(
            (unknown.code(), reason(&unknown).as_str()),
            (Code::Unauthenticated, "UNKNOWN_TOKEN")
        );
    }
    let nobody = served.client().get_connected_account(get("acct_1")).await.unwrap_err();
    assert_eq!(
        (nobody.code(), reason(&nobody).as_str()),
        (Code::Unauthenticated, "NO_IDENTITY")
    );

    // A broken file changes nothing, which shows in that the one written after it is the next in force.
    side.write("tokens", "nonsense\n");
    assert!(call(&adas).await.is_ok());
    side.write("tokens", &bo);
    eventually("the token to be revoked", async || call(&adas).await.err()).await;
    assert_eq!(reason(&call(&adas).await.unwrap_err()), "UNKNOWN_TOKEN");
    assert_eq!(reason(&call(&bos).await.unwrap_err()), "DENIED_BY_POLICY");
    served.end().await;
}

#[tokio::test]
async fn no_token_and_nothing_of_a_file_is_ever_logged_or_answered() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone());
    // For all threads. No other test of this process minds.
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let (token, line) = token("ada@company.example");
    std::fs::write(&file, &line).unwrap();
    let mut config = config();
    config.server.token_file = Some(file.clone());
    config.server.reload_ms = 10;
    config.server.policy = vec![row("ada@company.example", &[GET])];
    let served = Served::new(config.clone()).await;
    let call = async |token: &str| served.client().get_connected_account(with(token, get("acct_1"))).await;
    assert!(call(&token).await.is_ok());
    let refused = call("canary_of_nobody").await.unwrap_err();
    assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    assert!(
        served
            .client()
            .get_connected_account(with(&token, get("acct_panic")))
            .await
            .is_err()
    );

    std::fs::write(&file, format!("{token} canary_in_a_file\n")).unwrap();
    eventually("the refusal of the file", async || {
        log.text().contains("a changed file cannot be used").then_some(())
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let started = serve::<Accounts<true>>(config, listener, Clock::system(), CancellationToken::new());
    let refusal = started.await.unwrap_err().to_string();
    served.end().await;

    let told = log.text() + &refusal;
    assert!(told.contains("line 1 is not"), "{told}");
    for secret in [&token, &line[..64], "canary"] {
        assert!(!told.contains(secret), "{secret} is told");
    }
}

/// A process with all services there are, of which none is built: whoever gets past the gate is told UNIMPLEMENTED.
struct Everything;

/// All methods by their services, as the contracts say.
fn methods() -> Vec<(String, String)> {
    let files = FileDescriptorSet::decode(counterfoil_proto::FILE_DESCRIPTOR_SET)
        .unwrap()
        .file;
    let mut methods = Vec::new();
    for file in files.iter().filter(|file| file.package().starts_with("counterfoil.")) {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            methods.extend(
                service
                    .method
                    .iter()
                    .map(|method| (name.clone(), format!("/{name}/{}", method.name()))),
            );
        }
    }
    methods
}

impl Service for Everything {
    const NAME: &'static str = "everything";
    type Config = Settings;

    fn migrations() -> &'static EmbeddedMigrations {
        Accounts::<true>::migrations()
    }

    fn policy() -> &'static [Rule] {
        &[Rule {
            identity: "dev",
            methods: "/counterfoil.*",
        }]
    }

    async fn start(_: Settings, _: Host) -> anyhow::Result<Started> {
        let mut services: Vec<&'static str> = methods().into_iter().map(|(service, _)| &*service.leak()).collect();
        services.dedup();
        Ok(Started {
            routes: tonic::service::Routes::default(),
            services: services.leak(),
        })
    }
}

/// The code that `method` answers with.
async fn answer(channel: &client::Channel, uri: &str, method: &str, token: Option<&str>) -> Code {
    let request = http::Request::post(format!("{uri}{method}")).header("content-type", "application/grpc");
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    let answer = channel
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    Code::from_bytes(answer.headers()["grpc-status"].as_bytes())
}

const ORDERS: &str = "spiffe://company/orders";
const OPERATOR: &str = "spiffe://company/operators/bo";

/// Who comes, how they are refused, and which methods they may call.
struct Caller<'t> {
    /// As in the certificate; none is shown by a person.
    uris: Option<&'t [&'t str]>,
    token: Option<&'t str>,
    refusal: Code,
    may: fn(&str) -> bool,
}

fn none(_: &str) -> bool {
    false
}

fn all(_: &str) -> bool {
    true
}

fn of_orders(method: &str) -> bool {
    method == GET || method.starts_with("/counterfoil.billing.v1.SubscriptionService/Get")
}

fn events(method: &str) -> bool {
    method.starts_with("/counterfoil.event.v1.EventService/")
}

#[tokio::test]
async fn every_method_is_denied_to_everybody_whom_no_row_lets() {
    let ours = Authority::new("ours");
    let server = Side::new(&ours.signs(&[], |_| {}), &[&ours]);
    let (token, line) = token("ada@company.example");
    server.write("tokens", &line);
    let mut config = config();
    config.server.dev_identity = false;
    config.server.tls = Some(server.server());
    config.server.token_file = Some(server.file("tokens"));
    config.server.policy = vec![
        row(ORDERS, &["/counterfoil.billing.v1.SubscriptionService/Get*", GET]),
        row("spiffe://company/operators/*", &["/*"]),
        row("ada@company.example", &["/counterfoil.event.v1.EventService/*"]),
    ];
    let served = Served::of::<Everything>(config).await;
    let uri = format!("https://{}", served.running.addr);
    let (denied, unknown, ada) = (Code::PermissionDenied, Code::Unauthenticated, Some(token.as_str()));
    let caller = |uris, token, refusal, may| Caller {
        uris,
        token,
        refusal,
        may,
    };
    let callers = [
        caller(Some(&[ORDERS]), None, denied, of_orders),
        caller(Some(&[OPERATOR]), None, denied, all),
        caller(Some(&["spiffe://company/operators"]), None, denied, none),
        caller(Some(&["spiffe://elsewhere/orders"]), None, denied, none),
        caller(Some(&["dev"]), None, unknown, none),
        caller(Some(&[]), None, unknown, none),
        caller(Some(&[OPERATOR]), ada, denied, events),
        caller(Some(&[OPERATOR]), Some("stolen"), unknown, none),
        caller(None, ada, denied, events),
        caller(None, None, unknown, none),
    ];
    let (methods, mut allowed) = (methods(), 0);
    for caller in &callers {
        let side = Side::new(&ours.signs(caller.uris.unwrap_or_default(), |_| {}), &[&ours]);
        let client = if caller.uris.is_some() {
            side.client()
        } else {
            side.person()
        };
        let channel = served.secure_channel(&client);
        for (_, method) in &methods {
            let may = (caller.may)(method);
            let expected = if may { Code::Unimplemented } else { caller.refusal };
            assert_eq!(answer(&channel, &uri, method, caller.token).await, expected, "{method}");
            allowed += usize::from(may);
        }
        for beside in [
            "/",
            "/counterfoil.event.v1.EventService/",
            "/counterfoil.event.v1.EventService/*",
        ] {
            // Who may call whatever begins so is told that there is no such method.
            let may = (caller.may)(beside);
            let expected = if may { Code::Unimplemented } else { caller.refusal };
            assert_eq!(answer(&channel, &uri, beside, caller.token).await, expected, "{beside}");
        }
    }
    assert!(allowed > methods.len(), "somebody was let in");
    served.end().await;
}
