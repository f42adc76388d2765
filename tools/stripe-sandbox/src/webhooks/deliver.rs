//! The sender: takes deliveries from the outbox, posts them concurrently and tries each again until a 2xx.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::Instant,
};

use super::{Delivery, sign};
use crate::{app::App, field, world::clock};

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How many deliveries one endpoint is sent at a time.
const CONCURRENT: usize = 16;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long, under the fault `swap`, an event waits for the next one to overtake it.
const PARTNER_WAIT: Duration = Duration::from_millis(500);

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
    let mut tasks = JoinSet::new();
    let mut places: HashMap<String, Arc<Semaphore>> = HashMap::new();
    // Under the fault `swap`: the copies of an event that wait for the next event, by endpoint, and for how long.
    let mut held: HashMap<String, (Vec<Delivery>, Instant)> = HashMap::new();
    loop {
        let fresh = app.world().outbox.take_fresh();
        let idle = fresh.is_empty();
        let swaps = app.world().faults.deliveries.swap;
        for copies in by_event(fresh) {
            let Some(endpoint) = copies.first().map(|delivery| delivery.endpoint.clone()) else {
                continue;
            };
            let place = places
                .entry(endpoint.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(CONCURRENT)));
            let sender = Sender {
                app: app.clone(),
                client: client.clone(),
                place: place.clone(),
            };
            match held.remove(&endpoint) {
                Some((first, _)) => drop(tasks.spawn(sender.send_swapped(first, copies))),
                None if swaps => drop(held.insert(endpoint, (copies, Instant::now() + PARTNER_WAIT))),
                None => drop(tasks.spawn(sender.send_all(copies))),
            }
        }
        let now = Instant::now();
        for (endpoint, (copies, _)) in held.extract_if(|_, (_, until)| *until <= now) {
            if let Some(place) = places.get(&endpoint) {
                let sender = Sender {
                    app: app.clone(),
                    client: client.clone(),
                    place: place.clone(),
                };
                tasks.spawn(sender.send_all(copies));
            }
        }
        while tasks.try_join_next().is_some() {}
        if idle {
            let next = held.values().map(|(_, until)| *until).min();
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

#[derive(Clone)]
struct Sender {
    app: Arc<App>,
    client: Http,
    place: Arc<Semaphore>,
}

impl Sender {
    /// Sends all copies of an event at once.
    async fn send_all(self, copies: Vec<Delivery>) {
        let mut tasks = JoinSet::new();
        for delivery in copies {
            tasks.spawn(self.clone().send(delivery, None));
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Sends the copies of `second`, and those of `first` after each of them was attempted.
    async fn send_swapped(self, first: Vec<Delivery>, second: Vec<Delivery>) {
        let mut tasks = JoinSet::new();
        let mut attempts = Vec::new();
        for delivery in second {
            let (attempted, attempt) = oneshot::channel();
            attempts.push(attempt);
            tasks.spawn(self.clone().send(delivery, Some(attempted)));
        }
        for attempt in attempts {
            let _ = attempt.await;
        }
        for delivery in first {
            tasks.spawn(self.clone().send(delivery, None));
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Tries until a 2xx or until the endpoint is gone. `attempted` is told after the first try, whatever came of it.
    async fn send(self, delivery: Delivery, mut attempted: Option<oneshot::Sender<()>>) {
        let delay = self.app.world().faults.deliveries.delay_ms;
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(request) = self.request(&delivery) else {
                return self.app.abandon(delivery.id);
            };
            let accepted = {
                let _place = self.place.acquire().await;
                self.app.world().outbox.attempts += 1;
                let attempt = tokio::time::timeout(ATTEMPT_TIMEOUT, self.client.request(request)).await;
                matches!(attempt, Ok(Ok(response)) if response.status().is_success())
            };
            if let Some(attempted) = attempted.take() {
                let _ = attempted.send(());
            }
            if accepted {
                return self.app.settle(&delivery);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The request of one attempt, freshly signed; `None` when the endpoint is gone.
    fn request(&self, delivery: &Delivery) -> Option<Request<Full<Bytes>>> {
        let world = self.app.world();
        let endpoint = world.endpoint(&delivery.endpoint)?;
        let event = world.event(&delivery.account, &delivery.event)?;
        let body = world.publish(&event);
        let secret = field::text(&endpoint, "_sandbox.secret");
        let signature = sign::header([secret], clock::wall(), body.as_bytes());
        Request::post(field::text(&endpoint, "url"))
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header(header::CACHE_CONTROL, "no-cache")
            .header("stripe-signature", signature)
            .body(Full::new(Bytes::from(body)))
            .ok()
    }
}
