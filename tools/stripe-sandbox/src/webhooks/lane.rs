//! One endpoint's deliveries: several at a time, each tried until it is accepted, given up, or its endpoint gone.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    task::JoinSet,
};

use super::{Delivery, deliver::Http, shape, sign};
use crate::{
    app::App,
    config::RetrySchedule,
    field,
    json::Value,
    resources::webhook_endpoint,
    world::{clock, rendered},
};

/// How many deliveries one endpoint is sent at a time.
const CONCURRENT: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Events, each with its copies, begun in this order.
pub(super) struct Group {
    pub(super) events: Vec<Vec<Delivery>>,
    /// The next event is begun only after each copy of the one before was tried once.
    pub(super) one_by_one: bool,
}

/// A lane, which works for as long as it is polled, and its entrance.
pub(super) fn open(app: Arc<App>, client: Http) -> (UnboundedSender<Group>, impl Future<Output = ()>) {
    let (queue, groups) = mpsc::unbounded_channel();
    let sender = Sender {
        app,
        client,
        places: Arc::new(Semaphore::new(CONCURRENT)),
    };
    (queue, work(sender, groups))
}

async fn work(sender: Sender, mut groups: UnboundedReceiver<Group>) {
    let mut tasks = JoinSet::new();
    while let Some(group) = groups.recv().await {
        for copies in group.events {
            let mut attempts = Vec::new();
            for delivery in copies {
                let (attempted, attempt) = oneshot::channel();
                attempts.push(attempt);
                tasks.spawn(sender.clone().send(delivery, attempted));
            }
            if group.one_by_one {
                for attempt in attempts {
                    let _ = attempt.await;
                }
            }
        }
        while tasks.try_join_next().is_some() {}
    }
}

#[derive(Clone)]
struct Sender {
    app: Arc<App>,
    client: Http,
    places: Arc<Semaphore>,
}

impl Sender {
    /// Tries until a 2xx, until the endpoint is gone, or until Stripe's schedule puts it off. `attempted` is told after
    /// the first try, whatever came of it.
    async fn send(self, delivery: Delivery, attempted: oneshot::Sender<()>) {
        let delay = self.app.world().faults.deliveries.delay_ms;
        if delay > 0 && delivery.failures == 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let mut attempted = Some(attempted);
        let mut pause = FIRST_PAUSE;
        loop {
            let place = self.places.clone().acquire_owned().await.ok();
            let Some(accepted) = self.attempt(&delivery, place).await else {
                return self.app.abandon(delivery.id);
            };
            if accepted {
                self.app.settle(&delivery);
            }
            if let Some(attempted) = attempted.take() {
                let _ = attempted.send(());
            }
            if accepted {
                return;
            }
            match self.app.retry_schedule {
                RetrySchedule::Stripe => return self.app.postpone(&delivery),
                RetrySchedule::Quick => {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.app.retry_now.notified() => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Whether a 2xx came in time; `None` when there is nothing to send to. A redirect is not followed: it is a failure.
    async fn attempt(&self, delivery: &Delivery, _place: Option<OwnedSemaphorePermit>) -> Option<bool> {
        let request = self.request(delivery)?;
        self.app.world().outbox.attempts += 1;
        let attempt = tokio::time::timeout(self.app.webhook_timeout, self.client.request(request)).await;
        Some(matches!(attempt, Ok(Ok(response)) if response.status().is_success()))
    }

    /// The request of one attempt, freshly signed; `None` when the endpoint is deleted or disabled, or the event gone.
    fn request(&self, delivery: &Delivery) -> Option<Request<Full<Bytes>>> {
        let world = self.app.world();
        let endpoint = world.endpoint(&delivery.endpoint)?;
        if field::text(&endpoint, "status") != "enabled" {
            return None;
        }
        let mut event = rendered(world.found(&delivery.account, &delivery.event)?);
        let linked = shape::Linked {
            find: &|id| world.found(&delivery.account, id).map(rendered),
            payment: &|object| payment_about(&world.all_of(&delivery.account, "invoice_payment"), object),
        };
        shape::down_to(field::text(&endpoint, "api_version"), &mut event, &linked);
        let body = world.publish(&event);
        let secrets = webhook_endpoint::live_secrets(&endpoint, world.clock.now());
        let signature = sign::header(&secrets, !world.livemode, clock::wall(), body.as_bytes());
        Request::post(field::text(&endpoint, "url"))
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header(header::CACHE_CONTROL, "no-cache")
            .header("stripe-signature", signature)
            .body(Full::new(Bytes::from(body)))
            .ok()
    }
}

/// The invoice payment that an invoice, a payment intent or a charge belongs to.
fn payment_about(payments: &[Value], object: &Value) -> Option<Value> {
    let (name, id) = match field::text(object, "object") {
        "invoice" => ("invoice", field::text(object, "id")),
        "payment_intent" => ("payment.payment_intent", field::text(object, "id")),
        "charge" => ("payment.payment_intent", field::text(object, "payment_intent")),
        _ => return None,
    };
    payments.iter().find(|one| field::text(one, name) == id).cloned()
}
