//! Stripe's objects to our model, and our requests to Stripe's. The one reader of a customer's JSON, whether it came in
//! an event, a fetch, or the answer to our own call. It reads only what the model needs and passes over the rest, so a
//! field Stripe adds or drops elsewhere harms nothing.

use std::collections::HashMap;

use chrono::DateTime;
use counterfoil_stripe::customer::{CreateCustomer, RetrieveCustomer};
use counterfoil_stripe::json::{Unreadable, read, storable};
use counterfoil_types::{CustomerId, Stamp};
use serde::Deserialize;

use crate::model::customer::{Customer, Seen};
use crate::model::signup::Signup;

/// The metadata key that names the user on every object the suite makes.
const USER_ID: &str = "user_id";
/// The metadata key that names the operation which made the object.
const OP_KEY: &str = "op_key";
/// The metadata key that says who made the object.
const SOURCE: &str = "source";

/// The request for a signup's customer. The same signup always makes the same request.
#[must_use]
pub fn create_customer(signup: &Signup) -> CreateCustomer {
    let metadata: HashMap<String, String> = [
        (USER_ID.to_owned(), signup.user_id.clone()),
        (OP_KEY.to_owned(), signup.op_key.clone()),
        (SOURCE.to_owned(), "counterfoil".to_owned()),
    ]
    .into();
    let mut request = CreateCustomer::new().metadata(metadata);
    if let Some(email) = &signup.email {
        request = request.email(email);
    }
    if let Some(name) = &signup.name {
        request = request.name(name);
    }
    request
}

/// The request to read a customer, deleted or not.
#[must_use]
pub fn retrieve_customer(id: &CustomerId) -> RetrieveCustomer {
    RetrieveCustomer::new(id.as_str())
}

/// Reads a customer, deleted or not, as it was at `stamp`.
///
/// # Errors
/// When a field the model needs is missing or of another type. The message names no value.
pub fn customer(json: &[u8], stamp: Stamp) -> Result<Seen, Unreadable> {
    #[derive(Deserialize)]
    struct Object {
        id: String,
        #[serde(default)]
        deleted: bool,
        #[serde(default)]
        created: Option<i64>,
        #[serde(default)]
        email: Option<String>,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        metadata: Option<HashMap<String, String>>,
    }
    let mut object: Object = read("customer", json)?;
    let id = CustomerId::parse(object.id).map_err(|error| Unreadable::new("customer", format!("its id {error}")))?;
    let mut metadata = |key| {
        object
            .metadata
            .as_mut()
            .and_then(|metadata| metadata.remove(key))
            .map(storable)
    };
    let customer = Customer {
        id,
        user_id: metadata(USER_ID),
        op_key: metadata(OP_KEY),
        email: object.email.map(storable),
        name: object.name.map(storable),
        deleted: object.deleted,
        created_at: object.created.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
    };
    Ok(Seen {
        customer,
        object: String::from_utf8_lossy(json).into_owned(),
        stamp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stamp() -> Stamp {
        Stamp::Event(DateTime::UNIX_EPOCH)
    }

    #[test]
    fn unknown_fields_are_passed_over_and_missing_ones_are_none() {
        let object = json!({"id": "cus_1", "object": "customer", "created": 5, "something_new": {"deep": [1]},
            "metadata": {"user_id": "ada", "plan": "x"}});
        let seen = customer(object.to_string().as_bytes(), stamp()).unwrap();
        assert_eq!(seen.customer.user_id.as_deref(), Some("ada"));
        assert_eq!(
            (seen.customer.email, seen.customer.op_key, seen.customer.deleted),
            (None, None, false)
        );
        assert_eq!(seen.object, object.to_string());
    }

    #[test]
    fn the_stub_of_a_deleted_customer_is_read() {
        let seen = customer(br#"{"id":"cus_1","object":"customer","deleted":true}"#, stamp()).unwrap();
        assert!(seen.customer.deleted && seen.customer.created_at.is_none());
    }

    #[test]
    fn an_escaped_nul_does_not_reach_the_database() {
        let seen = customer(br#"{"id":"cus_1","name":"a\u0000b"}"#, stamp()).unwrap();
        assert_eq!(seen.customer.name.as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn an_unreadable_object_is_told_without_its_content() {
        for json in [
            &br#"{"id": "cus_1", "email": 7, "secret": "4242"}"#[..],
            br#"{"id": "4242"}"#,
            b"4242",
        ] {
            let error = customer(json, stamp()).unwrap_err();
            assert!(!error.to_string().contains("4242"), "{error}");
        }
    }
}
