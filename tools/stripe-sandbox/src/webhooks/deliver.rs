//! The sender: takes deliveries from the outbox, gathers those that faults reorder, and hands them to their endpoint's lane.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{sync::mpsc::UnboundedSender, task::JoinSet, time::Instant};

use super::{
    Delivery,
    lane::{self, Group},
};
use crate::{app::App, control::faults::Faults};

pub(crate) type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How long an event that faults reorder waits for the others of its group.
const GROUP_WAIT: Duration = Duration::from_millis(500);

/// A client for http and https endpoints.
pub(crate) fn client() -> anyhow::Result<Http> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// Sends for as long as it is polled. Dropping it ends all attempts; what is pending stays pending.
pub(crate) async fn run(app: Arc<App>, client: Http) {
    let mut lanes = Lanes {
        app: app.clone(),
        client,
        queues: HashMap::new(),
        tasks: JoinSet::new(),
    };
    let mut gathered: HashMap<String, Gathered> = HashMap::new();
    loop {
        let (fresh, faults) = {
            let mut world = app.world();
            (world.outbox.take_fresh(), world.faults.clone())
        };
        let idle = fresh.is_empty();
        for copies in by_event(fresh) {
            let Some(endpoint) = copies.first().map(|delivery| delivery.endpoint.clone()) else {
                continue;
            };
            let group = gathered.entry(endpoint.clone()).or_insert_with(|| Gathered {
                events: Vec::new(),
                until: Instant::now() + GROUP_WAIT,
            });
            group.events.push(copies);
            if group.events.len() >= faults.deliveries.group()
                && let Some(group) = gathered.remove(&endpoint)
            {
                lanes.send(&endpoint, group.in_turn(&faults));
            }
        }
        let now = Instant::now();
        for (endpoint, group) in gathered.extract_if(|_, group| group.until <= now) {
            lanes.send(&endpoint, group.in_turn(&faults));
        }
        if idle {
            let next = gathered.values().map(|group| group.until).min();
            tokio::select! {
                () = app.outbox_grew.notified() => {}
                () = async {
                    match next {
                        Some(until) => tokio::time::sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }
}

/// Deliveries in order of emission, the copies of one event to one endpoint together.
fn by_event(deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut groups: Vec<Vec<Delivery>> = Vec::new();
    for delivery in deliveries {
        match groups.last_mut() {
            Some(group)
                if group
                    .first()
                    .is_some_and(|first| first.event == delivery.event && first.endpoint == delivery.endpoint) =>
            {
                group.push(delivery);
            }
            _ => groups.push(vec![delivery]),
        }
    }
    groups
}

/// Events to one endpoint, each with its copies, that are sent in an order of the faults' choice.
struct Gathered {
    events: Vec<Vec<Delivery>>,
    until: Instant,
}

impl Gathered {
    fn in_turn(self, faults: &Faults) -> Group {
        let first = self.events.first().and_then(|copies| copies.first());
        let order = faults.order(self.events.len(), first.map_or("", |delivery| &delivery.event));
        let mut events: Vec<_> = self.events.into_iter().zip(order).collect();
        events.sort_by_key(|(_, place)| *place);
        Group {
            one_by_one: events.len() > 1 || faults.deliveries.one_at_a_time,
            events: events.into_iter().map(|(copies, _)| copies).collect(),
        }
    }
}

/// One lane for each endpoint, so that a slow one does not hold up the others.
struct Lanes {
    app: Arc<App>,
    client: Http,
    queues: HashMap<String, UnboundedSender<Group>>,
    tasks: JoinSet<()>,
}

impl Lanes {
    fn send(&mut self, endpoint: &str, group: Group) {
        let queue = self.queues.entry(endpoint.to_owned()).or_insert_with(|| {
            let (queue, lane) = lane::open(self.app.clone(), self.client.clone());
            self.tasks.spawn(lane);
            queue
        });
        // A lane lives as long as this sender.
        let _ = queue.send(group);
    }
}
