//! `Subscribe`, spoken by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::subscribe_request::Message as Say;
use counterfoil_proto::event::v1::subscribe_response::Message as Heard;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use crate::gateway::{Gateway, event};

/// The partition of `cus_1`.
const PARTITION: i32 = 34;

pub(crate) struct Stream {
    say: mpsc::Sender<pb::SubscribeRequest>,
    heard: Streaming<pb::SubscribeResponse>,
}

impl Stream {
    async fn open(gateway: &Gateway) -> Stream {
        let (say, said) = mpsc::channel(100);
        let heard = gateway
            .client
            .clone()
            .subscribe(ReceiverStream::new(said))
            .await
            .unwrap()
            .into_inner();
        Stream { say, heard }
    }

    /// Opens, starts and is welcomed.
    pub(crate) async fn start(gateway: &Gateway, start: pb::Start) -> Stream {
        let mut stream = Stream::open(gateway).await;
        stream.say(Say::Start(start)).await;
        assert!(matches!(stream.hear().await, Ok(Some(Heard::Welcome(_)))));
        stream
    }

    async fn say(&self, message: Say) {
        self.say
            .send(pb::SubscribeRequest { message: Some(message) })
            .await
            .unwrap();
    }

    async fn credit(&self, events: i64, bytes: i64) {
        self.say(Say::Credit(pb::Credit { events, bytes })).await;
    }

    async fn ack(&self, partition: i32, offset: i64) {
        let generation = 0;
        self.say(Say::Ack(pb::Ack {
            partition,
            offset,
            generation,
        }))
        .await;
    }

    async fn hear(&mut self) -> Result<Option<Heard>, Status> {
        let heard = tokio::time::timeout(Duration::from_secs(30), self.heard.message())
            .await
            .expect("nothing is said");
        Ok(heard?.and_then(|response| response.message))
    }

    async fn event(&mut self) -> pb::Event {
        match self.hear().await.unwrap() {
            Some(Heard::Event(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    /// The offsets of the next `count` events, which are of one partition.
    async fn offsets(&mut self, count: usize) -> Vec<i64> {
        let mut offsets = Vec::new();
        for _ in 0..count {
            offsets.push(self.event().await.offset);
        }
        offsets
    }

    /// Shows that nothing has been sent: after a Rebalance that adds an unknown partition the stream ends, and nothing
    /// else comes before that.
    async fn ends_at_once(mut self) {
        self.say(Say::Rebalance(rebalance(vec![position(99, 0)], vec![]))).await;
        let status = self.hear().await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }

    async fn refusal(mut self) -> Status {
        loop {
            match self.hear().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended in order"),
                Err(status) => return status,
            }
        }
    }
}

fn rebalance(add: Vec<pb::PartitionPosition>, drop: Vec<i32>) -> pb::Rebalance {
    pb::Rebalance { add, drop }
}

fn position(partition: i32, after_offset: i64) -> pb::PartitionPosition {
    pb::PartitionPosition {
        partition,
        after_offset,
        ..Default::default()
    }
}

pub(crate) fn start(types: &[&str], partitions: Vec<pb::PartitionPosition>) -> pb::Start {
    pb::Start {
        consumer: "test".into(),
        instance: "one".into(),
        event_types: types.iter().map(ToString::to_string).collect(),
        offsets: Some(pb::start::Offsets::OwnOffsets(pb::OwnOffsets { partitions })),
    }
}

pub(crate) fn everything() -> Vec<pb::PartitionPosition> {
    (0..64).map(|partition| position(partition, 0)).collect()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

fn field(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    status.get_details_bad_request().unwrap().field_violations[0]
        .field
        .clone()
}

#[tokio::test]
async fn from_the_beginning_everything_comes_in_the_order_of_its_partition() {
    let gateway = Gateway::start().await;
    for number in 0..40 {
        let body = event(&format!("evt_{number}"), "invoice.paid", &format!("cus_{}", number % 7));
        assert_eq!(gateway.deliver(body).await, 200);
    }
    let mut stream = Stream::start(&gateway, start(&[], everything())).await;
    stream.credit(1000, 1 << 20).await;
    let mut last = BTreeMap::new();
    let mut of_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for _ in 0..40 {
        let event = stream.event().await;
        assert_eq!(
            event.offset,
            last.insert(event.partition, event.offset).unwrap_or(0) + 1
        );
        let envelope = event.envelope.unwrap();
        let number = envelope.event_id.strip_prefix("evt_").unwrap().parse().unwrap();
        of_key.entry(envelope.key).or_default().push(number);
    }
    assert_eq!(of_key.len(), 7);
    assert!(of_key.values().all(|numbers| numbers.is_sorted()), "{of_key:?}");
    // And what comes later comes too, through another gateway.
    let other = Gateway::on(&gateway.db).await;
    other.deliver(event("evt_40", "invoice.paid", "cus_1")).await;
    assert_eq!(stream.event().await.envelope.unwrap().event_id, "evt_40");
}

#[tokio::test]
async fn a_filter_tells_what_it_passed_over_before_the_next_event() {
    let gateway = Gateway::start().await;
    let types = [
        "a.one",
        "invoice.paid",
        "a.two",
        "a.x",
        "price.created",
        "price_x.y",
        "priceXcreated",
    ];
    for (number, event_type) in types.iter().enumerate() {
        gateway
            .deliver(event(&format!("evt_{number}"), event_type, "cus_1"))
            .await;
    }
    let mut stream = Stream::start(
        &gateway,
        start(&["price.*", "invoice.paid"], vec![position(PARTITION, 0)]),
    )
    .await;
    stream.credit(10, 1 << 20).await;
    let mut heard = Vec::new();
    for _ in 0..5 {
        heard.push(match stream.hear().await.unwrap() {
            Some(Heard::Event(event)) => ("event", event.offset, 0),
            Some(Heard::Progress(passed)) => ("passed", passed.through_offset, passed.count),
            other => panic!("{other:?}"),
        });
    }
    let expected = [
        ("passed", 1, 1),
        ("event", 2, 0),
        ("passed", 4, 2),
        ("event", 5, 0),
        ("passed", 7, 2),
    ];
    assert_eq!(heard, expected);
    // What was passed over may be acknowledged.
    stream.ack(PARTITION, 7).await;
    stream.ends_at_once().await;
}

#[tokio::test]
async fn nothing_is_sent_without_credit_and_no_more_than_it_allows() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 9).await;
    let stream = Stream::start(&gateway, start(&[], vec![position(PARTITION, 0)])).await;
    stream.ends_at_once().await;

    let mut stream = Stream::start(&gateway, start(&[], vec![position(PARTITION, 0)])).await;
    stream.credit(3, 1 << 20).await;
    assert_eq!(stream.offsets(3).await, [1, 2, 3]);
    stream.credit(2, 1 << 20).await;
    assert_eq!(stream.offsets(2).await, [4, 5]);
    stream.ends_at_once().await;

    // Bytes may be overdrawn by one event, and what is overdrawn is owed.
    let mut stream = Stream::start(&gateway, start(&[], vec![position(PARTITION, 0)])).await;
    stream.credit(100, 1).await;
    assert_eq!(stream.offsets(1).await, [1]);
    stream.credit(1, 1).await;
    stream.ends_at_once().await;
}

#[tokio::test]
async fn partitions_take_turns_under_scarce_credit() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_a", "cus_1", 8).await;
    gateway.deliver_many("evt_b", "cus_2", 8).await;
    let mut stream = Stream::start(&gateway, start(&[], everything())).await;
    stream.credit(8, 1 << 20).await;
    let mut partitions = BTreeMap::new();
    for _ in 0..8 {
        *partitions.entry(stream.event().await.partition).or_insert(0) += 1;
    }
    assert!(
        partitions.len() == 2 && partitions.values().all(|count| *count >= 2),
        "{partitions:?}"
    );
}

#[tokio::test]
async fn a_consumer_that_breaks_the_protocol_is_told_where() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let one = || start(&[], vec![position(PARTITION, 0)]);

