//! `QuarantineService`: what operators see and decide, once, whoever else does at the same time.

use counterfoil_chassis::client::{Channel, channel};
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::quarantine_service_client::QuarantineServiceClient;
use counterfoil_test_support::told;
use futures::future::join_all;
use tonic::{Code, Status};

use crate::gateway::{Gateway, event};

fn client(gateway: &Gateway) -> QuarantineServiceClient<Channel> {
    QuarantineServiceClient::new(channel(&gateway.grpc_url).unwrap())
}

/// An event of the other mode.
fn wrong(id: &str) -> String {
    event(id, "invoice.paid", "cus_1").replace("false", "true")
}

async fn release(gateway: &Gateway, quarantined_id: i64) -> Result<pb::QuarantinedDelivery, Status> {
    let request = pb::ReleaseQuarantinedRequest { quarantined_id };
    let answer = client(gateway).release_quarantined(request).await?;
    Ok(answer.into_inner().delivery.unwrap())
}

async fn discard(gateway: &Gateway, quarantined_id: i64) -> Result<pb::QuarantinedDelivery, Status> {
    let request = pb::DiscardQuarantinedRequest { quarantined_id };
    let answer = client(gateway).discard_quarantined(request).await?;
    Ok(answer.into_inner().delivery.unwrap())
}

async fn get(gateway: &Gateway, quarantined_id: i64) -> Result<pb::QuarantinedDelivery, Status> {
    let request = pb::GetQuarantinedRequest { quarantined_id };
    let answer = client(gateway).get_quarantined(request).await?;
    Ok(answer.into_inner().delivery.unwrap())
}

/// Without what differs from run to run.
fn lasting(delivery: pb::QuarantinedDelivery) -> String {
    let decided = delivery.decided_time.is_some();
    let body = String::from_utf8(delivery.body.clone()).unwrap();
    let delivery = pb::QuarantinedDelivery {
        received_time: None,
        decided_time: None,
        sha256: Vec::new(),
        body: Vec::new(),
        ..delivery
    };
    format!("{delivery:#?}\ndecided: {decided}\nbody: {body}")
}

/// The ids of all pages of two, a page a list.
async fn pages(gateway: &Gateway, include_decided: bool) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListQuarantinedRequest {
            page_size: 2,
            page_token,
            include_decided,
        };
        let page = client(gateway).list_quarantined(request).await.unwrap().into_inner();
        assert!(page.deliveries.iter().all(|delivery| delivery.body.is_empty()));
        pages.push(page.deliveries.iter().map(|one| one.quarantined_id).collect());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn what_is_held_is_listed_newest_first_and_what_was_decided_when_asked_for() {
    let gateway = Gateway::start().await;
    for number in 1..=5 {
        assert_eq!(gateway.deliver(wrong(&format!("evt_{number}"))).await, 200);
    }
    assert_eq!(pages(&gateway, false).await, [vec![5, 4], vec![3, 2], vec![1]]);
    discard(&gateway, 4).await.unwrap();
    release(&gateway, 2).await.unwrap();
    assert_eq!(pages(&gateway, false).await, [vec![5, 3], vec![1]]);
    assert_eq!(pages(&gateway, true).await, [vec![5, 4], vec![3, 2], vec![1]]);

    let request = pb::ListQuarantinedRequest {
        page_token: "x".into(),
        ..Default::default()
    };
    let status = client(&gateway).list_quarantined(request).await.unwrap_err();
    insta::assert_snapshot!("quarantine_token", told(&status));
}

#[tokio::test]
async fn a_released_delivery_is_an_event_of_the_log_once() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 1).await;
    assert_eq!(gateway.deliver(wrong("evt_2")).await, 200);
    insta::assert_snapshot!("held", lasting(get(&gateway, 1).await.unwrap()));
    let released = release(&gateway, 1).await.unwrap();
    let again = release(&gateway, 1).await.unwrap();
    assert_eq!(released, again);
    insta::assert_snapshot!("released", lasting(released));
    // Stripe brings it once more.
    assert_eq!(gateway.deliver(wrong("evt_2")).await, 200);
    assert_eq!(
        (gateway.count("event_log").await, gateway.count("quarantine").await),
        (2, 1)
    );
    assert_eq!(gateway.offsets().await, [1, 2]);

    let request = pb::GetEventRequest {
        event_id: "evt_2".into(),
        account: String::new(),
    };
    let stored = gateway.client.clone().get_event(request).await.unwrap().into_inner();
    assert_eq!(stored.event.unwrap().body, wrong("evt_2").as_bytes());
    let request = pb::VerifyEventRequest {
        event_id: "evt_2".into(),
        account: String::new(),
    };
    let verified = gateway.client.clone().verify_event(request).await.unwrap();
    assert_eq!(verified.into_inner().verdict(), pb::Verdict::Matches);
}

