//! `ListEvents` and `GetEvent`.

use counterfoil_proto::event::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt;

use crate::gateway::{Gateway, event};

/// The partition of `cus_1`.
const PARTITION: i32 = 34;

#[tokio::test]
async fn a_partition_is_listed_page_by_page() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 5).await;
    let mut client = gateway.client.clone();
    let mut request = pb::ListEventsRequest {
        partition: PARTITION,
        page_size: 2,
        ..Default::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = client.list_events(request.clone()).await.unwrap().into_inner();
        pages.push(page.events.iter().map(|event| event.offset).collect::<Vec<_>>());
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
}

#[tokio::test]
async fn headers_alone_leave_the_bodies_out_and_start_where_they_are_told() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let request = pb::ListEventsRequest {
        partition: PARTITION,
        after_offset: 2,
        headers_only: true,
        ..Default::default()
    };
    let page = gateway.client.clone().list_events(request).await.unwrap().into_inner();
    let [event] = page.events.as_slice() else {
        panic!("{page:?}")
    };
    let envelope = event.envelope.as_ref().unwrap();
    assert_eq!(
        (
            event.offset,
            envelope.event_id.as_str(),
            event.body.len(),
            event.sha256.len()
        ),
        (3, "evt_3", 0, 32)
    );
    assert_eq!(
        (envelope.key.as_str(), envelope.source()),
        ("/cus_1", pb::Source::Webhook)
    );
    assert_eq!(envelope.created_time.unwrap().seconds, 1_790_000_000);
}

#[tokio::test]
async fn a_page_of_large_bodies_stays_below_the_limit_of_a_message() {
    let gateway = Gateway::start().await;
    for number in 0..6 {
        let body = event(&format!("evt_{number}"), "invoice.paid", "cus_1") + &" ".repeat(900 * 1024);
        assert_eq!(gateway.deliver(body).await, 200);
    }
    let mut client = gateway.client.clone();
    let mut request = pb::ListEventsRequest {
        partition: PARTITION,
        page_size: 1000,
        ..Default::default()
    };
    let mut seen = 0;
    loop {
        let page = client.list_events(request.clone()).await.unwrap().into_inner();
        seen += page.events.len();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, 6);
}

#[tokio::test]
async fn an_unknown_event_is_not_found() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 1).await;
    for (event_id, account) in [("evt_2", ""), ("evt_1", "acct_1")] {
        let request = pb::GetEventRequest {
            event_id: event_id.into(),
            account: account.into(),
        };
        let status = gateway.client.clone().get_event(request).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn a_request_out_of_bounds_is_told_all_its_faults() {
    let gateway = Gateway::start().await;
    let request = pb::ListEventsRequest {
        partition: 64,
        after_offset: -1,
        page_size: -1,
        page_token: "x".into(),
        ..Default::default()
    };
    let status = gateway.client.clone().list_events(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<String> = status
        .get_details_bad_request()
        .unwrap()
        .field_violations
        .into_iter()
        .map(|one| one.field)
        .collect();
    assert_eq!(fields, ["partition", "after_offset", "page_size", "page_token"]);
}
