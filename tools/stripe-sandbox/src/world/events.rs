//! Events: written with the change that causes them, then handed to every endpoint that listens.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{API_VERSION, World, rendered};
use crate::{field, webhooks::Delivery};

impl World {
    /// Stores a new object and tells of it.
    pub(crate) fn create(&mut self, event: &str, object: &Value) {
        self.put(object);
        self.emit(event, object, None);
    }

    /// Changes the object `id` with `edit`, stores it and, if it differs, tells of it with `previous_attributes`.
    pub(crate) fn update(&mut self, id: &str, event: &str, edit: impl FnOnce(&mut Value)) -> Value {
        let Some(old) = self.find(id).cloned() else {
            return Value::Null;
        };
        let mut new = old.clone();
        edit(&mut new);
        if new != old {
            self.put(&new);
        }
        if let Some(previous) = field::previous(&rendered(&old), &rendered(&new)) {
            self.emit(event, &new, Some(previous));
        }
        new
    }

    /// Changes the object `id` and tells nobody.
    pub(crate) fn edit(&mut self, id: &str, edit: impl FnOnce(&mut Value)) -> Value {
        let Some(mut value) = self.find(id).cloned() else {
            return Value::Null;
        };
        edit(&mut value);
        self.put(&value);
        value
    }

    /// Tells of `object`: an event in the data set at work and a delivery for every endpoint that listens.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let id = self.id("evt_", 24);
        let listeners: Vec<String> = self
            .all_of("", "webhook_endpoint")
            .into_iter()
            .filter(|endpoint| listens(endpoint, kind, &self.account))
            .map(|endpoint| field::text(&endpoint, "id").to_owned())
            .rev()
            .collect();
        let mut data = json!({ "object": rendered(object) });
        if let Some(previous) = previous {
            field::set(&mut data, "previous_attributes", previous);
        }
        let mut event = json!({
            "id": id,
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": listeners.len(),
            "request": {
                "id": self.cause.request_id,
                "idempotency_key": self.cause.idempotency_key,
            },
            "type": kind,
        });
        if !self.account.is_empty() {
            field::set(&mut event, "account", self.account.clone());
        }
        self.put(&event);
        for endpoint in listeners {
            if self.faults.deliveries.drop.iter().any(|dropped| dropped == kind) {
                self.change.dropped += 1;
                continue;
            }
            for _ in 0..self.copies(&id) {
                self.deliver(Delivery {
                    id: 0,
                    account: self.account.clone(),
                    event: id.clone(),
                    endpoint: endpoint.clone(),
                });
            }
        }
    }

    /// How often an event is sent: the seeded choice of the fault setting.
    fn copies(&self, event: &str) -> u32 {
        let digest = Sha256::digest(format!("{}:{event}", self.faults.seed));
        let draw = digest.first().map_or(0, |byte| u32::from(*byte) * 100 / 256);
        if draw < self.faults.deliveries.copy_percent {
            self.faults.deliveries.copies
        } else {
            1
        }
    }
}

fn listens(endpoint: &Value, kind: &str, account: &str) -> bool {
    let connect = field::flag(endpoint, "_sandbox.connect");
    !field::flag(endpoint, "deleted")
        && field::text(endpoint, "status") == "enabled"
        && connect != account.is_empty()
        && field::elements(endpoint, "enabled_events")
            .iter()
            .any(|wanted| wanted == "*" || wanted == kind)
}

impl World {
    /// The endpoint to deliver to, unless it was deleted.
    pub(crate) fn endpoint(&self, id: &str) -> Option<Value> {
        let key = (String::new(), id.to_owned());
        self.objects
            .get(&key)
            .map(|stored| &stored.value)
            .filter(|value| !field::flag(value, "deleted"))
            .cloned()
    }

    /// The event to deliver.
    pub(crate) fn event(&self, account: &str, id: &str) -> Option<Value> {
        self.objects
            .get(&(account.to_owned(), id.to_owned()))
            .map(|stored| stored.value.clone())
    }

    /// Settles a delivery: it and the event's count of pending webhooks, as one change.
    pub(crate) fn settle(&mut self, delivery: &Delivery) {
        self.begin(
            &delivery.account,
            super::Cause {
                operation: "delivery".to_owned(),
                ..Default::default()
            },
        );
        let others = self.outbox.pending.values().any(|other| {
            other.id != delivery.id && other.event == delivery.event && other.endpoint == delivery.endpoint
        });
        if !others {
            self.edit(&delivery.event, |event| {
                let pending = field::integer(event, "pending_webhooks");
                field::set(event, "pending_webhooks", (pending - 1).max(0));
            });
        }
        self.change.settled.push(delivery.id);
    }
}
