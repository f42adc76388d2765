//! Stripe's objects to our model, and our requests to Stripe's. The one reader of a customer's JSON, whether it came in
//! an event, a fetch, or the answer to our own call. It reads only what the model needs and passes over the rest, so a
//! field Stripe adds or drops elsewhere harms nothing.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_stripe::customer::{CreateCustomer, ListCustomer, RetrieveCustomer};
use counterfoil_stripe::json::{Unreadable, read, storable};
use counterfoil_stripe::{RangeBoundsTs, RangeQueryTs};
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

/// By how much Stripe's clock may be behind the database's.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// For how long after its first try a creation may still be made: it is sent again for 23 hours. The rest is for a try
/// that began in the last of them.
const MADE_WITHIN: TimeDelta = TimeDelta::hours(48);

/// The request for the customers, newest first and a hundred at a time, among which is one whose creation was
/// `first_sent` then; those after the customer `after`.
#[must_use]
pub fn list_customers(first_sent: DateTime<Utc>, after: Option<&str>) -> ListCustomer {
    let at = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp());
    let created = RangeQueryTs::Bounds(RangeBoundsTs {
        gt: None,
        gte: at(first_sent.checked_sub_signed(CLOCK_SKEW)),
        lt: None,
        lte: at(first_sent.checked_add_signed(MADE_WITHIN)),
    });
    let request = ListCustomer::new().created(created).limit(100);
    match after {
        Some(id) => request.starting_after(id),
        None => request,
    }
}

/// A page of a list of customers.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The customer that the operation asked for made.
    pub made: Option<CustomerId>,
    /// The last customer, where there are more after it.
    pub next: Option<String>,
}

/// Looks through a page of customers for the one that the operation made.
///
/// # Errors
/// When it cannot be told whether the operation's customer is among them, or whether there are more.
pub fn page_of_customers(json: &[u8], op_key: &str) -> Result<Page, Unreadable> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Object>,
        has_more: bool,
    }
    #[derive(Deserialize)]
    struct Object {
        id: String,
        metadata: HashMap<String, String>,
    }
    const LIST: &str = "list of customers";
    let List { data, has_more } = read(LIST, json)?;
    let made = data
        .iter()
        .find(|object| object.metadata.get(OP_KEY).is_some_and(|key| key == op_key));
    let made = made.map(|object| CustomerId::parse(object.id.clone()));
    let next = data.last().filter(|_| has_more).map(|object| object.id.clone());
    if has_more && next.is_none() {
        return Err(Unreadable::new(LIST, "it has more and shows none"));
    }
    Ok(Page {
        made: made
            .transpose()
            .map_err(|error| Unreadable::new(LIST, format!("an id {error}")))?,
        next,
    })
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
    fn a_page_tells_what_the_operation_made_and_whether_there_is_more() {
        let page = |has_more: bool, data: serde_json::Value| {
            page_of_customers(json!({"data": data, "has_more": has_more}).to_string().as_bytes(), "op")
        };
        let other = json!({"id": "cus_1", "metadata": {"op_key": "another"}});
        let made = json!({"id": "cus_2", "metadata": {"op_key": "op"}, "new": [1]});
        let found = page(true, json!([other, made])).unwrap();
        assert_eq!(found.made.unwrap().as_str(), "cus_2");
        let next = Some("cus_1".to_owned());
        assert_eq!(page(true, json!([other])).unwrap(), Page { made: None, next });
        let end = Page { made: None, next: None };
        assert_eq!(page(false, json!([other])).unwrap(), end);
        assert_eq!(page(false, json!([])).unwrap(), end);
        // What may hide the customer is no answer.
        assert!(page(true, json!([])).is_err());
        assert!(page(false, json!([{"id": "cus_2"}])).is_err());
        assert!(page_of_customers(br#"{"data": []}"#, "op").is_err());
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
