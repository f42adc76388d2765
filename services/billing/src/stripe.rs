//! Stripe's objects to our model, and our requests to Stripe's. The one reader of a subscription's JSON, whether it came
//! in an event, a fetch, or the answer to our own call. It reads only what the model needs and passes over the rest, so
//! a field Stripe adds or drops elsewhere harms nothing. The same goes for customers and checkout sessions.

use std::collections::HashMap;

use counterfoil_stripe::checkout_session as checkout;
use counterfoil_stripe::json::{self, Unreadable, read, storable};
use counterfoil_stripe::subscription as subscriptions;
use counterfoil_types::SubscriptionId;
use serde::Deserialize;
use url::Url;

use crate::error::Error;
use crate::model::checkout_session::NewCheckoutSession;
use crate::model::subscription::{Cancellation, Item, Status, Subscription};

/// The metadata key under which a price lists its features, separated by commas.
const FEATURES: &str = "features";
/// The metadata key that names the user on every object the suite makes.
const USER_ID: &str = "user_id";
/// The most characters that `client_reference_id` takes. A longer user id stands in the metadata alone, which takes 500.
/// Source: <https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-client_reference_id>.
const CLIENT_REFERENCE_ID: usize = 200;

/// A customer's link to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerUser {
    /// Stripe's id of the customer.
    pub customer_id: String,
    /// The user its metadata names. A deleted customer may come as a stub without metadata.
    pub user_id: Option<String>,
    /// Whether the customer was deleted.
    pub deleted: bool,
}

/// An answer as the text that is stored of it.
///
/// # Errors
/// When it is not UTF-8, which JSON is by its definition.
pub fn text(json: &[u8]) -> Result<String, Error> {
    String::from_utf8(json.to_vec()).map_err(|_| Error::bug("stripe's answer is not UTF-8"))
}

/// Reads a subscription.
///
/// # Errors
/// When a field the model needs is missing or of another type, and when there are more items than the object shows: who
/// paid for the features of the rest must not be told that they have none. The message names no value.
pub fn subscription(json: &[u8]) -> Result<Subscription, Unreadable> {
    #[derive(Deserialize)]
    struct Object {
        id: String,
        customer: Reference,
        status: String,
        items: List,
        #[serde(default)]
        cancel_at: Option<i64>,
        #[serde(default)]
        ended_at: Option<i64>,
        created: i64,
    }
    #[derive(Deserialize)]
    struct List {
        data: Vec<ItemObject>,
        #[serde(default)]
        has_more: bool,
    }
    #[derive(Deserialize)]
    struct ItemObject {
        id: String,
        price: Price,
        #[serde(default)]
        quantity: Option<i64>,
        #[serde(default)]
        current_period_start: Option<i64>,
        #[serde(default)]
        current_period_end: Option<i64>,
    }
    #[derive(Deserialize)]
    struct Price {
        id: String,
        #[serde(default)]
        lookup_key: Option<String>,
        #[serde(default)]
        unit_amount: Option<i64>,
        currency: String,
        #[serde(default)]
        metadata: HashMap<String, String>,
    }

    let object: Object = read("subscription", json)?;
    if object.items.has_more {
        return Err(Unreadable::new("subscription", "it has more items than it shows"));
    }
    let time = |seconds| json::time("subscription", seconds);
    let items = object.items.data.into_iter().map(|item| {
        Ok(Item {
            id: item.id,
            features: features(item.price.metadata.get(FEATURES)),
            price_id: item.price.id,
            lookup_key: item.price.lookup_key,
            quantity: item.quantity,
            unit_amount: item.price.unit_amount,
            currency: item.price.currency,
            period_start: item.current_period_start.map(time).transpose()?,
            period_end: item.current_period_end.map(time).transpose()?,
        })
    });
    Ok(Subscription {
        id: SubscriptionId::parse(object.id)
            .map_err(|error| Unreadable::new("subscription", format!("its id {error}")))?,
        customer_id: object.customer.into_id(),
        user_id: None,
        status: Status::parse(&object.status),
        items: items.collect::<Result<_, Unreadable>>()?,
        cancel_at: object.cancel_at.map(time).transpose()?,
        ended_at: object.ended_at.map(time).transpose()?,
        created_at: time(object.created)?,
    })
}

/// Reads a customer, deleted or not.
///
/// # Errors
/// When it has no id.
pub fn customer(json: &[u8]) -> Result<CustomerUser, Unreadable> {
    #[derive(Deserialize)]
    struct Object {
        id: String,
        #[serde(default)]
        metadata: HashMap<String, String>,
        #[serde(default)]
        deleted: bool,
    }
    let mut object: Object = read("customer", json)?;
    Ok(CustomerUser {
        customer_id: object.id,
        user_id: object.metadata.remove(USER_ID).map(storable),
        deleted: object.deleted,
    })
}

/// A checkout session at Stripe.
pub struct OpenedSession {
    /// Stripe's id of it.
    pub id: String,
    /// Where the customer pays. `None` once it is paid or has expired.
    pub url: Option<Url>,
}

/// Reads a checkout session.
///
/// # Errors
/// When it has no id, or its link is none. The message names no value.
pub fn checkout_session(json: &[u8]) -> Result<OpenedSession, Unreadable> {
    #[derive(Deserialize)]
    struct Object {
        id: String,
        #[serde(default)]
        url: Option<String>,
    }
    let object: Object = read("checkout session", json)?;
    let url = object.url.as_deref().map(Url::parse).transpose();
    Ok(OpenedSession {
        id: object.id,
        url: url.map_err(|error| Unreadable::new("checkout session", format!("its url: {error}")))?,
    })
}

