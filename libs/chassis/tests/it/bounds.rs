//! Deadlines, callers who leave, panics.

use std::time::Duration;

use counterfoil_chassis::status;
use tonic::Code;
use tonic_types::StatusExt;

use crate::raw::{Raw, asking_for};
use crate::service::{GET, Served, config, get, take};

#[tokio::test]
async fn at_the_deadline_the_caller_is_answered_and_the_work_goes_on_to_its_end() {
    let mut config = config();
    config.server.default_deadline_ms = 30;
    let served = Served::new(config).await;
    let late = served
        .client()
        .get_connected_account(get("acct_slow"))
        .await
        .unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert_eq!(late.get_details_error_info().unwrap().reason, "DEADLINE_EXCEEDED");

    assert_eq!(served.probe.completed.available_permits(), 0);
    served.probe.release.add_permits(1);
    take(&served.probe.completed).await;
    served.end().await;
}

/// Not CANCELLED, as tonic's own server would. The request is made by hand, as tonic's client gives up by itself.
#[tokio::test]
async fn the_callers_own_timeout_is_answered_as_deadline_exceeded_every_time() {
    let served = Served::new(config()).await;
    let raw = Raw::connect(served.running.addr).await;
    for milliseconds in 0..20 {
        let timeout = format!("{milliseconds}m");
        let answer = raw
            .call(GET, &[("grpc-timeout", &timeout)], asking_for("acct_slow"))
            .await;
        assert_eq!(answer.unwrap()["grpc-status"], "4", "{milliseconds} ms");
    }
    served.probe.release.add_permits(20);
    served.end().await;
}

#[tokio::test]
async fn work_goes_on_when_its_caller_leaves() {
    let served = Served::new(config()).await;
    let mut client = served.client();
    let call = tokio::spawn(async move { client.get_connected_account(get("acct_slow")).await });
    take(&served.probe.begun).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());

    served.probe.release.add_permits(1);
    take(&served.probe.completed).await;
    served.end().await;
}

#[tokio::test]
async fn a_panic_is_an_internal_error_with_an_id_and_the_process_goes_on() {
    let served = Served::new(config()).await;
    let failure = served
        .client()
        .get_connected_account(get("acct_panic"))
        .await
        .unwrap_err();
    assert_eq!(failure.code(), Code::Internal);
    let info = failure.get_details_error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("INTERNAL", status::DOMAIN)
    );
    let id = &info.metadata["error_id"];
    assert!(id.len() == 20 && id.starts_with("err_"), "{id}");
    assert_eq!(failure.message(), format!("internal error {id}"));

    assert!(served.client().get_connected_account(get("acct_1")).await.is_ok());
    served.end().await;
}

#[tokio::test]
async fn the_end_does_not_wait_longer_than_it_may() {
    let mut config = config();
    config.server.drain_ms = 30;
    let served = Served::new(config).await;
    let mut client = served.client();
    let call = tokio::spawn(async move { client.get_connected_account(get("acct_slow")).await });
    take(&served.probe.begun).await;
    // Nobody releases the call.
    tokio::time::timeout(Duration::from_secs(30), served.end())
        .await
        .unwrap();
    call.abort();
}
