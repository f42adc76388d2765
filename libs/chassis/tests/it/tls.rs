//! Encrypted connections: whom they let in, and new certificates while they last.

use std::net::SocketAddr;
use std::sync::Arc;

use counterfoil_chassis::{Clock, Config, Row, client, config, serve};
use counterfoil_proto::connect::v1 as pb;
use counterfoil_proto::connect::v1::connected_account_service_client::ConnectedAccountServiceClient;
use counterfoil_test_support::eventually;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription as Alert, ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::certificates::{Authority, Pair, Side, expired, not_yet_valid};
use crate::service::{Accounts, GET, Served, Settings, get, reason, take};

const ORDERS: &str = "spiffe://company/orders";

/// A server that shows the files of `side`, and lets one client call one method.
fn secured(side: &Side) -> Config<Settings> {
    let mut config = crate::service::config();
    config.server.dev_identity = false;
    config.server.tls = Some(side.server());
    config.server.reload_ms = 10;
    config.server.default_deadline_ms = 60_000;
    config.server.policy = vec![Row {
        identity: ORDERS.to_owned(),
        methods: vec![GET.to_owned()],
    }];
    config
}

/// A call over a new connection.
async fn call(served: &Served, client: &client::Config) -> Result<pb::ConnectedAccount, Status> {
    let answer = served
        .secure_client(client)
        .get_connected_account(get("acct_1"))
        .await?;
    Ok(answer.into_inner().connected_account.unwrap())
}

fn is_ours(_: &mut rcgen::CertificateParams) {}

/// A client as others may write it, which believes `authority` and shows `pair`.
fn foreign(authority: &Authority, pair: Option<&Pair>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    match pair {
        None => config.with_no_client_auth(),
        Some(Pair { cert, key }) => {
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![cert], key).unwrap()
        }
    }
}

/// Why the server refuses `client`. A client is through with its part of a handshake before the server has judged it.
async fn alert(addr: SocketAddr, client: ClientConfig) -> Alert {
    let tcp = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::IpAddress(addr.ip().into());
    let told = match TlsConnector::from(Arc::new(client)).connect(name, tcp).await {
        Ok(mut stream) => stream.read_u8().await.unwrap_err(),
        Err(error) => error,
    };
    match told.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        _ => panic!("not refused by an alert: {told}"),
    }
}

