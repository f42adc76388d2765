//! What is stored, what is refused, what is held back.

use counterfoil_proto::event::v1 as pb;
use futures::future::join_all;
use opentelemetry::global;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use reqwest::StatusCode;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::gateway::{Gateway, OLD_SECRET, SECRET, event, now, sign, signature};

#[tokio::test]
async fn a_bad_signature_is_refused_and_nothing_is_stored() {
    let gateway = Gateway::start().await;
    let body = event("evt_1", "invoice.paid", "cus_1");
    let good = signature(body.as_bytes(), SECRET, now());
    let t = now();
    for header in [
        String::new(),
        "nonsense".into(),
        sign(body.as_bytes(), "whsec_other", t),
        sign(format!("{body} ").as_bytes(), SECRET, t),
        sign(body.as_bytes(), SECRET, t - 310),
        sign(body.as_bytes(), SECRET, t + 310),
        format!("t={t},v0={good}"),
        format!("v1={good}"),
        format!("t={t}"),
        ",,,".into(),
    ] {
        assert_eq!(gateway.deliver_with(body.clone(), &header).await, 400, "{header}");
    }
    let bare = gateway
        .request("/webhooks/stripe/platform")
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status(), 400);
    let twice = gateway
        .request("/webhooks/stripe/platform")
        .header("stripe-signature", sign(body.as_bytes(), SECRET, t));
    let twice = twice
        .header("stripe-signature", "t=1,v1=00")
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(twice.status(), 400);
    assert_eq!(
        (gateway.count("event_log").await, gateway.count("quarantine").await),
        (0, 0)
    );
}

#[tokio::test]
async fn a_delivery_is_believed_under_any_live_secret_and_any_of_its_signatures() {
    let gateway = Gateway::start().await;
    let t = now();
    for (id, secrets) in [
        ("evt_new", vec![SECRET]),
        ("evt_old", vec![OLD_SECRET]),
        ("evt_both", vec!["whsec_unknown", OLD_SECRET]),
    ] {
        let body = event(id, "invoice.paid", "cus_1");
        let signatures: Vec<String> = secrets
            .iter()
            .map(|secret| format!("v1={}", signature(body.as_bytes(), secret, t)))
            .collect();
        let header = format!("t={t},{}", signatures.join(","));
        assert_eq!(gateway.deliver_with(body, &header).await, 200, "{id}");
    }
    let rows = gateway
        .sql()
        .await
        .query("select secret_name from event_log order by log_offset", &[])
        .await
        .unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["new", "1", "1"]);
}

