//! Deliveries that contradict the log; what is logged and counted of all of them.

use counterfoil_proto::event::v1 as pb;
use counterfoil_test_support::{Log, eventually};
use futures::future::join_all;

use crate::gateway::{Gateway, event};
use crate::subscribe::{Stream, everything, start};

async fn status(gateway: &Gateway) -> pb::GetIngestStatusResponse {
    let request = pb::GetIngestStatusRequest {};
    let status = gateway.client.clone().get_ingest_status(request).await.unwrap();
    status.into_inner()
}

#[tokio::test]
async fn other_data_for_an_event_the_log_has_is_kept_and_counted_once_and_never_applied() {
    let gateway = Gateway::start().await;
    let first = event("evt_1", "invoice.paid", "cus_1");
    let with = |field: &str| first.replacen('{', &format!("{{{field},"), 1);
    let other = first.replace(r#""object":"invoice""#, r#""object":"invoice","total":1"#);
    for body in [
        first.clone(),
        with(r#""pending_webhooks":1"#),
        with(r#""pending_webhooks":0"#),
        // Written otherwise.
        first.replace(
            r#""id":"in_1","object":"invoice""#,
            r#""object": "invoice", "id":"in_1""#,
        ),
        // Another version may have another shape.
        other.replace("2026-09-30.endive", "2025-03-31.basil"),
    ] {
        assert_eq!(gateway.deliver(body).await, 200);
    }
    assert_eq!(gateway.count("event_finding").await, 0);
    for body in [other.clone(), other.clone(), first.clone(), with(r#""data2":1"#)] {
        assert_eq!(gateway.deliver(body).await, 200);
    }
    let sql = gateway.sql().await;
    let kept = sql
        .query_one("select event_id, endpoint, body from event_finding", &[])
        .await
        .unwrap();
    assert_eq!((kept.get::<_, &str>(0), kept.get::<_, &str>(1)), ("evt_1", "platform"));
    assert_eq!(kept.get::<_, &[u8]>(2), other.as_bytes());
    let stored = sql.query_one("select body from event_log", &[]).await.unwrap();
    assert_eq!(stored.get::<_, &[u8]>(0), first.as_bytes());
    let status = status(&gateway).await;
    assert_eq!((status.stored, status.duplicates), (1, 8));
    assert_eq!((status.findings, status.findings_kept), (1, 1));

    // Through another endpoint it may differ too.
    sql.execute("update event_log set endpoint = 'connect'", &[])
        .await
        .unwrap();
    let third = first.replace("cus_1", "cus_2");
    assert_eq!(gateway.deliver(third).await, 200);
    assert_eq!(gateway.count("event_finding").await, 1);
}

#[tokio::test]
async fn of_many_that_contradict_each_other_at_once_one_is_applied_and_all_others_are_kept() {
    let first = Gateway::start().await;
    let other = Gateway::on(&first.db).await;
    for round in 0..10 {
        let deliveries = (0..16).map(|number| {
            let gateway = if number % 2 == 0 { &first } else { &other };
            // Eight bodies, each through both.
            let body = event(&format!("evt_{round}"), "invoice.paid", "cus_1");
            gateway.deliver(body.replace("in_1", &format!("in_{}", number / 2)))
        });
        assert!(join_all(deliveries).await.iter().all(|answer| *answer == 200));
    }
    assert_eq!(
        (first.count("event_log").await, first.count("event_finding").await),
        (10, 70)
    );
    let (one, two) = (status(&first).await, status(&other).await);
    assert_eq!((one.findings + two.findings, one.findings_kept), (70, 70));
    assert_eq!((one.stored + two.stored, one.duplicates + two.duplicates), (10, 150));
}

#[tokio::test]
async fn a_repeat_that_cannot_be_compared_is_not_answered_with_200() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 1).await;
    let sql = gateway.sql().await;
    sql.batch_execute("alter table event_finding rename to away")
        .await
        .unwrap();
    let other = event("evt_1", "invoice.paid", "cus_1").replace("in_1", "in_2");
    assert_eq!(gateway.deliver(other.clone()).await, 503);
    sql.batch_execute("alter table away rename to event_finding")
        .await
        .unwrap();
    assert_eq!(gateway.deliver(other).await, 200);
    assert_eq!(gateway.count("event_finding").await, 1);
}

#[tokio::test]
async fn each_delivery_is_one_line_with_ids_and_result_and_nothing_personal() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || written.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let gateway = Gateway::start().await;
    let body = event("evt_1", "invoice.paid", "cus_1").replace(
        r#""object":"invoice""#,
        r#""customer_email":"ada@example.com","customer_name":"Ada Lovelace""#,
    );
    for body in [
        &body,
        &body,
        &body.replace("Ada", "Eve"),
        &body.replace("false", "true"),
    ] {
        assert_eq!(gateway.deliver(body.clone()).await, 200);
    }
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("result=")).collect();
    for (line, result) in lines.iter().zip(["stored", "repeated", "repeated", "quarantined"]) {
        for part in [
            r#"event.id="evt_1""#,
            r#"event.type="invoice.paid""#,
            r#"object.id="in_1""#,
            &format!("result={result:?}"),
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert_eq!(lines.len(), 4);
    assert!(
        !text.contains("ada@example.com") && !text.contains("Lovelace"),
        "{text}"
    );
}

#[tokio::test]
async fn the_state_of_ingest_is_told() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 2).await;
    assert_eq!(gateway.deliver("no event").await, 200);
    assert_eq!(gateway.deliver_with("forged", "t=1,v1=00").await, 400);
    // Nobody asked for anything yet, so nothing is unhandled.
    assert_eq!(status(&gateway).await.unhandled, 0);
    let _stream = Stream::start(&gateway, start(&["invoice.*"], everything())).await;
    for (id, event_type) in [("evt_3", "invoice.voided"), ("evt_4", "price.created")] {
        assert_eq!(gateway.deliver(event(id, event_type, "cus_1")).await, 200);
    }
    let mut told = status(&gateway).await;
    assert!(told.last_received_time.take().is_some());
    told.last_offsets.retain(|offset| *offset > 0);
    insta::assert_snapshot!("ingest_status", format!("{told:#?}"));
}

#[tokio::test]
async fn the_lag_is_that_of_the_oldest_delivery_that_waits() {
    let gateway = Gateway::start().await;
    let mut sql = gateway.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.execute("select from log_head for update", &[]).await.unwrap();
    let delivery = gateway.deliver(event("evt_1", "invoice.paid", "cus_1"));
    let waits = eventually("a delivery that waits", async || {
        let lag = status(&gateway).await.committer_lag.unwrap();
        (lag.seconds > 0 || lag.nanos > 0).then_some(())
    });
    let (answer, ()) = tokio::join!(delivery, waits);
    assert_eq!(answer, 503);
    lock.rollback().await.unwrap();
    let lag = status(&gateway).await.committer_lag.unwrap();
    assert_eq!((lag.seconds, lag.nanos), (0, 0));
}
