//! Health and calls when the database is busy, or not there.

use std::net::SocketAddr;

use counterfoil_chassis::{Config, client};
use counterfoil_store::MIGRATIONS;
use counterfoil_test_support::{TestDb, eventually};
use futures::future::join_all;
use secrecy::ExposeSecret;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use url::Url;

use crate::service::{Served, Settings, config_on, get, take};

fn health(served: &Served) -> HealthClient<client::Channel> {
    HealthClient::new(client::channel(&served.uri()).unwrap())
}

async fn says(health: &mut HealthClient<client::Channel>) -> ServingStatus {
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    answer.into_inner().status()
}

#[tokio::test]
async fn calls_without_a_connection_are_told_so_in_time_and_health_still_has_one() {
    let test = TestDb::new(&MIGRATIONS).await;
    let mut config = config_on(&test);
    config.database.max_connections = 4;
    config.database.acquire_timeout_ms = 1_000;
    config.server.health_interval_ms = 10;
    let served = Served::new(config).await;
    let mut watched = health(&served)
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    // Four calls have all connections; on a busy machine one may not get its own at the first try.
    let holders = join_all((0..4).map(async |_| {
        let mut client = served.client();
        eventually("a connection", async || {
            client.get_connected_account(get("acct_stored")).await.ok()
        })
        .await;
    }));
    let others = async {
        for _ in 0..4 {
            take(&served.probe.begun).await;
        }
        // Long enough for health to have noticed twice, had it to wait like them.
        for _ in 0..3 {
            let clients = [served.client(), served.client()];
            let refused = join_all((0..200).map(async |number| {
                let mut client = clients[number % 2].clone();
                let refused = client.get_connected_account(get("acct_stored")).await.unwrap_err();
                let reason = refused.get_details_error_info().map(|info| info.reason);
                (refused.code(), reason)
            }));
            let busy = (Code::Unavailable, Some("DATABASE_UNAVAILABLE".to_owned()));
            assert_eq!(refused.await, vec![busy; 200]);
        }
        assert_eq!(says(&mut health(&served)).await, ServingStatus::Serving);
        served.probe.release.add_permits(4);
    };
    tokio::join!(holders, others);

    served.probe.release.add_permits(20);
    let after =
        join_all((0..20).map(async |_| served.client().get_connected_account(get("acct_stored")).await.is_ok()));
    assert_eq!(after.await, [true; 20]);
    served.shutdown.cancel();
    // The first change that the watcher hears of is the end.
    assert_eq!(
        watched.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert!(watched.next().await.is_none());
    served.end().await;
}

#[tokio::test]
async fn health_follows_the_database_as_it_comes_and_goes() {
    let test = TestDb::new(&MIGRATIONS).await;
    let mut config = config_on(&test);
    let relay = Relay::before(&mut config).await;
    config.server.health_interval_ms = 10;
    // The service starts all the same.
    let served = Served::new(config).await;
    let mut health = health(&served);
    assert_eq!(says(&mut health).await, ServingStatus::NotServing);
    let mut watched = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    for state in [
        ServingStatus::NotServing,
        ServingStatus::Serving,
        ServingStatus::NotServing,
        ServingStatus::Serving,
    ] {
        relay.open.send_replace(state == ServingStatus::Serving);
        assert_eq!(watched.next().await.unwrap().unwrap().status(), state);
        assert_eq!(says(&mut health).await, state);
    }
    served.end().await;
}

/// A way to the database that can be cut.
struct Relay {
    open: watch::Sender<bool>,
}

impl Relay {
    /// Puts one, not open, between a service and its database.
    async fn before(config: &mut Config<Settings>) -> Relay {
        let mut url = Url::parse(config.database.url.expose_secret()).unwrap();
        let database = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        config.database.url = String::from(url).into();
        let (open, is_open) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(relayed(near, database.clone(), is_open.clone()));
            }
        });
        Relay { open }
    }
}

/// Carries one connection for as long as the way is open.
async fn relayed(mut near: TcpStream, database: String, mut is_open: watch::Receiver<bool>) {
    if !*is_open.borrow_and_update() {
        return;
    }
    let mut far = TcpStream::connect(database).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = is_open.wait_for(|open| !open) => {}
    }
}