#[tokio::test]
async fn a_delivery_is_stored_byte_for_byte() {
    let gateway = Gateway::start().await;
    let with = |id: &str, oddity: &[u8]| {
        let mut body = format!(r#"{{"id":"{id}","type":"a.b","created":1,"livemode":false,"odd":"#).into_bytes();
        body.extend_from_slice(oddity);
        body.extend_from_slice(b" \r\n}\n");
        body
    };
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let mut client = gateway.client.clone();
    for (id, oddity) in [
        ("evt_nul", &br#""\u0000""#[..]),
        ("evt_surrogate", br#""\ud800""#),
        ("evt_bytes", b"\"\xff\xfe\x80\""),
        ("evt_number", b"1e140000"),
        ("evt_keys", br#"{"a":1,"a":2}"#),
        ("evt_deep", deep.as_bytes()),
    ] {
        let body = with(id, oddity);
        assert_eq!(gateway.deliver(body.clone()).await, 200, "{id}");
        let request = pb::GetEventRequest {
            event_id: id.into(),
            account: String::new(),
        };
        let stored = client.get_event(request).await.unwrap().into_inner().event.unwrap();
        assert!(stored.body == body, "{id}");
        assert_eq!(stored.sha256, Sha256::digest(&body).to_vec(), "{id}");
    }
}

#[tokio::test]
async fn what_the_log_knows_of_an_event_is_in_its_row() {
    let gateway = Gateway::start().await;
    let body = event("evt_1", "invoice.paid", "cus_1").replace(r#""object":"event""#, r#""account":"acct_1""#);
    let header = sign(body.as_bytes(), SECRET, now());
    assert_eq!(gateway.deliver_with(body, &header).await, 200);
    let sql =
        "select account, event_id, type, api_version, object_id, key, extract(epoch from created)::bigint, source,
        endpoint, secret_name, signature, partition, log_offset from event_log";
    let row = gateway.sql().await.query_one(sql, &[]).await.unwrap();
    let texts: Vec<String> = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10].map(|column| row.get(column)).into();
    let expected = [
        "acct_1",
        "evt_1",
        "invoice.paid",
        "2026-09-30.endive",
        "in_1",
        "acct_1/cus_1",
        "webhook",
        "platform",
        "new",
        header.as_str(),
    ];
    assert_eq!(texts, expected);
    assert_eq!(
        (row.get::<_, i64>(6), row.get::<_, i32>(11), row.get::<_, i64>(12)),
        (1_790_000_000, 36, 1)
    );
}

#[tokio::test]
async fn a_repeated_delivery_is_stored_once_and_the_first_bytes_win() {
    let gateway = Gateway::start().await;
    let first = event("evt_1", "invoice.paid", "cus_1");
    let again = first.replace("1790000000", "1790000001");
    for body in [&first, &first, &again] {
        assert_eq!(gateway.deliver(body.clone()).await, 200);
    }
    let rows = gateway
        .sql()
        .await
        .query("select body from event_log", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, Vec<u8>>(0), first.as_bytes());
    // The same id on a connected account is another event.
    let connected = first.replace(r#""object":"event""#, r#""account":"acct_1""#);
    assert_eq!(gateway.deliver(connected).await, 200);
    assert_eq!(gateway.count("event_log").await, 2);
}

#[tokio::test]
async fn sixty_four_at_once_of_one_event_through_two_gateways_are_one_row() {
    let gateway = Gateway::start().await;
    let other = Gateway::on(&gateway.db).await;
    let body = event("evt_1", "invoice.paid", "cus_1");
    let deliveries = (0..64).map(|number| if number % 2 == 0 { &gateway } else { &other }.deliver(body.clone()));
    let answers = join_all(deliveries).await;
    assert!(answers.iter().all(|answer| *answer == 200), "{answers:?}");
    assert_eq!(
        (gateway.count("event_log").await, gateway.count("event_dedupe").await),
        (1, 1)
    );
}

#[tokio::test]
async fn an_event_of_the_wrong_mode_is_kept_in_quarantine_and_never_in_the_log() {
    let gateway = Gateway::start().await;
    let body = event("evt_1", "invoice.paid", "cus_1").replace("false", "true");
    for _ in 0..2 {
        assert_eq!(gateway.deliver(body.clone()).await, 200);
    }
    assert_eq!(gateway.count("event_log").await, 0);
    let row = gateway
        .sql()
        .await
        .query_one("select reason, endpoint, body from quarantine", &[])
        .await
        .unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(1)),
        ("wrong_mode", "platform")
    );
    assert_eq!(row.get::<_, &[u8]>(2), body.as_bytes());
}

#[tokio::test]
async fn a_body_that_is_no_event_is_kept_in_quarantine() {
    let gateway = Gateway::start().await;
    let bodies = [&b""[..], b"null", b"\xef\xbb\xbf{}", br#"{"id":"evt 1"}"#, b"\xff\x00"];
    for body in bodies {
        assert_eq!(gateway.deliver(body).await, 200, "{body:?}");
    }
    assert_eq!(gateway.count("event_log").await, 0);
    let rows = gateway
        .sql()
        .await
        .query("select reason, body from quarantine order by id", &[])
        .await
        .unwrap();
    let kept: Vec<(&str, &[u8])> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(kept, bodies.map(|body| ("unreadable_envelope", body)));
}

#[tokio::test]
async fn what_is_too_large_encoded_or_elsewhere_is_refused() {
    let gateway = Gateway::start().await;
    let large = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(gateway.deliver(large.clone()).await, 413);
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        large.chunks(64 * 1024).map(|chunk| Ok(chunk.to_vec())).collect();
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let chunked = gateway
        .request("/webhooks/stripe/platform")
        .header("stripe-signature", sign(&large, SECRET, now()))
        .body(chunked)
        .send()
        .await
        .unwrap();
    assert_eq!(chunked.status(), 413);

    let body = event("evt_1", "invoice.paid", "cus_1");
    let signature = sign(body.as_bytes(), SECRET, now());
    let signed = |path: &str| {
        gateway
            .request(path)
            .header("stripe-signature", &signature)
            .body(body.clone())
    };
    let encoded = signed("/webhooks/stripe/platform")
        .header("content-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(encoded.status(), 415);
    for path in [
        "/webhooks/stripe/other",
        "/webhooks/stripe/",
        "/",
        "/webhooks/stripe/platform/x",
    ] {
        assert_eq!(signed(path).send().await.unwrap().status(), 404, "{path}");
    }
    let got = reqwest::get(format!("http://{}/webhooks/stripe/platform", gateway.http))
        .await
        .unwrap();
    assert_eq!(got.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        (gateway.count("event_log").await, gateway.count("quarantine").await),
        (0, 0)
    );
    // The content type says nothing.
    let typed = signed("/webhooks/stripe/platform")
        .header("content-type", "text/plain")
        .send()
        .await
        .unwrap();
    assert_eq!(typed.status(), 200);
}

#[tokio::test]
async fn headers_beyond_sixteen_kibibytes_are_refused() {
    let gateway = Gateway::start().await;
    let mut stream = tokio::net::TcpStream::connect(gateway.http).await.unwrap();
    let request = format!(
        "POST /webhooks/stripe/platform HTTP/1.1\r\nhost: x\r\nx: {}",
        "x".repeat(17 * 1024)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 431");
}

#[tokio::test]
async fn without_a_signature_that_could_be_one_the_body_is_not_waited_for() {
    let gateway = Gateway::start().await;
    let stale = format!("stripe-signature: {}\r\n", sign(b"", SECRET, now() - 310));
    for header in ["", "stripe-signature: nonsense\r\n", stale.as_str()] {
        let request =
            format!("POST /webhooks/stripe/platform HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n{header}\r\n");
        let mut stream = tokio::net::TcpStream::connect(gateway.http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 400", "{header}");
    }
}

#[tokio::test]
async fn bodies_that_never_end_keep_no_delivery_out() {
    const HELD: usize = 1024 * 1024 - 1;
    let gateway = Gateway::start().await;
    let signature = sign(b"", SECRET, now());
    let mut dribbles = JoinSet::new();
    for _ in 0..32 {
        let mut request = format!(
            "POST /webhooks/stripe/platform HTTP/1.1\r\nhost: x\r\nstripe-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
            HELD + 1
        )
        .into_bytes();
        request.resize(request.len() + HELD, b' ');
        let address = gateway.http;
        dribbles.spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            // It may be cut off before all is sent.
            let _ = stream.write_all(&request).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }
    // Once half of them are sent away, the others hold all there is, and go on.
    for _ in 0..16 {
        dribbles.join_next().await.unwrap().unwrap();
    }
    gateway.deliver_many("evt_", "cus_1", 8).await;
    assert_eq!(gateway.count("event_log").await, 8);
}

#[tokio::test]
async fn the_counts_tell_what_came() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    gateway.deliver(event("evt_1", "invoice.paid", "cus_1")).await;
    gateway.deliver("no event").await;
    gateway.deliver_with("forged", "t=1,v1=00").await;
    let status = gateway
        .client
        .clone()
        .get_ingest_status(pb::GetIngestStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let counts = (
        status.received,
        status.stored,
        status.duplicates,
        status.refused,
        status.quarantined,
        status.failed,
    );
    assert_eq!(counts, (5, 3, 1, 1, 1, 0));
    assert_eq!(
        (
            status.last_offsets.len(),
            status.last_offsets[34],
            status.last_offsets.iter().sum::<i64>()
        ),
        (64, 3, 3)
    );
}

#[tokio::test]
async fn the_secrets_that_are_still_used_are_counted_by_name() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter.clone())
        .build();
    // This process is all of the test's.
    global::set_meter_provider(provider.clone());
    let gateway = Gateway::start().await;
    for (id, secret) in [
        ("evt_1", SECRET),
        ("evt_2", OLD_SECRET),
        ("evt_3", SECRET),
        ("evt_4", "whsec_other"),
    ] {
        let body = event(id, "invoice.paid", "cus_1");
        let signature = sign(body.as_bytes(), secret, now());
        gateway.deliver_with(body, &signature).await;
    }
    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    let metrics = exported
        .last()
        .unwrap()
        .scope_metrics()
        .flat_map(|scope| scope.metrics());
    let mut counts = Vec::new();
    for metric in metrics.filter(|metric| metric.name() == "counterfoil.webhook.verified") {
        let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
            panic!("not a count");
        };
        for point in sum.data_points() {
            let mut labels: Vec<String> = point
                .attributes()
                .map(|label| format!("{}={}", label.key, label.value))
                .collect();
            labels.sort();
            counts.push((labels.join(" "), point.value()));
        }
    }
    counts.sort();
    let expected = [
        ("endpoint=platform secret.name=1", 1),
        ("endpoint=platform secret.name=new", 2),
    ];
    assert_eq!(counts, expected.map(|(labels, count)| (labels.to_owned(), count)));
}