#[tokio::test]
async fn a_discarded_delivery_leaves_who_and_when_and_nothing_else() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.deliver(wrong("evt_1")).await, 200);
    let discarded = discard(&gateway, 1).await.unwrap();
    assert_eq!(discard(&gateway, 1).await.unwrap(), discarded);
    assert_eq!(get(&gateway, 1).await.unwrap(), discarded);
    insta::assert_snapshot!("discarded", lasting(discarded));
    assert_eq!(gateway.deliver(wrong("evt_1")).await, 200);
    let row = "select body is null and state = 'discarded' from quarantine";
    let gone = gateway.sql().await.query_one(row, &[]).await.unwrap();
    assert!(gone.get::<_, bool>(0));
    assert_eq!(gateway.count("audit").await, 1);
}

#[tokio::test]
async fn what_was_decided_stays_so_and_what_is_no_event_is_not_released() {
    let gateway = Gateway::start().await;
    for body in [wrong("evt_1"), wrong("evt_2"), "no event".to_owned()] {
        assert_eq!(gateway.deliver(body).await, 200);
    }
    release(&gateway, 1).await.unwrap();
    discard(&gateway, 2).await.unwrap();
    let refusals = [
        discard(&gateway, 1).await.unwrap_err(),
        release(&gateway, 2).await.unwrap_err(),
        release(&gateway, 3).await.unwrap_err(),
        release(&gateway, 4).await.unwrap_err(),
        discard(&gateway, 4).await.unwrap_err(),
        get(&gateway, 4).await.unwrap_err(),
        get(&gateway, 0).await.unwrap_err(),
    ];
    insta::assert_snapshot!("quarantine_refusals", refusals.map(|status| told(&status)).join("\n\n"));
    assert_eq!(get(&gateway, 3).await.unwrap().state(), pb::QuarantineState::Held);
    assert_eq!(gateway.count("audit").await, 2);
}

#[tokio::test]
async fn of_all_who_decide_at_once_through_two_gateways_one_does_and_the_log_has_it_once_or_never() {
    let first = Gateway::start().await;
    let other = Gateway::on(&first.db).await;
    for number in 1..=20_i64 {
        assert_eq!(first.deliver(wrong(&format!("evt_{number}"))).await, 200);
        let calls = (0..8).map(|call| {
            let gateway = if call % 2 == 0 { &first } else { &other };
            async move {
                if call < 4 {
                    release(gateway, number).await
                } else {
                    discard(gateway, number).await
                }
            }
        });
        let answers = join_all(calls).await;
        let state = get(&first, number).await.unwrap().state();
        let released = state == pb::QuarantineState::Released;
        for (call, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(answer) => assert_eq!((answer.state(), call < 4), (state, released)),
                Err(status) => assert_eq!((status.code(), call < 4), (Code::FailedPrecondition, !released)),
            }
        }
    }
    let sql = first.sql().await;
    let odd = "select count(*) from quarantine q where q.state = 'held'
        or (q.state = 'released') <> exists (select from event_log l where l.event_id = 'evt_' || q.id)
        or (select count(*) from audit a where a.subject_id = q.id::text and a.outcome = q.state) <> 1";
    assert_eq!(sql.query_one(odd, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(first.count("audit").await, 20);
    let dense: Vec<i64> = (1..=first.count("event_log").await).collect();
    assert_eq!(first.offsets().await, dense);
}

#[tokio::test]
async fn a_delivery_whose_event_the_log_has_otherwise_keeps_its_bytes_when_it_is_released() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.deliver(wrong("evt_1")).await, 200);
    gateway.deliver_many("evt_", "cus_1", 1).await;
    let released = release(&gateway, 1).await.unwrap();
    assert_eq!(
        (released.state(), released.event_id.as_str()),
        (pb::QuarantineState::Released, "evt_1")
    );
    assert_eq!(gateway.offsets().await, [1]);
    assert_eq!(get(&gateway, 1).await.unwrap().body, wrong("evt_1").as_bytes());
}
