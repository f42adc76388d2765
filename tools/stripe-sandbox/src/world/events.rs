//! Events: written with the change that causes them, then handed to every endpoint that listens.

use std::sync::Arc;

use super::{API_VERSION, PRIVATE, World, stored::Stored};
use crate::{
    field,
    json::{Value, json},
    webhooks::{Delivery, Postponed},
};

impl World {
    /// Stores a new object and tells of it.
    pub(crate) fn create(&mut self, event: &str, object: &Value) {
        self.put(object);
        self.emit(event, object, None);
    }

    /// Changes the object `id` with `edit`, stores it and, if it differs, tells of it with `previous_attributes`. Gives what it
    /// is now, or null if there is no such object.
    pub(crate) fn update(&mut self, id: &str, event: &str, edit: impl FnOnce(&mut Value)) -> Arc<Value> {
        let Some((old, new)) = self.edited(id, edit) else {
            return Arc::default();
        };
        if let Some(previous) = seen_change(&old, &new) {
            self.emit(event, &new, Some(previous));
        }
        new
    }

    /// Changes the object `id` and tells nobody. Gives what it is now, or null if there is no such object.
    pub(crate) fn edit(&mut self, id: &str, edit: impl FnOnce(&mut Value)) -> Arc<Value> {
        self.edited(id, edit).map(|(_, new)| new).unwrap_or_default()
    }

    /// Changes the object `id`: what it was, and what it is.
    fn edited(&mut self, id: &str, edit: impl FnOnce(&mut Value)) -> Option<(Arc<Value>, Arc<Value>)> {
        let old = self.shared(id)?;
        let mut new = Value::clone(&old);
        edit(&mut new);
        self.stamp(&mut new, Some(&old));
        if new == *old {
            return Some((old.clone(), old));
        }
        let new = Arc::new(new);
        self.put_shared(new.clone());
        Some((old, new))
    }

    /// Tells of `object`: an event in the data set at work, whose id is given, and a delivery for every endpoint that
    /// listens. Under a fault there is no event of some types.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) -> Option<String> {
        if self.faults.deliveries.never_generate.iter().any(|never| never == kind) {
            return None;
        }
        let id = self.id("evt_", 24);
        let listeners = self.listeners(kind);
        let mut data = json!({ "object": null });
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
            "pending_webhooks": 0,
            "request": {
                "id": self.cause.request_id,
                "idempotency_key": self.cause.idempotency_key,
            },
            "type": kind,
        });
        if !self.account.is_empty() {
            field::set(&mut event, "account", self.account.clone());
        }
        if self.now != self.present {
            field::set(&mut event, "_sandbox.at", self.present);
        }
        set_pending(&mut event, &listeners);
        let about = self.version_of(object);
        self.store.store(&self.account, &id, Stored::event(event, about));
        let copies = self.copies(&id);
        let delay = self.faults.deliveries.delay_seconds;
        let due = if delay > 0 { self.present + delay } else { 0 };
        for endpoint in listeners {
            if self.drops(kind, &id, &endpoint) {
                self.change.dropped += 1;
                continue;
            }
            for _ in 0..copies {
                self.deliver(Delivery {
                    id: 0,
                    account: self.account.clone(),
                    event: id.clone(),
                    endpoint: endpoint.clone(),
                    failures: 0,
                    due,
                });
            }
        }
        Some(id)
    }

    /// The stored version of an object, if it is that, and else a copy.
    fn version_of(&self, object: &Value) -> Arc<Value> {
        let stored = self.shared(field::text(object, "id"));
        match stored.filter(|stored| std::ptr::eq(&**stored, object) || **stored == *object) {
            Some(stored) => stored,
            None => Arc::new(object.clone()),
        }
    }

    /// The endpoints that want this type of event of the data set at work, in order of registration.
    pub(crate) fn listeners(&self, kind: &str) -> Vec<String> {
        let endpoints = self.all_of("", "webhook_endpoint").into_iter().rev();
        endpoints
            .filter(|endpoint| listens(endpoint, kind, &self.account))
            .map(|endpoint| field::text(&endpoint, "id").to_owned())
            .collect()
    }

    /// Sends an event of the data set at work to `endpoint` once more, or now if it waits to be tried again.
    pub(crate) fn send_again(&mut self, event: &str, endpoint: &str) {
        let waiting =
            self.outbox.pending.values().find(|one| {
                one.due > 0 && one.account == self.account && one.event == event && one.endpoint == endpoint
            });
        match waiting {
            Some(Delivery { id, failures, .. }) => self.change.postponed.push(Postponed {
                id: *id,
                failures: *failures,
                due: 0,
            }),
            None => self.deliver(Delivery {
                id: 0,
                account: self.account.clone(),
                event: event.to_owned(),
                endpoint: endpoint.to_owned(),
                failures: 0,
                due: 0,
            }),
        }
        self.edit(event, |event| {
            let mut pending = pending(event);
            if !pending.iter().any(|one| one == endpoint) {
                pending.push(endpoint.to_owned());
            }
            set_pending(event, &pending);
        });
    }

    /// Whether an event is not delivered to this endpoint.
    fn drops(&self, kind: &str, event: &str, endpoint: &str) -> bool {
        let faults = &self.faults.deliveries;
        faults.drop.iter().any(|dropped| dropped == kind)
            || self.faults.draw(&format!("drop:{event}:{endpoint}")) < faults.drop_percent
    }

    /// How often an event is sent: the seeded choice of the fault setting.
    fn copies(&self, event: &str) -> u32 {
        if self.faults.draw(event) < self.faults.deliveries.copy_percent {
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
        self.found("", id)
            .filter(|value| !field::flag(value, "deleted"))
            .cloned()
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
        self.edit(&delivery.event, |event| {
            let mut pending = pending(event);
            pending.retain(|endpoint| *endpoint != delivery.endpoint);
            set_pending(event, &pending);
        });
        self.change.settled.push(delivery.id);
    }
}

/// What a change shows of an object as it was, in the manner of `previous_attributes`.
fn seen_change(old: &Value, new: &Value) -> Option<Value> {
    let mut previous = field::previous(old, new)?;
    let fields = previous.as_object_mut()?;
    fields.shift_remove(PRIVATE);
    (!fields.is_empty()).then_some(previous)
}

/// An event as it is once every delivery was accepted, as JSON.
pub(super) fn delivered(event: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut event = serde_json::from_slice(event)?;
    set_pending(&mut event, &[]);
    serde_json::to_vec(&event)
}

/// The endpoints that have not accepted an event yet.
fn pending(event: &Value) -> Vec<String> {
    let endpoints = field::elements(event, "_sandbox.pending").iter();
    endpoints.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn set_pending(event: &mut Value, endpoints: &[String]) {
    field::set(event, "_sandbox.pending", endpoints);
    field::set(event, "pending_webhooks", endpoints.len());
}
