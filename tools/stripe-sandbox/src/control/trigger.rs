//! Any event, with any fields, of something that need not have happened.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, response::Response};
use http::StatusCode;
use serde::Deserialize;

use super::api::{answer, bad, parsed, refused};
use crate::{
    app::{App, cause},
    field,
    http::{account::check_account, table},
    json::{Map, Value},
    shapes,
    world::{World, rendered},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Map,
    previous_attributes: Option<Value>,
    #[serde(default)]
    account: String,
}

/// `POST /_sandbox/trigger`: an event about an object of the right shape, or about the stored one that `data.id` names,
/// with the fields of `data` put in. The object itself is neither stored nor changed.
pub(crate) async fn trigger(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted: Wanted = match parsed(&body) {
        Ok(wanted) => wanted,
        Err(error) => return bad(&error),
    };
    let known = table::values("enabled_events");
    if wanted.kind == "*" || !known.contains(&&*wanted.kind) {
        return bad(&format!("there is no event type `{}`", wanted.kind));
    }
    let triggered = app.change("", cause("trigger"), |world| {
        check_account(world, &wanted.account)?;
        world.begin(&wanted.account, cause("trigger"));
        let object = object(world, &wanted);
        let event = world.emit(&wanted.kind, &object, wanted.previous_attributes);
        let event = event.and_then(|id| world.find(&id)).map(rendered);
        Ok(world.publish(&event.unwrap_or_default()))
    });
    match triggered {
        Ok(event) => answer(StatusCode::OK, event),
        Err(error) => refused(&error),
    }
}

fn object(world: &mut World, wanted: &Wanted) -> Value {
    let kind = subject(&wanted.kind);
    let named = wanted.data.get("id").and_then(Value::as_str);
    let stored = named.and_then(|id| world.find(id)).map(rendered);
    let mut object = stored
        .filter(|stored| field::text(stored, "object") == kind)
        .unwrap_or_else(|| fresh(world, &kind));
    merge(&mut object, Value::Object(wanted.data.clone()));
    object
}

/// A new object of a kind: of its shape, with an id, made now.
fn fresh(world: &mut World, kind: &str) -> Value {
    let mut object = shapes::of(kind);
    if object.get("id").is_some() {
        field::set(&mut object, "id", world.id(&shapes::prefix(kind), 24));
    }
    for (name, value) in [("created", Value::from(world.now)), ("livemode", world.livemode.into())] {
        if object.get(name).is_some() {
            field::set(&mut object, name, value);
        }
    }
    object
}

/// The kind of object that events of this type are about.
fn subject(event: &str) -> String {
    let subject = event.rsplit_once('.').map_or(event, |(subject, _)| subject);
    match subject {
        "account.application" => "application".to_owned(),
        "account.external_account" => "bank_account".to_owned(),
        "application_fee.refund" => "fee_refund".to_owned(),
        "charge.dispute" => "dispute".to_owned(),
        "charge.refund" => "refund".to_owned(),
        "source.transaction" => "source_transaction".to_owned(),
        _ => match (subject.strip_prefix("customer."), subject.strip_prefix("issuing_")) {
            (Some(own), _) => own.to_owned(),
            (_, Some(issued)) => format!("issuing.{issued}"),
            _ => subject.to_owned(),
        },
    }
}

/// Puts `given` into `object`, hash by hash; lists and values are replaced whole.
fn merge(object: &mut Value, given: Value) {
    match (object, given) {
        (Value::Object(fields), Value::Object(given)) => {
            for (name, value) in given {
                merge(fields.slot(&name), value);
            }
        }
        (place, given) => *place = given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_type_is_about_something() {
        for (event, kind) in [
            ("customer.created", "customer"),
            ("customer.subscription.trial_will_end", "subscription"),
            ("customer.tax_id.updated", "tax_id"),
            ("charge.dispute.funds_withdrawn", "dispute"),
            ("checkout.session.completed", "checkout.session"),
            ("issuing_card.created", "issuing.card"),
            ("account.updated", "account"),
            ("invoice_payment.paid", "invoice_payment"),
        ] {
            assert_eq!(subject(event), kind);
        }
        let types = table::values("enabled_events");
        assert!(types.len() > 200);
        for event in types.iter().filter(|event| **event != "*") {
            let kind = subject(event);
            assert_eq!(shapes::of(&kind)["object"], *kind, "{event}");
        }
    }

    #[test]
    fn fields_are_put_in_hash_by_hash() {
        let mut object = crate::json::json!({ "a": { "b": 1, "c": [1, 2] }, "d": null });
        merge(&mut object, crate::json::json!({ "a": { "c": [3] }, "d": { "e": 4 } }));
        assert_eq!(
            object,
            crate::json::json!({ "a": { "b": 1, "c": [3] }, "d": { "e": 4 } })
        );
    }
}
