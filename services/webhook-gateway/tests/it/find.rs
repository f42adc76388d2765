//! `ListEvents` with a filter, and `VerifyEvent`.

use counterfoil_proto::event::v1 as pb;
use counterfoil_test_support::told;
use futures::future::join_all;
use prost_types::Timestamp;

use crate::gateway::{Gateway, OLD_SECRET, SECRET, event, now, sign};

fn by(filter: pb::EventFilter) -> pb::ListEventsRequest {
    pb::ListEventsRequest {
        page_size: 2,
        filter: Some(filter),
        ..Default::default()
    }
}

/// The ids of all pages, a page a list.
async fn pages(gateway: &Gateway, mut request: pb::ListEventsRequest) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let page = gateway.client.clone().list_events(request.clone()).await.unwrap();
        let page = page.into_inner();
        let ids = page.events.into_iter().map(|event| event.envelope.unwrap().event_id);
        pages.push(ids.collect());
        if page.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

async fn ids(gateway: &Gateway, filter: pb::EventFilter) -> Vec<String> {
    pages(gateway, by(filter)).await.concat()
}

#[tokio::test]
async fn events_are_found_by_type_object_account_and_time_newest_first() {
    let gateway = Gateway::start().await;
    for (id, event_type, object, account) in [
        ("evt_1", "invoice.paid", "in_1", ""),
        ("evt_2", "invoice.voided", "in_1", ""),
        ("evt_3", "invoice.paid", "in_2", ""),
        ("evt_4", "invoice.paid", "in_1", "acct_1"),
        ("evt_5", "invoice.paid", "in_3", "acct_2"),
    ] {
        let body = event(id, event_type, "cus_1").replace("in_1", object);
        let body = body.replace(r#""object":"event""#, &format!(r#""account":"{account}""#));
        assert_eq!(gateway.deliver(body).await, 200);
    }
    let text = |text: &str| text.to_owned();
    let everything = pages(&gateway, by(pb::EventFilter::default())).await;
    assert_eq!(
        everything,
        [vec!["evt_5", "evt_4"], vec!["evt_3", "evt_2"], vec!["evt_1"]]
    );
    for (filter, expected) in [
        (
            pb::EventFilter {
                event_type: text("invoice.paid"),
                ..Default::default()
            },
            vec!["evt_5", "evt_4", "evt_3", "evt_1"],
        ),
        (
            pb::EventFilter {
                object_id: text("in_1"),
                ..Default::default()
            },
            vec!["evt_4", "evt_2", "evt_1"],
        ),
        (
            pb::EventFilter {
                account: Some(text("acct_1")),
                ..Default::default()
            },
            vec!["evt_4"],
        ),
        (
            pb::EventFilter {
                account: Some(String::new()),
                ..Default::default()
            },
            vec!["evt_3", "evt_2", "evt_1"],
        ),
        (
            pb::EventFilter {
                object_id: text("in_1"),
                event_type: text("invoice.paid"),
                account: Some(String::new()),
                ..Default::default()
            },
            vec!["evt_1"],
        ),
    ] {
        assert_eq!(ids(&gateway, filter.clone()).await, expected, "{filter:?}");
    }

    let received = |row: &pb::Event| row.envelope.as_ref().unwrap().received_time.unwrap();
    let all = by(pb::EventFilter::default());
    let all = pb::ListEventsRequest { page_size: 9, ..all };
    let all = gateway.client.clone().list_events(all).await.unwrap().into_inner();
    // From the fourth, before the second: the first bound is in, the other is out.
    let times = pb::EventFilter {
        received_from_time: Some(received(&all.events[3])),
        received_before_time: Some(received(&all.events[1])),
        ..Default::default()
    };
    assert_eq!(ids(&gateway, times).await, ["evt_3", "evt_2"]);
}

#[tokio::test]
async fn pages_of_many_events_of_one_statement_miss_and_repeat_nothing_while_more_come() {
    let gateway = Gateway::start().await;
    // At once, so that one append takes many and they share a time.
    let deliveries = (0..50).map(|number| {
        let body = event(&format!("evt_{number}"), "invoice.paid", &format!("cus_{number}"));
        gateway.deliver(body)
    });
    join_all(deliveries).await;
    let mut request = pb::ListEventsRequest {
        page_size: 7,
        headers_only: true,
        ..by(pb::EventFilter::default())
    };
    let mut seen = Vec::new();
    for number in 0.. {
        let page = gateway.client.clone().list_events(request.clone()).await.unwrap();
        let page = page.into_inner();
        assert!(page.events.iter().all(|event| event.body.is_empty()));
        seen.extend(page.events.into_iter().map(|event| event.envelope.unwrap().event_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        gateway.deliver_many(&format!("evt_late{number}_"), "cus_1", 1).await;
    }
    let mut expected: Vec<String> = (0..50).map(|number| format!("evt_{number}")).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_filtered_page_of_large_bodies_stays_below_the_limit_of_a_message() {
    let gateway = Gateway::start().await;
    for number in 0..6 {
        let body = event(&format!("evt_{number}"), "invoice.paid", "cus_1") + &" ".repeat(900 * 1024);
        assert_eq!(gateway.deliver(body).await, 200);
    }
    let request = pb::ListEventsRequest {
        page_size: 1000,
        ..by(pb::EventFilter::default())
    };
    let sizes: Vec<usize> = pages(&gateway, request).await.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3]);
}

#[tokio::test]
async fn a_filter_or_token_that_is_not_right_is_refused() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let mut client = gateway.client.clone();
    let never = Some(Timestamp {
        seconds: 1,
        nanos: 1_000_000_000,
    });
    let odd = by(pb::EventFilter {
        received_from_time: never,
        received_before_time: never,
        ..Default::default()
    });
    insta::assert_snapshot!("odd_times", told(&client.list_events(odd).await.unwrap_err()));
    let odd = by(pb::EventFilter {
        event_type: "invoice paid".into(),
        object_id: "in/1".into(),
        account: Some("é".into()),
        ..Default::default()
    });
    insta::assert_snapshot!("odd_filter", told(&client.list_events(odd).await.unwrap_err()));

    let page = client.list_events(by(pb::EventFilter::default())).await.unwrap();
    let elsewhere = pb::ListEventsRequest {
        page_token: page.into_inner().next_page_token,
        ..by(pb::EventFilter {
            object_id: "in_1".into(),
            ..Default::default()
        })
    };
    insta::assert_snapshot!(
        "token_of_another_filter",
        told(&client.list_events(elsewhere).await.unwrap_err())
    );
}

#[tokio::test]
async fn every_filter_finds_its_index() {
    let gateway = Gateway::start().await;
    let sql = gateway.sql().await;
    // Enough for the planner to care: a month of one customer's invoices among those of others.
    sql.batch_execute(
        "insert into event_log (partition, log_offset, received_at, account, event_id, type, object_id, key, created, source, body)
         select 0, n, now() + n * interval '1 ms', case when n % 2 = 0 then 'acct_' || n % 500 else '' end, 'evt_' || n,
            'type.' || n % 200, 'obj_' || n % 5000, '/', now(), 'webhook', '{}'
         from generate_series(1, 20000) n;
         analyze event_log",
    )
    .await
    .unwrap();
    for (condition, index) in [
        ("type = 'type.7'", "type_received_at"),
        ("object_id = 'obj_7'", "object_id_received_at"),
        ("account = 'acct_8'", "account_received_at"),
        ("received_at < now() + interval '2 s'", "received_at"),
    ] {
        let plan = format!("explain select * from event_log where {condition} order by received_at desc limit 100");
        let rows = sql.query(&plan, &[]).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(plan.concat().contains(index), "{condition}: {plan:#?}");
    }
}

async fn verified(gateway: &Gateway, event_id: &str) -> (pb::Verdict, String, String) {
    let request = pb::VerifyEventRequest {
        event_id: event_id.into(),
        account: String::new(),
    };
    let answer = gateway.client.clone().verify_event(request).await.unwrap().into_inner();
    (
        answer.verdict(),
        answer.secret_name.clone(),
        answer.received_secret_name,
    )
}

#[tokio::test]
async fn a_stored_event_is_checked_again_against_the_secrets_of_today_however_old_it_is() {
    let gateway = Gateway::start().await;
    let sql = gateway.sql().await;
    for (id, secret) in [("evt_new", SECRET), ("evt_old", OLD_SECRET), ("evt_gone", SECRET)] {
        let body = event(id, "invoice.paid", "cus_1");
        let header = sign(body.as_bytes(), secret, now());
        assert_eq!(gateway.deliver_with(body, &header).await, 200);
    }
    let name = |verdict, live: &str, received: &str| (verdict, live.to_owned(), received.to_owned());
    assert_eq!(
        verified(&gateway, "evt_new").await,
        name(pb::Verdict::Matches, "new", "new")
    );
    assert_eq!(
        verified(&gateway, "evt_old").await,
        name(pb::Verdict::Matches, "1", "1")
    );

    // Years later; and the same event where another secret signed it.
    let body = event("evt_new", "invoice.paid", "cus_1");
    let change = "update event_log set signature = $1 where event_id = 'evt_new'";
    for (secret, expected) in [
        (SECRET, name(pb::Verdict::Matches, "new", "new")),
        ("whsec_rolled", name(pb::Verdict::NoLiveSecret, "", "new")),
    ] {
        let header = sign(body.as_bytes(), secret, 1_000_000_000);
        sql.execute(change, &[&header]).await.unwrap();
        assert_eq!(verified(&gateway, "evt_new").await, expected);
    }
    sql.execute(change, &[&""]).await.unwrap();
    assert_eq!(
        verified(&gateway, "evt_new").await,
        name(pb::Verdict::Unsigned, "", "new")
    );
    sql.execute(
        "update event_log set endpoint = 'gone' where event_id = 'evt_gone'",
        &[],
    )
    .await
    .unwrap();
    assert_eq!(
        verified(&gateway, "evt_gone").await,
        name(pb::Verdict::EndpointGone, "", "new")
    );
    sql.execute(
        "update event_log set body = body || '\\x20' where event_id = 'evt_old'",
        &[],
    )
    .await
    .unwrap();
    assert_eq!(verified(&gateway, "evt_old").await, name(pb::Verdict::Altered, "", "1"));

    let unknown = pb::VerifyEventRequest {
        event_id: "evt_unknown".into(),
        account: "acct_1".into(),
    };
    let status = gateway.client.clone().verify_event(unknown).await.unwrap_err();
    insta::assert_snapshot!("verify_unknown", told(&status));
}