/// The request for a checkout session: hosted, for a subscription in flexible billing mode. The metadata stands on the
/// subscription too, since Stripe does not copy the session's.
#[must_use]
pub fn create_checkout_session(new: &NewCheckoutSession, customer_id: &str) -> checkout::CreateCheckoutSession {
    let metadata: HashMap<String, String> = [
        (USER_ID.to_owned(), new.user_id.to_string()),
        ("source".to_owned(), "counterfoil".to_owned()),
    ]
    .into();
    let line = checkout::CreateCheckoutSessionLineItems {
        price: Some(new.price_id.to_string()),
        quantity: Some(new.quantity),
        ..checkout::CreateCheckoutSessionLineItems::new()
    };
    let mut subscription_data = checkout::CreateCheckoutSessionSubscriptionData::new();
    subscription_data.metadata = Some(metadata.clone());
    subscription_data.billing_mode = Some(checkout::CreateCheckoutSessionSubscriptionDataBillingMode::new(
        checkout::CreateCheckoutSessionSubscriptionDataBillingModeType::Flexible,
    ));
    let mut request = checkout::CreateCheckoutSession::new()
        .mode(counterfoil_stripe::objects::CheckoutSessionMode::Subscription)
        .customer(customer_id)
        .line_items(vec![line])
        .metadata(metadata)
        .subscription_data(subscription_data)
        .success_url(new.success_url.clone());
    if let Some(url) = &new.cancel_url {
        request = request.cancel_url(url.clone());
    }
    if new.user_id.as_str().chars().count() <= CLIENT_REFERENCE_ID {
        request = request.client_reference_id(new.user_id.as_str());
    }
    request
}

/// The request to read a checkout session again.
#[must_use]
pub fn retrieve_checkout_session(id: &str) -> checkout::RetrieveCheckoutSession {
    checkout::RetrieveCheckoutSession::new(id)
}

/// The request to cancel at the end of the period.
#[must_use]
pub fn cancel_at_period_end(cancellation: &Cancellation) -> subscriptions::UpdateSubscription {
    subscriptions::UpdateSubscription::new(cancellation.subscription_id.as_str()).cancel_at_period_end(true)
}

/// The request to read a subscription.
#[must_use]
pub fn retrieve_subscription(id: &str) -> subscriptions::RetrieveSubscription {
    subscriptions::RetrieveSubscription::new(id)
}

/// The request to read a customer.
#[must_use]
pub fn retrieve_customer(id: &str) -> counterfoil_stripe::customer::RetrieveCustomer {
    counterfoil_stripe::customer::RetrieveCustomer::new(id)
}

/// A field that holds an id or, expanded, the object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Object { id: String },
}

impl Reference {
    fn into_id(self) -> String {
        match self {
            Reference::Id(id) | Reference::Object { id } => id,
        }
    }
}

fn features(list: Option<&String>) -> Vec<String> {
    list.map(|list| {
        list.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_subscription_is_read_with_its_customer_expanded_or_not_and_unknown_fields_passed_over() {
        let mut object = json!({
            "id": "sub_1", "customer": "cus_1", "status": "active", "created": 1_700_000_000, "cancel_at": null,
            "something_new": {"deep": [1]},
            "items": {"data": [{"id": "si_1", "quantity": 2, "current_period_start": 1_700_000_000,
                "current_period_end": 1_702_592_000,
                "price": {"id": "price_1", "currency": "usd", "unit_amount": 2900, "lookup_key": null,
                    "metadata": {"features": "reports, exports,"}}}]},
        });
        let read = subscription(object.to_string().as_bytes()).unwrap();
        assert_eq!(read.items[0].features, ["reports", "exports"]);
        assert_eq!(read.status, Status::Active);
        object["customer"] = json!({"id": "cus_1", "object": "customer"});
        assert_eq!(subscription(object.to_string().as_bytes()).unwrap(), read);
    }

    #[test]
    fn a_subscription_that_shows_only_some_of_its_items_is_not_read_as_if_it_had_no_more() {
        let object = |items: serde_json::Value| {
            json!({"id": "sub_1", "customer": "cus_1", "status": "active", "created": 1, "items": items}).to_string()
        };
        assert!(subscription(object(json!({"data": [], "has_more": false})).as_bytes()).is_ok());
        let error = subscription(object(json!({"data": [], "has_more": true})).as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stripe's subscription cannot be read: it has more items than it shows"
        );
    }

    #[test]
    fn a_checkout_session_needs_no_more_than_an_id() {
        let read = checkout_session(br#"{"id": "cs_1"}"#).unwrap();
        assert_eq!((read.id.as_str(), read.url), ("cs_1", None));
        let read = checkout_session(br#"{"id": "cs_1", "url": "https://pay.example/a#b", "new": [1]}"#).unwrap();
        assert_eq!(read.url.unwrap().as_str(), "https://pay.example/a#b");
        let error = checkout_session(br#"{"id": "cs_1", "url": "secret"}"#).err().unwrap();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_unreadable_object_is_told_without_its_content() {
        let error = subscription(br#"{"id": "sub_1", "customer": 7, "secret": "4242"}"#).unwrap_err();
        assert!(!error.to_string().contains("4242"), "{error}");
    }
}