#[tokio::test]
async fn a_handshake_lets_in_only_tls_1_3_and_whom_our_authority_signed_for_today() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let right = ours.signs(&[ORDERS], is_ours);
    let side = Side::new(&right, &[&ours]);
    let served = Served::new(secured(&side)).await;
    let early = ours.signs(&[ORDERS], not_yet_valid);
    let late = ours.signs(&[ORDERS], expired);
    let theirs = other.signs(&[ORDERS], is_ours);
    let of_a_server = ours.signs(&[ORDERS], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    for (name, pair, version, refusal) in [
        ("tls 1.2", Some(&right), &TLS12, Alert::ProtocolVersion),
        ("none", None, &TLS13, Alert::CertificateRequired),
        ("expired", Some(&late), &TLS13, Alert::CertificateExpired),
        ("not yet valid", Some(&early), &TLS13, Alert::CertificateExpired),
        ("another's", Some(&theirs), &TLS13, Alert::UnknownCA),
        ("a server's", Some(&of_a_server), &TLS13, Alert::UnsupportedCertificate),
    ] {
        let told = alert(served.running.addr, foreign(&ours, pair, version)).await;
        assert_eq!(told, refusal, "{name}");
    }
    // In plain text nothing is answered.
    let refused = served.client().get_connected_account(get("acct_1")).await.unwrap_err();
    assert!(refused.get_details_error_info().is_none(), "{refused:?}");

    // And the server has to show its own.
    let mistrusting = Side::new(&right, &[&other]);
    let refused = call(&served, &mistrusting.client()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    served.end().await;
}

#[tokio::test]
async fn a_certificate_names_its_caller_by_exactly_one_uri() {
    let ours = Authority::new("ours");
    let right = ours.signs(&[ORDERS], is_ours);
    let side = Side::new(&right, &[&ours]);
    let served = Served::new(secured(&side)).await;
    let unusable = Some((Code::Unauthenticated, "UNUSABLE_CERTIFICATE"));
    let denied = Some((Code::PermissionDenied, "DENIED_BY_POLICY"));
    for (uris, refusal) in [
        (&[][..], unusable),
        (&["dev"], unusable),
        (&[ORDERS, "spiffe://company/other"], unusable),
        (&[ORDERS, ORDERS], unusable),
        (&["spiffe://company/other"], denied),
        (&["spiffe://company/orders/"], denied),
        (&[ORDERS], None),
    ] {
        let side = Side::new(&ours.signs(uris, is_ours), &[&ours]);
        let answer = call(&served, &side.client()).await;
        match (answer, refusal) {
            (Ok(answer), None) => {
                assert_eq!(answer.country_code, ORDERS, "the context says who calls");
            }
            (Err(status), Some((code, why))) => assert_eq!((status.code(), reason(&status).as_str()), (code, why)),
            (answer, _) => panic!("{uris:?}: {answer:?}"),
        }
    }
    served.end().await;
}

#[tokio::test]
async fn certificates_and_authorities_are_replaced_twenty_times_and_no_call_is_lost() {
    let mut old = Authority::new("0");
    let (server, client) = (
        Side::new(&old.signs(&[], is_ours), &[&old]),
        Side::new(&old.signs(&[ORDERS], is_ours), &[&old]),
    );
    let served = Served::new(secured(&server)).await;
    // One connection is there all the time, with a stream and, in each round, a call.
    let channel = served.secure_channel(&client.client());
    let mut watched = HealthClient::new(channel.clone());
    let mut health = watched.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    health.next().await.unwrap().unwrap();
    let lasting = ConnectedAccountServiceClient::new(channel);
    let calls_anew = async |client: &client::Config| call(&served, client).await.is_ok();

    for round in 1..=20 {
        let mut running = lasting.clone();
        let running = tokio::spawn(async move { running.get_connected_account(get("acct_slow")).await });
        take(&served.probe.begun).await;

        // First everybody believes both authorities, then everybody shows a certificate of the new one, then nobody
        // believes the old one. At each moment whoever connects anew gets through.
        let new = Authority::new(&round.to_string());
        let (next, last) = (new.signs(&[ORDERS], is_ours), old.signs(&[ORDERS], is_ours));
        server.trust(&[&old, &new]);
        client.trust(&[&old, &new]);
        assert!(calls_anew(&client.client()).await);
        let ahead = Side::new(&next, &[&old, &new]);
        eventually("the new authority to be believed", async || {
            calls_anew(&ahead.client()).await.then_some(())
        })
        .await;

        server.present(&new.signs(&[], is_ours));
        client.present(&next);
        assert!(calls_anew(&client.client()).await);
        let strict = Side::new(&next, &[&new]);
        eventually("the new certificate to be shown", async || {
            calls_anew(&strict.client()).await.then_some(())
        })
        .await;

        server.trust(&[&new]);
        client.trust(&[&new]);
        assert!(calls_anew(&client.client()).await);
        let behind = Side::new(&last, &[&old, &new]);
        eventually("the old authority to be forgotten", async || {
            (!calls_anew(&behind.client()).await).then_some(())
        })
        .await;
        assert!(calls_anew(&client.client()).await);

        served.probe.release.add_permits(1);
        running.await.unwrap().unwrap();
        old = new;
    }
    served.shutdown.cancel();
    // It comes to its own end.
    while let Some(told) = health.next().await {
        told.unwrap();
    }
    drop((health, watched, lasting));
    served.running.stopped().await.unwrap();
}

#[tokio::test]
async fn a_broken_file_keeps_what_was_in_force_and_stops_only_a_start() {
    let ours = Authority::new("ours");
    let pair = ours.signs(&[ORDERS], is_ours);
    let side = Side::new(&pair, &[&ours]);
    let served = Served::new(secured(&side)).await;
    let client = Side::new(&pair, &[&ours]);
    let other = ours.signs(&[ORDERS], is_ours);
    for broken in [
        "",
        "half",
        &pair.cert,
        &pair.key,
        &format!("{}{}", pair.cert, other.key),
    ] {
        side.write("pair.pem", broken);
        // Nothing tells when the server has looked, and what it sees must change nothing.
        assert!(call(&served, &client.client()).await.is_ok(), "{broken}");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let started = serve::<Accounts<true>>(secured(&side), listener, Clock::system(), CancellationToken::new());
        let refusal = started.await.unwrap_err();
        assert!(refusal.is::<config::Error>());
        let refusal = refusal.to_string();
        assert!(refusal.contains("pair.pem") && !refusal.contains("BEGIN"), "{refusal}");
    }
    // The next one that can be used is.
    let other = Authority::new("other");
    side.present(&other.signs(&[], is_ours));
    client.trust(&[&other]);
    eventually("a call to get through", async || {
        call(&served, &client.client()).await.ok()
    })
    .await;
    served.end().await;
}

#[tokio::test]
async fn encrypted_any_address_is_served_and_nobody_is_dev() {
    let ours = Authority::new("ours");
    let side = Side::new(&ours.signs(&[ORDERS], is_ours), &[&ours]);
    let start = async |config| {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        serve::<Accounts<true>>(config, listener, Clock::system(), CancellationToken::new()).await
    };
    assert!(start(secured(&side)).await.is_ok());
    let mut config = secured(&side);
    config.server.dev_identity = true;
    let refusal = start(config).await.unwrap_err().to_string();
    assert!(refusal.contains("server.dev_identity"), "{refusal}");
}

#[tokio::test]
async fn who_does_not_get_on_with_a_handshake_keeps_nobody_waiting() {
    let ours = Authority::new("ours");
    let side = Side::new(&ours.signs(&[ORDERS], is_ours), &[&ours]);
    let served = Served::new(secured(&side)).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(served.running.addr).await.unwrap());
    }
    assert!(call(&served, &side.client()).await.is_ok());
    drop(silent);
    served.end().await;
}