    let stream = Stream::open(&gateway).await;
    stream.credit(1, 1).await;
    assert_eq!(field(&stream.refusal().await), "start");

    let faulty: Vec<(pb::Start, &str)> = vec![
        (start(&[], vec![]), "start.own_offsets.partitions"),
        (
            start(&[], vec![position(64, 0)]),
            "start.own_offsets.partitions[0].partition",
        ),
        (
            start(&[], vec![position(1, -1)]),
            "start.own_offsets.partitions[0].after_offset",
        ),
        (
            start(&[], vec![position(1, 0), position(1, 0)]),
            "start.own_offsets.partitions[1].partition",
        ),
        (start(&["a b"], vec![position(1, 0)]), "start.event_types[0]"),
        (start(&["*"], vec![position(1, 0)]), "start.event_types[0]"),
        (
            pb::Start {
                consumer: "A".into(),
                ..one()
            },
            "start.consumer",
        ),
        (
            pb::Start {
                instance: String::new(),
                ..one()
            },
            "start.instance",
        ),
        (pb::Start { offsets: None, ..one() }, "start.offsets"),
    ];
    for (start, expected) in faulty {
        let stream = Stream::open(&gateway).await;
        stream.say(Say::Start(start)).await;
        assert_eq!(field(&stream.refusal().await), expected);
    }

    let nack = pb::Nack {
        partition: PARTITION,
        offset: 1,
        retry_after: None,
    };
    let ack = |partition, offset| {
        let generation = 0;
        Say::Ack(pb::Ack {
            partition,
            offset,
            generation,
        })
    };
    let credit = |events, bytes| Say::Credit(pb::Credit { events, bytes });
    for (message, expected) in [
        (Say::Start(one()), "start"),
        (Say::Nack(nack), "nack"),
        (credit(0, 1), "credit.events"),
        (credit(-1, 1), "credit.events"),
        (credit(i64::MAX, 1), "credit.events"),
        (credit(1, 0), "credit.bytes"),
        (credit(1, i64::MIN), "credit.bytes"),
        (ack(PARTITION, 1), "ack.offset"),
        (ack(PARTITION, -1), "ack.offset"),
        (ack(PARTITION, i64::MAX), "ack.offset"),
        (ack(PARTITION + 1, 0), "ack.partition"),
        (ack(-1, 0), "ack.partition"),
        (Say::Rebalance(rebalance(vec![], vec![1])), "rebalance.drop"),
        (
            Say::Rebalance(rebalance(vec![position(PARTITION, 0)], vec![])),
            "rebalance.add",
        ),
    ] {
        let stream = Stream::start(&gateway, one()).await;
        stream.say(message).await;
        assert_eq!(field(&stream.refusal().await), expected);
    }
}

