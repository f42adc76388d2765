//! A gateway that does what a test wants, over real gRPC.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::event_service_server::{EventService, EventServiceServer};
use counterfoil_proto::event::v1::subscribe_request::Message as Heard;
use counterfoil_proto::event::v1::subscribe_response::Message as Say;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// A gateway that sends nothing without credit, one message at a time.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) url: String,
    log: Arc<Mutex<Log>>,
    grown: watch::Sender<usize>,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) epoch: i64,
    events: Vec<pb::Event>,
    /// Ends each stream after this many events.
    pub(crate) cut_after: Option<usize>,
    /// Begins each stream with this many events that are done.
    pub(crate) repeats: i64,
    /// Refuses each stream with this.
    pub(crate) refusal: Option<Status>,
    pub(crate) streams: usize,
    /// What each stream asked for.
    pub(crate) starts: Vec<pb::Start>,
    pub(crate) acks: HashMap<i32, i64>,
    /// All credit that was given, in events.
    pub(crate) credit: i64,
}

/// What a stream may send yet, and how far it is in each of its partitions.
struct Cursor {
    credit: i64,
    sent: HashMap<i32, i64>,
}

impl Gateway {
    pub(crate) async fn start() -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Gateway {
            url: format!("http://{}", listener.local_addr().unwrap()),
            log: Arc::new(Mutex::new(Log {
                epoch: 1,
                ..Log::default()
            })),
            grown: watch::Sender::new(0),
        };
        let server = tonic::transport::Server::builder().add_service(EventServiceServer::new(gateway.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        gateway
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Log) -> T) -> T {
        f(&mut self.log.lock().unwrap())
    }

    /// Appends an event with a key of its own and returns its offset.
    pub(crate) fn append(&self, partition: i32, event_id: &str, event_type: &str) -> i64 {
        self.append_at(partition, self.last(partition) + 1, event_id, event_type)
    }

    pub(crate) fn append_at(&self, partition: i32, offset: i64, event_id: &str, event_type: &str) -> i64 {
        let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let event = pb::Event {
            partition,
            offset,
            envelope: Some(pb::Envelope {
                event_id: event_id.into(),
                r#type: event_type.into(),
                key: format!("/{event_id}"),
                created_time: time,
                received_time: time,
                ..Default::default()
            }),
            body: br#"{"data":{"object":{}}}"#.to_vec(),
            ..Default::default()
        };
        self.with(|log| log.events.push(event));
        self.grown.send_modify(|events| *events += 1);
        offset
    }

    fn last(&self, partition: i32) -> i64 {
        self.with(|log| {
            let offsets = log
                .events
                .iter()
                .filter(|event| event.partition == partition)
                .map(|event| event.offset);
            offsets.max().unwrap_or(0)
        })
    }

    pub(crate) fn acked(&self, partition: i32) -> i64 {
        self.with(|log| log.acks.get(&partition).copied().unwrap_or(0))
    }
}

/// The next message to a consumer who wants `types`.
fn next(log: &Log, cursor: &mut Cursor, types: &[String]) -> Option<Say> {
    if cursor.credit < 1 {
        return None;
    }
    let event = log.events.iter().find(|event| {
        cursor
            .sent
            .get(&event.partition)
            .is_some_and(|sent| *sent < event.offset)
    })?;
    cursor.sent.insert(event.partition, event.offset);
    let event_type = &event.envelope.as_ref().unwrap().r#type;
    if types.is_empty() || types.contains(event_type) {
        cursor.credit -= 1;
        return Some(Say::Event(event.clone()));
    }
    Some(Say::Progress(pb::Progress {
        partition: event.partition,
        through_offset: event.offset,
        count: 1,
    }))
}

#[tonic::async_trait]
impl EventService for Gateway {
    type SubscribeStream = ReceiverStream<Result<pb::SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<pb::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let mut heard = request.into_inner();
        let (out, outbox) = mpsc::channel(4);
        let gateway = self.clone();
        tokio::spawn(async move {
            let Ok(Some(first)) = heard.message().await else { return };
            let Some(Heard::Start(start)) = first.message else {
                panic!("no Start")
            };
            let Some(pb::start::Offsets::OwnOffsets(own)) = start.offsets.clone() else {
                panic!("no offsets")
            };
            let (refusal, epoch, repeats, cut_after) = gateway.with(|log| {
                log.streams += 1;
                log.starts.push(start.clone());
                (log.refusal.clone(), log.epoch, log.repeats, log.cut_after)
            });
            if let Some(refusal) = refusal {
                let _ = out.send(Err(refusal)).await;
                return;
            }
            let response = |say| Ok(pb::SubscribeResponse { message: Some(say) });
            let welcome = pb::Welcome {
                epoch,
                ..Default::default()
            };
            let _ = out.send(response(Say::Welcome(welcome))).await;
            let sent = own
                .partitions
                .iter()
                .map(|at| (at.partition, at.after_offset - repeats))
                .collect();
            let cursor = Mutex::new(Cursor { credit: 0, sent });
            let listen = async {
                while let Ok(Some(said)) = heard.message().await {
                    let mut cursor = cursor.lock().unwrap();
                    gateway.with(|log| match said.message {
                        Some(Heard::Ack(ack)) => {
                            assert!(cursor.sent.contains_key(&ack.partition), "not streamed");
                            log.acks.insert(ack.partition, ack.offset);
                        }
                        Some(Heard::Credit(credit)) => {
                            log.credit += credit.events;
                            cursor.credit += credit.events;
                        }
                        Some(Heard::Rebalance(rebalance)) => {
                            for partition in rebalance.drop {
                                cursor.sent.remove(&partition).expect("not streamed");
                            }
                            for at in rebalance.add {
                                assert_eq!(cursor.sent.insert(at.partition, at.after_offset), None);
                            }
                        }
                        _ => {}
                    });
                    gateway.grown.send_modify(|_| {});
                }
            };
            let speak = async {
                let mut grown = gateway.grown.subscribe();
                let mut sent = 0;
                loop {
                    let say = gateway.with(|log| next(log, &mut cursor.lock().unwrap(), &start.event_types));
                    let Some(say) = say else {
                        let _ = grown.changed().await;
                        continue;
                    };
                    if cut_after.is_some_and(|cut| sent >= cut) || out.send(response(say)).await.is_err() {
                        return;
                    }
                    sent += 1;
                }
            };
            tokio::select! {
                () = listen => {}
                () = speak => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(outbox)))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let request = request.into_inner();
        let after: i64 = request.page_token.parse().unwrap_or(request.after_offset);
        let mut events: Vec<pb::Event> = self.with(|log| {
            let listed = log
                .events
                .iter()
                .filter(|event| event.partition == request.partition && event.offset > after);
            listed.cloned().collect()
        });
        // Pages of two.
        let more = events.len() > 2;
        events.truncate(2);
        let next_page_token = if more {
            events[1].offset.to_string()
        } else {
            String::new()
        };
        Ok(Response::new(pb::ListEventsResponse {
            events,
            next_page_token,
        }))
    }

    async fn get_event(&self, _: Request<pb::GetEventRequest>) -> Result<Response<pb::GetEventResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn verify_event(
        &self,
        _: Request<pb::VerifyEventRequest>,
    ) -> Result<Response<pb::VerifyEventResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_ingest_status(
        &self,
        _: Request<pb::GetIngestStatusRequest>,
    ) -> Result<Response<pb::GetIngestStatusResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}