#[tokio::test]
async fn an_ack_of_what_was_not_sent_is_refused_and_one_of_what_was_is_not() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let mut stream = Stream::start(&gateway, start(&[], vec![position(PARTITION, 0)])).await;
    stream.credit(2, 1 << 20).await;
    assert_eq!(stream.offsets(2).await, [1, 2]);
    stream.ack(PARTITION, 2).await;
    stream.ack(PARTITION, 1).await;
    stream.ack(PARTITION, 3).await;
    assert_eq!(field(&stream.refusal().await), "ack.offset");
}

#[tokio::test]
async fn a_position_that_is_not_one_of_this_log_is_refused() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let at = |after_offset, id: &str, epoch| pb::PartitionPosition {
        partition: PARTITION,
        after_offset,
        after_event_id: id.into(),
        epoch,
    };
    for (position, expected) in [
        (at(4, "", 0), "LOG_REWOUND"),
        (at(i64::MAX, "", 1), "LOG_REWOUND"),
        (at(2, "evt_3", 1), "LOG_REWOUND"),
        (at(0, "evt_1", 1), "LOG_REWOUND"),
        (at(2, "evt_2", 2), "LOG_EPOCH_CHANGED"),
    ] {
        let stream = Stream::open(&gateway).await;
        stream.say(Say::Start(start(&[], vec![position]))).await;
        let status = stream.refusal().await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, expected)
        );
    }
    let mut stream = Stream::start(&gateway, start(&[], vec![at(2, "evt_2", 1)])).await;
    stream.credit(1, 1).await;
    assert_eq!(stream.offsets(1).await, [3]);
}

#[tokio::test]
async fn a_log_that_is_set_back_under_a_stream_ends_it() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let mut stream = Stream::start(&gateway, start(&[], vec![position(PARTITION, 0)])).await;
    stream.credit(3, 1 << 20).await;
    assert_eq!(stream.offsets(3).await, [1, 2, 3]);
    gateway
        .sql()
        .await
        .execute("update log_head set next_offset[35] = 2", &[])
        .await
        .unwrap();
    assert_eq!(reason(&stream.refusal().await), "LOG_REWOUND");
}

#[tokio::test]
async fn an_offset_that_is_missing_is_never_passed_over() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    gateway
        .sql()
        .await
        .execute("delete from event_log where log_offset = 2", &[])
        .await
        .unwrap();
    let stream = Stream::start(&gateway, start(&[], vec![position(PARTITION, 0)])).await;
    stream.credit(3, 1 << 20).await;
    let status = stream.refusal().await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::DataLoss, "OFFSET_MISSING")
    );
}

#[tokio::test]
async fn kept_offsets_are_not_served_yet() {
    let gateway = Gateway::start().await;
    let stream = Stream::open(&gateway).await;
    let kept = pb::Start {
        offsets: Some(pb::start::Offsets::KeptOffsets(pb::KeptOffsets::default())),
        ..start(&[], vec![])
    };
    stream.say(Say::Start(kept)).await;
    let status = stream.refusal().await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unimplemented, "KEPT_OFFSETS_NOT_SERVED")
    );
}

#[tokio::test]
async fn partitions_come_and_go_within_a_stream() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 3).await;
    let mut stream = Stream::start(&gateway, start(&[], vec![position(0, 0)])).await;
    stream.credit(1, 1 << 20).await;
    stream
        .say(Say::Rebalance(rebalance(vec![position(PARTITION, 1)], vec![0])))
        .await;
    assert_eq!(stream.offsets(1).await, [2]);
    stream.say(Say::Rebalance(rebalance(vec![], vec![PARTITION]))).await;
    stream.credit(5, 1 << 20).await;
    stream.ends_at_once().await;
}

#[tokio::test]
async fn a_gateway_that_leaves_says_so_and_hears_the_last_acks() {
    let gateway = Gateway::start().await;
    gateway.deliver_many("evt_", "cus_1", 1).await;
    let mut stream = Stream::start(&gateway, start(&[], vec![position(PARTITION, 0)])).await;
    stream.credit(1, 1 << 20).await;
    assert_eq!(stream.offsets(1).await, [1]);
    gateway.shutdown.cancel();
    assert!(matches!(stream.hear().await, Ok(Some(Heard::Drain(_)))));
    stream.ack(PARTITION, 1).await;
    let Stream { say, mut heard } = stream;
    drop(say);
    assert!(heard.message().await.unwrap().is_none());
    gateway.running.stopped().await.unwrap();
}
